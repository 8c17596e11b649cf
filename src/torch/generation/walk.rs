//! A walk through the latent space: points between keyframes, in `z` or in `w`.

use serde::Serialize;
use tch::{Device, Kind, Tensor};

/// Keyframes whose directions differ by less than this, in radians, are joined by a straight line.
const PARALLEL: f64 = 1e-4;

/// Which latents are walked through.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Space {
    /// Behind the mapping network.
    W,
    /// Before it.
    Z,
}

impl Space {
    /// The words of the flag, with what they mean.
    pub const WORDS: [(&'static str, &'static str); 2] = [
        ("w", "Behind the mapping network: equal steps change about equally much"),
        ("z", "Before it, where latents are drawn: every point is a latent that might be drawn"),
    ];

    /// Returns its word.
    pub fn word(self) -> &'static str {
        match self {
            Self::W => "w",
            Self::Z => "z",
        }
    }
}

/// How points lie between keyframes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum WalkCurve {
    /// On a straight line.
    Linear,
    /// On a smooth curve through all keyframes (Catmull and Rom, 1974).
    Cubic,
    /// On an arc of equal angles (Shoemake, SIGGRAPH 1985); lengths change evenly.
    Slerp,
}

impl WalkCurve {
    /// The words of the flag, with what they mean.
    pub const WORDS: [(&'static str, &'static str); 3] = [
        ("linear", "Straight from one to the next"),
        ("cubic", "A smooth curve through all of them"),
        ("slerp", "Arcs of equal angles, in z"),
    ];
}

/// How many points there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Points {
    /// From each keyframe to the next.
    Steps(usize),
    /// On the whole way, end points included.
    All(usize),
}

/// Returns the points of a walk on a way that is at keyframe `k` where it is `k`. A closed walk returns to the first
/// keyframe, which is not repeated at its end.
///
/// The published script takes [`Points::All`] of an open walk: keyframes are met only by chance, but the ends are.
pub fn positions(keyframes: usize, points: Points, closed: bool) -> Vec<f64> {
    let way = if closed { keyframes } else { keyframes - 1 };
    match points {
        Points::Steps(steps) => {
            let n = way * steps + usize::from(!closed);
            (0..n).map(|i| i as f64 / steps as f64).collect()
        }
        Points::All(n) => {
            let parts = if closed { n } else { (n - 1).max(1) };
            (0..n).map(|i| i as f64 * way as f64 / parts as f64).collect()
        }
    }
}

/// Returns the two keyframes that a point lies between, and how far it is on the way between them, in [0, 1].
pub fn between(keyframes: usize, position: f64) -> (usize, usize, f64) {
    let k = (position.floor() as usize).min(keyframes.saturating_sub(1));
    (k, (k + 1) % keyframes, position - k as f64)
}

/// Returns the latents at `positions`. `keyframes [K, ...] -> [P, ...]`, on the CPU, computed in 64 bits.
pub fn latents(keyframes: &Tensor, positions: &[f64], curve: WalkCurve, closed: bool) -> Tensor {
    let (shape, n) = (keyframes.size(), keyframes.size()[0]);
    let rows = keyframes.to_kind(Kind::Double).flatten(1, -1);
    let row = |k: i64| -> Tensor {
        if (0..n).contains(&k) {
            rows.get(k)
        } else if closed {
            rows.get(k.rem_euclid(n))
        } else if k < 0 {
            // The curve leaves an end straight.
            rows.get(0) * 2.0 - rows.get(1.min(n - 1))
        } else {
            rows.get(n - 1) * 2.0 - rows.get((n - 2).max(0))
        }
    };
    let points: Vec<Tensor> = positions
        .iter()
        .map(|&position| {
            let (k, _, t) = between(n as usize, position);
            let k = k as i64;
            if t == 0.0 {
                return row(k);
            }
            match curve {
                WalkCurve::Linear => row(k) * (1.0 - t) + row(k + 1) * t,
                WalkCurve::Slerp => slerp(&row(k), &row(k + 1), t),
                WalkCurve::Cubic => {
                    let (t2, t3) = (t * t, t * t * t);
                    row(k - 1) * (-0.5 * t3 + t2 - 0.5 * t)
                        + row(k) * (1.5 * t3 - 2.5 * t2 + 1.0)
                        + row(k + 1) * (-1.5 * t3 + 2.0 * t2 + 0.5 * t)
                        + row(k + 2) * (0.5 * t3 - 0.5 * t2)
                }
            }
        })
        .collect();
    let size: Vec<i64> = std::iter::once(points.len() as i64).chain(shape[1..].iter().copied()).collect();
    if points.is_empty() {
        return Tensor::zeros(size, (Kind::Float, Device::Cpu));
    }
    Tensor::stack(&points, 0).to_kind(Kind::Float).view(size.as_slice())
}

/// `a, b [M]`
fn slerp(a: &Tensor, b: &Tensor, t: f64) -> Tensor {
    let (length_a, length_b) = (a.norm().double_value(&[]), b.norm().double_value(&[]));
    let cosine = a.dot(b).double_value(&[]) / (length_a * length_b).max(f64::MIN_POSITIVE);
    let angle = cosine.clamp(-1.0, 1.0).acos();
    // Opposite directions have no shortest arc.
    if angle < PARALLEL || std::f64::consts::PI - angle < PARALLEL {
        return a * (1.0 - t) + b * t;
    }
    let direction = a * (((1.0 - t) * angle).sin() / angle.sin() / length_a)
        + b * ((t * angle).sin() / angle.sin() / length_b);
    direction * (length_a * (1.0 - t) + length_b * t)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(points: &Tensor) -> Vec<f64> {
        Vec::try_from(points.to_kind(Kind::Double).flatten(0, -1)).unwrap()
    }

    fn near(a: &[f64], b: &[f64]) {
        assert!(a.len() == b.len() && a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-6), "{a:?} {b:?}");
    }

    #[test]
    fn steps_meet_every_keyframe_and_a_closed_walk_does_not_repeat_the_first() {
        assert_eq!(positions(3, Points::Steps(2), false), [0.0, 0.5, 1.0, 1.5, 2.0]);
        assert_eq!(positions(3, Points::Steps(2), true), [0.0, 0.5, 1.0, 1.5, 2.0, 2.5]);
        assert_eq!(positions(2, Points::All(5), false), [0.0, 0.25, 0.5, 0.75, 1.0]);
        assert_eq!(positions(2, Points::All(4), true), [0.0, 0.5, 1.0, 1.5]);
        assert_eq!(positions(2, Points::All(1), false), [0.0]);
    }

    #[test]
    fn the_published_walk_has_1600_points_with_both_ends() {
        let all = positions(16, Points::All(1600), false);
        assert_eq!((all.len(), all[0], all[1599]), (1600, 0.0, 15.0));
        near(&[all[800]], &[800.0 * 15.0 / 1599.0]);
        // What torch.nn.functional.interpolate(z, size=1600, mode="linear", align_corners=True) is defined as.
        let z = Tensor::from_slice(&(0..16).map(|k| f64::from(k * k)).collect::<Vec<_>>()).view([16, 1]);
        let walked = values(&latents(&z, &all, WalkCurve::Linear, false));
        let expected: Vec<f64> = (0..1600)
            .map(|i| {
                let at = f64::from(i) * 15.0 / 1599.0;
                let (low, t) = (at.floor().min(14.0), at - at.floor().min(14.0));
                low * low * (1.0 - t) + (low + 1.0) * (low + 1.0) * t
            })
            .collect();
        assert!(walked.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-4));
    }

    #[test]
    fn curves_go_through_keyframes_and_as_they_are_called() {
        let square = Tensor::from_slice(&[1.0, 0.0, 0.0, 1.0, -1.0, 0.0, 0.0, -1.0]).view([4, 2]);
        for curve in [WalkCurve::Linear, WalkCurve::Cubic, WalkCurve::Slerp] {
            let points = latents(&square, &positions(4, Points::Steps(2), true), curve, true);
            near(&values(&points.get(2)), &[0.0, 1.0]);
            let half = values(&points.get(7));
            let radius = (half[0] * half[0] + half[1] * half[1]).sqrt();
            match curve {
                WalkCurve::Linear => near(&half, &[0.5, -0.5]),
                WalkCurve::Slerp => near(&[radius, half[0]], &[1.0, 0.5_f64.sqrt()]),
                WalkCurve::Cubic => near(&half, &[0.625, -0.625]),
            }
        }
        // Points of a straight line stay on it, at its ends too.
        let line = Tensor::from_slice(&[0.0, 1.0, 2.0]).view([3, 1]);
        let open = latents(&line, &[0.25, 1.75, 2.0], WalkCurve::Cubic, false);
        near(&values(&open), &[0.25, 1.75, 2.0]);
        // Parallel keyframes.
        let same = Tensor::from_slice(&[1.0, 1.0, 2.0, 2.0]).view([2, 2]);
        near(&values(&latents(&same, &[0.5], WalkCurve::Slerp, false)), &[1.5, 1.5]);
    }
}
