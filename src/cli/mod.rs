//! What the five programs share: flags, errors on stderr, JSON on stdout, run records, bars, devices.
//!
//! Only this folder and `src/bin` parse arguments, print or exit.
#![allow(clippy::print_stdout, clippy::print_stderr)]

pub mod args;
pub mod config;
pub mod failure;
pub mod prepare;
pub mod preview;
pub mod progress;
pub mod record;
pub mod run;
pub mod signals;

pub use args::Common;
pub use failure::Failure;
pub use run::Outcome;
