//! Flags that mean the same in all five programs.

use std::path::PathBuf;

use clap::{ArgMatches, Args, FromArgMatches, ValueEnum};

use super::Failure;

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
    /// TOML file of settings, at most 1 MiB; flags win over it
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

    /// Replace an output of the same command, once the new one is whole
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

/// What `--device` may ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeviceFlag {
    /// A GPU where there is one.
    Auto,
    /// The CPU.
    Cpu,
    /// The GPU of this number.
    Cuda(usize),
}

impl DeviceFlag {
    /// Returns what `--device` asks for; whether it is there is not looked at.
    ///
    /// # Errors
    /// Wrong usage for an unknown name.
    pub fn parse(flag: &str) -> Result<Self, Failure> {
        match flag {
            "auto" => Ok(Self::Auto),
            "cpu" => Ok(Self::Cpu),
            "cuda" => Ok(Self::Cuda(0)),
            other => {
                other.strip_prefix("cuda:").and_then(|n| n.parse().ok()).map(Self::Cuda).ok_or_else(|| {
                    Failure::usage(
                        format!("--device {other}: unknown device, expected auto, cpu, cuda or cuda:N"),
                        "--device auto takes a GPU where there is one",
                    )
                })
            }
        }
    }
}

impl Common {
    /// Returns the number of CPU threads to use.
    pub fn thread_count(&self) -> usize {
        self.threads
            .map_or_else(|| std::thread::available_parallelism().map_or(1, usize::from), |n| n as usize)
    }
}

/// The arguments of a program that also has subcommands: there where no subcommand is given.
///
/// An optional flattened struct would do the same, were it not that clap then looks only at the struct's own fields.
#[derive(Clone, Debug)]
pub struct WithoutCommand<T>(pub Option<T>);

impl<T: FromArgMatches> FromArgMatches for WithoutCommand<T> {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        Self::from_arg_matches_mut(&mut matches.clone())
    }

    fn from_arg_matches_mut(matches: &mut ArgMatches) -> Result<Self, clap::Error> {
        let none = matches.subcommand_name().is_some();
        Ok(Self(if none { None } else { Some(T::from_arg_matches_mut(matches)?) }))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl<T: Args> Args for WithoutCommand<T> {
    fn augment_args(command: clap::Command) -> clap::Command {
        T::augment_args(command)
    }

    fn augment_args_for_update(command: clap::Command) -> clap::Command {
        T::augment_args_for_update(command)
    }
}
