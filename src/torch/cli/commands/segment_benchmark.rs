//! The command line of `segment-benchmark`: which command, and what ends its help page.

use clap::{Parser, Subcommand};
use lapsegan_core::cli::commands::ceiling::{self, CeilingArgs};
use lapsegan_core::cli::commands::score::{self, ScoreArgs};
use lapsegan_core::cli::{Common, Outcome};

use super::features::{self, FeatureVectorsArgs};
use super::gather::{self, GatherArgs};
use super::quality::{self, QualityArgs};
use super::run::{self, RunArgs};

/// Does synthetic data help a segmenter? And: predictions against truth
///
/// `run` trains one small U-Net per arm (a few real sequences, synthetic ones,
/// both) and seed, for the same number of steps, and scores all of them on
/// held-out real sequences. `run --shard` and `gather` share this among jobs.
/// `score` compares label images with the truth, `ceiling` labels with themselves
/// after they were maps, `quality` synthetic labels with what a segmenter finds.
/// `features` makes the vectors that FID and FVD are computed of.
#[derive(Parser, Debug)]
#[command(name = "segment-benchmark", arg_required_else_help = true, after_help = EXAMPLES)]
pub struct SegmentBenchmarkArgs {
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "Examples:
  segment-benchmark run --real phantom.ome.zarr --synthetic synthetic.ome.zarr --output benchmark
  segment-benchmark score --truth masks/ --prediction predicted/ --output scores.json";

#[derive(Subcommand, Debug)]
enum Command {
    Run(RunArgs),
    Gather(GatherArgs),
    #[command(after_help = score::examples("segment-benchmark"))]
    Score(ScoreArgs),
    #[command(after_help = ceiling::EXAMPLES)]
    Ceiling(CeilingArgs),
    #[command(after_help = quality::EXAMPLES)]
    Quality(QualityArgs),
    #[command(after_help = features::EXAMPLES)]
    Features(FeatureVectorsArgs),
}

impl AsRef<Common> for SegmentBenchmarkArgs {
    fn as_ref(&self) -> &Common {
        match &self.command {
            Command::Run(args) => args.as_ref(),
            Command::Gather(args) => args.as_ref(),
            Command::Score(args) => args.as_ref(),
            Command::Ceiling(args) => args.as_ref(),
            Command::Quality(args) => args.as_ref(),
            Command::Features(args) => args.as_ref(),
        }
    }
}

/// Runs the command that was asked for.
///
/// # Errors
/// What the command says.
pub fn execute(args: SegmentBenchmarkArgs) -> Outcome {
    match args.command {
        Command::Run(args) => run::execute(&args),
        Command::Gather(args) => gather::execute(&args),
        Command::Score(args) => score::execute(&args),
        Command::Ceiling(args) => ceiling::execute(&args),
        Command::Quality(args) => quality::execute(&args),
        Command::Features(args) => features::execute(&args),
    }
}
