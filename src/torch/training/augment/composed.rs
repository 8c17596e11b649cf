//! The corrected pipeline: all geometric draws of a sequence in one matrix, one resampling.
//!
//! Mirror, quarter turns, shift, isotropic scale, rotation, anisotropic scale, rotation, as in the article on adaptive
//! augmentation (2020, appendix B; scale spread `0.2 ln 2`, reciprocal factors on the two axes), about the image
//! centre, every draw per sequence. Outside the image it is reflected.

use rand::Rng;
use rand_distr::{Distribution, StandardNormal};
use tch::Device;

use super::Allowed;
use super::plan::Plan;
use super::warp::{IDENTITY, Matrix, about, then};

/// Spread of the logarithm of a scale.
const SIGMA: f64 = 0.2 * std::f64::consts::LN_2;
/// Largest shift as a share of the image.
const SHIFT: f64 = 0.125;

/// One matrix per sample; `None` leaves it alone.
#[derive(Debug)]
pub struct ComposedWarps {
    /// Source to destination.
    pub matrices: Vec<Option<Matrix>>,
}

impl ComposedWarps {
    /// Draws for samples of `size` px, one for each probability in `p`, leaving out what is not allowed.
    pub fn draw(size: i64, p: &[f64], allowed: Allowed, rng: &mut impl Rng) -> Self {
        Self { matrices: p.iter().map(|p| matrix(size as f64, *p, allowed, rng)).collect() }
    }

    /// Returns the one step for samples of `size` px.
    pub fn plan(&self, size: i64, device: Device) -> Plan {
        let mut plan = Plan::default();
        plan.masked_warp(&self.matrices, size, device);
        plan
    }
}

fn matrix(size: f64, p: f64, allowed: Allowed, rng: &mut impl Rng) -> Option<Matrix> {
    let centre = [(size - 1.0) / 2.0; 2];
    let p_rotation = 1.0 - (1.0 - p).sqrt();
    let mut steps: Vec<Matrix> = Vec::new();
    let scale = |rng: &mut dyn rand::RngCore| {
        let normal: f64 = StandardNormal.sample(rng);
        (SIGMA * normal).exp()
    };
    // What is not allowed is drawn all the same, so that the other draws do not depend on it.
    if rng.random_bool(p) && allowed.mirrors {
        steps.push(about(centre, [-1.0, 0.0, 0.0, 1.0]));
    }
    if rng.random_bool(p) {
        let (sin, cos) = [(1.0, 0.0), (0.0, -1.0), (-1.0, 0.0)][rng.random_range(0..3)];
        if allowed.turns {
            steps.push(about(centre, [cos, sin, -sin, cos]));
        }
    }
    if rng.random_bool(p) {
        let mut pixels = || (size * rng.random_range(-SHIFT..SHIFT)).round();
        steps.push([1.0, 0.0, pixels(), 0.0, 1.0, pixels()]);
    }
    if rng.random_bool(p) {
        let s = scale(rng);
        steps.push(about(centre, [s, 0.0, 0.0, s]));
    }
    for anisotropic in [true, false] {
        if rng.random_bool(p_rotation) {
            let (sin, cos) = rng.random_range(-std::f64::consts::PI..std::f64::consts::PI).sin_cos();
            if allowed.turns {
                steps.push(about(centre, [cos, sin, -sin, cos]));
            }
        }
        if anisotropic && rng.random_bool(p) {
            let s = scale(rng);
            steps.push(about(centre, [s, 0.0, 0.0, s.recip()]));
        }
    }
    (!steps.is_empty()).then(|| steps.iter().fold(IDENTITY, |all, step| then(&all, step)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use lapsegan_core::seed::{self, Stream};
    use tch::{Kind, Tensor};

    #[test]
    fn nothing_at_zero_and_every_sample_at_one_about_the_centre() {
        let x = Tensor::rand([8, 2, 16, 16], (Kind::Float, Device::Cpu));
        let allowed = Allowed { mirrors: true, turns: true };
        let draw = |p| ComposedWarps::draw(16, &[p; 8], allowed, &mut seed::rng(Stream::AugmentReal, &[1]));
        assert_eq!(draw(0.0).plan(16, Device::Cpu).apply(&x), x);
        let all = draw(1.0);
        assert!(all.matrices.iter().all(Option::is_some));
        assert_eq!(all.plan(16, Device::Cpu).apply(&x).size(), x.size());
    }

    #[test]
    fn a_scene_with_a_direction_is_neither_turned_nor_mirrored() {
        let draw = |mirrors, turns| {
            let allowed = Allowed { mirrors, turns };
            ComposedWarps::draw(16, &[1.0; 64], allowed, &mut seed::rng(Stream::AugmentReal, &[2])).matrices
        };
        let upright = |[a, b, _, d, e, _]: Matrix| a > 0.0 && e > 0.0 && b == 0.0 && d == 0.0;
        assert!(draw(false, false).into_iter().flatten().all(upright));
        assert!(
            draw(true, false)
                .into_iter()
                .flatten()
                .all(|[a, b, _, d, e, _]| a < 0.0 && e > 0.0 && b == 0.0 && d == 0.0)
        );
        assert!(!draw(true, true).into_iter().flatten().any(upright));
    }
}
