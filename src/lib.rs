//! LapseGAN learns from a past microscopy experiment and synthesises new, labelled time-lapse sequences of it.
//!
//! The modules stand in the order of the method section: [`data`] -> [`model`] -> [`losses`] -> [`training`] ->
//! [`generation`] -> [`evaluation`] -> [`segmentation`]. The library never prints and never exits; [`cli`] does.
//! Start with `training/run.rs`, `model/generator.rs` and `segmentation/matching.rs`; `src/README.md` is the map.

#![deny(clippy::print_stdout, clippy::print_stderr, clippy::exit, clippy::dbg_macro)]
#![cfg_attr(not(test), warn(clippy::unwrap_used))]

pub use lapsegan_base::{data, error, phantom, report, seed};

pub mod model;

pub mod losses;

pub mod optim;

pub mod training;

pub mod generation;

pub mod evaluation;

pub mod segmentation;

/// What the programs share; [`device`](cli::device) and [`import`](cli::import) are the part that needs libtorch.
pub mod cli {
    pub use lapsegan_base::cli::*;

    pub mod device;
    pub mod import;
}
