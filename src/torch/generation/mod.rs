//! From a checkpoint to sequences: seeded latents, truncation, camera counts, labels.
//!
//! Everything random is keyed by (seed, sequence index), and [`batches`] are those of the whole run, so that a run in
//! parts gives the same sequences. Start with [`run`].

pub mod batches;
pub mod found;
pub mod keep;
pub mod labelling;
pub mod latent;
pub mod latents;
pub mod mix;
pub mod picks;
pub mod pipeline;
pub mod project;
pub mod residual;
pub mod run;
pub mod sample;
pub mod scenes;
pub mod settings;
pub mod sweep;
pub mod walk;

pub use batches::Batches;
pub use labelling::{LabelPlan, Labelling};
pub use latents::LatentFile;
pub use sample::Sampler;
pub use scenes::Scenes;
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
    /// Too few of the sequences that were drawn are what is wanted.
    #[error(
        "of {drawn} sequences that were drawn, {kept} are {wanted}{rarest}, expected {count}: given up after --most-draws"
    )]
    GaveUp {
        /// How many were drawn.
        drawn: u64,
        /// How many of them could be kept.
        kept: u64,
        /// How many there should be.
        count: u64,
        /// What is wanted of them.
        wanted: String,
        /// The kind that is missing most, in brackets; empty where there are no kinds.
        rarest: String,
    },
    /// The generator's weights.
    #[error(transparent)]
    Model(#[from] ModelError),
}

impl Advice for GenerationError {
    fn exit(&self) -> Exit {
        match self {
            Self::Setting { .. } => Exit::Usage,
            Self::GaveUp { .. } => Exit::BadInput,
            Self::Model(error) => error.exit(),
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Setting { hint, .. } => Some((*hint).into()),
            Self::GaveUp { kept: 0, .. } => {
                Some("the generator hardly draws such sequences: ask for less, as the contact sheet shows what there is".into())
            }
            Self::GaveUp { .. } => Some("ask for less, make --count smaller or --most-draws larger".into()),
            Self::Model(error) => error.hint(),
        }
    }
}
