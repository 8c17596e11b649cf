//! What the sequences of a run are drawn from: their numbers alone, or latents that are given.

use std::ops::Range;

use tch::{Kind, Tensor};

use super::latent::{self, SequenceDraws, SequenceKey, SequenceStyle};
use super::latents::{LatentFile, Noise};
use crate::model::noise::DrawShape;

/// What the sequences of a run are drawn from.
#[derive(Debug)]
pub enum Scenes {
    /// From the seed and their numbers.
    Seeded,
    /// From latents, one row per sequence.
    Given(GivenScenes),
}

/// Given latents with their noise.
#[derive(Debug)]
pub struct GivenScenes {
    ws: Tensor,
    noise: Noise,
}

impl GivenScenes {
    /// Takes latents `[N, L, Z]` on the CPU with their noise.
    pub fn new(ws: &Tensor, noise: Noise) -> Self {
        Self { ws: ws.to_kind(Kind::Float), noise }
    }

    /// Takes the latents of a file; noise that it does not tell is drawn by a seed and the number of the row.
    pub fn of_file(latents: LatentFile, seed: u64) -> Self {
        let n = latents.len() as u64;
        let keys = || Noise::Keys((0..n).map(|index| SequenceKey { seed, index }).collect());
        Self::new(&latents.ws, latents.noise.unwrap_or_else(keys))
    }

    /// Returns the number of sequences.
    pub fn len(&self) -> usize {
        self.ws.size()[0] as usize
    }

    /// Returns whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn draw(&self, shape: DrawShape, indices: Range<u64>) -> SequenceDraws {
        // A batch is filled up with the last one.
        let last = self.len() as u64 - 1;
        let rows: Vec<u64> = indices.map(|index| index.min(last)).collect();
        let noise = match self.noise.select(&rows) {
            Noise::Maps(noise) => noise,
            Noise::Keys(keys) => latent::draw_keys(shape, keys.into_iter()).noise,
        };
        let rows: Vec<i64> = rows.into_iter().map(|row| row as i64).collect();
        SequenceDraws { style: SequenceStyle::Ws(self.ws.index_select(0, &Tensor::from_slice(&rows))), noise }
    }
}

impl Scenes {
    /// Returns the draws of sequences, on the CPU.
    pub fn draw(&self, shape: DrawShape, seed: u64, indices: Range<u64>) -> SequenceDraws {
        match self {
            Self::Seeded => latent::draw(shape, seed, indices),
            Self::Given(given) => given.draw(shape, indices),
        }
    }

    /// Returns further handles of the same memory, for another thread.
    #[must_use]
    pub fn handles(&self) -> Self {
        match self {
            Self::Seeded => Self::Seeded,
            Self::Given(given) => {
                Self::Given(GivenScenes { ws: given.ws.shallow_clone(), noise: given.noise.handles() })
            }
        }
    }

    /// Returns the noise of some sequences.
    pub fn noise(&self, seed: u64, indices: &[u64]) -> Noise {
        match self {
            Self::Seeded => Noise::Keys(indices.iter().map(|&index| SequenceKey { seed, index }).collect()),
            Self::Given(given) => given.noise.select(indices),
        }
    }
}
