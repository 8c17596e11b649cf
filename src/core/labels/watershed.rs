//! Marker-controlled watershed.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use ndarray::{Array2, ArrayView2};

use super::Neighbours;
use super::framed::Framed;
use super::peaks::ordered;

/// A labelled pixel in the queue, whose neighbours are next.
#[derive(Clone, Copy)]
struct Waiting {
    /// Level, then age.
    key: u64,
    at: u32,
}

impl Waiting {
    fn new(level: u32, age: u32, at: usize) -> Self {
        Self { key: u64::from(level) << 32 | u64::from(age), at: at as u32 }
    }

    fn level(self) -> u32 {
        (self.key >> 32) as u32
    }
}

impl Ord for Waiting {
    /// The heap pops its greatest element: the lowest level, and of equal levels the oldest.
    fn cmp(&self, other: &Self) -> Ordering {
        other.key.cmp(&self.key)
    }
}

impl PartialOrd for Waiting {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Waiting {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key
    }
}

impl Eq for Waiting {}

/// Returns `markers` (0 is none) grown over `mask` by flooding `elevation` from the lowest level up. `[H, W]`
///
/// A pixel takes the label of the first labelled neighbour that reaches it. It passes the label on at the highest level
/// of the path by which it was reached; of equal levels the pixel reached first goes first. This is the rule of
/// scikit-image 0.26. Markers outside of the mask are ignored, and parts of the mask without a marker stay 0. All
/// arrays have one shape.
///
/// # Examples
/// A ridge of height 4 between two basins. Water that rises on the left reaches it over level 1, on the right over
/// level 2: the ridge goes to the left basin. The two pixels at the bottom have no marker and stay background.
///
/// ```
/// use lapsegan_core::labels::Neighbours;
/// use lapsegan_core::labels::watershed::watershed;
/// use lapsegan_core::{image, labels, mask};
///
/// let elevation = image![
///     [. 1.0 4.0 2.0 .]
///     [. 1.0 4.0 2.0 .]
///     [. 1.0 4.0 2.0 .]
///     [.  .   .   .  .]
///     [.  .   .   .  .]
/// ];
/// let markers = labels![
///     [. . . . .]
///     [1 . . . 2]
///     [. . . . .]
///     [. . . . .]
///     [. . . . .]
/// ];
/// let mask = mask![
///     [x x x x x]
///     [x x x x x]
///     [x x x x x]
///     [. . . . .]
///     [. x x . .]
/// ];
/// assert_eq!(
///     watershed(elevation.view(), markers.view(), mask.view(), Neighbours::Four),
///     labels![
///         [1 1 1 2 2]
///         [1 1 1 2 2]
///         [1 1 1 2 2]
///         [. . . . .]
///         [. . . . .]
///     ]
/// );
/// ```
pub fn watershed(
    elevation: ArrayView2<f32>,
    markers: ArrayView2<u32>,
    mask: ArrayView2<bool>,
    neighbours: Neighbours,
) -> Array2<u32> {
    let frame = Framed::new(elevation.dim());
    let levels = frame.put(elevation.mapv(ordered).view(), 0);
    // In the frame nothing is open.
    let mut open = frame.put(mask, false);
    let mut labels = vec![0; open.len()];
    let steps = frame.steps(neighbours);
    let mut queue = BinaryHeap::new();
    for (at, marker) in frame.put(markers, 0).into_iter().enumerate() {
        if marker != 0 && open[at] {
            labels[at] = marker;
            open[at] = false;
            queue.push(Waiting::new(levels[at], 0, at));
        }
    }
    let mut age = 0;
    while let Some(from) = queue.pop() {
        let at = from.at as usize;
        for step in &steps {
            let next = at.wrapping_add_signed(*step);
            if open[next] {
                open[next] = false;
                labels[next] = labels[at];
                age += 1;
                queue.push(Waiting::new(from.level().max(levels[next]), age, next));
            }
        }
    }
    frame.take(&labels)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::arr2;

    #[test]
    fn basins_meet_on_the_ridge_and_stay_inside_the_mask() {
        let elevation = arr2(&[[0.0, 1.0, 5.0, 1.0, 0.0, 0.0]]);
        let markers = arr2(&[[3, 0, 0, 0, 8, 0]]);
        let mask = arr2(&[[true, true, true, true, true, false]]);
        let labels = watershed(elevation.view(), markers.view(), mask.view(), Neighbours::Four);
        assert_eq!(labels, arr2(&[[3, 3, 3, 8, 8, 0]]));
    }
}
