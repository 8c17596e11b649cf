//! `evaluate`: how near a synthetic plate is to held-out real sequences, beside what real data reach themselves.
#![allow(missing_docs)]

use std::process::ExitCode;

use lapsegan_core::cli::commands::evaluate::execute;
use lapsegan_core::cli::run;
use serde_json::json;

fn main() -> ExitCode {
    run::program("evaluate", || json!({}), execute)
}
