//! Which part of an experiment a sequence belongs to.

use serde::{Deserialize, Serialize};

/// Which part of the experiment a sequence belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Split {
    /// Seen by `train`.
    Train,
    /// Held out, for choices made during development.
    Val,
    /// Held out, for the numbers that are reported.
    Test,
}

impl Split {
    /// The words that flags and files have for splits, without explanations.
    pub const WORDS: [(&'static str, &'static str); 3] = [("train", ""), ("val", ""), ("test", "")];

    /// Returns its word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Val => "val",
            Self::Test => "test",
        }
    }
}
