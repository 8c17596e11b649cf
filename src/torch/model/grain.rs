//! Grain: noise of a camera, which is another in every frame, unlike that of the layers, which all frames share.

use tch::Tensor;
use tch::nn::{Path, init};

use super::config::ModelConfig;
use super::equalized::STANDARD_NORMAL;
use super::generator::NoiseSource;

/// White noise that is added to the image channels, of a strength that is learned for each.
#[derive(Debug)]
pub(super) struct Grain {
    strength: Tensor, // [1, C, 1, 1, 1]
    gain: f64,
    /// `[1, T, H, W]`
    pub(super) stored: Tensor,
    /// Domains that have it: the image channels.
    pub(super) domains: usize,
    resolution: i64,
}

impl Grain {
    /// Makes `grain.strength` (0) and the buffer `noises.noise_grain`; nothing where its gain is 0.
    pub(super) fn new(vs: &Path, config: &ModelConfig) -> Option<Self> {
        let (domains, gain) = (config.domains, config.generator.grain_gain);
        let resolution = config.resolution as i64;
        (gain > 0.0).then(|| {
            let values =
                init(STANDARD_NORMAL, &[1, config.frames as i64, resolution, resolution], vs.device());
            Self {
                strength: (vs / "grain").zeros("strength", &[1, domains as i64, 1, 1, 1]),
                gain,
                stored: (vs / "noises").add("noise_grain", values, false),
                domains,
                resolution,
            }
        })
    }

    /// Adds it to the image channels; label maps stay. `[N, C, T, H, W]`, `layer` is the number of the noise asked for
    pub(super) fn add(&self, images: &Tensor, noise: &mut NoiseSource, layer: usize) -> Tensor {
        let drawn: Vec<Tensor> =
            (0..self.domains).map(|domain| noise(domain, layer, self.resolution)).collect();
        let grain = Tensor::stack(&drawn, 1) * (&self.strength * self.gain);
        let (domains, all) = (self.domains as i64, images.size()[1]);
        let grainy = images.narrow(1, 0, domains) + grain;
        if domains == all {
            grainy
        } else {
            Tensor::cat(&[grainy, images.narrow(1, domains, all - domains)], 1)
        }
    }
}
