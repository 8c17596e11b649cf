//! Settings of a training run. Resolved once, written to `config.toml`, and fed back with `--config`.

use serde::{Deserialize, Serialize};

use super::TrainingError;
use super::augment::Geometry;
use super::augment::controller::{AdaConfig, Signal};
use super::micro_batch::MicroBatch;
use crate::graphs::Graphs;
use crate::model::{LabelLearning, ModelConfig};

/// Everything a run is determined by, besides data, seed and threads.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The recipe.
    pub training: TrainingConfig,
    /// The networks.
    pub model: ModelConfig,
}

/// The recipe. Weights are not multiplied by the interval of a lazy term (as in the published code); a term of weight 0
/// is left out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainingConfig {
    /// Length of the run in thousands of real sequences shown to the discriminator.
    pub kimg: f64,
    /// Sequences per step.
    pub batch: usize,
    /// Most sequences at once in memory: larger batches are taken in parts whose gradients add up; 0 takes all at once,
    /// "auto" as many as are estimated to fit. Minibatch statistics, top-k and the mean path length are those of a part.
    pub micro_batch: MicroBatch,
    /// On a GPU, record each step once and replay it as a CUDA graph: "auto" as far as it goes, "on" or an error, "off".
    /// The numbers are the same.
    #[serde(default)]
    pub graphs: Graphs,
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
    /// Largest global gradient norm, before every optimiser step; from 1e9 on nothing is clipped.
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
    /// Whether `mirror`, `dihedral` and `ada.turns` are as they are set, or follow from the data when a run starts.
    #[serde(default)]
    pub symmetries: Symmetries,
    /// Kimg between log lines, sample grids and checkpoints.
    pub tick_kimg: f64,
    /// Checkpoints to keep, the newest; the first one of a run always stays.
    pub keep_checkpoints: usize,
    /// Path length regularisation.
    pub path_length: PathLengthConfig,
    /// Adaptive discriminator augmentation.
    pub ada: AdaConfig,
    /// Which generated samples count in the generator's step.
    pub top_k: TopKConfig,
    /// Cut-mix steps of the discriminator.
    pub cut_mix: CutMixConfig,
    /// Real sequences in wrong time order, shown to the discriminator as generated ones.
    pub wrong_order: WrongOrderConfig,
    /// Weight map of the pixel losses.
    pub trap: TrapConfig,
    /// Labels where some sequences have them only.
    #[serde(default)]
    pub labels: LabelsConfig,
}

/// How labels are learnt that only some sequences have.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LabelsConfig {
    /// One of so many sequences of a batch is one with labels; 0 where all have labels.
    pub every: usize,
    /// Augmentation probability of these at the start, in [0, 1].
    pub initial_p: f64,
    /// Weight of both losses: of the labels that are read in real images, and of generated ones against those that are
    /// read in generated images.
    pub weight: f64,
}

impl Default for LabelsConfig {
    fn default() -> Self {
        Self { every: 0, initial_p: 0.5, weight: 1.0 }
    }
}

/// Who says which symmetries of the square a scene has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Symmetries {
    /// The settings.
    #[default]
    Set,
    /// The training sequences, see [`super::symmetries`]; a run writes down what they say.
    Data,
}

/// Path length regularisation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PathLengthConfig {
    /// Weight of the penalty.
    pub weight: f64,
    /// Iterations between steps.
    pub interval: u64,
    /// Share of a new length in the running mean.
    pub decay: f64,
    /// Sequences per step as a share of the batch.
    pub batch_fraction: f64,
}

/// Top-k training of the generator (Sinha et al., NeurIPS 2020).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TopKConfig {
    /// Drop the worst generated samples from the generator's loss.
    pub enabled: bool,
    /// Where the share begins to fall, as a share of the run.
    pub start: f64,
    /// Where it has reached `fraction`.
    pub end: f64,
    /// Share of samples kept at the end.
    pub fraction: f64,
}

/// Cut-mix augmentation and consistency (Schönfeld et al., CVPR 2020).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CutMixConfig {
    /// Probability of the two steps at the end of the run; it rises from 0 in proportion.
    pub probability: f64,
    /// Weight of the loss on mixed images.
    pub weight: f64,
    /// Weight of the consistency loss.
    pub consistency_weight: f64,
}

/// Wrong time order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WrongOrderConfig {
    /// Show the discriminator real sequences in wrong order as generated ones.
    pub enabled: bool,
    /// From where on, as a share of the run.
    pub start: f64,
    /// How many, as a share of the batch.
    pub fraction: f64,
    /// Draw the order with replacement, so that frames may repeat. Published: true; false gives true permutations.
    pub with_replacement: bool,
}

/// Weight map of the pixel losses, from the `structure` labels of the training part.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrapConfig {
    /// The map is 1 plus this times the share of training frames that show structure at a pixel. Published: supported,
    /// but no map is given.
    pub gain: f64,
    /// From where on, as a share of the run.
    pub start: f64,
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
        let size = t.micro_batch.of(t.batch);
        if t.micro_batch != MicroBatch::Auto && !t.batch.is_multiple_of(size) {
            return wrong(
                "micro_batch",
                t.micro_batch.to_string(),
                &format!("a divisor of batch {}", t.batch),
            );
        }
        for (field, value, most) in [
            ("kimg", t.kimg, 1e6),
            ("ema_rampup", t.ema_rampup, 1.0),
            ("r1_gamma", t.r1_gamma, 1e6),
            ("style_mixing_probability", t.style_mixing_probability, 1.0),
            ("path_length.weight", t.path_length.weight, 1e6),
            ("path_length.decay", t.path_length.decay, 1.0),
            ("path_length.batch_fraction", t.path_length.batch_fraction, 1.0),
            ("ada.initial_p", t.ada.initial_p, 1.0),
            ("ada.max_p", t.ada.max_p, 1.0),
            ("ada.step", t.ada.step, 1.0),
            ("top_k.start", t.top_k.start, 1.0),
            ("top_k.end", t.top_k.end, 1.0),
            ("top_k.fraction", t.top_k.fraction, 1.0),
            ("cut_mix.probability", t.cut_mix.probability, 1.0),
            ("cut_mix.weight", t.cut_mix.weight, 1e6),
            ("cut_mix.consistency_weight", t.cut_mix.consistency_weight, 1e6),
            ("wrong_order.start", t.wrong_order.start, 1.0),
            ("wrong_order.fraction", t.wrong_order.fraction, 1.0),
            ("trap.gain", t.trap.gain, 1e6),
            ("trap.start", t.trap.start, 1.0),
            ("labels.initial_p", t.labels.initial_p, 1.0),
            ("labels.weight", t.labels.weight, 1e6),
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
        if t.r1_interval == 0 || t.path_length.interval == 0 || t.ada.interval == 0 || t.keep_checkpoints == 0
        {
            return wrong(
                "r1_interval, path_length.interval, ada.interval, keep_checkpoints",
                "0".into(),
                "at least 1",
            );
        }
        let every = t.labels.every;
        if every == 1 || (every > 0 && !t.batch.is_multiple_of(every)) {
            let expected = format!("0, or a divisor of batch {} above 1", t.batch);
            return wrong("labels.every", every.to_string(), &expected);
        }
        if (every > 0) != (self.model.label_learning != LabelLearning::All) {
            return wrong(
                "labels.every, model.label_learning",
                format!("{every}, {:?}", self.model.label_learning),
                "0 with all, else a number above 1",
            );
        }
        if every > 0 && t.ada.enabled && t.ada.signal == Signal::Generated {
            return wrong(
                "ada.signal",
                "generated".into(),
                "real where labels are learnt from some sequences",
            );
        }
        if every > 0 && t.ada.enabled && t.ada.geometry == Geometry::Original {
            return wrong(
                "ada.geometry",
                "original".into(),
                "composed where labels are learnt from some sequences",
            );
        }
        if !(-1.0..=1.0).contains(&t.ada.target) {
            return wrong("ada.target", t.ada.target.to_string(), "-1 to 1");
        }
        if t.top_k.end < t.top_k.start {
            return wrong("top_k.end", t.top_k.end.to_string(), "not before top_k.start");
        }
        if t.wrong_order.enabled && self.model.frames < 2 {
            return wrong("wrong_order.enabled", "true".into(), "false where a sequence is a single frame");
        }
        Ok(self.model.validate()?)
    }
}

impl LabelsConfig {
    /// Returns whether the sequence in this row of a batch is one with labels.
    pub fn has_labels(&self, row: usize) -> bool {
        self.every > 0 && row.is_multiple_of(self.every)
    }
}

impl TrainingConfig {
    /// Returns the iterations of the whole run.
    pub fn iterations(&self) -> u64 {
        ((self.kimg * 1000.0).ceil() as u64).div_ceil(self.batch as u64)
    }

    /// Returns whether the length of the run changes what an iteration does.
    pub fn depends_on_length(&self) -> bool {
        self.top_k.enabled
            || self.cut_mix.probability > 0.0
            || self.wrong_order.enabled
            || self.trap.gain > 0.0
    }
}
