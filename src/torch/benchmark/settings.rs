//! Settings of the benchmark, and their check before anything is read.

use serde::{Deserialize, Deserializer, Serialize};

use super::BenchmarkError;
use super::arms::{Arm, AugmentationStrength, Experiment};
use super::train::TrainSettings;
use super::unet::UNetConfig;
use lapsegan_core::labels::codec::DecodeSettings;
use lapsegan_core::memory;

/// Fewest seeds: fewer do not show the spread between trainings.
pub const MIN_SEEDS: usize = 3;

/// Settings of `segment-benchmark run`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BenchmarkSettings {
    /// Label image that is learned and scored, such as `cells`; empty for the only one of objects.
    pub label: String,
    /// Image channels the segmenter sees, by name; empty for the first channel of the real plate.
    ///
    /// One channel on purpose: where labels come from fluorescence, a segmenter that sees fluorescence only repeats the
    /// threshold. Cells in brightfield or phase are the task that people label by hand.
    pub channels: Vec<String>,
    /// Ways of training that are compared, see [`super::arms::ALL`]; `real` is always there.
    pub arms: Vec<String>,
    /// Numbers of real training sequences with labels, drawn anew for every seed; 0, or more than there are, is all.
    #[serde(deserialize_with = "one_or_many")]
    pub real_sequences: Vec<usize>,
    /// Synthetic sequences to use at most; 0 for all.
    pub synthetic_sequences: usize,
    /// Trainings per arm, at least 3.
    pub seeds: usize,
    /// Program that trains and predicts instead of the U-Net, see [`super::external`]; empty for the U-Net.
    #[serde(default)]
    pub segmenter: String,
    /// The training of the U-Net, the same in every arm.
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

impl BenchmarkSettings {
    /// Returns settings that answer in about a minute on two CPU cores for frames of 32 to 64 px.
    pub fn quick() -> Self {
        Self {
            label: String::new(),
            channels: Vec::new(),
            arms: Experiment::standard().names().into_iter().map(str::to_owned).collect(),
            real_sequences: vec![8],
            synthetic_sequences: 0,
            seeds: 3,
            segmenter: String::new(),
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

    /// Returns what is compared.
    ///
    /// # Errors
    /// [`BenchmarkError::Setting`] naming what is no arm, or is there twice.
    pub fn experiment(&self) -> Result<Experiment, BenchmarkError> {
        Experiment::of(&self.arms).map_err(|value| BenchmarkError::Setting {
            setting: "arms",
            value,
            expected: "each once of real, real_strong, synthetic, both, both_third, both_four_fifths, pretrained, \
                       pseudo_labels, self_training",
        })
    }

    /// Checks ranges.
    ///
    /// # Errors
    /// [`BenchmarkError::Setting`] naming the first setting out of range.
    pub fn check(&self) -> Result<(), BenchmarkError> {
        let train = &self.train;
        let experiment = self.experiment()?;
        let ours =
            |arm: &&Arm| arm.augmentation == AugmentationStrength::Strong || !arm.pretrains_on.is_empty();
        if let Some(arm) = experiment.arms.iter().find(ours).filter(|_| !self.segmenter.is_empty()) {
            return Err(BenchmarkError::Setting {
                setting: "arms",
                value: arm.name.into(),
                expected: "real, synthetic, both, both_third, both_four_fifths or pseudo_labels where --segmenter is given: \
                           a program augments and schedules by itself",
            });
        }
        let rules: [(&'static str, String, bool, &'static str); 11] = [
            (
                "real_sequences",
                format!("{:?}", self.real_sequences),
                !self.real_sequences.is_empty() && all_differ(&self.real_sequences),
                "different numbers, 0 for all",
            ),
            ("channels", self.channels.join(", "), all_differ(&self.channels), "every channel once"),
            ("seeds", self.seeds.to_string(), (MIN_SEEDS..=1000).contains(&self.seeds), "3 to 1000"),
            (
                "train.steps",
                train.steps.to_string(),
                (1..=10_000_000).contains(&train.steps),
                "1 to 10000000",
            ),
            (
                "train.batch",
                train.batch.to_string(),
                (2..=4096).contains(&train.batch),
                "2 to 4096, half of it synthetic in arm both",
            ),
            ("train.crop_px", train.crop_px.to_string(), (8..=4096).contains(&train.crop_px), "8 to 4096"),
            (
                "train.learning_rate",
                train.learning_rate.to_string(),
                train.learning_rate > 0.0 && train.learning_rate <= 1e3,
                "above 0, at most 1000",
            ),
            (
                "train.base_channels",
                train.base_channels.to_string(),
                (4..=1024).contains(&train.base_channels) && train.base_channels.is_multiple_of(4),
                "a multiple of 4, at most 1024",
            ),
            ("train.levels", train.levels.to_string(), (1..=6).contains(&train.levels), "1 to 6"),
            (
                "resamples",
                self.resamples.to_string(),
                (100..=1_000_000).contains(&self.resamples),
                "100 to 1000000",
            ),
            (
                "confidence",
                self.confidence.to_string(),
                self.confidence > 0.0 && self.confidence < 1.0,
                "between 0 and 1",
            ),
        ];
        if let Some((setting, value, _, expected)) = rules.into_iter().find(|rule| !rule.2) {
            return Err(BenchmarkError::Setting { setting, value, expected });
        }
        let least = 2.0 * self.real_sequences.len() as f64 / (self.resamples + 1) as f64;
        if self.real_sequences.len() > 1 && least > 1.0 - self.confidence {
            return Err(BenchmarkError::Setting {
                setting: "resamples",
                value: self.resamples.to_string(),
                expected: "so many that a difference can be told by chance: above 2 * numbers of sequences / (1 - confidence)",
            });
        }
        // Weights, their gradients and the two moments of Adam.
        let (base_channels, levels) = (train.base_channels, train.levels);
        let network = UNetConfig { in_channels: 1, base_channels, levels };
        if memory::available().is_some_and(|room| 16.0 * network.parameters() > room as f64) {
            return Err(BenchmarkError::Setting {
                setting: "train.base_channels",
                value: format!("{base_channels} with {levels} levels"),
                expected: "a network that fits into the memory of this machine",
            });
        }
        Ok(())
    }
}

fn all_differ<T: PartialEq>(all: &[T]) -> bool {
    all.iter().enumerate().all(|(at, one)| !all[..at].contains(one))
}

/// Reads one number as a list of one.
fn one_or_many<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<usize>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "expected a number, or a list of numbers")]
    enum Form {
        One(usize),
        Many(Vec<usize>),
    }
    Ok(match Form::deserialize(from)? {
        Form::One(one) => vec![one],
        Form::Many(many) => many,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_channel_that_is_named_twice_is_refused() {
        let of = |names: &[&str]| {
            let channels = names.iter().map(|&name| name.to_owned()).collect();
            BenchmarkSettings { channels, ..BenchmarkSettings::quick() }.check()
        };
        assert!(of(&[]).is_ok() && of(&["gfp", "phase"]).is_ok());
        let error = of(&["gfp", "phase", "gfp"]).unwrap_err().to_string();
        assert_eq!(error, "channels is gfp, phase, gfp, expected every channel once");
    }

    #[test]
    fn one_number_is_a_list_of_one_and_an_unknown_arm_is_answered_with_all_there_are() {
        let mut json = serde_json::to_value(BenchmarkSettings::quick()).unwrap();
        json["real_sequences"] = 4.into();
        let settings: BenchmarkSettings = serde_json::from_value(json).unwrap();
        assert_eq!(settings.real_sequences, [4]);
        let error =
            BenchmarkSettings { arms: vec!["magic".into()], ..settings }.check().unwrap_err().to_string();
        assert!(super::super::arms::ALL.iter().all(|arm| error.contains(arm.name)), "{error}");
    }

    #[test]
    fn two_seeds_are_refused_by_name() {
        assert!(BenchmarkSettings::quick().check().is_ok());
        let error = BenchmarkSettings { seeds: 2, ..BenchmarkSettings::quick() }.check().unwrap_err();
        assert_eq!(error.to_string(), "seeds is 2, expected 3 to 1000");
    }

    #[test]
    fn sizes_that_no_machine_has_are_refused_by_name() {
        let refused = |change: &dyn Fn(&mut BenchmarkSettings)| {
            let mut settings = BenchmarkSettings::quick();
            change(&mut settings);
            settings.check().unwrap_err().to_string()
        };
        for (words, change) in [
            ("train.batch", &(|s: &mut BenchmarkSettings| s.train.batch = 100_000_000) as &dyn Fn(&mut _)),
            ("train.crop_px", &|s: &mut BenchmarkSettings| s.train.crop_px = usize::MAX),
            ("train.learning_rate", &|s: &mut BenchmarkSettings| s.train.learning_rate = f64::INFINITY),
            ("train.learning_rate", &|s: &mut BenchmarkSettings| s.train.learning_rate = f64::NAN),
            ("train.base_channels is 99999996", &|s: &mut BenchmarkSettings| {
                s.train.base_channels = 99_999_996;
            }),
            ("resamples", &|s: &mut BenchmarkSettings| s.resamples = usize::MAX),
            ("confidence", &|s: &mut BenchmarkSettings| s.confidence = f64::NAN),
        ] {
            assert!(refused(change).contains(words), "{words}");
        }
        let network = UNetConfig { in_channels: 1, base_channels: 1024, levels: 6 };
        assert!(network.parameters() > 6e9);
    }
}
