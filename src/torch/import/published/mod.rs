//! Reading the published Multi-StyleGAN checkpoints, which are Python pickles, without running any of their code.
//!
//! A `.pt` file is a zip container (`container.rs`) of one pickle and one entry per storage. The pickle is read by
//! a machine that can build plain data and tensors and refuses everything else by name; `layout.rs` finds networks and
//! optimiser states in it, `sizes.rs` the configuration they were made with. Start with [`Published::open`].
//!
//! Hostile files are expected: every length is checked against the file before it is used, and work and memory are
//! bounded by the length of the file.

mod archive;
mod container;
mod layout;
mod opcodes;
mod pickle;
mod rebuild;
mod sizes;
mod value;

pub use archive::{Published, check_pickle};
pub use layout::{Network, Optimizer, ParameterState, Parts, Step};
pub use sizes::{infer, second_branch_tensors};
pub use value::{Scalar, Storage, TensorRef};

use lapsegan_core::error::{Advice, Exit};

/// What can be wrong with a published checkpoint.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PublishedError {
    /// The file cannot be read.
    #[error("{file}: {source}")]
    Io {
        /// The file.
        file: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file is no `torch.save` archive, but something else that is known.
    #[error("{file}: {found}, expected a checkpoint written by torch.save (zip form, torch 1.6 or newer)")]
    OtherForm {
        /// The file.
        file: String,
        /// What it is.
        found: String,
        /// What to do about it.
        hint: &'static str,
    },
    /// The zip container is incomplete, damaged or not one that torch writes.
    #[error("{file}: zip container: {problem}")]
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
    /// The pickle is plain data, but not a checkpoint of a Multi-StyleGAN.
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

impl Advice for PublishedError {
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
                "only what the published training program saves is read, and no code of a file is ever run; do not open it with other programs if you do not know where it comes from"
                    .into()
            }
            Self::Layout { .. } => {
                "give a checkpoint of the published training program, such as checkpoint_100.pt".into()
            }
        })
    }
}
