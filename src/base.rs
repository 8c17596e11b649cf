//! The part of LapseGAN without tensors: [`data`], [`phantom`], [`report`] and the common part of [`cli`].
//!
//! A library of its own for one reason: `prepare` must run where no libtorch is. `lib.rs` re-exports all of it, so that
//! everybody else sees one crate.

#![deny(clippy::print_stdout, clippy::print_stderr, clippy::exit, clippy::dbg_macro)]
#![cfg_attr(not(test), warn(clippy::unwrap_used))]

pub mod error;
pub mod seed;

pub mod data;
pub mod phantom;

pub mod report;

pub mod cli;
