//! Otsu's threshold: the value that divides an image into the two classes with the largest variance between them.

/// Bins of the histogram of real-valued images, as in scikit-image's `threshold_otsu`.
const BINS: usize = 256;

/// Returns the threshold of an integer image, one bin per value; foreground is `value > threshold`.
///
/// A constant image gives its value, so that nothing is foreground; no pixels give `None`. Of several equally good
/// thresholds the lowest is returned.
///
/// # Reference
/// Otsu, "A threshold selection method from gray-level histograms", 1979.
///
/// # Examples
/// A dark background and a bright cell. Every threshold from 12 to 89 separates them alike, so the lowest is returned:
///
/// ```
/// use lapsegan_core::labels::otsu::threshold_counts;
/// use lapsegan_core::{image, mask};
/// use ndarray::Array2;
///
/// let counts: Array2<u16> = image![
///     [10 11 10 12 10]
///     [11 90 91 10 11]
///     [10 92 90 11 10]
/// ];
/// let threshold = threshold_counts(counts.as_slice().unwrap());
/// assert_eq!(threshold, Some(12));
/// assert_eq!(
///     counts.mapv(|x| x > 12),
///     mask![
///         [. . . . .]
///         [. x x . .]
///         [. x x . .]
///     ]
/// );
/// ```
pub fn threshold_counts(values: &[u16]) -> Option<u16> {
    let (low, high) = (*values.iter().min()?, *values.iter().max()?);
    let mut histogram = vec![0_u64; usize::from(high - low) + 1];
    for value in values {
        histogram[usize::from(value - low)] += 1;
    }
    let best = best_bin(&histogram, |bin| (usize::from(low) + bin) as f64);
    Some(low + best.0 as u16)
}

/// A threshold and how well it separates the values.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Threshold {
    /// Foreground is `value > threshold`.
    pub value: f32,
    /// Variance between the classes over the total variance, in [0, 1]; 0 for a constant image. A normal distribution
    /// without any second class has about 0.64.
    pub separability: f64,
}

/// Returns the threshold of a real-valued image: the centre of one of 256 equal bins between minimum and maximum.
///
/// A constant image gives its value; no finite pixel gives `None`.
///
/// # Examples
/// ```
/// use lapsegan_core::image;
/// use lapsegan_core::labels::otsu::threshold;
/// use ndarray::Array2;
///
/// let image: Array2<f32> = image![
///     [.   .  0.25]
///     [1.0 1.0 0.25]
/// ];
/// let found = threshold(image.as_slice().unwrap()).unwrap();
/// assert!(0.25 < found.value && found.value < 1.0);
/// // Four dim pixels have the mean 0.125, two bright ones 1, all six 2.5 / 6:
/// // between the classes (4/6) (2/6) 0.875^2 = 0.170, in total 2.125 / 6 - (2.5 / 6)^2 = 0.181.
/// assert!((found.separability - 0.170 / 0.181).abs() < 0.01);
///
/// // One value has no second class.
/// let flat = threshold(&[0.5, 0.5, 0.5]).unwrap();
/// assert_eq!((flat.value, flat.separability), (0.5, 0.0));
/// ```
pub fn threshold(values: &[f32]) -> Option<Threshold> {
    let finite = || values.iter().copied().filter(|v| v.is_finite());
    let low = finite().reduce(f32::min)?;
    let high = finite().reduce(f32::max)?;
    if low == high {
        return Some(Threshold { value: low, separability: 0.0 });
    }
    let (low, range) = (f64::from(low), f64::from(high) - f64::from(low));
    let edge = |bin: usize| low + range * bin as f64 / BINS as f64;
    let mut histogram = vec![0_u64; BINS];
    for value in finite().map(f64::from) {
        let mut bin = (((value - low) / range * BINS as f64) as usize).min(BINS - 1);
        // Rounding may put a value on the wrong side of an edge.
        if value < edge(bin) {
            bin -= 1;
        } else if bin + 1 < BINS && value >= edge(bin + 1) {
            bin += 1;
        }
        histogram[bin] += 1;
    }
    let centre = |bin: usize| f64::midpoint(edge(bin), edge(bin + 1));
    let (best, separability) = best_bin(&histogram, centre);
    Some(Threshold { value: centre(best) as f32, separability })
}

/// Returns the last bin of the lower class, and the share of the variance that lies between the classes.
fn best_bin(histogram: &[u64], centre: impl Fn(usize) -> f64) -> (usize, f64) {
    let count: f64 = histogram.iter().map(|&n| n as f64).sum();
    let moment = |power: i32| -> f64 {
        histogram.iter().enumerate().map(|(bin, &n)| n as f64 * centre(bin).powi(power)).sum()
    };
    let total = moment(1);
    let variance = moment(2) / count - (total / count).powi(2);
    let (mut below, mut sum_below) = (0.0, 0.0);
    let (mut best, mut largest) = (0, f64::NEG_INFINITY);
    for (bin, &n) in histogram.iter().enumerate().take(histogram.len() - 1) {
        below += n as f64;
        sum_below += n as f64 * centre(bin);
        let above = count - below;
        let between = below * above * (sum_below / below - (total - sum_below) / above).powi(2);
        if between > largest {
            (best, largest) = (bin, between);
        }
    }
    let separability =
        if variance > 0.0 { (largest / (count * count) / variance).clamp(0.0, 1.0) } else { 0.0 };
    (best, separability)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_values_are_parted_at_the_lower_one() {
        assert_eq!(threshold_counts(&[20, 20, 20, 90, 90]), Some(20));
        let real = threshold(&[0.0, 0.0, 1.0]).unwrap();
        assert!(real.value > 0.0 && real.value < 1.0);
        assert!((real.separability - 1.0).abs() < 1e-9);
    }

    #[test]
    fn constant_and_missing_pixels_are_defined() {
        assert_eq!(threshold_counts(&[7, 7]), Some(7));
        assert_eq!(threshold_counts(&[]), None);
        assert_eq!(threshold(&[0.5, 0.5]), Some(Threshold { value: 0.5, separability: 0.0 }));
        assert_eq!(threshold(&[f32::NAN]), None);
    }
}
