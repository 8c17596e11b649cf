//! What the five programs share: flags, errors on stderr, JSON on stdout, run records, bars, devices.
//!
//! Only this folder, its like in `src/torch` and the `bin` folders parse arguments, print or exit.
#![allow(clippy::print_stdout, clippy::print_stderr)]

pub mod args;
pub mod commands;
pub mod digest;
pub mod failure;
pub mod open_it;
pub mod outputs;
pub mod preview;
pub mod progress;
pub mod record;
pub mod run;
pub mod settings;
pub mod shard;
pub mod signals;
pub mod words;

pub use args::Common;
pub use failure::Failure;
pub use run::Outcome;
