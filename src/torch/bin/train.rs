//! `train`: a dataset plate to a run folder with checkpoints.
#![allow(missing_docs)]

use std::process::ExitCode;

use lapsegan::cli::commands::train::execute;
use lapsegan::cli::device;
use lapsegan_core::cli::run;

fn main() -> ExitCode {
    run::program("train", device::libraries, execute)
}
