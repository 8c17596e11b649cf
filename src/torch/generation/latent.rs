//! Latents and noise by sequence index, and the mean latent for truncation.

use lapsegan_core::seed::Stream;
use tch::{Device, Kind, Tensor};

use crate::model::Generator;
use crate::model::noise::{DrawShape, LayerNoise};
use crate::tensor_rng::with_seed;
use crate::transfer::upload;

/// Number of latents that `w_avg` is the mean of.
const W_AVG_SAMPLES: i64 = 10_000;

/// The draws of some sequences.
#[derive(Debug)]
pub struct SequenceDraws {
    /// Latents. `[N, Z]`
    pub z: Tensor,
    /// Noise by domain and layer.
    pub noise: LayerNoise,
}

impl SequenceDraws {
    /// Returns them on a device.
    #[must_use]
    pub fn upload(&self, device: Device) -> Self {
        Self { z: upload(&self.z, device), noise: self.noise.upload(device) }
    }
}

/// Returns the draws of sequences `indices` under a seed, on the CPU, so that they are the same on every device; each
/// sequence has its own key.
pub fn draw(shape: DrawShape, seed: u64, indices: std::ops::Range<u64>) -> SequenceDraws {
    let (latents, noise): (Vec<Tensor>, Vec<LayerNoise>) = indices
        .map(|index| {
            with_seed(Stream::Sequence, &[seed, index], |torch| {
                let z = torch.randn(&[1, shape.latent]);
                (z, LayerNoise::new(shape, 1, |_, _, shape| torch.randn(&shape)))
            })
        })
        .unzip();
    SequenceDraws { z: Tensor::cat(&latents, 0), noise: LayerNoise::cat(&noise) }
}

/// Returns the mean of 10,000 mapped latents. It depends on the generator alone. `[1, Z]`
pub fn w_avg(generator: &Generator, device: Device) -> Tensor {
    let shape = [W_AVG_SAMPLES, generator.latent_size()];
    let z = upload(&with_seed(Stream::MeanLatent, &[], |torch| torch.randn(&shape)), device);
    tch::no_grad(|| generator.map(&z).mean_dim(Some([0_i64].as_slice()), true, Kind::Float))
}

/// Returns latents that are pulled towards the mean: `w_avg + psi (w - w_avg)`. `[N, Z]`
///
/// With `truncation_psi` 1 nothing changes, with 0 every latent is the mean. Smaller values give more typical and less
/// varied sequences (Karras et al., CVPR 2019).
pub fn truncate(w: &Tensor, w_avg: &Tensor, truncation_psi: f64) -> Tensor {
    if truncation_psi == 1.0 { w.shallow_clone() } else { w_avg + (w - w_avg) * truncation_psi }
}
