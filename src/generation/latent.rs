//! Latents and noise by sequence index, and the mean latent for truncation.

use tch::{Device, Kind, Tensor};

use crate::model::Generator;
use crate::model::generator::noise_resolution;
use crate::seed;

/// Latents behind `w_avg`.
const W_AVG_SAMPLES: i64 = 10_000;
/// Seed of `w_avg`: one for all, so that the mean belongs to the checkpoint alone.
const W_AVG_SEED: i64 = 0x77_61_76_67;

/// The draws of some sequences.
#[derive(Debug)]
pub struct Draws {
    /// Latents. `[N, Z]`
    pub z: Tensor,
    /// Noise by domain and layer. `[N, 1, size, size]` each
    pub noise: Vec<Vec<Tensor>>,
}

/// Returns the draws of sequences `indices` under a seed. Drawn on the CPU: the same numbers on every device.
pub fn draw(generator: &Generator, seed: u64, indices: std::ops::Range<u64>, device: Device) -> Draws {
    let options = (Kind::Float, Device::Cpu);
    let layers = generator.noise_layers();
    let mut latents = Vec::new();
    let mut noise: Vec<Vec<Vec<Tensor>>> =
        (0..generator.domains()).map(|_| (0..layers).map(|_| Vec::new()).collect()).collect();
    for index in indices {
        tch::manual_seed(seed::key(&[seed, index]) as i64);
        latents.push(Tensor::randn([generator.latent_size()], options));
        for domain in &mut noise {
            for (layer, samples) in domain.iter_mut().enumerate() {
                let size = noise_resolution(layer);
                samples.push(Tensor::randn([1, size, size], options));
            }
        }
    }
    let gather = |samples: &Vec<Tensor>| Tensor::stack(samples, 0).to_device(device);
    Draws {
        z: gather(&latents),
        noise: noise.iter().map(|layers| layers.iter().map(gather).collect()).collect(),
    }
}

/// Returns the mean of 10,000 mapped latents of a fixed seed. `[1, Z]`
pub fn w_avg(generator: &Generator, device: Device) -> Tensor {
    tch::manual_seed(W_AVG_SEED);
    let z =
        Tensor::randn([W_AVG_SAMPLES, generator.latent_size()], (Kind::Float, Device::Cpu)).to_device(device);
    tch::no_grad(|| generator.map(&z).mean_dim(Some([0_i64].as_slice()), true, Kind::Float))
}

/// Pulls latents towards the mean: `w_avg + psi (w - w_avg)`. `[N, Z]`
///
/// `truncation_psi` 1 changes nothing, 0 gives the mean latent: fidelity against variety (Karras et al., CVPR 2019).
pub fn truncate(w: &Tensor, w_avg: &Tensor, truncation_psi: f64) -> Tensor {
    if truncation_psi == 1.0 { w.shallow_clone() } else { w_avg + (w - w_avg) * truncation_psi }
}
