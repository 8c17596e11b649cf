//! Checkpoints of the published implementation: importing them, and refusing what is not one.
//!
//! `fixtures/published` holds two small ones written by PyTorch, and the script that wrote them.

mod fuzz;
mod hostile;
mod import;
pub(crate) mod pieces;
mod program;

use std::path::PathBuf;

/// Returns a file of the fixture folder.
fn fixture(name: &str) -> PathBuf {
    crate::support::root().join("tests/fixtures/published").join(name)
}
