//! From camera counts to what a network was trained on.

use lapsegan_core::plate::Calibration;
use tch::Tensor;

use crate::transfer::upload;

/// Least range of a sample after [`per_sample`], as the published code has it.
const LEAST: f64 = 1e-3;

/// Returns counts as grey levels 0 to 255 of a fixed range, the same for all samples; what lies outside of it is cut off.
/// With `bytes` they are whole numbers, as in a file of 8 bits.
pub fn fixed_range(counts: &Tensor, range: Calibration, bytes: bool) -> Tensor {
    let grey = ((counts - range.lo) * (255.0 / (range.hi - range.lo))).clamp(0.0, 255.0);
    if bytes { grey.round() } else { grey }
}

/// Returns every sample `[N, ...]` in [-1, 1] by its own smallest and largest value, as the published Multi-StyleGAN
/// does: `2 max((x - min) / (max - min), 0.001) - 1`.
///
/// A constant sample, of which that makes no number, becomes -0.998 everywhere. Differences of brightness between
/// samples are lost.
pub fn per_sample(samples: &Tensor) -> Tensor {
    let flat = samples.flatten(1, -1);
    let (least, most) = (flat.amin([1_i64].as_slice(), true), flat.amax([1_i64].as_slice(), true));
    let range = &most - &least;
    let range = range.where_self(&range.gt(0.0), &Tensor::ones_like(&range));
    ((flat - least) / range).clamp_min(LEAST).view_as(samples) * 2.0 - 1.0
}

/// Returns images `[N, 3, H, W]` of [-1, 1] as torchvision's Inception shifts them by itself (`transform_input`).
pub fn imagenet(images: &Tensor) -> Tensor {
    let by_channel = |values: [f64; 3]| {
        upload(&Tensor::from_slice(&values).view([1, 3, 1, 1]).to_kind(images.kind()), images.device())
    };
    let scale = by_channel([0.229 / 0.5, 0.224 / 0.5, 0.225 / 0.5]);
    let shift = by_channel([(0.485 - 0.5) / 0.5, (0.456 - 0.5) / 0.5, (0.406 - 0.5) / 0.5]);
    images * scale + shift
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_normalised_alone() {
        let samples = Tensor::from_slice(&[0_f32, 5.0, 10.0, 7.0, 7.0, 7.0]).view([2, 1, 3]);
        let found: Vec<f32> = per_sample(&samples).flatten(0, -1).try_into().unwrap();
        for (found, expected) in found.into_iter().zip([-0.998, 0.0, 1.0, -0.998, -0.998, -0.998]) {
            assert!((found - expected).abs() < 1e-6, "{found}, expected {expected}");
        }
    }

    #[test]
    fn a_fixed_range_is_cut_off() {
        let counts = Tensor::from_slice(&[50_f32, 100.0, 151.0, 200.0, 900.0]);
        let range = Calibration { lo: 100.0, hi: 200.0, clipped_low: 0.0, clipped_high: 0.0 };
        let found: Vec<f32> = fixed_range(&counts, range, true).try_into().unwrap();
        assert_eq!(found, [0.0, 0.0, 130.0, 255.0, 255.0]);
    }
}
