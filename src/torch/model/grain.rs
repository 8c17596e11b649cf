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

#[cfg(test)]
mod tests {
    use super::super::generator::Generator;
    use super::super::noise::LayerNoise;
    use super::*;
    use crate::training::Preset;
    use lapsegan_core::labels::maps::LabelMap;
    use tch::nn::VarStore;
    use tch::{Device, Kind};

    #[test]
    fn every_frame_of_an_image_channel_has_its_own_and_label_maps_have_none() {
        let mut config = Preset::Auto.config(2, 3, 16).model;
        config.label_maps = vec![LabelMap::Foreground, LabelMap::Distance];
        let mut vs = VarStore::new(Device::Cpu);
        let generator = Generator::new(&vs.root(), &config);
        let noise = LayerNoise::new(generator.draws(), 2, |_, _, shape| {
            Tensor::randn(shape, (Kind::Float, Device::Cpu))
        });
        let layers = generator.noise_layers();
        assert_eq!(noise.0.iter().map(Vec::len).collect::<Vec<_>>(), [layers + 1, layers + 1, layers]);
        assert_eq!(noise.0[0][layers].size(), [2, 3, 16, 16]);
        let ws = generator.broadcast(
            &generator.map(&Tensor::zeros([2, config.generator.latent], (Kind::Float, Device::Cpu))),
        );
        let images = || tch::no_grad(|| generator.synthesise(&ws, &mut noise.source()));
        let without = images();
        tch::no_grad(|| {
            let strength = vs.variables()["grain.strength"].shallow_clone();
            let _ = strength.shallow_clone().fill_(0.5);
        });
        let grain = images() - without;
        let std = |x: Tensor| x.std(false).double_value(&[]);
        for (channel, frame) in [(0, 0), (0, 2), (1, 1)] {
            let of_frame = std(grain.select(1, channel).select(1, frame));
            assert!((of_frame - 0.5).abs() < 0.05, "{of_frame}");
        }
        // Frames and channels differ.
        assert!(std(grain.select(1, 0).select(1, 0) - grain.select(1, 0).select(1, 1)) > 0.6);
        assert!(std(grain.select(1, 0).select(1, 0) - grain.select(1, 1).select(1, 0)) > 0.6);
        assert_eq!(grain.narrow(1, 2, 2).abs().max().double_value(&[]), 0.0);
        vs.freeze();
    }

    #[test]
    fn other_presets_have_none() {
        let config = Preset::Tiny.config(2, 3, 16).model;
        let vs = VarStore::new(Device::Cpu);
        let generator = Generator::new(&vs.root(), &config);
        assert_eq!(generator.draws().grain, None);
        assert!(vs.variables().keys().all(|name| !name.contains("grain")));
    }
}
