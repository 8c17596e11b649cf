//! Statistics of one channel.

use std::cmp::Ordering;

use ndarray::{ArrayView2, Axis};

use super::ChannelFrames;

/// Median absolute value of a standard normal number.
const NORMAL_MEDIAN: f64 = 0.674_489_75;
/// Parts of a frame by brightness between which the noise is compared.
const PARTS: usize = 8;
/// Fewest pixels of a part.
const LEAST: usize = 16;
/// Pixels of a frame that are enough for a percentile: of larger ones every second, third, ... row is looked at.
const ENOUGH: usize = 1 << 14;

/// Standard deviation of the noise of every frame, in counts.
pub fn noise(frames: ChannelFrames<'_>) -> Vec<f64> {
    frames.counts.outer_iter().filter_map(|frame| deviation(differences(frame).map(|(_, d)| d))).collect()
}

/// Slope of the noise's variance over the local mean in every frame, in counts.
pub fn noise_gain(frames: ChannelFrames<'_>) -> Vec<f64> {
    frames.counts.outer_iter().filter_map(gain).collect()
}

/// 99th percentile of the gradient in every frame over its range between the 1st and 99th percentiles, per pixel.
pub fn sharpness(frames: ChannelFrames<'_>) -> Vec<f64> {
    let of = |frame: ArrayView2<'_, u16>| {
        let [low, high] = percentiles(frame.iter().copied().collect(), [0.01, 0.99])?.map(f64::from);
        let (height, width) = frame.dim();
        let mut gradients = Vec::with_capacity(height * width);
        for y in rows(height, width) {
            for x in 1..width {
                let [at, up, left] = [frame[[y, x]], frame[[y - 1, x]], frame[[y, x - 1]]].map(f64::from);
                gradients.push((at - up).hypot(at - left));
            }
        }
        let [gradient] = percentiles_by(gradients, [0.99], f64::total_cmp)?;
        (high > low).then(|| gradient / (high - low))
    };
    frames.counts.outer_iter().filter_map(of).collect()
}

/// 99.9th percentile of every frame above its median, in counts.
pub fn bright_tail(frames: ChannelFrames<'_>) -> Vec<f64> {
    let of = |frame: ArrayView2<'_, u16>| {
        let [middle, high] = percentiles(frame.iter().copied().collect(), [0.5, 0.999])?.map(f64::from);
        Some(high - middle)
    };
    frames.counts.outer_iter().filter_map(of).collect()
}

/// Correlation of every frame with the next one.
pub fn likeness(frames: ChannelFrames<'_>) -> Vec<f64> {
    let counts = frames.counts;
    let steps = 1..counts.len_of(Axis(0));
    steps
        .filter_map(|t| correlation(counts.index_axis(Axis(0), t - 1), counts.index_axis(Axis(0), t)))
        .collect()
}

/// Mean of the next frame minus that of this one, in counts.
pub fn drift(frames: ChannelFrames<'_>) -> Vec<f64> {
    let means: Vec<f64> = frames
        .counts
        .outer_iter()
        .map(|frame| frame.iter().map(|&v| f64::from(v)).sum::<f64>() / frame.len() as f64)
        .collect();
    means.windows(2).map(|pair| pair[1] - pair[0]).collect()
}

/// Returns the correlation of two images; `None` where one of them is constant.
pub(super) fn correlation(a: ArrayView2<'_, u16>, b: ArrayView2<'_, u16>) -> Option<f64> {
    let mean = |x: &ArrayView2<'_, u16>| x.iter().map(|&v| f64::from(v)).sum::<f64>() / x.len() as f64;
    let (mean_a, mean_b) = (mean(&a), mean(&b));
    let (mut aa, mut bb, mut ab) = (0.0, 0.0, 0.0);
    for (&a, &b) in a.iter().zip(&b) {
        let (a, b) = (f64::from(a) - mean_a, f64::from(b) - mean_b);
        aa += a * a;
        bb += b * b;
        ab += a * b;
    }
    (aa > 0.0 && bb > 0.0).then(|| ab / (aa * bb).sqrt())
}

/// Returns the rows that are looked at, without the first one.
fn rows(height: usize, width: usize) -> impl Iterator<Item = usize> {
    (1..height).step_by((height * width).div_ceil(ENOUGH).max(1))
}

/// Returns mean and mixed second difference of every block of 2 x 2 pixels. A ramp has none, noise of standard deviation 1
/// one of 2.
fn differences(frame: ArrayView2<'_, u16>) -> impl Iterator<Item = (f64, f64)> {
    let (height, width) = frame.dim();
    rows(height, width).flat_map(move |y| {
        (1..width).map(move |x| {
            let [a, b, c, d] =
                [frame[[y - 1, x - 1]], frame[[y - 1, x]], frame[[y, x - 1]], frame[[y, x]]].map(f64::from);
            ((a + b + c + d) / 4.0, a - b - c + d)
        })
    })
}

/// Returns the standard deviation of the noise behind such differences.
fn deviation(differences: impl Iterator<Item = f64>) -> Option<f64> {
    let [median] = percentiles_by(differences.map(f64::abs).collect(), [0.5], f64::total_cmp)?;
    Some(median / (2.0 * NORMAL_MEDIAN))
}

/// Returns the slope of variance over mean between parts of equally many pixels; `None` where all are equally bright.
fn gain(frame: ArrayView2<'_, u16>) -> Option<f64> {
    let mut all: Vec<(f64, f64)> = differences(frame).collect();
    all.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
    let size = all.len() / PARTS;
    if size < LEAST {
        return None;
    }
    let parts: Vec<[f64; 2]> = all
        .chunks_exact(size)
        .filter_map(|part| {
            let mean = part.iter().map(|(mean, _)| mean).sum::<f64>() / size as f64;
            Some([mean, deviation(part.iter().map(|(_, d)| *d))?.powi(2)])
        })
        .collect();
    let n = parts.len() as f64;
    let [mean_x, mean_y] = [0, 1].map(|i| parts.iter().map(|p| p[i]).sum::<f64>() / n);
    let spread: f64 = parts.iter().map(|p| (p[0] - mean_x).powi(2)).sum();
    let shared: f64 = parts.iter().map(|p| (p[0] - mean_x) * (p[1] - mean_y)).sum();
    (spread > 0.0).then(|| shared / spread)
}

fn percentiles<const N: usize>(values: Vec<u16>, shares: [f64; N]) -> Option<[u16; N]> {
    percentiles_by(values, shares, u16::cmp)
}

/// Returns percentiles, the nearest values that occur; `None` without values.
fn percentiles_by<T: Copy, const N: usize>(
    mut values: Vec<T>,
    shares: [f64; N],
    order: fn(&T, &T) -> Ordering,
) -> Option<[T; N]> {
    let last = values.len().checked_sub(1)?;
    Some(shares.map(|share| *values.select_nth_unstable_by((share * last as f64).round() as usize, order).1))
}

#[cfg(test)]
mod tests {
    use ndarray::Array3;
    use rand_distr::{Distribution, StandardNormal};

    use super::*;
    use crate::plate::Calibration;
    use crate::seed::{Stream, rng};

    const CALIBRATION: Calibration = Calibration { lo: 0.0, hi: 4000.0, clipped_low: 0.0, clipped_high: 0.0 };

    fn of(counts: &Array3<u16>, statistic: fn(ChannelFrames<'_>) -> Vec<f64>) -> Vec<f64> {
        statistic(ChannelFrames { counts: counts.view(), calibration: CALIBRATION })
    }

    /// Two frames of 64 x 64 of a ramp with noise of a variance that follows the brightness.
    fn noisy(offset: f64, gain: f64) -> Array3<u16> {
        let mut rng = rng(Stream::RealismNoise, &[1]);
        Array3::from_shape_fn((2, 64, 64), |(_, _, x)| {
            let mean = 500.0 + 20.0 * x as f64;
            let z: f64 = StandardNormal.sample(&mut rng);
            (mean + z * (offset + gain * mean).sqrt()).round().max(0.0) as u16
        })
    }

    #[test]
    fn noise_is_found_under_a_ramp_and_whether_it_follows_the_brightness() {
        for found in of(&noisy(400.0, 0.0), noise) {
            assert!((found - 20.0).abs() < 1.5, "{found}");
        }
        for (gain, within) in [(0.0, 0.15), (1.0, 0.3)] {
            for found in of(&noisy(100.0, gain), noise_gain) {
                assert!((found - gain).abs() < within, "{found}, {gain}");
            }
        }
    }

    #[test]
    fn a_blurred_edge_is_less_sharp_and_brightness_does_not_matter() {
        let edge = |width: f64, height: f64| {
            Array3::from_shape_fn((1, 32, 32), |(_, _, x)| {
                (500.0 + height / (1.0 + (-(x as f64 - 16.0) / width).exp())).round() as u16
            })
        };
        let [sharp, soft, bright] =
            [(0.5, 1000.0), (3.0, 1000.0), (0.5, 2000.0)].map(|(w, h)| of(&edge(w, h), sharpness)[0]);
        assert!(sharp > 2.0 * soft, "{sharp} {soft}");
        assert!((sharp - bright).abs() < 0.01 * sharp, "{sharp} {bright}");
    }

    #[test]
    fn few_bright_pixels_make_a_tail_and_copies_are_alike() {
        let mut counts = Array3::from_elem((3, 32, 32), 100_u16);
        assert_eq!(of(&counts, bright_tail), [0.0; 3]);
        assert_eq!(of(&counts, likeness), [0.0; 0]);
        for t in 0..3 {
            for x in 0..4 {
                counts[[t, 5, x]] = 900;
            }
        }
        assert_eq!(of(&counts, bright_tail), [800.0; 3]);
        assert!(of(&counts, likeness).iter().all(|r| (r - 1.0).abs() < 1e-12));
        counts.index_axis_mut(Axis(0), 2).mapv_inplace(|v| v + 7);
        assert_eq!(of(&counts, drift), [0.0, 7.0]);
    }
}
