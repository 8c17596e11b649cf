//! `prepare`: a recording, or a simulated one, becomes a dataset plate.
#![allow(missing_docs)]

use std::process::ExitCode;

use lapsegan_core::cli::commands::prepare::execute;
use lapsegan_core::cli::run;
use serde_json::json;

fn main() -> ExitCode {
    run::program("prepare", || json!({}), execute)
}
