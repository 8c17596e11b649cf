//! `generate`: a checkpoint to a synthetic, labelled plate.
#![allow(missing_docs)]

use std::process::ExitCode;

use lapsegan::cli::commands::generate::execute;
use lapsegan::cli::device;
use lapsegan_core::cli::run;

fn main() -> ExitCode {
    run::program("generate", device::libraries, execute)
}
