//! The augmentation pipeline of the published code, step by step.
//!
//! Reference: scales hardly act (sigma 0.019), both axes scale on their own, one angle and one shift serve the batch,
//! the shift wraps around, rotations turn about a point half a pixel off, and every step resamples anew.

use rand::Rng;
use rand_distr::{Distribution, StandardNormal};
use tch::Tensor;

use super::warp::{Matrix, replace, warp};

/// Spread of the logarithm of a scale: the square, not the plain product, of 0.2 and ln 2.
const SIGMA: f64 = (0.2 * std::f64::consts::LN_2) * (0.2 * std::f64::consts::LN_2);
/// Largest shift as a share of the image.
const SHIFT: f64 = 0.125;

/// What happens to each sample; `None` and `false` leave it alone.
#[derive(Debug, Default)]
pub struct PublishedWarps {
    /// Mirror columns.
    pub mirror: Vec<bool>,
    /// Turn by the common angle.
    pub quarter: Vec<bool>,
    /// Counter-clockwise quarter turns of all turned samples, -1 to 2.
    pub quarters: i64,
    /// Shift by the common shift.
    pub shift: Vec<bool>,
    /// Rows and columns of the cyclic shift.
    pub pixels: [i64; 2],
    /// Factor on both axes.
    pub isotropic: Vec<Option<f64>>,
    /// First rotation in degrees.
    pub rotation1: Vec<Option<f64>>,
    /// Factors on columns and rows.
    pub anisotropic: Vec<Option<[f64; 2]>>,
    /// Second rotation in degrees.
    pub rotation2: Vec<Option<f64>>,
}

impl PublishedWarps {
    /// Draws for `n` samples of `size` px at probability `p`.
    pub fn draw(n: usize, size: i64, p: f64, rng: &mut impl Rng) -> Self {
        // At most one rotation of two has the probability of one step.
        let p_rotation = 1.0 - (1.0 - p).sqrt();
        let selected = |p: f64, rng: &mut dyn rand::RngCore| -> Vec<bool> {
            (0..n).map(|_| rng.random::<f64>() <= p && p > 0.0).collect()
        };
        let scale = |rng: &mut dyn rand::RngCore| {
            let normal: f64 = StandardNormal.sample(rng);
            (SIGMA * normal).exp()
        };
        let turn = |rng: &mut dyn rand::RngCore| rng.random_range(-180.0..180.0);
        let mirror = selected(p, rng);
        let quarter = selected(p, rng);
        let quarters = rng.random_range(-1..=2);
        let shift = selected(p, rng);
        let mut pixels = || (size as f64 * rng.random_range(-SHIFT..SHIFT)) as i64;
        let pixels = [pixels(), pixels()];
        let isotropic = selected(p, rng).into_iter().map(|on| on.then(|| scale(rng))).collect();
        let rotation1 = selected(p_rotation, rng).into_iter().map(|on| on.then(|| turn(rng))).collect();
        let anisotropic =
            selected(p, rng).into_iter().map(|on| on.then(|| [scale(rng), scale(rng)])).collect();
        let rotation2 = selected(p_rotation, rng).into_iter().map(|on| on.then(|| turn(rng))).collect();
        Self { mirror, quarter, quarters, shift, pixels, isotropic, rotation1, anisotropic, rotation2 }
    }

    /// Applies all seven steps. `[N, P, S, S]`, shape kept
    pub fn apply(&self, x: &Tensor) -> Tensor {
        let size = x.size()[2] as f64;
        let x = replace(x, &rows(&self.mirror), mirror);
        let x = replace(&x, &rows(&self.quarter), |x| quarter_turns(x, self.quarters));
        let x = replace(&x, &rows(&self.shift), |x| shift(x, self.pixels));
        let x = warped(&x, &self.isotropic, |&s| isotropic(s, size));
        let x = warped(&x, &self.rotation1, |&degrees| rotation(degrees, size));
        let x = warped(&x, &self.anisotropic, |&s| anisotropic(s, size));
        warped(&x, &self.rotation2, |&degrees| rotation(degrees, size))
    }
}

/// Reverses the last axis.
pub fn mirror(x: &Tensor) -> Tensor {
    x.flip([-1])
}

/// Turns counter-clockwise by multiples of 90 degrees.
pub fn quarter_turns(x: &Tensor, quarters: i64) -> Tensor {
    x.rot90(quarters, [2, 3])
}

/// Rolls by rows and columns.
pub fn shift(x: &Tensor, [dy, dx]: [i64; 2]) -> Tensor {
    x.roll([dy, dx], [2, 3])
}

/// Scales both axes about `(size / 2, size / 2)`; above 1 enlarges.
pub fn isotropic(s: f64, size: f64) -> Matrix {
    let centre = size / 2.0;
    [s, 0.0, (1.0 - s) * centre, 0.0, s, (1.0 - s) * centre]
}

/// Scales columns and rows. Reference: the offset of the rows uses the factor of the columns, so the image drifts.
pub fn anisotropic([sx, sy]: [f64; 2], size: f64) -> Matrix {
    let centre = size / 2.0;
    [sx, 0.0, (1.0 - sx) * centre, 0.0, sy, (1.0 - sx) * centre]
}

/// Turns by an angle about `(size / 2, size / 2)`; positive turns clockwise, as seen on a screen.
pub fn rotation(degrees: f64, size: f64) -> Matrix {
    let (sin, cos) = (-degrees.to_radians()).sin_cos();
    let centre = size / 2.0;
    [cos, sin, (1.0 - cos) * centre - sin * centre, -sin, cos, sin * centre + (1.0 - cos) * centre]
}

fn rows(selected: &[bool]) -> Vec<i64> {
    (0_i64..).zip(selected).filter(|(_, on)| **on).map(|(i, _)| i).collect()
}

fn warped<P>(x: &Tensor, parameters: &[Option<P>], matrix: impl Fn(&P) -> Matrix) -> Tensor {
    let on: Vec<bool> = parameters.iter().map(Option::is_some).collect();
    let matrices: Vec<Matrix> = parameters.iter().flatten().map(matrix).collect();
    replace(x, &rows(&on), |x| warp(x, &matrices))
}

#[cfg(test)]
mod tests {
    use super::*;
    use lapsegan_core::seed::{self, Stream};

    #[test]
    fn probability_zero_changes_nothing_and_one_changes_everything() {
        let draw = |p| PublishedWarps::draw(64, 32, p, &mut seed::rng(Stream::AugmentReal, &[3]));
        let none = draw(0.0);
        assert!(rows(&none.mirror).is_empty() && none.isotropic.iter().all(Option::is_none));
        let all = draw(1.0);
        assert_eq!(rows(&all.mirror).len(), 64);
        assert!(all.rotation2.iter().all(Option::is_some));
        assert!(all.pixels.iter().all(|p| p.abs() <= 4));
    }
}
