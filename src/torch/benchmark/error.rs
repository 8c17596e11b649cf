//! What can go wrong in a benchmark.

use lapsegan_core::error::{Advice, DataError, Exit};
use lapsegan_core::report::ReportError;
use lapsegan_core::scores::ScoreError;

/// What can be wrong with the inputs or settings of a benchmark.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BenchmarkError {
    /// A setting out of range.
    #[error("{setting} is {value}, expected {expected}")]
    Setting {
        /// Name of the setting.
        setting: &'static str,
        /// Its value.
        value: String,
        /// The values it can have.
        expected: &'static str,
    },
    /// Two inputs do not belong together, or one cannot be used.
    #[error("{message}")]
    Input {
        /// What was found and what was expected.
        message: String,
        /// What to do about it.
        hint: String,
    },
    /// An error with the sequence it was seen in.
    #[error("{place}: {source}")]
    At {
        /// Well.
        place: String,
        /// What is wrong there.
        source: Box<BenchmarkError>,
    },
    /// Predictions cannot be scored.
    #[error(transparent)]
    Score(#[from] ScoreError),
    /// The page or a picture in it cannot be made.
    #[error(transparent)]
    Report(#[from] ReportError),
    /// A plate or file cannot be read or written.
    #[error(transparent)]
    Data(#[from] DataError),
}

impl BenchmarkError {
    /// Returns an error about an input that can be read but not used.
    pub fn input(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::Input { message: message.into(), hint: hint.into() }
    }

    /// Returns this error with the sequence it was seen in.
    #[must_use]
    pub fn at(self, place: impl Into<String>) -> Self {
        Self::At { place: place.into(), source: Box::new(self) }
    }
}

impl Advice for BenchmarkError {
    fn exit(&self) -> Exit {
        match self {
            Self::Setting { .. } => Exit::Usage,
            Self::Input { .. } => Exit::BadInput,
            Self::At { source, .. } => source.exit(),
            Self::Score(error) => error.exit(),
            Self::Report(error) => error.exit(),
            Self::Data(error) => error.exit(),
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Setting { expected, .. } => Some(format!("set it to {expected}")),
            Self::Input { hint, .. } => Some(hint.clone()),
            Self::At { source, .. } => source.hint(),
            Self::Score(error) => error.hint(),
            Self::Report(error) => error.hint(),
            Self::Data(error) => error.hint(),
        }
    }
}
