//! Named configurations.

use serde::{Deserialize, Serialize};

use super::augment::Geometry;
use super::augment::controller::{AdaConfig, Signal};
use super::config::{
    Config, CutMixConfig, LabelsConfig, PathLengthConfig, Symmetries, TopKConfig, TrainingConfig, TrapConfig,
    WrongOrderConfig,
};
use super::micro_batch::MicroBatch;
use crate::graphs::Graphs;
use crate::model::{DiscriminatorConfig, GeneratorConfig, LabelLearning, ModelConfig, Precision, Wiring};

/// A named configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Preset {
    /// By rules from the data, for a recording that nothing is known of.
    Auto,
    /// 32-64 px, a CPU, minutes.
    Tiny,
    /// 64-128 px, one GPU, or a CPU for days.
    Small,
    /// The method as the article describes it.
    Paper,
    /// What the published code does, for its checkpoints and for parity.
    Original,
}

impl Preset {
    /// All presets with their names on the command line.
    pub const ALL: [(&'static str, Self); 5] = [
        ("auto", Self::Auto),
        ("tiny", Self::Tiny),
        ("small", Self::Small),
        ("paper", Self::Paper),
        ("original", Self::Original),
    ];

    /// Returns the configuration for data of `domains` channels, `frames` frames and `resolution` px.
    ///
    /// A resolution that is no power of two gives a configuration that fails its check.
    pub fn config(self, domains: usize, frames: usize, resolution: usize) -> Config {
        let levels = (resolution.max(4).ilog2() - 1) as usize;
        let (mut generator, discriminator) = match self {
            Self::Auto if resolution <= TINY_PX => tiny_networks(levels),
            Self::Tiny => tiny_networks(levels),
            Self::Auto | Self::Small => small_networks(levels),
            Self::Paper => published_networks(levels, Wiring::Paper),
            Self::Original => published_networks(levels, Wiring::Original),
        };
        if self == Self::Auto {
            // Camera noise is one of each frame; a movie that had grain was not learned without, and the phantom loses nothing.
            generator.grain_gain = 1.0;
        }
        let training = match self {
            Self::Auto => auto_recipe(resolution),
            Self::Tiny => tiny_recipe(),
            Self::Small => small_recipe(),
            Self::Paper | Self::Original => published_recipe(self),
        };
        let standardise = matches!(self, Self::Auto | Self::Tiny | Self::Small);
        let most_deviations = if self == Self::Auto { MOST_DEVIATIONS } else { 0.0 };
        let range = Vec::new();
        let precision = Precision::Float32;
        let model = ModelConfig {
            domains,
            label_maps: Vec::new(),
            label_learning: LabelLearning::All,
            frames,
            resolution,
            precision,
            standardise,
            most_deviations,
            frame_contrast: self == Self::Auto,
            contrast: Vec::new(),
            range,
            curve: Vec::new(),
            generator,
            discriminator,
        };
        Config { training, model }
    }
}

fn tiny_networks(levels: usize) -> (GeneratorConfig, DiscriminatorConfig) {
    let generator = GeneratorConfig {
        channels: widths(levels, &[64, 64, 48, 24, 16]),
        latent: 64,
        mapping_depth: 4,
        wiring: Wiring::Paper,
        // The published gain of 1 fades every coarser image by 4 per doubling; a run of minutes is too short for the
        // network to compensate that.
        skip_gain: 4.0,
        // With the published gain the network learns grain from noise before it learns fine structure.
        noise_gain: 0.02,
        grain_gain: 0.0,
        random_constant: true,
    };
    let encoder: &[i64] = if levels < 5 { &[16, 32, 64, 96] } else { &[16, 24, 32, 64, 96] };
    (generator, DiscriminatorConfig::mirrored(shallower(encoder, levels), 4.0))
}

fn small_networks(levels: usize) -> (GeneratorConfig, DiscriminatorConfig) {
    let generator = GeneratorConfig {
        channels: widths(levels, &[256, 256, 256, 128, 64, 32]),
        latent: 256,
        mapping_depth: 8,
        wiring: Wiring::Paper,
        skip_gain: 4.0,
        noise_gain: 1.0,
        grain_gain: 0.0,
        random_constant: true,
    };
    let encoder: &[i64] = if levels < 6 { &[64, 128, 192, 256, 320] } else { &[32, 64, 128, 192, 256] };
    (generator, DiscriminatorConfig::mirrored(shallower(encoder, levels), 4.0))
}

fn published_networks(levels: usize, wiring: Wiring) -> (GeneratorConfig, DiscriminatorConfig) {
    let generator = GeneratorConfig {
        channels: vec![512; levels],
        latent: 512,
        mapping_depth: 8,
        wiring,
        skip_gain: 1.0,
        noise_gain: 1.0,
        grain_gain: 0.0,
        random_constant: false,
    };
    let discriminator = DiscriminatorConfig {
        minibatch_std_group: 6,
        ..DiscriminatorConfig::mirrored(shallower(&[128, 256, 384, 768, 1024], levels), 1.0)
    };
    (generator, discriminator)
}

/// Returns one width per resolution; the last listed one repeats.
fn widths(levels: usize, listed: &[i64]) -> Vec<i64> {
    (0..levels).map(|i| listed[i.min(listed.len() - 1)]).collect()
}

/// Returns as many encoder blocks as leave 4 px at the end.
fn shallower(encoder: &[i64], levels: usize) -> &[i64] {
    &encoder[..encoder.len().min(levels.max(2))]
}

/// Chosen by curves of sliced Wasserstein distance against kimg on the phantom, see `tests/benches/README.md`.
fn tiny_recipe() -> TrainingConfig {
    let published = published_recipe(Preset::Paper);
    TrainingConfig {
        kimg: 20.0,
        batch: 8,
        micro_batch: MicroBatch::Size(0),
        graphs: Graphs::Auto,
        generator_lr: 4e-3,
        mapping_lr_factor: 0.01,
        discriminator_lr: 4e-3,
        adam_beta1: 0.0,
        adam_beta2: 0.99,
        adam_eps: 1e-8,
        // Gradients are not clipped: R1's have norms of thousands here, and the published 5 would cut them to the size
        // of the others.
        gradient_clip: 1e9,
        ema_half_life_kimg: 2.0,
        ema_rampup: 0.05,
        r1_gamma: 0.02,
        r1_normalise_pixels: true,
        r1_interval: 4,
        style_mixing_probability: 0.0,
        mirror: true,
        dihedral: false,
        symmetries: Symmetries::Set,
        tick_kimg: 2.0,
        keep_checkpoints: 3,
        path_length: PathLengthConfig { weight: 0.0, ..published.path_length },
        ada: AdaConfig { enabled: false, ..published.ada },
        top_k: TopKConfig { enabled: false, ..published.top_k },
        cut_mix: CutMixConfig { probability: 0.0, ..published.cut_mix },
        wrong_order: WrongOrderConfig { enabled: false, ..published.wrong_order },
        trap: published.trap,
        labels: LabelsConfig::default(),
    }
}

/// Largest images for which [`Preset::Auto`] takes networks that a CPU trains.
const TINY_PX: usize = 32;
/// Most standard deviations of a channel for [`Preset::Auto`].
const MOST_DEVIATIONS: f64 = 6.0;

/// The rules of StyleGAN2-ADA's configuration "auto" (Karras et al., NeurIPS 2020), in the units of this program.
fn auto_recipe(resolution: usize) -> TrainingConfig {
    let published = published_recipe(Preset::Paper);
    let batch = match resolution {
        0..=32 => 8,
        33..=128 => 16,
        _ => 24,
    };
    let (per_batch, r1_interval) = (batch as f64, 4);
    TrainingConfig {
        kimg: if resolution <= TINY_PX { 100.0 } else { 1000.0 },
        batch,
        generator_lr: 4e-3,
        discriminator_lr: 4e-3,
        mapping_lr_factor: 0.1,
        ema_half_life_kimg: per_batch * 10.0 / 32.0,
        // There: 0.0002 px^2 / batch, of which R1 takes half, on images of about half the spread, whose squared gradients
        // are four times as large there; an eighth, twice as much by trial.
        r1_gamma: 2e-4 * (resolution * resolution) as f64 / per_batch / 4.0 * r1_interval as f64,
        r1_interval,
        gradient_clip: 100.0,
        symmetries: Symmetries::Data,
        tick_kimg: if resolution <= TINY_PX { 2.0 } else { 4.0 },
        ada: AdaConfig {
            enabled: true,
            initial_p: 0.0,
            interval: 4,
            // From 0 to 1 in 100 kimg.
            step: per_batch * 4.0 / 100e3,
            // The mean sign of a small discriminator reaches two thirds without its knowing the data by heart.
            target: 0.75,
            signal: Signal::Real,
            geometry: Geometry::Composed,
            ..published.ada
        },
        ..tiny_recipe()
    }
}

fn small_recipe() -> TrainingConfig {
    TrainingConfig {
        kimg: 1000.0,
        batch: 16,
        generator_lr: 2e-3,
        discriminator_lr: 2e-3,
        ema_half_life_kimg: 10.0,
        tick_kimg: 4.0,
        ..tiny_recipe()
    }
}

/// Section 13 of the published configuration; 100 epochs of about 3,200 windows per focal plane.
fn published_recipe(preset: Preset) -> TrainingConfig {
    let original = preset == Preset::Original;
    TrainingConfig {
        kimg: 800.0,
        batch: 24,
        micro_batch: MicroBatch::Size(0),
        graphs: Graphs::Auto,
        generator_lr: 2e-4,
        mapping_lr_factor: 0.01,
        discriminator_lr: 6e-4,
        adam_beta1: 0.0,
        adam_beta2: 0.999,
        adam_eps: 1e-8,
        gradient_clip: 5.0,
        // 0.999 per iteration of 24 sequences.
        ema_half_life_kimg: 24.0 / 1000.0 * 692.8,
        ema_rampup: 0.0,
        r1_gamma: 10.0,
        r1_normalise_pixels: false,
        r1_interval: 16,
        style_mixing_probability: 0.9,
        mirror: true,
        dihedral: false,
        symmetries: Symmetries::Set,
        tick_kimg: 4.0,
        keep_checkpoints: 3,
        path_length: PathLengthConfig {
            // Published: ln 2 / (256^2 (ln 256 - ln 2)), StyleGAN2's constant for noise that is not normalised; here it
            // is, so the term was about 10^6 times too weak. StyleGAN2's weight for normalised noise is 2.
            weight: if original { 2.1798e-6 } else { 2.0 },
            interval: 16,
            decay: 0.01,
            batch_fraction: 0.5,
        },
        ada: AdaConfig {
            enabled: true,
            initial_p: 0.05,
            max_p: 0.8,
            step: 0.005,
            target: 0.6,
            interval: 8,
            signal: if original { Signal::Generated } else { Signal::Real },
            geometry: if original { Geometry::Original } else { Geometry::Composed },
            turns: true,
        },
        top_k: TopKConfig { enabled: true, start: 0.25, end: 0.75, fraction: 0.5 },
        cut_mix: CutMixConfig { probability: 0.5, weight: 4.0, consistency_weight: 4.0 },
        wrong_order: WrongOrderConfig {
            enabled: true,
            start: 0.75,
            fraction: 0.25,
            with_replacement: original,
        },
        trap: TrapConfig { gain: 0.0, start: 0.25 },
        labels: LabelsConfig::default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_preset_fits_every_power_of_two() {
        for (name, preset) in Preset::ALL {
            for resolution in [16, 32, 64, 128, 256] {
                let checked = preset.config(2, 3, resolution).validate();
                assert!(checked.is_ok(), "{name} at {resolution}: {checked:?}");
            }
        }
        assert!(Preset::Tiny.config(2, 3, 48).validate().is_err());
    }

    #[test]
    fn the_published_sizes_are_those_of_the_reference() {
        let config = Preset::Original.config(2, 3, 256).model;
        assert_eq!(config.generator.channels, [512; 7]);
        assert_eq!(config.generator.latent_slots(), 14);
        assert_eq!(config.discriminator.decoder, [[1024, 768], [768, 384], [384, 256], [256, 128]]);
    }
}
