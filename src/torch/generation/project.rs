//! Projection of real sequences: latents and noise from which the generator draws something as close to them as it can.
//!
//! Adam moves one latent per styled layer, from the mean latent on, and the noise of the layers, which is kept white,
//! so that structure must come from the latents. What remains is what the generator cannot show.
//!
//! # Reference
//! Karras et al., "Analyzing and improving the image quality of StyleGAN", CVPR 2020, appendix D: schedule of the rate,
//! noise on the latents, regularisation of the noise; written from the article. The distance is another one, since no
//! pretrained network is at hand: squared differences at several resolutions, each channel in units of its variance.

use lapsegan_core::seed::Stream;
use serde::{Deserialize, Serialize};
use tch::{Device, Kind, Tensor};

use super::Sampler;
use crate::model::noise::LayerNoise;
use crate::optim::{self, Adam, AdamConfig};
use crate::tensor_rng::randn;
use crate::transfer::{download, upload};

/// Part of the steps over which the rate rises, and over which it falls.
const RAMP_UP: f64 = 0.05;
const RAMP_DOWN: f64 = 0.25;
/// Strength of the noise on the latents, in units of their spread, and the part of the steps after which there is none.
const JITTER: f64 = 0.05;
const JITTER_ENDS: f64 = 0.75;
/// Weight of the whiteness of noise.
const WHITENESS: f64 = 1e5;
/// Smallest side at which noise is looked at, and frames are compared.
const LEAST_SIDE: i64 = 8;

/// How sequences are projected.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct ProjectionSettings {
    /// Steps of Adam.
    pub steps: u64,
    /// Largest learning rate.
    pub learning_rate: f64,
}

/// Real sequences to project.
#[derive(Debug)]
pub struct Targets<'a> {
    /// In the networks' range, image channels only. `[N, C, T, H, W]`
    pub images: &'a Tensor,
    /// Variance of each channel in the recording, in the networks' range.
    pub variances: &'a [f64],
    /// Number of each sequence, which is the key of its noise.
    pub indices: &'a [u64],
}

/// What was found, on the CPU.
#[derive(Debug)]
pub struct Projection {
    /// `[N, L, Z]`
    pub ws: Tensor,
    /// Noise by domain and layer, `[N, ...]` each.
    pub noise: LayerNoise,
}

/// Projects some sequences at a time; none depends on the others. `on_step` is called after every step.
pub fn project(
    sampler: &Sampler,
    targets: &Targets,
    w_std: f64,
    settings: ProjectionSettings,
    seed: u64,
    on_step: &mut dyn FnMut(),
) -> Projection {
    let (device, shape) = (sampler.w_avg().device(), sampler.draws());
    let generator = sampler.generator();
    let n = targets.indices.len() as i64;
    let size = [n, generator.latent_slots(), generator.latent_size()];
    let wanted = pyramid(&upload(targets.images, device));
    let weights: Vec<f64> = targets.variances.iter().map(|v| 1.0 / v.max(f64::MIN_POSITIVE)).collect();
    let weights = upload(&Tensor::from_slice(&weights).to_kind(Kind::Float), device).view([1, -1, 1, 1, 1]);

    let ws = sampler.w_avg().unsqueeze(0).expand(size, false).contiguous().detach().set_requires_grad(true);
    let mut layer_of = 0;
    let noise = LayerNoise::new(shape, n, |_, _, shape| {
        layer_of += 1;
        let maps: Vec<Tensor> = targets
            .indices
            .iter()
            .map(|&index| {
                randn(Stream::ProjectionStart, &[seed, index, layer_of], &[1, shape[1], shape[2], shape[3]])
            })
            .collect();
        upload(&Tensor::cat(&maps, 0), device).set_requires_grad(true)
    });
    let parameters: Vec<Tensor> =
        std::iter::once(&ws).chain(noise.0.iter().flatten()).map(Tensor::shallow_clone).collect();
    let config = AdamConfig { beta1: 0.9, beta2: 0.999, eps: 1e-8 };
    let mut adam = Adam::new(
        config,
        parameters.iter().map(Tensor::shallow_clone).collect(),
        vec![settings.learning_rate; parameters.len()],
    );
    for step in 0..settings.steps {
        let t = step as f64 / settings.steps as f64;
        let strength = JITTER * w_std * (1.0 - t / JITTER_ENDS).max(0.0).powi(2);
        let jittered = if strength > 0.0 {
            &ws + jitter(targets.indices, step, seed, &size, device) * strength
        } else {
            ws.shallow_clone()
        };
        let images = generator.synthesise(&jittered, &mut noise.source());
        let images = images.narrow(1, 0, targets.images.size()[1]);
        let distance = distance(&pyramid(&images), &wanted, &weights);
        let loss = distance + whiteness(&noise) * WHITENESS;
        let gradients = optim::gradients(&loss, &parameters);
        adam.set_rate(settings.learning_rate * rate(t));
        adam.step(&gradients);
        tch::no_grad(|| {
            for map in noise.0.iter().flatten() {
                normalise(map);
            }
        });
        on_step();
    }
    let plain = |tensor: &Tensor| download(&tensor.detach()).to_kind(Kind::Float).contiguous();
    Projection {
        ws: plain(&ws),
        noise: LayerNoise(noise.0.iter().map(|layers| layers.iter().map(plain).collect()).collect()),
    }
}

/// Returns the part of the largest rate at a time in [0, 1].
fn rate(t: f64) -> f64 {
    let down = ((1.0 - t) / RAMP_DOWN).min(1.0);
    (t / RAMP_UP).clamp(1e-3, 1.0) * (0.5 - 0.5 * (std::f64::consts::PI * down).cos())
}

/// Returns noise on the latents, with a key per sequence and step. `[N, L, Z]`
fn jitter(indices: &[u64], step: u64, seed: u64, size: &[i64; 3], device: Device) -> Tensor {
    let rows: Vec<Tensor> = indices
        .iter()
        .map(|&index| randn(Stream::ProjectionJitter, &[seed, index, step], &[1, size[1], size[2]]))
        .collect();
    upload(&Tensor::cat(&rows, 0), device)
}

/// Returns frames at their resolution and at halves of it. `[N, C, T, H, W]` each
fn pyramid(images: &Tensor) -> Vec<Tensor> {
    let mut levels = vec![images.shallow_clone()];
    while let Some(last) = levels.last()
        && last.size()[3].min(last.size()[4]) >= 2 * LEAST_SIDE
    {
        // [N, C, T, H, W] -> [N, C T, H, W] -> [N, C, T, H / 2, W / 2]
        let channels = last.size()[1];
        let half = last.flatten(1, 2).avg_pool2d([2, 2], [2, 2], [0, 0], false, true, None::<i64>);
        levels.push(half.unflatten(1, [channels, -1]));
    }
    levels
}

/// Returns the sum over levels and sequences of the mean weighted squared difference.
fn distance(images: &[Tensor], wanted: &[Tensor], weights: &Tensor) -> Tensor {
    let level = |(a, b): (&Tensor, &Tensor)| {
        let squares = (a - b).square() * weights;
        squares.flatten(1, -1).mean_dim(Some([1_i64].as_slice()), false, Kind::Float).sum(Kind::Float)
    };
    images.iter().zip(wanted).map(level).fold(Tensor::from(0.0_f32), |sum, term| term + sum)
}

/// Returns how far noise is from white: products with its neighbours, at its own and at halved resolutions, summed over
/// sequences.
fn whiteness(noise: &LayerNoise) -> Tensor {
    let mut sum = Tensor::from(0.0_f32);
    for map in noise.0.iter().flatten() {
        let mut map = map.shallow_clone();
        while map.size()[3] >= LEAST_SIDE {
            for axis in [2, 3] {
                let product = (&map * map.roll(1_i64, axis)).mean_dim(
                    Some([1_i64, 2, 3].as_slice()),
                    false,
                    Kind::Float,
                );
                sum = product.square().sum(Kind::Float) + sum;
            }
            // Twice the mean of four has the variance of one.
            map = map.avg_pool2d([2, 2], [2, 2], [0, 0], false, true, None::<i64>) * 2.0;
        }
    }
    sum
}

/// Gives every map of every sequence mean 0 and variance 1, in place. `[N, T or 1, H, W]`
fn normalise(map: &Tensor) {
    let axes = [1_i64, 2, 3];
    let centred = map - map.mean_dim(Some(axes.as_slice()), true, Kind::Float);
    let variance = centred.square().mean_dim(Some(axes.as_slice()), true, Kind::Float);
    let mut own = map.shallow_clone();
    own.copy_(&(centred * (variance + 1e-12).rsqrt()));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_rises_stays_and_falls_to_nothing() {
        assert!(rate(0.0) < 0.01 && (rate(0.025) - 0.5).abs() < 1e-9);
        assert!([0.05, 0.4, 0.75].iter().all(|t| (rate(*t) - 1.0).abs() < 1e-9));
        assert!((rate(0.875) - 0.5).abs() < 1e-9 && rate(1.0).abs() < 1e-9);
    }

    #[test]
    fn structure_in_noise_costs_and_white_noise_hardly() {
        let white = randn(Stream::ProjectionStart, &[1], &[1, 1, 32, 32]);
        let stripes =
            Tensor::arange(32, (Kind::Float, Device::Cpu)).sin().expand([1, 1, 32, 32], false).contiguous();
        normalise(&stripes);
        let cost = |map: Tensor| whiteness(&LayerNoise(vec![vec![map]])).double_value(&[]);
        let (white, stripes) = (cost(white), cost(stripes));
        assert!(white < 0.1 && stripes > 10.0 * white, "{white} {stripes}");
    }

    #[test]
    fn frames_are_compared_at_every_resolution_down_to_eight_pixels() {
        let images = Tensor::ones([2, 2, 3, 32, 32], (Kind::Float, Device::Cpu));
        let levels = pyramid(&images);
        assert_eq!(levels.iter().map(|level| level.size()[4]).collect::<Vec<_>>(), [32, 16, 8]);
        let weights = Tensor::from_slice(&[1.0_f32, 3.0]).view([1, -1, 1, 1, 1]);
        let zeros = pyramid(&images.zeros_like());
        // Two sequences, three levels, mean weight 2.
        assert!((distance(&levels, &zeros, &weights).double_value(&[]) - 12.0).abs() < 1e-5);
    }
}
