//! The Gaussian filter.

use ndarray::{Array2, ArrayView2, Axis};

/// Returns `image` filtered with a Gaussian of `sigma_px`; 0 returns it unchanged.
///
/// The kernel ends at `4 sigma` (rounded), the border is mirrored with its edge repeated, as in SciPy's
/// `gaussian_filter`.
///
/// # Examples
/// One pixel is spread, and the sum is kept. The weights of a sigma of 0.5 px are 0.79 in the middle and 0.11 beside
/// it: 100 becomes 100 * 0.79 * 0.79 = 62, 100 * 0.79 * 0.11 = 8 along the axes, and 100 * 0.11 * 0.11 = 1 diagonally.
///
/// ```
/// use lapsegan_core::image;
/// use lapsegan_core::labels::smooth::gaussian;
///
/// let dot = image![
///     [.  .   .   .  .]
///     [.  .   .   .  .]
///     [.  . 100.0 .  .]
///     [.  .   .   .  .]
///     [.  .   .   .  .]
/// ];
/// let smooth = gaussian(dot.view(), 0.5);
/// assert_eq!(
///     smooth.mapv(f32::round),
///     image![
///         [.  .   .   .  .]
///         [. 1.0 8.0 1.0 .]
///         [. 8.0 62.0 8.0 .]
///         [. 1.0 8.0 1.0 .]
///         [.  .   .   .  .]
///     ]
/// );
/// assert!((smooth.sum() - 100.0).abs() < 1e-3);
/// assert_eq!(gaussian(dot.view(), 0.0), dot);
/// ```
pub fn gaussian(image: ArrayView2<f32>, sigma_px: f32) -> Array2<f32> {
    if sigma_px <= 0.0 || image.is_empty() {
        return image.to_owned();
    }
    let kernel = kernel(f64::from(sigma_px));
    let mut smooth = image.mapv(f64::from);
    for axis in [Axis(0), Axis(1)] {
        for mut lane in smooth.lanes_mut(axis) {
            let line = lane.to_vec();
            for (at, value) in lane.iter_mut().enumerate() {
                *value = filtered(&line, at, &kernel);
            }
        }
    }
    smooth.mapv(|v| v as f32)
}

/// Returns the right half of the kernel, centre first; the whole kernel sums to 1.
fn kernel(sigma: f64) -> Vec<f64> {
    let radius = (4.0 * sigma + 0.5) as usize;
    let mut half: Vec<f64> = (0..=radius).map(|r| (-0.5 * (r as f64 / sigma).powi(2)).exp()).collect();
    let sum = half[0] + 2.0 * half[1..].iter().sum::<f64>();
    for weight in &mut half {
        *weight /= sum;
    }
    half
}

fn filtered(line: &[f64], at: usize, kernel: &[f64]) -> f64 {
    let length = line.len() as isize;
    let mirrored = |index: isize| {
        let folded = index.rem_euclid(2 * length);
        line[(if folded < length { folded } else { 2 * length - 1 - folded }) as usize]
    };
    let at = at as isize;
    let pairs = kernel.iter().enumerate().skip(1);
    kernel[0] * mirrored(at)
        + pairs.map(|(r, w)| w * (mirrored(at - r as isize) + mirrored(at + r as isize))).sum::<f64>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_constant_image_stays_and_the_sum_is_kept() {
        let flat = Array2::from_elem((3, 5), 2.0);
        assert!(gaussian(flat.view(), 2.0).iter().all(|v| (v - 2.0).abs() < 1e-6));
        let mut dot = Array2::zeros((9, 9));
        dot[[4, 4]] = 1.0;
        assert!((gaussian(dot.view(), 0.8).sum() - 1.0).abs() < 1e-5);
    }
}
