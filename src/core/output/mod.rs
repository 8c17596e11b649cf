//! Outputs: each appears whole under its final name, is written by one run at a time, and replaces nothing but an output
//! of these programs.
//!
//! A run takes the [`Lock`] of its output, which also clears away what killed runs left beside it. It writes into a
//! [`PendingFolder`] or [`PendingFile`], a hidden sibling of a random name, and exchanges that for the old output when
//! all of it is there. What may be replaced is looked at first ([`ownership`]), and no output may touch an input
//! ([`inputs`]). A program that is stopped calls [`abandon`].

mod contents;
mod exchange;
pub mod inputs;
mod leftovers;
mod lock;
mod names;
pub mod ownership;
mod pending;
mod place;
mod program;
mod registry;
mod scratch;
mod take;

pub use leftovers::sweep;
pub use lock::Lock;
pub use ownership::{OutputKind, expect_free, expect_training};
pub use pending::{PendingFile, PendingFolder, finish_all, write_file};
pub use place::resolve;
pub use program::run_program;
pub(crate) use registry::changing;
pub use registry::{abandon, is_stopping, take_warnings};
pub use scratch::Scratch;
pub use take::{Taken, take};
