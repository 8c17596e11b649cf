//! LapseGAN learns from a past microscopy experiment and synthesises new, labelled time-lapse sequences of it.
//!
//! This package holds what needs tensors, in the order of the method section: [`model`] -> [`losses`] -> [`optim`] ->
//! [`training`] -> [`generation`] -> [`benchmark`]; [`import`] reads published checkpoints. Plates, labels, scores and
//! the command line's frame are in `lapsegan_core`. The library never prints and never exits; [`cli`] does. Start with
//! `training/run.rs` and `model/generator.rs`; `src/README.md` is the map.

#![deny(clippy::print_stdout, clippy::print_stderr, clippy::exit, clippy::dbg_macro)]
#![cfg_attr(not(test), warn(clippy::unwrap_used))]

mod handle;

mod panics;

pub mod tensor_rng;

pub mod transfer;

pub mod driver;

pub mod cuda;

pub mod operators;

pub mod graphs;

pub mod model;

pub mod losses;

pub mod optim;

pub mod training;

pub mod generation;

pub mod benchmark;

pub mod torch_file;

pub mod import;

pub mod features;

pub mod cli;
