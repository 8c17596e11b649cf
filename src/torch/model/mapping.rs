//! The mapping network: latents `z` to intermediate latents `w`.

use tch::Tensor;
use tch::nn::Path;

use super::equalized::{BiasActivation, Linear, pixel_norm};

/// Pixel norm, then equalized linear layers with leaky ReLU.
///
/// Reference: its slower learning is a matter of the optimizer group, not of the layers.
#[derive(Debug)]
pub struct Mapping {
    layers: Vec<(Linear, BiasActivation)>,
}

impl Mapping {
    /// Makes `layers.{1, 3, ...}` (linear) and `layers.{2, 4, ...}` (activation); index 0 is the norm.
    pub fn new(vs: &Path, latent: i64, depth: usize) -> Self {
        let layers = vs / "layers";
        let layer = |j: usize| {
            (
                Linear::new(&(&layers / (2 * j + 1)), latent, latent, None),
                BiasActivation::new(&(&layers / (2 * j + 2)), latent),
            )
        };
        Self { layers: (0..depth).map(layer).collect() }
    }

    /// `z [N, Z] -> w [N, Z]`
    pub fn forward(&self, z: &Tensor) -> Tensor {
        self.layers
            .iter()
            .fold(pixel_norm(z), |x, (linear, activation)| activation.forward(&linear.forward(&x)))
    }
}
