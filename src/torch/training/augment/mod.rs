//! Augmentation of everything the discriminator sees (Karras et al., "Training GANs with limited data", 2020).
//!
//! An [`Augmentation`] holds the draws for a batch, made on the host from a keyed stream; an [`Augmenter`] applies them on the
//! device, differentiably, so that generated sequences can pass through. All planes of a sequence are warped alike. [`published`] is the pipeline of the
//! published code with its deviations, [`composed`] one warp by one matrix; [`controller`] adapts the probability.

pub mod composed;
pub mod controller;
pub mod plan;
pub mod published;
pub mod warp;

use rand::Rng;
use tch::{Device, Tensor};

use serde::{Deserialize, Serialize};

use composed::ComposedWarps;
use plan::Plan;
use published::PublishedWarps;

/// Which pipeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Geometry {
    /// Seven steps, each resampling anew, as the published code does.
    Original,
    /// One matrix per sequence, one resampling, centred, with the scales of the article on augmentation.
    Composed,
}

/// What a scene can be changed by and still have been recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowed {
    /// Mirror columns.
    pub mirrors: bool,
    /// Quarter turns and rotations.
    pub turns: bool,
}

/// The draws for one batch.
#[derive(Debug)]
pub enum Augmentation {
    /// See [`published`].
    Original(PublishedWarps),
    /// See [`composed`].
    Composed(ComposedWarps),
}

impl Augmentation {
    /// Draws for sequences of `size` px, one for each augmentation probability in `p`. The published pipeline does what it
    /// does, and has the first one for all.
    pub fn draw(geometry: Geometry, size: i64, p: &[f64], allowed: Allowed, rng: &mut impl Rng) -> Self {
        match geometry {
            Geometry::Original => {
                Self::Original(PublishedWarps::draw(p.len(), size, p.first().copied().unwrap_or(0.0), rng))
            }
            Geometry::Composed => Self::Composed(ComposedWarps::draw(size, p, allowed, rng)),
        }
    }

    /// Returns it for sequences of `size` px on a device.
    pub fn upload(self, size: i64, device: Device) -> Augmenter {
        let plan = match &self {
            Self::Original(draws) => draws.plan(size, device),
            Self::Composed(draws) => draws.plan(size, device),
        };
        Augmenter { drawn: self, plan }
    }
}

/// The draws for one batch, ready on the device.
#[derive(Debug)]
pub struct Augmenter {
    /// What was drawn.
    pub drawn: Augmentation,
    plan: Plan,
}

impl Augmenter {
    /// Returns handles of its numbers on the device; `None` where what it does depends on what was drawn.
    pub fn tensors(&self) -> Option<Vec<Tensor>> {
        self.plan.tensors()
    }

    /// Returns the augmented sequences. `[N, C, T, H, W]` or `[N, P, H, W]`, shape kept
    pub fn apply(&self, sequences: &Tensor) -> Tensor {
        let shape = sequences.size();
        let planes = if shape.len() == 5 { sequences.flatten(1, 2) } else { sequences.shallow_clone() };
        self.plan.apply(&planes).view(shape.as_slice())
    }
}
