//! How good predicted labels are, given the truth.
//!
//! Scores come in three steps: [`overlap`] counts shared pixels of two label images, [`matching`], [`aji`], [`ctc`]
//! turn them into counts, and [`counts`] adds counts up and divides them once. Start with [`matching`].
//!
//! # Empty images
//! A missed cell and an invented one score 0. An image without any cell on either side has no score.
//!
//! ```
//! use lapsegan_core::labels;
//! use lapsegan_core::scores::counts::Counts;
//!
//! let (cell, empty) = (labels![[. 1 1 .]], labels![[. . . .]]);
//! let missed = Counts::of(cell.view(), empty.view())?.scores();
//! assert_eq!((missed.ap[0], missed.dice, missed.aji, missed.seg), (Some(0.0), Some(0.0), Some(0.0), Some(0.0)));
//! let invented = Counts::of(empty.view(), cell.view())?.scores();
//! assert_eq!((invented.ap[0], invented.dice, invented.aji), (Some(0.0), Some(0.0), Some(0.0)));
//! // The Cell Tracking Challenge's scores are means over true cells, and there is none.
//! assert_eq!((invented.seg, invented.det), (None, None));
//! let nothing = Counts::of(empty.view(), empty.view())?.scores();
//! assert_eq!((nothing.ap[0], nothing.mean_ap, nothing.dice, nothing.aji), (None, None, None, None));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod aji;
pub mod assignment;
pub mod boundary;
pub mod ceiling;
pub mod counts;
pub mod ctc;
pub mod matching;
pub mod mistakes;
pub mod one_object;
pub mod overlap;
pub mod pair_scores;
pub mod pairs;
pub mod sizes;
pub mod tracking;

use crate::error::DataError;
use crate::error::{Advice, Exit};

/// What can be wrong with the inputs of a score.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ScoreError {
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
        source: Box<ScoreError>,
    },
    /// Two inputs do not belong together, or one cannot be used.
    #[error("{message}")]
    Input {
        /// What was found and what was expected.
        message: String,
        /// What to do about it.
        hint: String,
    },
    /// A plate or file cannot be read or written.
    #[error(transparent)]
    Data(#[from] DataError),
}

impl ScoreError {
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

impl Advice for ScoreError {
    fn exit(&self) -> Exit {
        match self {
            Self::Shape { .. } | Self::Input { .. } => Exit::BadInput,
            Self::At { source, .. } => source.exit(),
            Self::Data(error) => error.exit(),
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Shape { .. } => Some("crop both to the same field of view and the same frames".into()),
            Self::Input { hint, .. } => Some(hint.clone()),
            Self::At { source, .. } => source.hint(),
            Self::Data(error) => error.hint(),
        }
    }
}
