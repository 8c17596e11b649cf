//! A published checkpoint on disk: its parts, and its tensors one at a time.

use std::fs::File;
use std::io::{Read, Seek};
use std::path::Path;

use tch::Tensor;

use super::layout::{self, Parts, Wrong};
use crate::torch_file::{self, TensorRef, TorchFile, TorchFileError};

/// An opened checkpoint. Only names and shapes are in memory.
#[derive(Debug)]
pub struct Published<R> {
    file: TorchFile<R>,
    /// Networks and optimiser states.
    pub parts: Parts,
}

impl Published<File> {
    /// Opens a checkpoint file.
    ///
    /// # Errors
    /// [`TorchFileError`] naming file, place and what was expected there.
    pub fn open(path: &Path) -> Result<Self, TorchFileError> {
        Self::of(TorchFile::open(path)?)
    }
}

impl<R: Read + Seek> Published<R> {
    /// Reads the parts of a checkpoint; `name` is its name in messages.
    ///
    /// # Errors
    /// As [`Published::open`].
    pub fn read(reader: R, name: String) -> Result<Self, TorchFileError> {
        Self::of(TorchFile::read(reader, name)?)
    }

    fn of(file: TorchFile<R>) -> Result<Self, TorchFileError> {
        if file.is_scripted() {
            return Err(TorchFileError::OtherForm {
                file: file.name().into(),
                found: "a TorchScript archive".into(),
                hint: "give the checkpoint that the training program saved, not a traced or scripted network",
            });
        }
        let parts = layout::find(file.pickle()).map_err(|wrong| misplaced(file.name(), wrong))?;
        file.expect_bounded(parts.tensors())?;
        Ok(Self { file, parts })
    }

    /// Returns the name of the file, for messages.
    pub fn file(&self) -> &str {
        self.file.name()
    }

    /// Reads a tensor, contiguous, in its own type.
    ///
    /// # Errors
    /// [`TorchFileError::Container`] where the storage is damaged.
    pub fn tensor(&mut self, view: &TensorRef) -> Result<Tensor, TorchFileError> {
        self.file.tensor(view)
    }
}

/// Checks a bare pickle as [`Published::read`] would, without a container; `storages` are the lengths of its storages
/// in bytes, by number. For tests and tools that look at hostile files.
///
/// # Errors
/// As [`Published::open`].
pub fn check_pickle(bytes: &[u8], storages: &[u64], file: &str) -> Result<Parts, TorchFileError> {
    let pickle = torch_file::check_pickle(bytes, storages, file)?;
    layout::find(&pickle).map_err(|wrong| misplaced(file, wrong))
}

fn misplaced(file: &str, wrong: Wrong) -> TorchFileError {
    TorchFileError::Layout { file: file.into(), place: wrong.place, problem: wrong.problem }
}
