//! The Gaussian filter.

use ndarray::{Array2, ArrayView2};

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
    let (height, width) = image.dim();
    let wide = image.mapv(f64::from);
    // Down the columns: rows are added to rows, so that memory is read in order.
    let mut rows = Array2::zeros((height, width));
    for (at, mut row) in rows.outer_iter_mut().enumerate() {
        let pairs = |r: usize| {
            let [above, below] = [at as isize - r as isize, at as isize + r as isize];
            [above, below].map(|index| wide.row(mirrored(index, height)).to_slice().expect("in order"))
        };
        let row = row.as_slice_mut().expect("in order");
        filter(row, wide.row(at).to_slice().expect("in order"), &kernel, pairs);
    }
    // Along the rows: a row with its mirror images at both ends, read at two offsets.
    let radius = kernel.len() - 1;
    let mut line = vec![0.0; width + 2 * radius];
    let mut out = vec![0.0; width];
    let mut smooth = Array2::zeros((height, width));
    for (row, mut to) in rows.outer_iter().zip(smooth.outer_iter_mut()) {
        for (i, value) in line.iter_mut().enumerate() {
            *value = row[mirrored(i as isize - radius as isize, width)];
        }
        let at = |offset: usize| &line[offset..offset + width];
        filter(&mut out, at(radius), &kernel, |r| [at(radius - r), at(radius + r)]);
        to.iter_mut().zip(&out).for_each(|(to, &value)| *to = value as f32);
    }
    smooth
}

/// Writes `centre` and the pairs of lines at equal distances, weighted, to `out`.
fn filter<'a>(out: &mut [f64], centre: &[f64], kernel: &[f64], pairs: impl Fn(usize) -> [&'a [f64]; 2]) {
    out.fill(0.0);
    for (r, weight) in kernel.iter().enumerate().skip(1) {
        let [a, b] = pairs(r);
        for ((out, a), b) in out.iter_mut().zip(a).zip(b) {
            *out += weight * (a + b);
        }
    }
    for (out, centre) in out.iter_mut().zip(centre) {
        *out += kernel[0] * centre;
    }
}

/// Returns the index of a line of `length` that lies at `index` of the line and its mirror images.
fn mirrored(index: isize, length: usize) -> usize {
    let length = length as isize;
    let folded = index.rem_euclid(2 * length);
    (if folded < length { folded } else { 2 * length - 1 - folded }) as usize
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
