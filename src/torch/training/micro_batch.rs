//! How many sequences of a batch are in memory at once, and how many fit.

use std::fmt;

use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::config::Config;

/// The word for [`MicroBatch::Auto`].
const AUTO: &str = "auto";

// Chosen above what `tests/benches/memory.rs` measures, in float32.

/// Feature maps that a pass keeps for every map that a convolution makes: inputs, outputs and what lies between, as the
/// composed forms of a GPU keep them.
const KEPT: f64 = 4.0;
/// Passes of the discriminator that its own step keeps, on real and on generated sequences; R1 keeps fewer.
const DISCRIMINATOR_PASSES: f64 = 2.0;
/// Passes of the generator that path length keeps, with the graph of its gradient.
const PATH_LENGTH_PASSES: f64 = 2.25;

/// Most sequences at once in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MicroBatch {
    /// As many as are estimated to fit, decided when a run starts.
    Auto,
    /// This many; 0 takes the whole batch at once.
    Size(usize),
}

impl MicroBatch {
    /// Returns how many of a batch are taken at once.
    pub fn of(self, batch: usize) -> usize {
        match self {
            Self::Auto | Self::Size(0) => batch,
            Self::Size(size) => size.min(batch),
        }
    }
}

impl fmt::Display for MicroBatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str(AUTO),
            Self::Size(size) => size.fmt(f),
        }
    }
}

impl Serialize for MicroBatch {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Auto => to.serialize_str(AUTO),
            Self::Size(size) => to.serialize_u64(*size as u64),
        }
    }
}

impl<'de> Deserialize<'de> for MicroBatch {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Word;
        impl Visitor<'_> for Word {
            type Value = MicroBatch;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("micro_batch as a number of sequences, or \"auto\"")
            }

            fn visit_u64<E: de::Error>(self, size: u64) -> Result<MicroBatch, E> {
                Ok(MicroBatch::Size(size as usize))
            }

            fn visit_i64<E: de::Error>(self, size: i64) -> Result<MicroBatch, E> {
                let size = usize::try_from(size);
                size.map(MicroBatch::Size)
                    .map_err(|_| E::custom("micro_batch is negative, expected 0 or more"))
            }

            fn visit_str<E: de::Error>(self, word: &str) -> Result<MicroBatch, E> {
                match word {
                    AUTO => Ok(MicroBatch::Auto),
                    _ => Err(E::invalid_value(de::Unexpected::Str(word), &self)),
                }
            }
        }
        from.deserialize_any(Word)
    }
}

/// Returns about how many bytes a step takes for every sequence of a part, at its most hungry phase.
pub fn bytes_per_sequence(config: &Config) -> f64 {
    let (model, recipe) = (&config.model, &config.training);
    let resolution = model.resolution as f64;
    // The generator doubles from 4 px: two convolutions per resolution, and one at the first.
    let pixels = |level: usize| 16.0 * 4_f64.powi(level as i32);
    let levels = model.generator.channels.iter().enumerate();
    let stack: f64 = levels.map(|(level, &c)| 2.0 * c as f64 * pixels(level)).sum();
    let generator = model.maps().len() as f64 * stack;
    // The discriminator halves, and doubles again: two convolutions per block.
    let blocks = |widths: &mut dyn Iterator<Item = i64>| -> f64 {
        let area = |depth: usize| resolution * resolution / 4_f64.powi(depth as i32);
        widths.enumerate().map(|(depth, width)| 2.0 * width as f64 * area(depth)).sum()
    };
    let discriminator = blocks(&mut model.discriminator.encoder.iter().copied())
        + blocks(&mut model.discriminator.decoder.iter().rev().map(|[_, width]| *width));
    let mut most = (generator + discriminator).max(DISCRIMINATOR_PASSES * discriminator);
    if recipe.path_length.weight > 0.0 {
        most = most.max(PATH_LENGTH_PASSES * generator);
    }
    most * KEPT * model.precision.kind().elt_size_in_bytes() as f64
}

/// Returns the largest divisor of the batch whose sequences are estimated to fit into `available` bytes; at least 1.
pub fn fit(config: &Config, available: f64) -> usize {
    let (batch, each) = (config.training.batch, bytes_per_sequence(config));
    let fits = |size: &usize| batch.is_multiple_of(*size) && *size as f64 * each <= available;
    (1..=batch).rev().find(fits).unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::training::Preset;

    #[test]
    fn settings_are_a_number_or_the_word() {
        #[derive(Debug, Serialize, Deserialize)]
        struct Holder {
            size: MicroBatch,
        }
        for (text, expected) in [
            ("size = 4", MicroBatch::Size(4)),
            ("size = 0", MicroBatch::Size(0)),
            ("size = \"auto\"", MicroBatch::Auto),
        ] {
            let read: Holder = toml::from_str(text).unwrap();
            assert_eq!(read.size, expected);
            assert_eq!(toml::to_string(&read).unwrap().trim(), text);
        }
        for text in ["size = -1", "size = \"half\"", "size = 1.5", "size = true"] {
            let error = toml::from_str::<Holder>(text).unwrap_err().to_string();
            assert!(error.contains("micro_batch"), "{error}");
        }
        assert_eq!([MicroBatch::Auto, MicroBatch::Size(0), MicroBatch::Size(3)].map(|m| m.of(6)), [6, 6, 3]);
    }

    #[test]
    fn parts_that_fit_divide_the_batch() {
        let config = Preset::Paper.config(2, 3, 256);
        assert_eq!(config.training.batch, 24);
        let each = bytes_per_sequence(&config);
        assert_eq!(fit(&config, 1e15), 24);
        assert_eq!(fit(&config, 11.5 * each), 8);
        assert_eq!(fit(&config, 0.0), 1);
        // Half of the bytes in half precision, and a sequence of 256 px has 16 times those of one of 64 px.
        let mut half = config.clone();
        half.model.precision = crate::model::Precision::Bfloat16;
        assert!((each / bytes_per_sequence(&half) - 2.0).abs() < 1e-9);
        let ratio = each / bytes_per_sequence(&Preset::Paper.config(2, 3, 64));
        assert!((ratio / 16.0 - 1.0).abs() < 0.1, "{ratio}");
    }
}
