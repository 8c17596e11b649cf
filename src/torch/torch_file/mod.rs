//! Files that `torch.save` and TorchScript wrote, which are Python pickles, read without running any of their code.
//!
//! A `.pt` or `.pth` file is a zip container (`container.rs`) of one pickle and one entry per storage, or in the form of
//! torch before 1.6 all of that in a row (`legacy.rs`). The pickle is read by a machine (`pickle.rs`) that can build plain
//! data and tensors and refuses everything else by name. Start with [`TorchFile::open`].
//!
//! Hostile files are expected: every length is checked against the file before it is used, and work and memory are
//! bounded by the length of the file.

mod container;
mod file;
mod legacy;
mod opcodes;
mod pickle;
mod rebuild;
mod state_dict;
mod value;

pub use file::TorchFile;
pub(crate) use file::check_pickle;
pub(crate) use value::{Dict, Key, Pickle, Value, kind};
pub use value::{Scalar, Storage, TensorRef};

use lapsegan_core::error::{Advice, Exit};

/// What can be wrong with such a file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TorchFileError {
    /// The file cannot be read.
    #[error("{file}: {source}")]
    Io {
        /// The file.
        file: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file was not written by `torch.save`, but is something else that is known.
    #[error("{file}: {found}, expected a file that torch.save wrote")]
    OtherForm {
        /// The file.
        file: String,
        /// What it is.
        found: String,
        /// What to do about it.
        hint: &'static str,
    },
    /// The container is incomplete, damaged or not one that torch writes.
    #[error("{file}: container: {problem}")]
    Container {
        /// The file.
        file: String,
        /// What is wrong.
        problem: String,
    },
    /// The pickle does something that is not known here.
    #[error("{file}: {entry}: byte {offset}: opcode {opcode} (0x{code:02x}): {problem}")]
    Pickle {
        /// The file.
        file: String,
        /// Entry of the container.
        entry: String,
        /// Byte offset of the opcode in it.
        offset: usize,
        /// Name of the opcode.
        opcode: &'static str,
        /// The opcode.
        code: u8,
        /// What is wrong.
        problem: String,
    },
    /// The pickle is plain data, but not what was expected.
    #[error("{file}: {place}: {problem}")]
    Layout {
        /// The file.
        file: String,
        /// Path of keys.
        place: String,
        /// What is wrong, and what was expected.
        problem: String,
    },
}

impl Advice for TorchFileError {
    fn exit(&self) -> Exit {
        match self {
            Self::Io { source, .. } if source.kind() == std::io::ErrorKind::NotFound => Exit::InputMissing,
            Self::Io { .. } => Exit::Failed,
            _ => Exit::BadInput,
        }
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Io { .. } => "check the path and who may read it".into(),
            Self::OtherForm { hint, .. } => (*hint).into(),
            Self::Container { .. } => "the file may be incomplete or damaged: copy or download it again".into(),
            Self::Pickle { .. } => {
                "only plain data and tensors are read, and no code of a file is ever run; do not open it with other programs if you do not know where it comes from"
                    .into()
            }
            Self::Layout { .. } => {
                "give a file of the program or project that the option names, as it was saved or downloaded".into()
            }
        })
    }
}
