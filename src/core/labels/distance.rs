//! The exact Euclidean distance transform.

use ndarray::{Array2, ArrayView2};

/// Returns the squared distance of every pixel of `mask` to the nearest pixel outside of it; 0 outside. `[H, W]`
///
/// `sampling` is the pixel size `[dy, dx]`. What lies outside of the image is not background: a mask that covers the
/// whole image has no distance, and the answer is `None`. With unit sampling the values are exact whole numbers.
///
/// # Reference
/// Felzenszwalb and Huttenlocher, "Distance transforms of sampled functions", 2012: one pass per axis takes the lower
/// envelope of parabolas.
///
/// # Examples
/// One background pixel: each squared distance is `dy^2 + dx^2` to it, for the upper left corner 4 + 4.
///
/// ```
/// use lapsegan_core::labels::distance::squared_distance;
/// use lapsegan_core::{image, mask};
///
/// let hole = mask![
///     [x x x x]
///     [x x x x]
///     [x x . x]
///     [x x x x]
/// ];
/// assert_eq!(
///     squared_distance(hole.view(), [1.0, 1.0]).unwrap(),
///     image![
///         [8.0 5.0 4.0 5.0]
///         [5.0 2.0 1.0 2.0]
///         [4.0 1.0  .  1.0]
///         [5.0 2.0 1.0 2.0]
///     ]
/// );
/// // Rows twice as far apart as columns: the corner has (2 * 2)^2 + 2^2 = 20.
/// assert_eq!(squared_distance(hole.view(), [2.0, 1.0]).unwrap()[[0, 0]], 20.0);
/// // The image's border is no edge of an object.
/// assert_eq!(squared_distance(mask![[x x] [x x]].view(), [1.0, 1.0]), None);
/// ```
pub fn squared_distance(mask: ArrayView2<bool>, sampling: [f64; 2]) -> Option<Array2<f64>> {
    if mask.iter().all(|&inside| inside) {
        return None;
    }
    let mut squared = squared_in_columns(mask, sampling[0]);
    let mut envelope = Envelope::default();
    let mut heights = Vec::new();
    for mut row in squared.rows_mut() {
        // A row without a pixel of the mask is 0 already.
        if row.iter().any(|&height| height > 0.0) {
            heights.clear();
            heights.extend(row.iter().copied());
            envelope.evaluate(&heights, sampling[1], |at, value| row[at] = value);
        }
    }
    Some(squared)
}

/// Returns the squared distance to the nearest pixel outside in the same column; infinite where there is none.
fn squared_in_columns(mask: ArrayView2<bool>, step: f64) -> Array2<f64> {
    let (height, width) = mask.dim();
    let mut squared = Array2::zeros((height, width));
    // Rows since the last pixel outside, from above and then from below; a column may have none.
    let far = height + 1;
    let mut since = vec![far; width];
    for at in 0..height {
        for ((since, &inside), to) in since.iter_mut().zip(mask.row(at)).zip(squared.row_mut(at)) {
            *since = if inside { (*since + 1).min(far) } else { 0 };
            *to = if *since == far { f64::INFINITY } else { (*since as f64 * step).powi(2) };
        }
    }
    since.fill(far);
    for at in (0..height).rev() {
        for ((since, &inside), to) in since.iter_mut().zip(mask.row(at)).zip(squared.row_mut(at)) {
            *since = if inside { (*since + 1).min(far) } else { 0 };
            if *since != far {
                *to = to.min((*since as f64 * step).powi(2));
            }
        }
    }
    squared
}

/// Returns the distance of every pixel of `mask` to the nearest pixel outside of it, in pixels; 0 outside. `[H, W]`
///
/// A mask that covers the whole image has no edge to measure from; all its pixels get the length of the longer side.
///
/// # Examples
/// ```
/// use lapsegan_core::labels::distance::distance;
/// use lapsegan_core::{image, mask};
///
/// let cell = mask![
///     [. . . . .]
///     [. x x x .]
///     [. x x x .]
///     [. x x x .]
///     [. . . . .]
/// ];
/// assert_eq!(
///     distance(cell.view()),
///     image![
///         [.  .   .   .  .]
///         [. 1.0 1.0 1.0 .]
///         [. 1.0 2.0 1.0 .]
///         [. 1.0 1.0 1.0 .]
///         [.  .   .   .  .]
///     ]
/// );
/// // Covered wholly: the longer side.
/// assert_eq!(distance(mask![[x x x] [x x x]].view()), image![[3.0 3.0 3.0] [3.0 3.0 3.0]]);
/// ```
pub fn distance(mask: ArrayView2<bool>) -> Array2<f32> {
    let (height, width) = mask.dim();
    squared_distance(mask, [1.0, 1.0]).map_or_else(
        || Array2::from_elem((height, width), height.max(width) as f32),
        |squared| squared.mapv(|d| d.sqrt() as f32),
    )
}

/// The lower envelope of parabolas along one line, with its buffers kept between lines.
#[derive(Default)]
struct Envelope {
    /// Index of each parabola of the envelope.
    sites: Vec<usize>,
    /// Position from which that parabola is the lowest.
    starts: Vec<f64>,
}

impl Envelope {
    /// Calls `set` with the envelope at every position whose height is not 0.
    fn evaluate(&mut self, heights: &[f64], step: f64, mut set: impl FnMut(usize, f64)) {
        self.sites.clear();
        self.starts.clear();
        let position = |at: usize| at as f64 * step;
        for at in (0..heights.len()).filter(|&at| heights[at].is_finite()) {
            let mut start = f64::NEG_INFINITY;
            while let (Some(&last), Some(&from)) = (self.sites.last(), self.starts.last()) {
                let (p, q) = (position(last), position(at));
                start = ((heights[at] + q * q) - (heights[last] + p * p)) / (2.0 * (q - p));
                if start > from {
                    break;
                }
                self.sites.pop();
                self.starts.pop();
                start = f64::NEG_INFINITY;
            }
            self.sites.push(at);
            self.starts.push(start);
        }
        if self.sites.is_empty() {
            return;
        }
        let mut parabola = 0;
        for at in 0..heights.len() {
            if heights[at] == 0.0 {
                continue;
            }
            while parabola + 1 < self.sites.len() && self.starts[parabola + 1] < position(at) {
                parabola += 1;
            }
            let site = self.sites[parabola];
            set(at, (position(at) - position(site)).powi(2) + heights[site]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_covered_image_has_no_distance() {
        assert!(squared_distance(Array2::from_elem((2, 3), true).view(), [1.0, 1.0]).is_none());
        assert_eq!(distance(Array2::from_elem((2, 3), true).view())[[0, 0]], 3.0);
    }

    proptest! {
        #[test]
        fn the_envelope_equals_the_search_over_all_pixels(
            pixels in prop::collection::vec(prop::bool::weighted(0.85), 9 * 7), dy in 1_u8..4, dx in 1_u8..4,
        ) {
            let mask = Array2::from_shape_vec((9, 7), pixels).unwrap();
            let sampling = [f64::from(dy), f64::from(dx)];
            let fast = squared_distance(mask.view(), sampling);
            prop_assert_eq!(fast.is_none(), mask.iter().all(|&m| m));
            if let Some(fast) = fast {
                for ((y, x), &got) in fast.indexed_iter() {
                    let plain = mask
                        .indexed_iter()
                        .filter(|(_, inside)| !**inside)
                        .map(|((v, u), _)| {
                            let (a, b) = (y.abs_diff(v) as f64 * sampling[0], x.abs_diff(u) as f64 * sampling[1]);
                            a * a + b * b
                        })
                        .fold(f64::INFINITY, f64::min);
                    prop_assert_eq!(got, plain);
                }
            }
        }
    }
}
