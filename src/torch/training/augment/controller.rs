//! The augmentation probability, adapted so that the discriminator neither overfits nor starves.

use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

use crate::model::Logits;
use crate::transfer::number;

/// Which predictions drive the probability.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Signal {
    /// Those on generated sequences, as in the published code. A discriminator that overfits calls them generated, so
    /// the probability falls, and stays at zero for most of a run.
    Generated,
    /// Those on real sequences, as in the article on adaptive augmentation: always real means overfitting.
    Real,
}

/// Settings of adaptive augmentation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AdaConfig {
    /// Augment what the discriminator sees.
    pub enabled: bool,
    /// Probability at the start, in [0, 1].
    pub initial_p: f64,
    /// Largest probability, in [0, 1].
    pub max_p: f64,
    /// Change of the probability per update.
    pub step: f64,
    /// The probability rises where the mean sign is above this, in [-1, 1].
    pub target: f64,
    /// Discriminator calls per update.
    pub interval: usize,
    /// Which calls count.
    pub signal: Signal,
    /// Which pipeline.
    pub geometry: super::Geometry,
    /// Quarter turns and rotations; not where a trap or a flow gives the scene a direction. Mirrors follow
    /// `training.mirror`.
    #[serde(default = "allowed")]
    pub turns: bool,
}

/// What configurations of before mean.
fn allowed() -> bool {
    true
}

/// Probability and the statistics of the calls since its last update.
#[derive(Debug)]
pub struct Controller {
    /// Augmentation probability.
    pub p: f64,
    /// Mean signs since the last update; they stay on the device until they are needed. `[]` each, f64
    pub pending: Vec<Tensor>,
}

impl Controller {
    /// Starts at a probability.
    pub fn new(initial_p: f64) -> Self {
        Self { p: initial_p, pending: Vec::new() }
    }

    /// Takes in the [`statistic`] of one call whose predictions count.
    pub fn observe(&mut self, statistic: &Tensor) {
        // Copied: the memory of a recorded step is written again.
        self.pending.push(statistic.copy());
    }

    /// Updates the probability where that is due; between two steps of an iteration, since a GPU waits for it.
    pub fn adapt(&mut self, config: &AdaConfig) {
        if self.pending.len() >= config.interval {
            let r = number(&Tensor::stack(&self.pending, 0).mean(Kind::Double));
            let step = if r > config.target { config.step } else { -config.step };
            self.p = (self.p + step).max(0.0).min(config.max_p);
            self.pending.clear();
        }
    }
}

/// Returns `0.5 mean sign(scalar) + 0.5 mean over samples of sign(mean pixel logit)`, over the samples where `chosen` is 1,
/// a share of all, or over all. `[]`, f64; `chosen [N, 1, 1, 1, 1]`
pub fn statistic(logits: &Logits, chosen: Option<(&Tensor, f64)>) -> Tensor {
    let pixel = logits.pixel.detach().flatten(1, -1).mean_dim(Some([1_i64].as_slice()), false, Kind::Float);
    let mean = |values: Tensor| match chosen {
        None => values.sign().mean(Kind::Double) * 0.5,
        Some((chosen, share)) => {
            (values.sign().view([-1]) * chosen.view([-1])).mean(Kind::Double) * (0.5 / share)
        }
    };
    mean(logits.scalar.detach()) + mean(pixel)
}
