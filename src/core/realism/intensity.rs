//! How the pixel intensities of two sets differ, wherever the pixels are.

use ndarray::ArrayView4;

use crate::plate::Calibration;
use crate::stats::wasserstein::wasserstein_1_of_counts;

/// Number of different camera counts.
const LEVELS: usize = 1 << 16;

/// How often each camera count occurs, with the range that the networks see.
#[derive(Clone, Debug)]
pub struct IntensityHistogram {
    /// Pixels per camera count. `[65536]`
    pub pixels: Vec<u64>,
}

/// How far two sets of intensities are apart.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct IntensityDistance {
    /// Wasserstein-1 in camera counts, nothing clamped.
    pub counts: f64,
    /// Wasserstein-1 of what networks see, [`Calibration::unit`] clamped to [0, 1].
    pub normalised: f64,
}

impl IntensityHistogram {
    /// Counts all pixels.
    pub fn of(counts: ArrayView4<u16>) -> Self {
        let mut pixels = vec![0; LEVELS];
        for value in &counts {
            pixels[usize::from(*value)] += 1;
        }
        Self { pixels }
    }

    /// Returns the distance to another set; `None` where one of them is empty.
    pub fn distance(&self, other: &Self, calibration: &Calibration) -> Option<IntensityDistance> {
        let counts: Vec<f64> = (0..LEVELS).map(|v| v as f64).collect();
        let normalised: Vec<f64> = counts.iter().map(|v| calibration.unit(*v).clamp(0.0, 1.0)).collect();
        Some(IntensityDistance {
            counts: wasserstein_1_of_counts(&counts, &self.pixels, &other.pixels)?,
            normalised: wasserstein_1_of_counts(&normalised, &self.pixels, &other.pixels)?,
        })
    }

    /// Returns the pixels per bin, for `bins` equal bins of the normalised range; what is clamped falls into the ends.
    pub fn binned(&self, calibration: &Calibration, bins: usize) -> Vec<f64> {
        let mut binned = vec![0.0; bins];
        for (value, n) in self.pixels.iter().enumerate() {
            let share = calibration.unit(value as f64).clamp(0.0, 1.0);
            binned[((share * bins as f64) as usize).min(bins - 1)] += *n as f64;
        }
        binned
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::Array4;

    const CALIBRATION: Calibration =
        Calibration { lo: 100.0, hi: 300.0, clipped_low: 0.0, clipped_high: 0.0 };

    #[test]
    fn a_brighter_set_is_as_far_as_it_is_brighter() {
        let a = IntensityHistogram::of(Array4::from_shape_fn((1, 1, 2, 2), |i| 120 + 10 * i.2 as u16).view());
        let b = IntensityHistogram::of(Array4::from_shape_fn((1, 1, 2, 2), |i| 140 + 10 * i.2 as u16).view());
        let distance = a.distance(&b, &CALIBRATION).unwrap();
        assert!((distance.counts - 20.0).abs() < 1e-9);
        assert!((distance.normalised - 0.1).abs() < 1e-9);
        assert!(
            a.distance(&IntensityHistogram::of(Array4::zeros((0, 1, 2, 2)).view()), &CALIBRATION).is_none()
        );
    }

    #[test]
    fn counts_beyond_the_range_are_only_seen_in_counts() {
        let a = IntensityHistogram::of(Array4::from_elem((1, 1, 2, 2), 300).view());
        let b = IntensityHistogram::of(Array4::from_elem((1, 1, 2, 2), 60000).view());
        let distance = a.distance(&b, &CALIBRATION).unwrap();
        assert_eq!((distance.counts, distance.normalised), (59700.0, 0.0));
        assert_eq!(b.binned(&CALIBRATION, 4), [0.0, 0.0, 0.0, 4.0]);
    }
}
