//! How much an evaluation draws.

use serde::{Deserialize, Serialize};

use super::EvaluationError;

/// Fewest sequences per set.
pub const LEAST: usize = 4;

/// How much is drawn. Small plates are used whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Draws of sequences, patches, directions and noise; scores are means over them. 1 to 100
    pub draws: usize,
    /// Draws of half of the split groups of every set, from which standard errors are estimated. 2 to 100
    pub half_draws: usize,
    /// 7x7 patches per image and level of the sliced Wasserstein distance (128 in the ProGAN article). 1 to 4096
    pub swd_patches: usize,
    /// Most patches per set and level; with many images fewer are drawn from each. At least 64
    pub swd_max_patches: usize,
    /// Directions per draw (4 x 128 in the ProGAN article, which are 4 draws here). 1 to 4096
    pub swd_directions: usize,
    /// Most sequences of a part that are read; of larger parts a seeded choice is used. At least 4
    pub max_sequences: usize,
    /// Sequences of each set on the contact sheets. 0 to 64
    pub sheet_sequences: usize,
}

impl Settings {
    /// Returns the settings that reported numbers use.
    pub fn standard() -> Self {
        Self {
            draws: 4,
            half_draws: 8,
            swd_patches: 128,
            swd_max_patches: 16384,
            swd_directions: 128,
            max_sequences: 1000,
            sheet_sequences: 6,
        }
    }

    /// Checks ranges.
    ///
    /// # Errors
    /// [`EvaluationError::Setting`] naming the setting.
    pub fn check(&self) -> Result<(), EvaluationError> {
        let ranges = [
            ("draws", self.draws, 1, 100),
            ("half_draws", self.half_draws, 2, 100),
            ("swd_patches", self.swd_patches, 1, 4096),
            ("swd_max_patches", self.swd_max_patches, 64, 1 << 24),
            ("swd_directions", self.swd_directions, 1, 4096),
            ("max_sequences", self.max_sequences, LEAST, 1_000_000),
            ("sheet_sequences", self.sheet_sequences, 0, 64),
        ];
        match ranges.into_iter().find(|(_, value, low, high)| !(low..=high).contains(&value)) {
            None => Ok(()),
            Some((name, value, low, high)) => {
                Err(EvaluationError::Setting { name, value, expected: format!("{low} to {high}") })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::{Advice, Exit};

    #[test]
    fn settings_out_of_range_are_usage_errors() {
        assert!(Settings::standard().check().is_ok());
        let settings = Settings { draws: 0, ..Settings::standard() };
        assert_eq!(settings.check().unwrap_err().exit(), Exit::Usage);
    }
}
