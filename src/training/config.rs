//! Settings of a training run. Resolved once, written to `config.toml`, and fed back with `--config`.

use serde::{Deserialize, Serialize};

use super::TrainingError;
use crate::model::ModelConfig;

/// Everything a run is determined by, besides data, seed and threads.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The recipe.
    pub training: TrainingConfig,
    /// The networks.
    pub model: ModelConfig,
}

/// The recipe. Weights are not multiplied by the interval of a lazy term (as in the published code).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(clippy::struct_excessive_bools, reason = "each is a switch of its own in a settings file")]
pub struct TrainingConfig {
    /// Length of the run in thousands of real sequences shown to the discriminator.
    pub kimg: f64,
    /// Sequences per step.
    pub batch: usize,
    /// Learning rate of the generator's synthesis part.
    pub generator_lr: f64,
    /// Learning rate of the mapping network, as a factor on `generator_lr`.
    pub mapping_lr_factor: f64,
    /// Learning rate of the discriminator.
    pub discriminator_lr: f64,
    /// Adam: decay of the first moment.
    pub adam_beta1: f64,
    /// Adam: decay of the second moment.
    pub adam_beta2: f64,
    /// Adam: added to the root of the second moment.
    pub adam_eps: f64,
    /// Largest global gradient norm, before every optimiser step.
    pub gradient_clip: f64,
    /// Half-life of the generator's moving average, in kimg.
    pub ema_half_life_kimg: f64,
    /// Largest half-life as a share of what was seen so far; 0 keeps it constant.
    pub ema_rampup: f64,
    /// Weight of R1.
    pub r1_gamma: f64,
    /// Divide the sum of the pixel logits by the root of their number in R1. Published: false; the sum then has a
    /// thousand terms at 32 px beside one scalar logit.
    pub r1_normalise_pixels: bool,
    /// Iterations between R1 steps.
    pub r1_interval: u64,
    /// Probability that a batch mixes the styles of two latents.
    pub style_mixing_probability: f64,
    /// Mirror columns of real sequences with probability 1/2.
    pub mirror: bool,
    /// Use all eight symmetries of the square: for scenes without a preferred direction.
    pub dihedral: bool,
    /// Weight of the path-length penalty; 0 switches it off.
    pub path_length_weight: f64,
    /// Adaptive discriminator augmentation.
    pub ada: bool,
    /// Drop the worst generated samples from the generator's loss as training goes on.
    pub top_k: bool,
    /// Largest probability of the cut-mix steps, reached at the end; 0 switches them off.
    pub cut_mix_probability: f64,
    /// Show the discriminator sequences in wrong time order as generated ones.
    pub wrong_order: bool,
    /// Kimg between log lines, sample grids and checkpoints.
    pub tick_kimg: f64,
    /// Checkpoints to keep, the newest; the first one of a run always stays.
    pub keep_checkpoints: usize,
}

impl Config {
    /// Checks ranges and sizes.
    ///
    /// # Errors
    /// [`TrainingError::Config`] or [`TrainingError::Model`] naming the first setting that does not fit.
    pub fn validate(&self) -> Result<(), TrainingError> {
        let t = &self.training;
        let wrong = |field: &str, actual: String, expected: &str| {
            Err(TrainingError::Config { field: field.into(), actual, expected: expected.into() })
        };
        if t.batch == 0 || t.batch > 4096 {
            return wrong("batch", t.batch.to_string(), "1 to 4096");
        }
        for (field, value, most) in [
            ("kimg", t.kimg, 1e6),
            ("ema_rampup", t.ema_rampup, 1.0),
            ("r1_gamma", t.r1_gamma, 1e6),
            ("style_mixing_probability", t.style_mixing_probability, 1.0),
            ("cut_mix_probability", t.cut_mix_probability, 1.0),
            ("path_length_weight", t.path_length_weight, 1e6),
        ] {
            if !(0.0..=most).contains(&value) {
                return wrong(field, value.to_string(), &format!("0 to {most}"));
            }
        }
        for (field, value) in [
            ("generator_lr", t.generator_lr),
            ("discriminator_lr", t.discriminator_lr),
            ("mapping_lr_factor", t.mapping_lr_factor),
            ("gradient_clip", t.gradient_clip),
            ("ema_half_life_kimg", t.ema_half_life_kimg),
            ("tick_kimg", t.tick_kimg),
            ("adam_eps", t.adam_eps),
        ] {
            if !(value.is_finite() && value > 0.0) {
                return wrong(field, value.to_string(), "a positive number");
            }
        }
        for (field, value) in [("adam_beta1", t.adam_beta1), ("adam_beta2", t.adam_beta2)] {
            if !(0.0..1.0).contains(&value) {
                return wrong(field, value.to_string(), "0 to below 1");
            }
        }
        if t.r1_interval == 0 || t.keep_checkpoints == 0 {
            return wrong("r1_interval, keep_checkpoints", "0".into(), "at least 1");
        }
        Ok(self.model.validate()?)
    }
}
