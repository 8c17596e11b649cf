//! Feature vectors of images and clips, out of networks that were trained elsewhere or never.
//!
//! `weights.rs` reads the files that users have, [`Inception`] and [`I3d`] are the networks, `resize.rs` and `normalise.rs`
//! what comes before them, and [`protocol`] names which of all that belong together. The distances between the vectors are
//! in `lapsegan_core::features`, without tensors.

pub mod extract;
pub mod i3d;
pub mod inception;
pub mod layers;
pub mod normalise;
pub mod protocol;
pub mod random;
pub mod resize;
pub mod weights;

pub use i3d::I3d;
pub use inception::{Inception, Variant};
pub use weights::Weights;

use lapsegan_core::error::{Advice, DataError, Exit};

use crate::torch_file::TorchFileError;

/// What can be wrong with feature vectors.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FeatureError {
    /// The file of weights cannot be read.
    #[error("{file}: {source}")]
    Io {
        /// The file.
        file: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file of weights is cut or damaged.
    #[error("{file}: {problem}")]
    Damaged {
        /// The file.
        file: String,
        /// What is wrong.
        problem: String,
    },
    /// The weights are those of another network.
    #[error("{file}: tensor {name}: {problem}")]
    Weights {
        /// The file.
        file: String,
        /// Name of the first tensor that does not fit.
        name: String,
        /// What is wrong, and what was expected.
        problem: String,
    },
    /// A setting that makes no sense, or does not fit the plate.
    #[error("{message}")]
    Setting {
        /// What, and what was expected.
        message: String,
        /// What to do about it.
        hint: String,
    },
    /// The file of weights, as torch wrote it.
    #[error(transparent)]
    TorchFile(#[from] TorchFileError),
    /// The plate.
    #[error(transparent)]
    Data(#[from] DataError),
}

impl Advice for FeatureError {
    fn exit(&self) -> Exit {
        match self {
            Self::Io { source, .. } if source.kind() == std::io::ErrorKind::NotFound => Exit::InputMissing,
            Self::Io { .. } => Exit::Failed,
            Self::Setting { .. } => Exit::Usage,
            Self::Damaged { .. } | Self::Weights { .. } => Exit::BadInput,
            Self::TorchFile(error) => error.exit(),
            Self::Data(error) => error.exit(),
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Io { .. } => Some("check the path and who may read it".into()),
            Self::Damaged { .. } => Some("copy or download the file again".into()),
            Self::Weights { .. } => Some(
                "every protocol has its own network: docs/evaluate.md says which file belongs to it".into(),
            ),
            Self::Setting { hint, .. } => Some(hint.clone()),
            Self::TorchFile(error) => error.hint(),
            Self::Data(error) => error.hint(),
        }
    }
}
