//! Settings of the benchmark, and their check before anything is read.

use serde::{Deserialize, Serialize};

use super::SegmentationError;
use super::train::TrainSettings;
use crate::data::labels::codec::DecodeSettings;

/// Fewest seeds: with less the spread between trainings cannot be seen.
pub const MIN_SEEDS: usize = 3;

/// Settings of `segment-benchmark run`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Label image that is learned and scored, such as `cells`.
    pub label: String,
    /// Image channels the segmenter sees, by name; empty for the first channel of the real plate.
    ///
    /// One channel on purpose: where labels come from fluorescence, a segmenter that sees fluorescence only repeats the
    /// threshold. Cells in brightfield or phase are the task that people label by hand.
    pub channels: Vec<String>,
    /// Real training sequences with labels, drawn anew for every seed; all where fewer are there.
    pub real_sequences: usize,
    /// Synthetic sequences to use at most; 0 for all.
    pub synthetic_sequences: usize,
    /// Trainings per arm, at least 3.
    pub seeds: usize,
    /// The training, the same in every arm.
    pub train: TrainSettings,
    /// From maps to labels.
    pub decode: DecodeSettings,
    /// Resamples of the bootstrap.
    pub resamples: usize,
    /// Share of resamples inside of an interval.
    pub confidence: f64,
    /// Go on although the generator was trained on groups that are tested here; the result then is no evidence.
    pub allow_leakage: bool,
}

impl Settings {
    /// Returns settings that answer in about a minute on two CPU cores for frames of 32 to 64 px.
    pub fn quick() -> Self {
        Self {
            label: "cells".into(),
            channels: Vec::new(),
            real_sequences: 8,
            synthetic_sequences: 0,
            seeds: 3,
            train: TrainSettings {
                steps: 300,
                batch: 16,
                learning_rate: 1e-2,
                crop_px: 128,
                base_channels: 8,
                levels: 3,
            },
            decode: DecodeSettings::learned(),
            resamples: 2000,
            confidence: 0.95,
            allow_leakage: false,
        }
    }

    /// Checks ranges.
    ///
    /// # Errors
    /// [`SegmentationError::Setting`] naming the first setting out of range.
    pub fn check(&self) -> Result<(), SegmentationError> {
        let train = &self.train;
        let rules: [(&'static str, String, bool, &str); 10] = [
            ("real_sequences", self.real_sequences.to_string(), self.real_sequences >= 1, "at least 1"),
            ("seeds", self.seeds.to_string(), self.seeds >= MIN_SEEDS, "at least 3"),
            ("train.steps", train.steps.to_string(), train.steps >= 1, "at least 1"),
            (
                "train.batch",
                train.batch.to_string(),
                train.batch >= 2,
                "at least 2, half of it synthetic in arm both",
            ),
            ("train.crop_px", train.crop_px.to_string(), train.crop_px >= 8, "at least 8"),
            ("train.learning_rate", train.learning_rate.to_string(), train.learning_rate > 0.0, "above 0"),
            (
                "train.base_channels",
                train.base_channels.to_string(),
                train.base_channels >= 4 && train.base_channels.is_multiple_of(4),
                "a multiple of 4",
            ),
            ("train.levels", train.levels.to_string(), (1..=6).contains(&train.levels), "1 to 6"),
            ("resamples", self.resamples.to_string(), self.resamples >= 100, "at least 100"),
            (
                "confidence",
                self.confidence.to_string(),
                self.confidence > 0.0 && self.confidence < 1.0,
                "between 0 and 1",
            ),
        ];
        rules.into_iter().find(|rule| !rule.2).map_or(Ok(()), |(setting, value, _, expected)| {
            Err(SegmentationError::Setting { setting, value, expected: expected.to_owned() })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_seeds_are_refused_by_name() {
        assert!(Settings::quick().check().is_ok());
        let error = Settings { seeds: 2, ..Settings::quick() }.check().unwrap_err();
        assert_eq!(error.to_string(), "seeds is 2, expected at least 3");
    }
}
