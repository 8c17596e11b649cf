//! Everything random of an iteration, drawn before the step that uses it.

use lapsegan_core::seed::{self, Stream};
use rand::Rng;
use rand::seq::SliceRandom;
use tch::{Device, Tensor};

use crate::losses::cut_mix::Cut;
use crate::model::Generator;
use crate::model::noise::LayerNoise;
use crate::tensor_rng;
use crate::transfer::upload;

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
    /// Returns the random numbers of a stream on the host.
    pub fn rng(self, stream: Stream) -> rand_chacha::ChaCha8Rng {
        seed::rng(stream, &self.counters(&[]))
    }

    /// Returns standard normal numbers on the CPU; `more` are counters after those of the part. `shape` is `[N, ...]`
    pub fn randn(self, stream: Stream, more: &[u64], shape: &[i64]) -> Tensor {
        tensor_rng::randn(stream, &self.counters(more), shape)
    }

    fn counters(self, more: &[u64]) -> Vec<u64> {
        [&[self.run_seed, self.iteration, self.part], more].concat()
    }
}

/// A step that calls the generator, and so has latents and noise of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Caller {
    /// The discriminator's main step.
    Discriminator,
    /// The generator's main step.
    Generator,
    /// The path length step.
    PathLength,
}

impl Caller {
    /// Returns the streams of latents, style mixing and layer noise.
    fn streams(self) -> [Stream; 3] {
        match self {
            Self::Discriminator => {
                [Stream::DiscriminatorLatents, Stream::DiscriminatorMixing, Stream::DiscriminatorNoise]
            }
            Self::Generator => [Stream::GeneratorLatents, Stream::GeneratorMixing, Stream::GeneratorNoise],
            Self::PathLength => [Stream::PathLatents, Stream::PathMixing, Stream::PathNoise],
        }
    }
}

/// Latents and noise of one call of the generator.
#[derive(Debug)]
pub struct Latents {
    /// `[N, Z]`
    pub z: Tensor,
    /// Where styles may be mixed: second latents `[N, Z]`, and the slots that stay with the first, all of them where they
    /// are not mixed this time. `[L, 1]`, bool
    pub mixed: Option<[Tensor; 2]>,
    /// Noise by domain and layer.
    pub noise: LayerNoise,
}

impl Latents {
    /// Draws latents for `n` sequences, mixed with a probability of `mixing`, and noise for every domain and layer.
    ///
    /// All are drawn on the CPU and moved to `device`, so that they are the same on every device. Nothing is left to
    /// draw in the step itself; what that costs in memory is one map per layer, see [`LayerNoise`].
    pub fn draw(
        generator: &Generator,
        n: i64,
        mixing: f64,
        device: Device,
        key: Key,
        caller: Caller,
    ) -> Self {
        let [latents, mixes, noises] = caller.streams();
        let latent = |stream| upload(&key.randn(stream, &[], &[n, generator.latent_size()]), device);
        let mut rng = key.rng(mixes);
        // Reference: the second latent always controls at least the last two slots.
        let slots = generator.latent_slots();
        let kept = if rng.random_bool(mixing) { rng.random_range(1..=slots - 2) } else { slots };
        let mixed = (mixing > 0.0).then(|| [latent(mixes), upload(&generator.first_slots(kept), device)]);
        let noise = LayerNoise::new(generator.draws(), n, |domain, layer, shape| {
            upload(&key.randn(noises, &[domain as u64, layer as u64], &shape), device)
        });
        Self { z: latent(latents), mixed, noise }
    }

    /// Maps to one latent per layer. `[N, L, Z]`
    pub fn map(&self, generator: &Generator) -> Tensor {
        let w = generator.map(&self.z);
        match &self.mixed {
            Some([z, first]) => generator.mix(&w, &generator.map(z), first),
            None => generator.broadcast(&w),
        }
    }

    /// Synthesises sequences from mapped latents. `ws [N, L, Z] -> [N, C, T, H, W]`
    pub fn synthesise(&self, generator: &Generator, ws: &Tensor) -> Tensor {
        generator.synthesise(ws, &mut self.noise.source())
    }

    /// Returns handles of all tensors, always in the same order.
    pub fn tensors(&self) -> Vec<Tensor> {
        let mixed = self.mixed.iter().flatten();
        let noise = self.noise.0.iter().flatten();
        std::iter::once(&self.z).chain(mixed).chain(noise).map(Tensor::shallow_clone).collect()
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
        let mut rng = seed::rng(Stream::WrongOrder, &[5]);
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
        let mut rng = seed::rng(Stream::CutMix, &[6]);
        for size in [8, 32, 256] {
            assert!(
                (0..100)
                    .map(|_| cut(size, &mut rng))
                    .all(|c| (0..size).contains(&c.y) && (0..size).contains(&c.x))
            );
        }
    }
}
