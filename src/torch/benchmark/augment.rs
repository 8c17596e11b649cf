//! What is done to the crops that a segmenter learns from. The strong way is the rival of synthetic data that costs
//! nothing.

use rand::Rng;
use rand_chacha::ChaCha8Rng;
use tch::{Kind, Tensor};

use super::arms::AugmentationStrength;
use super::crops::Frames;
use crate::transfer::upload;

/// Largest change of gain.
const GAIN_JITTER: f64 = 0.2;
/// Largest change of offset, in shares of the calibrated range. Small: zeros that pad an image are its background, and
/// dim objects are not much brighter.
const OFFSET_JITTER: f64 = 0.03;
/// Largest factor of the scale, and of its inverse.
const SCALE: f64 = 1.4;
/// Largest shear.
const SHEAR: f64 = 0.15;
/// Points of a side of the grid whose random shifts bend the image.
const BENDS: i64 = 4;
/// Standard deviation of these shifts, in half widths of the crop.
const BEND: f64 = 0.06;
/// Largest exponent of the brightness, and of its inverse.
const GAMMA: f64 = 1.5;
/// Largest standard deviation of added noise, in shares of the calibrated range.
const NOISE: f64 = 0.06;
/// Share of the crops that are blurred.
const BLURRED: f64 = 0.25;

/// Returns a random crop of a random frame, changed, with its target. `[C, h, h]` and `[2, h, h]`
pub(super) fn example(
    pool: &Frames,
    crop: i64,
    augmentation: AugmentationStrength,
    draws: &mut ChaCha8Rng,
) -> (Tensor, Tensor) {
    let frame = draws.random_range(0..pool.count()) as i64;
    let size = pool.images.size();
    let top = draws.random_range(0..=size[2] - crop);
    let left = draws.random_range(0..=size[3] - crop);
    let (turns, flip) = (draws.random_range(0..4_i64), draws.random::<bool>());
    let moved = |all: &Tensor| {
        // [N, C, H, W] -> [C, h, h]
        let part = all.get(frame).narrow(1, top, crop).narrow(2, left, crop).rot90(turns, [1, 2]);
        if flip { part.flip([2]) } else { part }
    };
    let gain = 1.0 + draws.random_range(-GAIN_JITTER..GAIN_JITTER);
    let offset = draws.random_range(-OFFSET_JITTER..OFFSET_JITTER);
    let (image, target) = (moved(&pool.images) * gain + offset, moved(&pool.targets));
    match augmentation {
        AugmentationStrength::Standard => (image, target),
        AugmentationStrength::Strong => strong(&image, &target, draws),
    }
}

/// Bends and turns image and target alike, and changes the exposure of the image.
fn strong(image: &Tensor, target: &Tensor, draws: &mut ChaCha8Rng) -> (Tensor, Tensor) {
    let grid = upload(&grid(image.size()[1], draws), image.device());
    // Bilinear, mirrored at the border.
    let warp = |x: &Tensor| x.unsqueeze(0).grid_sampler(&grid, 0, 2, false).squeeze_dim(0);
    let (image, target) = (warp(image), warp(target));
    let gamma = GAMMA.powf(draws.random_range(-1.0..1.0));
    // Beyond [0, 1] the picture goes on in a line.
    let inside = image.clamp(0.0, 1.0);
    let exposed = inside.pow_tensor_scalar(gamma) + (&image - &inside);
    let sharp = if draws.random::<f64>() < BLURRED { blurred(&exposed) } else { exposed };
    let strength = draws.random_range(0.0..NOISE);
    let values: Vec<f32> = (0..sharp.numel()).map(|_| normal(draws) as f32).collect();
    let noise = upload(&Tensor::from_slice(&values).view(sharp.size().as_slice()), sharp.device());
    (sharp + noise * strength, target)
}

/// Returns where each pixel comes from: a turn, a scale, a shear and bends. `[1, h, h, 2]`, in [-1, 1]
fn grid(side: i64, draws: &mut ChaCha8Rng) -> Tensor {
    let angle = draws.random_range(0.0..std::f64::consts::TAU);
    let scale = SCALE.powf(draws.random_range(-1.0..1.0));
    let shear = draws.random_range(-SHEAR..SHEAR);
    let (sin, cos) = angle.sin_cos();
    let matrix =
        [cos * scale, (shear * cos - sin) * scale, 0.0, sin * scale, (shear * sin + cos) * scale, 0.0];
    let matrix = Tensor::from_slice(&matrix.map(|value| value as f32)).view([1, 2, 3]);
    let affine = Tensor::affine_grid_generator(&matrix, [1, 1, side, side], false);
    let shifts: Vec<f32> = (0..2 * BENDS * BENDS).map(|_| (BEND * normal(draws)) as f32).collect();
    let bends = Tensor::from_slice(&shifts).view([1, 2, BENDS, BENDS]);
    let bends = bends.upsample_bicubic2d([side, side], true, None, None);
    affine + bends.permute([0, 2, 3, 1])
}

/// Returns the image under a 3 x 3 binomial filter. `[C, h, h]`
fn blurred(image: &Tensor) -> Tensor {
    let channels = image.size()[0];
    let line = upload(&(Tensor::from_slice(&[1.0_f32, 2.0, 1.0]) / 4.0), image.device());
    let kernel = (line.unsqueeze(1) * line.unsqueeze(0)).expand([channels, 1, 3, 3], false);
    let padded = image.unsqueeze(0).reflection_pad2d([1, 1, 1, 1]);
    padded.conv2d::<Tensor>(&kernel.to_kind(Kind::Float), None, 1, 0, 1, channels).squeeze_dim(0)
}

/// Returns a draw of the standard normal distribution (Box and Muller).
fn normal(draws: &mut ChaCha8Rng) -> f64 {
    let radius = (-2.0 * (1.0 - draws.random::<f64>()).ln()).sqrt();
    radius * (std::f64::consts::TAU * draws.random::<f64>()).cos()
}

#[cfg(test)]
mod tests {
    use super::super::crops::Pool;
    use super::super::crops::drawn::discs;
    use super::*;
    use lapsegan_core::seed::{self, Stream};
    use tch::Device;

    #[test]
    fn image_and_target_are_changed_alike() {
        let sequences = discs(4, 1, 1);
        let pool = Pool::new(&sequences).frames(Device::Cpu);
        let mut draws = seed::rng(Stream::SegmenterCrops, &[1]);
        for _ in 0..10 {
            let (image, target) = example(&pool, 32, AugmentationStrength::Strong, &mut draws);
            assert_eq!((image.size()[1..].to_vec(), target.size()), (vec![32, 32], vec![2, 32, 32]));
            let inside = target.get(0).gt(0.5);
            let mean = |mask: &Tensor| image.get(0).masked_select(mask).mean(Kind::Float).double_value(&[]);
            if inside.any().int64_value(&[]) == 1 && inside.all().int64_value(&[]) == 0 {
                // Discs are brighter than their background.
                assert!(mean(&inside) > mean(&inside.logical_not()));
            }
        }
    }

    #[test]
    fn equal_draws_change_alike_and_others_do_not() {
        let sequences = discs(2, 1, 1);
        let pool = Pool::new(&sequences).frames(Device::Cpu);
        let once = |key| {
            example(&pool, 32, AugmentationStrength::Strong, &mut seed::rng(Stream::SegmenterCrops, &[key]))
        };
        assert_eq!(once(1), once(1));
        assert_ne!(once(1).0, once(2).0);
    }
}
