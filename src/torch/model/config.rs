//! Sizes of the networks.

use lapsegan_core::labels::maps::LabelMap;
use serde::{Deserialize, Serialize};
use tch::Kind;

use super::ModelError;

/// Most feature maps of a layer, and largest latent. Published: 512; the decoder concatenates two.
const MOST_WIDTH: i64 = 8192;

/// From which features the output blocks of domains 2.. read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Wiring {
    /// From their own domain's features, as the article's figure shows.
    Paper,
    /// From the first domain's, as the published code does; the other domains' main convolutions are dead.
    Original,
}

/// Arithmetic of the convolutions and what lies between them. Weights, styles, demodulation, images, logits and losses
/// are always 32 bits wide.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// 24 significant bits.
    #[default]
    Float32,
    /// 8 significant bits at the same range: several times faster where hardware has it, errors below 1 % of the image.
    Bfloat16,
    /// Bfloat16 where the device has it, else float32. Programs decide before networks are made.
    Auto,
}

impl Precision {
    /// The words of the settings.
    pub const WORDS: [(&'static str, &'static str); 3] = [
        ("float32", "24 significant bits"),
        ("bfloat16", "8 significant bits, several times faster on hardware that has it"),
        ("auto", "bfloat16 where the device has it, else float32"),
    ];

    /// Returns the element kind.
    pub fn kind(self) -> Kind {
        match self {
            Self::Float32 | Self::Auto => Kind::Float,
            Self::Bfloat16 => Kind::BFloat16,
        }
    }
}

/// How labels of a label domain are learnt.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LabelLearning {
    /// All sequences have labels, and the discriminator judges them with their images.
    #[default]
    All,
    /// Some have labels. The discriminator judges images and learns to read labels in them; the generator's labels follow
    /// what it reads in the generator's images.
    Read,
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
    /// Factor on the strength of the noise that each frame has of its own, see [`super::grain`]. Published: 0, none.
    #[serde(default)]
    pub grain_gain: f64,
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
    /// Samples over which a minibatch statistic is taken; 0, or what does not divide a batch, is the whole batch. Published: the
    /// batch of a device, 6 with the recommended command.
    pub minibatch_std_group: i64,
}

/// Both networks and what they share with the data.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelConfig {
    /// Image channels of the data, a domain each; the first anchors the styles.
    pub domains: usize,
    /// Maps per frame of the label domain, which comes after the image channels; without any there is none.
    pub label_maps: Vec<LabelMap>,
    /// How the label domain is learnt.
    #[serde(default)]
    pub label_learning: LabelLearning,
    /// Frames per sequence, T.
    pub frames: usize,
    /// Rows and columns, a power of two.
    pub resolution: usize,
    /// Arithmetic of both networks.
    pub precision: Precision,
    /// Standardise every channel inside the networks, by [`ModelConfig::range`]. Published: false; images of low
    /// contrast then reach the discriminator as a large constant with small ripples.
    pub standardise: bool,
    /// Mean and standard deviation of every channel over the training part, in the networks' outer range [0, 1]; filled
    /// in by `train` where `standardise` is set, else empty.
    pub range: Vec<[f64; 2]>,
    /// Largest standardised value that 0 and 1 may become: a channel of rare bright objects is bent until they do. 0: no
    /// bound.
    #[serde(default)]
    pub most_deviations: f64,
    /// How much every channel is bent, see [`super::range`]; filled in by `train` with [`ModelConfig::range`]. 0, or
    /// nothing, is straight.
    #[serde(default)]
    pub curve: Vec<f64>,
    /// Standardise what differs within a frame by a spread of its own, see [`super::range`].
    #[serde(default)]
    pub frame_contrast: bool,
    /// Standard deviation within frames of every channel, filled in by `train` with [`ModelConfig::range`] where
    /// `frame_contrast` is set; its spread where the channel is bent, or a label map.
    #[serde(default)]
    pub contrast: Vec<f64>,
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
        if !(1..=64).contains(&self.domains) || !(1..=1024).contains(&self.frames) {
            return wrong(
                "domains, frames",
                format!("{}, {}", self.domains, self.frames),
                "1 to 64 and 1 to 1024",
            );
        }
        let mut maps = self.label_maps.clone();
        maps.sort();
        maps.dedup();
        let drawn = maps.contains(&LabelMap::Foreground) == maps.contains(&LabelMap::Distance);
        if maps.len() != self.label_maps.len() || !drawn {
            return wrong(
                "model.label_maps",
                format!("{:?}", self.label_maps),
                "different maps, foreground and distance together",
            );
        }
        if self.label_learning == LabelLearning::Read && maps.is_empty() {
            return wrong("model.label_learning", "read".into(), "all, where there are no label maps");
        }
        let fits = self.range.is_empty() || self.range.len() == self.channels();
        if !fits || self.range.iter().any(|[mean, std]| !(mean.is_finite() && *std > 1e-6)) {
            return wrong(
                "model.range",
                format!("{:?}", self.range),
                "mean and positive standard deviation per channel, or nothing",
            );
        }
        let fits = self.curve.is_empty() || self.curve.len() == self.range.len();
        if !fits || self.curve.iter().any(|curve| !(0.0..=1e4).contains(curve)) {
            return wrong(
                "model.curve",
                format!("{:?}", self.curve),
                "a number from 0 per channel, or nothing",
            );
        }
        let fits = self.contrast.is_empty() || self.contrast.len() == self.range.len();
        if !fits || !self.contrast.iter().all(|contrast| *contrast > 1e-6) {
            return wrong(
                "model.contrast",
                format!("{:?}", self.contrast),
                "a positive standard deviation per channel, or nothing",
            );
        }
        if !(self.most_deviations == 0.0 || (1.0..=1e6).contains(&self.most_deviations)) {
            return wrong("model.most_deviations", self.most_deviations.to_string(), "0, or at least 1");
        }
        let levels = self.generator.channels.len();
        if !(2..=10).contains(&levels) || self.generator.resolution() != self.resolution {
            return wrong(
                "generator.channels",
                format!("{levels} resolutions from 4 px"),
                &format!("as many as end at {} px", self.resolution),
            );
        }
        let expected = format!("1 to {MOST_WIDTH}");
        for (field, widths) in [
            ("generator.latent", vec![self.generator.latent]),
            ("generator.channels", self.generator.channels.clone()),
            ("discriminator.encoder", self.discriminator.encoder.clone()),
            ("discriminator.decoder", self.discriminator.decoder.concat()),
        ] {
            if let Some(width) = widths.iter().find(|width| !(1..=MOST_WIDTH).contains(*width)) {
                return wrong(field, width.to_string(), &expected);
            }
        }
        let depth = self.generator.mapping_depth;
        if depth > 64 {
            return wrong("generator.mapping_depth", depth.to_string(), "at most 64");
        }
        for (field, gain) in [
            ("generator.skip_gain", self.generator.skip_gain),
            ("generator.noise_gain", self.generator.noise_gain),
            ("generator.grain_gain", self.generator.grain_gain),
            ("discriminator.skip_gain", self.discriminator.skip_gain),
        ] {
            if !(0.0..=1e6).contains(&gain) {
                return wrong(field, gain.to_string(), "0 to 1000000");
            }
        }
        let group = self.discriminator.minibatch_std_group;
        if !(0..=4096).contains(&group) {
            return wrong("discriminator.minibatch_std_group", group.to_string(), "0 to 4096");
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

impl ModelConfig {
    /// Returns the channels of a sequence as the networks see it, C: image channels, then label maps.
    pub fn channels(&self) -> usize {
        self.domains + self.label_maps.len()
    }

    /// Returns the maps per frame of every domain.
    pub fn maps(&self) -> Vec<usize> {
        let labels = (!self.label_maps.is_empty()).then_some(self.label_maps.len());
        std::iter::repeat_n(1, self.domains).chain(labels).collect()
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
        Self { encoder: encoder.to_vec(), decoder, skip_gain, minibatch_std_group: 0 }
    }
}
