//! `segment-benchmark`: scores labels against the truth, and tells whether synthetic sequences help a segmenter.

use std::process::ExitCode;

use lapsegan::cli::commands::segment_benchmark;
use lapsegan::cli::device;
use lapsegan_core::cli::run;

fn main() -> ExitCode {
    run::program("segment-benchmark", device::libraries, segment_benchmark::execute)
}
