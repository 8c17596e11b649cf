//! How real synthetic sequences look, without any trained network.
//!
//! Spectra, textures, intensities, changes over time and what `statistics` counts are compared between a synthetic and a real plate, each number
//! beside the floor that real data reach against real data, and beside a trivial generator. No single number here says
//! that synthetic data are good for training: `segment-benchmark` answers that. Nothing here knows our networks.
//!
//! Start with [`protocol`], which says what is compared with what, and [`suite`], which lists the metrics; [`run`] puts
//! them together into an [`Evaluation`], which is `metrics.json`.

pub mod baseline;
pub mod draws;
pub mod intensity;
pub mod memorisation;
pub mod multiqc;
pub mod page;
pub mod pool;
pub mod protocol;
pub mod pyramid;
pub mod result;
pub mod run;
pub mod settings;
pub mod sliced;
pub mod spectrum;
pub mod statistics;
pub mod suite;
pub mod temporal;

pub use result::Evaluation;
pub use run::evaluate;
pub use settings::Settings;

use crate::error::{Advice, DataError, Exit};
use crate::plate::compare::Finding;
use crate::report::ReportError;

/// What can be wrong with two plates that are to be compared.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EvaluationError {
    /// A plate cannot be read.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The report cannot be made.
    #[error(transparent)]
    Report(#[from] ReportError),
    /// The plates cannot be compared.
    #[error("{plate}: {finding}")]
    Incomparable {
        /// The plate that does not fit the real one.
        plate: String,
        /// Why not.
        finding: Finding,
    },
    /// Images are smaller than a patch.
    #[error("{plate} has images of {height}x{width} pixels, expected at least {least}x{least}")]
    TooSmall {
        /// The real plate.
        plate: String,
        /// Rows.
        height: usize,
        /// Columns.
        width: usize,
        /// Smallest side that works.
        least: usize,
    },
    /// The real plate holds nothing back.
    #[error("{plate} has no held-out sequences (split val or test), expected at least {least}")]
    NothingHeldOut {
        /// The real plate.
        plate: String,
        /// Fewest sequences that are compared.
        least: usize,
    },
    /// A set is too small.
    #[error("{plate} has {found} {what}, expected at least {least}")]
    TooFew {
        /// The plate.
        plate: String,
        /// Which sequences.
        what: &'static str,
        /// How many there are.
        found: usize,
        /// Fewest sequences that are compared.
        least: usize,
    },
    /// A setting is out of range.
    #[error("{name} = {value}, expected {expected}")]
    Setting {
        /// Setting or flag.
        name: &'static str,
        /// Its value.
        value: usize,
        /// What works.
        expected: String,
    },
}

impl Advice for EvaluationError {
    fn exit(&self) -> Exit {
        match self {
            Self::Data(error) => error.exit(),
            Self::Report(error) => error.exit(),
            Self::Setting { .. } => Exit::Usage,
            _ => Exit::BadInput,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Data(error) => error.hint(),
            Self::Report(error) => error.hint(),
            Self::Incomparable { finding, .. } => Some(finding.hint().into()),
            Self::NothingHeldOut { .. } => Some(
                "run prepare with more positions or a longer recording, so that some are held out".into(),
            ),
            Self::TooFew { what, .. } if what.contains("synthetic") => Some("generate more sequences".into()),
            Self::TooFew { .. } => Some(
                "run prepare with more positions, more frames, or windows that start closer together".into(),
            ),
            Self::TooSmall { .. } => Some("prepare the recording with larger tiles".into()),
            Self::Setting { .. } => Some("--dry-run prints all settings with their values".into()),
        }
    }
}
