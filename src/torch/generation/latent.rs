//! Latents and noise by sequence index, and the mean latent for truncation.

use lapsegan_core::seed::Stream;
use tch::{Device, Kind, Tensor};

use crate::model::Generator;
use crate::model::noise::{DrawShape, LayerNoise};
use crate::tensor_rng::with_seed;
use crate::transfer::upload;

/// Number of latents that `w_avg` is the mean of.
const W_AVG_SAMPLES: i64 = 10_000;

/// What the styles of sequences come from.
#[derive(Debug)]
pub enum SequenceStyle {
    /// Latents before the mapping network. `[N, Z]`
    Z(Tensor),
    /// Latents behind it, one per styled layer. `[N, L, Z]`
    Ws(Tensor),
}

impl SequenceStyle {
    /// Returns the tensor, whichever it is.
    pub fn tensor(&self) -> &Tensor {
        match self {
            Self::Z(tensor) | Self::Ws(tensor) => tensor,
        }
    }
}

/// The draws of some sequences.
#[derive(Debug)]
pub struct SequenceDraws {
    /// Latents.
    pub style: SequenceStyle,
    /// Noise by domain and layer.
    pub noise: LayerNoise,
}

impl SequenceDraws {
    /// Returns them on a device.
    #[must_use]
    pub fn upload(&self, device: Device) -> Self {
        let style = match &self.style {
            SequenceStyle::Z(z) => SequenceStyle::Z(upload(z, device)),
            SequenceStyle::Ws(ws) => SequenceStyle::Ws(upload(ws, device)),
        };
        Self { style, noise: self.noise.upload(device) }
    }
}

/// A sequence by seed and index, which are the key of its latent and noise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SequenceKey {
    /// Seed of the run.
    pub seed: u64,
    /// Number of the sequence in it.
    pub index: u64,
}

/// Returns the draws of sequences `indices` under a seed, on the CPU, so that they are the same on every device; each
/// sequence has its own key.
pub fn draw(shape: DrawShape, seed: u64, indices: impl Iterator<Item = u64>) -> SequenceDraws {
    draw_keys(shape, indices.map(|index| SequenceKey { seed, index }))
}

/// Returns the draws of sequences by their keys, on the CPU.
pub fn draw_keys(shape: DrawShape, keys: impl Iterator<Item = SequenceKey>) -> SequenceDraws {
    let (latents, noise): (Vec<Tensor>, Vec<LayerNoise>) = keys
        .map(|SequenceKey { seed, index }| {
            with_seed(Stream::Sequence, &[seed, index], |torch| {
                let z = torch.randn(&[1, shape.latent]);
                (z, LayerNoise::new(shape, 1, |_, _, shape| torch.randn(&shape)))
            })
        })
        .unzip();
    SequenceDraws { style: SequenceStyle::Z(Tensor::cat(&latents, 0)), noise: LayerNoise::cat(&noise) }
}

/// Returns the latents alone of [`draw_keys`]. `[N, Z]`
pub fn draw_z(shape: DrawShape, keys: impl Iterator<Item = SequenceKey>) -> Tensor {
    let z = keys.map(|SequenceKey { seed, index }| {
        with_seed(Stream::Sequence, &[seed, index], |torch| torch.randn(&[1, shape.latent]))
    });
    Tensor::cat(&z.collect::<Vec<_>>(), 0)
}

/// Returns the mean of 10,000 mapped latents. It depends on the generator alone. `[1, Z]`
pub fn w_avg(generator: &Generator, device: Device) -> Tensor {
    mapped_normal(generator, device).mean_dim(Some([0_i64].as_slice()), true, Kind::Float)
}

/// Returns the root mean square distance of mapped latents from their mean, one number for all directions.
pub fn w_std(generator: &Generator, device: Device) -> f64 {
    let w = mapped_normal(generator, device);
    let centred = &w - w.mean_dim(Some([0_i64].as_slice()), true, Kind::Float);
    crate::transfer::number(&centred.square().sum_dim_intlist(1, false, Kind::Float).mean(Kind::Float).sqrt())
}

/// Returns 10,000 mapped latents of no seed. `[10000, Z]`
fn mapped_normal(generator: &Generator, device: Device) -> Tensor {
    let shape = [W_AVG_SAMPLES, generator.latent_size()];
    let z = upload(&with_seed(Stream::MeanLatent, &[], |torch| torch.randn(&shape)), device);
    tch::no_grad(|| generator.map(&z))
}

/// How far latents are pulled to the mean latent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Truncation {
    /// 1 leaves them, 0 replaces them by the mean.
    pub psi: f64,
    /// Slots that are pulled, from the coarsest on; all of them where `None`.
    pub cutoff: Option<u64>,
}

impl Truncation {
    /// Leaves latents as they are.
    pub const NONE: Self = Self { psi: 1.0, cutoff: None };

    /// Returns numbers that are equal for equal truncation.
    pub fn key(self) -> [i64; 2] {
        [self.psi.to_bits() as i64, self.cutoff.map_or(-1, |cutoff| cutoff as i64)]
    }

    /// Returns latents that are pulled towards the mean: `w_avg + psi (w - w_avg)`. `w [N, Z]` or `[N, L, Z]`, of which
    /// the last has its slots below the cutoff pulled only; `w_avg [1, Z]`
    ///
    /// Smaller values of psi give more typical and less varied sequences (Karras et al., CVPR 2019).
    pub fn apply(self, w: &Tensor, w_avg: &Tensor) -> Tensor {
        let pull = |w: &Tensor| w_avg + (w - w_avg) * self.psi;
        match self.cutoff {
            _ if self.psi == 1.0 => w.shallow_clone(),
            Some(cutoff) if w.dim() == 3 => {
                let (all, pulled) = (w.size()[1], (cutoff as i64).min(w.size()[1]));
                Tensor::cat(&[pull(&w.narrow(1, 0, pulled)), w.narrow(1, pulled, all - pulled)], 1)
            }
            _ => pull(w),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_behind_the_cutoff_stay() {
        let w = Tensor::ones([2, 4, 3], (Kind::Float, Device::Cpu));
        let mean = Tensor::zeros([1, 3], (Kind::Float, Device::Cpu));
        let cut = Truncation { psi: 0.25, cutoff: Some(3) }.apply(&w, &mean);
        assert_eq!(cut.narrow(1, 0, 3), w.narrow(1, 0, 3) * 0.25);
        assert_eq!(cut.narrow(1, 3, 1), w.narrow(1, 3, 1));
        let all = Truncation { psi: 0.25, cutoff: None };
        assert_eq!(all.apply(&w, &mean), Truncation { psi: 0.25, cutoff: Some(9) }.apply(&w, &mean));
        assert_eq!(all.apply(&w.select(1, 0), &mean), w.select(1, 0) * 0.25);
        assert_eq!(Truncation { psi: 1.0, cutoff: Some(1) }.apply(&w, &mean), w);
    }

    #[test]
    fn latents_alone_are_those_that_come_with_noise() {
        let shape = DrawShape { latent: 5, domains: 1, layers: 3, grain: None };
        let keys = || [(3, 4), (1, 0)].into_iter().map(|(seed, index)| SequenceKey { seed, index });
        assert_eq!(&draw_z(shape, keys()), draw_keys(shape, keys()).style.tensor());
    }
}
