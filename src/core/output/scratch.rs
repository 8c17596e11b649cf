//! Folders for what is needed while a program runs, such as a store that was unpacked.

use std::fs;
use std::path::{Path, PathBuf};

use super::pending::make;
use super::registry::{self, remove};
use crate::error::DataError;

/// A folder among the temporary ones of the system. It is gone when this is dropped, and when the program is stopped.
#[derive(Debug)]
pub struct Scratch {
    path: PathBuf,
}

impl Scratch {
    /// Makes an empty folder.
    ///
    /// # Errors
    /// [`DataError::Io`] where the system has no room for it (`TMPDIR` says where it lies).
    pub fn create() -> Result<Self, DataError> {
        let (path, ()) = make(&std::env::temp_dir().join("lapsegan"), |path| fs::create_dir(path))?;
        Ok(Self { path })
    }

    /// Returns the folder.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = remove(&self.path);
        registry::forget_pending(&self.path);
    }
}
