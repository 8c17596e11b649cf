//! The augmentation pipeline of the published code, step by step.
//!
//! Reference: scales hardly act (sigma 0.019), both axes scale on their own, one angle and one shift serve the batch,
//! the shift wraps around, rotations turn about a point half a pixel off, and every step resamples anew.

use rand::Rng;
use rand_distr::{Distribution, StandardNormal};
use tch::Device;

use super::plan::Plan;
use super::warp::Matrix;

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

    /// Returns all seven steps for samples of `size` px.
    pub fn plan(&self, size: i64, device: Device) -> Plan {
        let (mut plan, px) = (Plan::default(), size as f64);
        plan.mirror(&self.mirror, device);
        plan.quarter_turns(&self.quarter, self.quarters, device);
        plan.shift(&self.shift, self.pixels, device);
        plan.warp(&matrices(&self.isotropic, |s| isotropic(s, px)), size, device);
        plan.warp(&matrices(&self.rotation1, |degrees| rotation(degrees, px)), size, device);
        plan.warp(&matrices(&self.anisotropic, |s| anisotropic(s, px)), size, device);
        plan.warp(&matrices(&self.rotation2, |degrees| rotation(degrees, px)), size, device);
        plan
    }
}

fn matrices<P: Copy>(parameters: &[Option<P>], matrix: impl Fn(P) -> Matrix) -> Vec<Option<Matrix>> {
    parameters.iter().map(|parameter| parameter.map(&matrix)).collect()
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

#[cfg(test)]
mod tests {
    use super::*;
    use lapsegan_core::seed::{self, Stream};

    #[test]
    fn probability_zero_changes_nothing_and_one_changes_everything() {
        let draw = |p| PublishedWarps::draw(64, 32, p, &mut seed::rng(Stream::AugmentReal, &[3]));
        let none = draw(0.0);
        assert!(!none.mirror.contains(&true) && none.isotropic.iter().all(Option::is_none));
        let all = draw(1.0);
        assert!(!all.mirror.contains(&false));
        assert!(all.rotation2.iter().all(Option::is_some));
        assert!(all.pixels.iter().all(|p| p.abs() <= 4));
    }
}
