//! What the five programs share: flags, errors on stderr, JSON on stdout, run records, bars, devices.
//!
//! Only this folder and `src/bin` parse arguments, print or exit.
#![allow(clippy::print_stdout, clippy::print_stderr)]

pub mod args;
pub mod check;
pub mod config;
pub mod digest;
pub mod failure;
pub mod merge;
pub mod prepare;
pub mod preview;
pub mod progress;
pub mod record;
pub mod run;
pub mod shard;
pub mod signals;

pub use args::Common;
pub use failure::Failure;
pub use run::Outcome;
