//! Flags that mean the same in all five programs.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

/// Form of the log lines on stderr.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object per line, for log collectors.
    Json,
}

/// Flags of every program. Flatten it last, so that it ends the help page.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Run")]
pub struct Common {
    /// TOML file of settings; flags win over it
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// Override one setting; dots reach into tables, as in --set training.batch=8; repeatable
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,

    /// Seed of everything random: same seed, same bytes
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub seed: u64,

    /// Where tensors live: auto, cpu, cuda or cuda:N
    #[arg(long, default_value = "auto", value_name = "DEVICE")]
    pub device: String,

    /// CPU threads; results are equal only for equal counts [default: all cores]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub threads: Option<u32>,

    /// Replace an output that exists
    #[arg(long)]
    pub overwrite: bool,

    /// Check inputs, print the resolved settings as JSON, write nothing
    #[arg(long)]
    pub dry_run: bool,

    /// Errors only
    #[arg(short, long, conflicts_with = "verbose")]
    pub quiet: bool,

    /// More detail; twice for debugging
    #[arg(short, long, action = clap::ArgAction::Count)]
    pub verbose: u8,

    /// Form of the log lines on stderr
    #[arg(long, value_enum, default_value_t = LogFormat::Text)]
    pub log_format: LogFormat,
}

impl Common {
    /// Returns the number of CPU threads to use.
    pub fn thread_count(&self) -> usize {
        self.threads
            .map_or_else(|| std::thread::available_parallelism().map_or(1, usize::from), |n| n as usize)
    }
}
