//! Sizes of the networks.

use serde::{Deserialize, Serialize};

use super::ModelError;

/// From which features the output blocks of domains 2.. read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Wiring {
    /// From their own domain's features, as the article's figure shows.
    Paper,
    /// From the first domain's, as the published code does; the other domains' main convolutions are dead.
    Original,
}

/// Sizes of the generator.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GeneratorConfig {
    /// Feature maps at 4, 8, 16, ... px; one entry per resolution.
    pub channels: Vec<i64>,
    /// Width of `z` and `w`.
    pub latent: i64,
    /// Layers of the mapping network.
    pub mapping_depth: usize,
    /// Wiring of the output blocks.
    pub wiring: Wiring,
    /// Factor on every up-sampled skip image. Published: 1, so that each doubling divides by 4; 4 keeps the level.
    pub skip_gain: f64,
    /// Factor on every noise strength. Published: 1; a smaller one slows them down, lest a short run fakes fine structure
    /// with noise.
    pub noise_gain: f64,
    /// Start from random constant inputs. Published: ones, so that at first only the borders tell positions apart.
    pub random_constant: bool,
}

/// Sizes of the discriminator. The third encoder and the second decoder block are non-local blocks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DiscriminatorConfig {
    /// Feature maps of the encoder blocks, highest resolution first.
    pub encoder: Vec<i64>,
    /// Input (after the concatenation) and output maps of the decoder blocks, lowest resolution first.
    pub decoder: Vec<[i64; 2]>,
    /// Factor on every up-sampled decoder feature. Published: 1, see [`GeneratorConfig::skip_gain`].
    pub skip_gain: f64,
}

/// Both networks and what they share with the data.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelConfig {
    /// Image channels of the data; the first anchors the styles.
    pub domains: usize,
    /// Frames per sequence, T.
    pub frames: usize,
    /// Rows and columns, a power of two.
    pub resolution: usize,
    /// Sizes of the generator.
    pub generator: GeneratorConfig,
    /// Sizes of the discriminator.
    pub discriminator: DiscriminatorConfig,
}

impl ModelConfig {
    /// Checks that the sizes fit together.
    ///
    /// # Errors
    /// [`ModelError::Config`] naming the first field that does not fit.
    pub fn validate(&self) -> Result<(), ModelError> {
        let wrong = |field: &str, actual: String, expected: &str| {
            Err(ModelError::Config { field: field.into(), actual, expected: expected.into() })
        };
        if self.domains == 0 || self.frames == 0 {
            return wrong(
                "domains, frames",
                format!("{}, {}", self.domains, self.frames),
                "at least 1 of each",
            );
        }
        let levels = self.generator.channels.len();
        if !(2..=10).contains(&levels) || self.generator.resolution() != self.resolution {
            return wrong(
                "generator.channels",
                format!("{levels} resolutions from 4 px"),
                &format!("as many as end at {} px", self.resolution),
            );
        }
        if self.generator.latent < 1 || self.generator.channels.iter().any(|&c| c < 1) {
            return wrong("generator.latent, generator.channels", "below 1".into(), "positive sizes");
        }
        let (encoder, decoder) = (&self.discriminator.encoder, &self.discriminator.decoder);
        if encoder.len() < 2 || self.resolution.checked_shr(encoder.len() as u32 - 1).unwrap_or(0) < 2 {
            let most = self.resolution.ilog2();
            return wrong(
                "discriminator.encoder",
                format!("{} blocks", encoder.len()),
                &format!("2 to {most} blocks"),
            );
        }
        // A non-local block projects to an eighth of its width.
        let narrow = |width: Option<i64>| width.is_some_and(|w| w < 8);
        if encoder.iter().any(|&c| c < 1)
            || narrow(encoder.get(2).copied())
            || narrow(decoder.get(1).map(|d| d[1]))
        {
            return wrong(
                "discriminator",
                format!("{encoder:?}"),
                "positive widths, non-local blocks at least 8 wide",
            );
        }
        let last = encoder.len() - 1;
        let fits = decoder.len() == last
            && (0..last).all(|j| {
                decoder[j][0] > encoder[last - 1 - j]
                    && (j + 1 == last || decoder[j][1] == encoder[last - 1 - j])
            });
        if !fits {
            return wrong(
                "discriminator.decoder",
                format!("{decoder:?}"),
                "one pair per doubling, input wider than the encoder feature, output equal to the encoder width there",
            );
        }
        Ok(())
    }
}

impl GeneratorConfig {
    /// Returns rows and columns of the images.
    pub fn resolution(&self) -> usize {
        4 << (self.channels.len().max(1) - 1)
    }

    /// Returns the number of latent slots L: one per styled layer and one for the last output block.
    pub fn latent_slots(&self) -> i64 {
        2 * self.channels.len() as i64
    }
}

impl DiscriminatorConfig {
    /// Returns the published shape of decoder over an encoder: widths mirrored.
    pub fn mirrored(encoder: &[i64], skip_gain: f64) -> Self {
        let decoder = encoder.windows(2).rev().map(|pair| [pair[1], pair[0]]).collect();
        Self { encoder: encoder.to_vec(), decoder, skip_gain }
    }
}
