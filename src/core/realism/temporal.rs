//! How pixels change from one frame to the next.
//!
//! Sees a generator whose frames flicker, stand still, or follow each other in the wrong way on average. It does not
//! follow objects.

use ndarray::{ArrayView4, s};

use crate::plate::Calibration;
use crate::stats::wasserstein::wasserstein_1_of_counts;

/// Offset of a difference of 0 in the histogram.
const ZERO: usize = 65535;

/// How often each difference `x[t + 1] - x[t]` occurs, in camera counts within the calibrated range.
#[derive(Clone, Debug)]
pub struct ChangeHistogram {
    /// Pairs of pixels per difference, from -65535 to 65535. `[131071]`
    pairs: Vec<u64>,
}

/// How far the changes of two sets are apart, in the normalised range.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ChangeDistance {
    /// Wasserstein-1 of `|x[t + 1] - x[t]|`.
    pub absolute: f64,
    /// Wasserstein-1 of `x[t + 1] - x[t]`, which also sees a drift to brighter or darker.
    pub signed: f64,
}

impl ChangeHistogram {
    /// Counts the differences between neighbouring frames. Counts are first clamped to the calibrated range, rounded to
    /// whole counts.
    ///
    /// # Shapes
    /// `counts`: `[N, T, H, W]`. With one frame there is nothing to count.
    pub fn of(counts: ArrayView4<u16>, calibration: &Calibration) -> Self {
        let clamp = |v: u16| f64::from(v).clamp(calibration.lo.round(), calibration.hi.round());
        let clamped: Vec<i32> = (0..=u16::MAX).map(|v| clamp(v).clamp(0.0, 65535.0) as i32).collect();
        let mut pairs = vec![0; 2 * ZERO + 1];
        for t in 1..counts.dim().1 {
            let (before, after) = (counts.slice(s![.., t - 1, .., ..]), counts.slice(s![.., t, .., ..]));
            for (a, b) in before.iter().zip(after) {
                let difference = clamped[usize::from(*b)] - clamped[usize::from(*a)];
                pairs[(difference + ZERO as i32) as usize] += 1;
            }
        }
        Self { pairs }
    }

    /// Returns the distance to another set; `None` where one of them has fewer than two frames.
    pub fn distance(&self, other: &Self, calibration: &Calibration) -> Option<ChangeDistance> {
        let range = calibration.hi - calibration.lo;
        let absolute: Vec<f64> = (0..=ZERO).map(|d| d as f64 / range).collect();
        let signed: Vec<f64> = (0..=2 * ZERO).map(|d| (d as f64 - ZERO as f64) / range).collect();
        Some(ChangeDistance {
            absolute: wasserstein_1_of_counts(&absolute, &self.absolute(), &other.absolute())?,
            signed: wasserstein_1_of_counts(&signed, &self.pairs, &other.pairs)?,
        })
    }

    /// Returns pairs per bin of `|x[t + 1] - x[t]|`, for `bins` equal bins of [0, `up_to`] in the normalised range; larger
    /// ones fall into the last bin.
    pub fn binned(&self, calibration: &Calibration, bins: usize, up_to: f64) -> Vec<f64> {
        let mut binned = vec![0.0; bins];
        for (difference, n) in self.absolute().iter().enumerate() {
            let share = difference as f64 / (calibration.hi - calibration.lo) / up_to;
            binned[((share * bins as f64) as usize).min(bins - 1)] += *n as f64;
        }
        binned
    }

    /// Returns the smallest `|x[t + 1] - x[t]|` that at least the share `q` of all pairs stays below or at, in the
    /// normalised range; 0 without pairs.
    pub fn quantile(&self, calibration: &Calibration, q: f64) -> f64 {
        let absolute = self.absolute();
        let wanted = q * absolute.iter().sum::<u64>() as f64;
        let mut below = 0;
        for (difference, n) in absolute.iter().enumerate() {
            below += n;
            if below as f64 >= wanted {
                return difference as f64 / (calibration.hi - calibration.lo);
            }
        }
        0.0
    }

    /// Returns pairs per absolute difference. `[65536]`
    fn absolute(&self) -> Vec<u64> {
        (0..=ZERO)
            .map(|d| if d == 0 { self.pairs[ZERO] } else { self.pairs[ZERO + d] + self.pairs[ZERO - d] })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::Array4;

    const CALIBRATION: Calibration =
        Calibration { lo: 100.0, hi: 200.0, clipped_low: 0.0, clipped_high: 0.0 };

    fn brightening_by(step: u16) -> ChangeHistogram {
        let images = Array4::from_shape_fn((2, 3, 4, 4), |(_, t, _, _)| 110 + step * t as u16);
        ChangeHistogram::of(images.view(), &CALIBRATION)
    }

    #[test]
    fn signed_and_absolute_changes_are_told_apart() {
        let darkening = Array4::from_shape_fn((2, 3, 4, 4), |(_, t, _, _)| 150 - 10 * t as u16);
        let darkening = ChangeHistogram::of(darkening.view(), &CALIBRATION);
        let distance = darkening.distance(&brightening_by(10), &CALIBRATION).unwrap();
        assert!(distance.absolute.abs() < 1e-12);
        assert!((distance.signed - 0.2).abs() < 1e-9);
        let still = brightening_by(0);
        assert!((still.distance(&brightening_by(10), &CALIBRATION).unwrap().absolute - 0.1).abs() < 1e-9);
    }

    #[test]
    fn changes_outside_of_the_range_do_not_count_and_one_frame_has_none() {
        let images = Array4::from_shape_fn((1, 2, 1, 1), |(_, t, _, _)| 300 + 900 * t as u16);
        let clipped = ChangeHistogram::of(images.view(), &CALIBRATION);
        assert_eq!(clipped.quantile(&CALIBRATION, 1.0), 0.0);
        assert_eq!(brightening_by(20).quantile(&CALIBRATION, 0.5), 0.2);
        let single = ChangeHistogram::of(Array4::zeros((3, 1, 4, 4)).view(), &CALIBRATION);
        assert!(single.distance(&clipped, &CALIBRATION).is_none());
    }
}
