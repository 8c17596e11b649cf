//! Everything random of an iteration, drawn before the step that uses it.

use rand::Rng;
use rand::seq::SliceRandom;
use tch::{Device, Kind, Tensor};

use crate::losses::cut_mix::Cut;
use crate::model::Generator;
use crate::seed;

/// What a draw is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// Latents and noise of the discriminator's step.
    DiscriminatorLatents = 1,
    /// Of the generator's step.
    GeneratorLatents,
    /// Of the path length step.
    PathLatents,
    /// The image noise of the path length step.
    PathNoise,
    /// Augmentation of real sequences.
    AugmentReal,
    /// Augmentation of generated ones in the discriminator's step.
    AugmentGenerated,
    /// Augmentation of generated ones in the generator's step.
    AugmentGenerator,
    /// Whether, and where, cut-mix cuts.
    CutMix,
    /// Where the consistency step cuts.
    CutMixConsistency,
    /// Wrong time order.
    WrongOrder,
}

/// Names the draws of a part of an iteration.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// Seed of the run.
    pub run_seed: u64,
    /// Iteration, from 1.
    pub iteration: u64,
    /// Which part of the batch, from 0.
    pub part: u64,
}

impl Key {
    /// Returns host random numbers.
    pub fn rng(self, stream: Stream) -> rand_chacha::ChaCha8Rng {
        seed::stream(&self.parts(stream))
    }

    /// Seeds libtorch's generators, on every device.
    pub fn seed_devices(self, stream: Stream) {
        tch::manual_seed(seed::key(&self.parts(stream)) as i64);
    }

    fn parts(self, stream: Stream) -> [u64; 4] {
        [self.run_seed, self.iteration, stream as u64, self.part]
    }
}

/// Latents and noise of one call of the generator.
#[derive(Debug)]
pub struct Latents {
    /// `[N, Z]`
    pub z: Tensor,
    /// Second latents `[N, Z]` and the slot from which on they take over.
    pub mixed: Option<(Tensor, i64)>,
    /// Noise of every layer, the same in all domains; `None` draws it fresh for every domain.
    pub noise: Option<Vec<Tensor>>,
}

impl Latents {
    /// Draws `n` latents, mixed at a probability. Noise is drawn when it is needed, from where the device's generator
    /// then is; only draws of this module move it, so that it follows from the keys too.
    pub fn draw(
        generator: &Generator,
        n: i64,
        mixing: f64,
        device: Device,
        key: Key,
        stream: Stream,
    ) -> Self {
        let mut host = key.rng(stream);
        key.seed_devices(stream);
        let latent = || Tensor::randn([n, generator.latent_size()], (Kind::Float, device));
        let z = latent();
        // Reference: the second latent always controls at least the last two slots.
        let mixed =
            host.random_bool(mixing).then(|| (latent(), host.random_range(1..=generator.latent_slots() - 2)));
        Self { z, mixed, noise: None }
    }

    /// Maps to one latent per layer. `[N, L, Z]`
    pub fn map(&self, generator: &Generator) -> Tensor {
        let w = generator.map(&self.z);
        match &self.mixed {
            Some((z, inject_index)) => generator.mix(&w, &generator.map(z), *inject_index),
            None => generator.broadcast(&w),
        }
    }

    /// Synthesises sequences from mapped latents. `ws [N, L, Z] -> [N, C, T, H, W]`
    pub fn synthesise(&self, generator: &Generator, ws: &Tensor) -> Tensor {
        match &self.noise {
            Some(noise) => generator.synthesise(ws, &mut |_, layer, _| noise[layer].shallow_clone()),
            None => generator.synthesise(ws, &mut generator.random_noise(ws.size()[0])),
        }
    }

    /// Maps and synthesises.
    pub fn generate(&self, generator: &Generator) -> Tensor {
        self.synthesise(generator, &self.map(generator))
    }
}

/// Returns frame indices that are not in order.
///
/// Reference: with replacement, frames may repeat; where the draw happens to be in order, it is reversed.
pub fn wrong_order(frames: usize, with_replacement: bool, rng: &mut impl Rng) -> Vec<i64> {
    let in_order: Vec<i64> = (0..frames as i64).collect();
    let mut order = in_order.clone();
    if with_replacement {
        order.fill_with(|| rng.random_range(0..frames as i64));
    } else {
        order.shuffle(rng);
    }
    if order == in_order {
        order.reverse();
    }
    order
}

/// Returns a cut through the middle four fifths of a square image.
pub fn cut(size: i64, rng: &mut impl Rng) -> Cut {
    let mut place = || rng.random_range(size / 10..(size * 9 / 10).max(size / 10 + 1));
    let (y, x) = (place(), place());
    Cut { y, x, top_left: rng.random_bool(0.5), inverted: rng.random_bool(0.5) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_order_is_never_right() {
        let mut rng = seed::stream(&[5]);
        for with_replacement in [false, true] {
            for _ in 0..200 {
                let order = wrong_order(3, with_replacement, &mut rng);
                assert_ne!(order, [0, 1, 2]);
                let mut sorted = order.clone();
                sorted.sort_unstable();
                assert!(with_replacement || sorted == [0, 1, 2]);
            }
        }
    }

    #[test]
    fn cuts_stay_inside() {
        let mut rng = seed::stream(&[6]);
        for size in [8, 32, 256] {
            assert!(
                (0..100)
                    .map(|_| cut(size, &mut rng))
                    .all(|c| (0..size).contains(&c.y) && (0..size).contains(&c.x))
            );
        }
    }
}
