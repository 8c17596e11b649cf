//! Checkpoints of the published implementation become checkpoints of this one.

pub mod published;
pub mod state;

use lapsegan_core::error::{Advice, Exit};

use crate::model::ModelError;
use published::TorchFileError;

/// What can be wrong with a checkpoint that is taken over.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImportError {
    /// The file.
    #[error(transparent)]
    Published(#[from] TorchFileError),
    /// The configuration that its networks are to have.
    #[error(transparent)]
    Model(#[from] ModelError),
}

impl Advice for ImportError {
    fn exit(&self) -> Exit {
        match self {
            Self::Published(error) => error.exit(),
            Self::Model(error) => error.exit(),
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Published(error) => error.hint(),
            Self::Model(error) => error.hint(),
        }
    }
}
