//! Instance segmentation: how good labels are, and whether synthetic images help a segmenter.
//!
//! Scores come in three steps: [`overlap`] counts shared pixels of two label images, [`matching`], [`aji`], [`ctc`]
//! turn them into counts, and [`scores`] adds counts up and divides them once. [`protocol`] trains the small network of
//! [`unet`] on real, synthetic and mixed sequences and compares what it finds on held-out real ones.
//!
//! Nothing here knows the generator: synthetic sequences come from a plate like real ones. Start with [`matching`].

pub mod aji;
pub mod assignment;
pub mod benchmark_report;
pub mod bootstrap;
pub mod ctc;
pub mod examples;
pub mod matching;
pub mod material;
pub mod multiqc;
pub mod overlap;
pub mod pairs;
pub mod parts;
pub mod protocol;
pub mod scores;
pub mod settings;
pub mod summary;
pub mod train;
pub mod unet;

use crate::data::DataError;
use crate::error::{Advice, Exit};

/// What can be wrong with the inputs of a score or of a benchmark.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SegmentationError {
    /// Truth and prediction have different sizes.
    #[error("truth is {truth:?}, prediction {prediction:?}")]
    Shape {
        /// Shape of the truth.
        truth: Vec<usize>,
        /// Shape of the prediction.
        prediction: Vec<usize>,
    },
    /// The same, with the file or sequence it was seen in.
    #[error("{place}: {source}")]
    At {
        /// File or well.
        place: String,
        /// What is wrong there.
        source: Box<SegmentationError>,
    },
    /// Two inputs do not belong together, or one cannot be used.
    #[error("{message}")]
    Input {
        /// What was found and what was expected.
        message: String,
        /// What to do about it.
        hint: String,
    },
    /// A setting out of range.
    #[error("{setting} is {value}, expected {expected}")]
    Setting {
        /// Name of the setting.
        setting: &'static str,
        /// Its value.
        value: String,
        /// The values it can have.
        expected: String,
    },
    /// A plate or file cannot be read or written.
    #[error(transparent)]
    Data(#[from] DataError),
}

impl SegmentationError {
    /// Returns this error with the file or sequence it was seen in.
    #[must_use]
    pub fn at(self, place: impl Into<String>) -> Self {
        Self::At { place: place.into(), source: Box::new(self) }
    }

    /// Returns an error about an input that can be read but not used.
    pub fn input(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::Input { message: message.into(), hint: hint.into() }
    }
}

impl Advice for SegmentationError {
    fn exit(&self) -> Exit {
        match self {
            Self::Shape { .. } | Self::Input { .. } => Exit::BadInput,
            Self::At { source, .. } => source.exit(),
            Self::Setting { .. } => Exit::Usage,
            Self::Data(error) => error.exit(),
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Shape { .. } => Some("crop both to the same field of view and the same frames".into()),
            Self::Input { hint, .. } => Some(hint.clone()),
            Self::At { source, .. } => source.hint(),
            Self::Setting { expected, .. } => Some(format!("set it to {expected}")),
            Self::Data(error) => error.hint(),
        }
    }
}
