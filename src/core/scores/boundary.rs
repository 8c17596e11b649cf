//! How near predicted edges are to the true ones, whatever object they belong to.

use std::ops::AddAssign;

use ndarray::{Array2, ArrayView2};
use serde::{Deserialize, Serialize};

/// Pixels of edges, of one image or summed over several.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Edges {
    /// Edge pixels of the truth.
    pub n_true: u64,
    /// Those of them near a predicted edge.
    pub found: u64,
    /// Edge pixels of the prediction.
    pub n_predicted: u64,
    /// Those of them near a true edge.
    pub right: u64,
}

impl AddAssign for Edges {
    fn add_assign(&mut self, other: Self) {
        self.n_true += other.n_true;
        self.found += other.found;
        self.n_predicted += other.n_predicted;
        self.right += other.right;
    }
}

impl Edges {
    /// Returns the harmonic mean of the shares of edges that are right and that are found, in [0, 1]; `None` where neither
    /// side has an edge, 0 where one has none.
    pub fn f(&self) -> Option<f64> {
        if self.n_true + self.n_predicted == 0 {
            return None;
        }
        let share = |part: u64, all: u64| if all > 0 { part as f64 / all as f64 } else { 0.0 };
        let (precision, recall) = (share(self.right, self.n_predicted), share(self.found, self.n_true));
        Some(if precision + recall > 0.0 { 2.0 * precision * recall / (precision + recall) } else { 0.0 })
    }
}

/// Pixels within a distance of another one, as steps, nearest first.
#[derive(Clone, Debug)]
pub struct Disc(Vec<(isize, isize)>);

impl Disc {
    /// Returns the disc of a radius in pixels.
    pub fn new(radius_px: f64) -> Self {
        let far = radius_px.floor() as isize;
        let squared = |&(y, x): &(isize, isize)| y * y + x * x;
        let inside = |at: &(isize, isize)| (squared(at) as f64) <= radius_px * radius_px + 1e-9;
        let mut steps: Vec<(isize, isize)> =
            (-far..=far).flat_map(|y| (-far..=far).map(move |x| (y, x))).filter(inside).collect();
        steps.sort_by_key(squared);
        Self(steps)
    }
}

/// Compares the edges of two label images of one shape: an edge pixel is near where the other side has one inside the
/// disc around it. `[H, W]`
///
/// # Examples
/// The same object, one pixel to the right: its edges are all within one pixel, and half of them in place.
///
/// ```
/// use lapsegan_core::labels;
/// use lapsegan_core::scores::boundary::{Disc, edges};
///
/// let truth = labels![[. 1 1 . .]];
/// let prediction = labels![[. . 1 1 .]];
/// let near = |px| edges(truth.view(), prediction.view(), &Disc::new(px)).f();
/// assert_eq!((near(0.0), near(1.0)), (Some(0.5), Some(1.0)));
/// ```
pub fn edges(truth: ArrayView2<u32>, prediction: ArrayView2<u32>, disc: &Disc) -> Edges {
    let (truth, prediction) = (edge(truth), edge(prediction));
    let near = |of: &Array2<bool>, other: &Array2<bool>| {
        let (height, width) = (other.nrows() as isize, other.ncols() as isize);
        let hit = |y: isize, x: isize| {
            (0..height).contains(&y) && (0..width).contains(&x) && other[[y as usize, x as usize]]
        };
        let (mut all, mut near) = (0, 0);
        for ((y, x), _) in of.indexed_iter().filter(|(_, edge)| **edge) {
            all += 1;
            near += u64::from(disc.0.iter().any(|(dy, dx)| hit(y as isize + dy, x as isize + dx)));
        }
        (all, near)
    };
    let ((n_true, found), (n_predicted, right)) = (near(&truth, &prediction), near(&prediction, &truth));
    Edges { n_true, found, n_predicted, right }
}

/// Returns the pixels of objects with another label beside, above or below them. The image's border is no edge. `[H, W]`
fn edge(ids: ArrayView2<u32>) -> Array2<bool> {
    let (height, width) = ids.dim();
    Array2::from_shape_fn((height, width), |(y, x)| {
        let id = ids[[y, x]];
        let other = |y: usize, x: usize| ids[[y, x]] != id;
        id != 0
            && ((y > 0 && other(y - 1, x))
                || (y + 1 < height && other(y + 1, x))
                || (x > 0 && other(y, x - 1))
                || (x + 1 < width && other(y, x + 1)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::labels;

    #[test]
    fn touching_objects_have_an_edge_between_them_and_the_border_is_none() {
        let two = labels![[1 1 2 2] [1 1 2 2]];
        let one = labels![[1 1 1 1] [1 1 1 1]];
        let found = edges(two.view(), one.view(), &Disc::new(1.0));
        assert_eq!(found, Edges { n_true: 4, found: 0, n_predicted: 0, right: 0 });
        assert_eq!(found.f(), Some(0.0));
        assert_eq!(edges(one.view(), one.view(), &Disc::new(1.0)).f(), None);
    }

    #[test]
    fn a_disc_has_the_pixels_within_its_radius() {
        assert_eq!([0.0, 0.9, 1.0, 1.5, 2.0].map(|radius| Disc::new(radius).0.len()), [1, 1, 5, 9, 13]);
    }
}
