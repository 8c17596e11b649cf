//! From a checkpoint to sequences: seeded latents, truncation, camera counts, labels.
//!
//! Everything random is keyed by (seed, sequence index), and [`batches`] are those of the whole run, so that a run in
//! parts gives the same sequences. Start with [`run`].

pub mod batches;
pub mod labelling;
pub mod latent;
pub mod pipeline;
pub mod run;
pub mod sample;
pub mod settings;

pub use batches::Batches;
pub use labelling::{LabelPlan, Labelling};
pub use sample::Sampler;
pub use settings::{GenerationSettings, Route};

use crate::model::ModelError;
use lapsegan_core::error::{Advice, Exit};

/// What can be wrong with a request for sequences.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GenerationError {
    /// A setting that makes no sense, or does not fit the checkpoint.
    #[error("{message}")]
    Setting {
        /// The flag, its value, and what was expected.
        message: String,
        /// What to do about it.
        hint: &'static str,
    },
    /// The generator's weights.
    #[error(transparent)]
    Model(#[from] ModelError),
}

impl Advice for GenerationError {
    fn exit(&self) -> Exit {
        match self {
            Self::Setting { .. } => Exit::Usage,
            Self::Model(error) => error.exit(),
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Setting { hint, .. } => Some((*hint).into()),
            Self::Model(error) => error.hint(),
        }
    }
}
