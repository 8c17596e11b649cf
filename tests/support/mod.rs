//! What several test modules need.

pub(crate) mod drawings;
pub(crate) mod programs;
pub(crate) mod safetensors;
pub(crate) mod small_disk;
pub(crate) mod snapshot;

use std::path::{Path, PathBuf};

/// Returns the root of the repository.
pub(crate) fn root() -> PathBuf {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.ancestors().nth(2).expect("packages are in src/").to_owned()
}
