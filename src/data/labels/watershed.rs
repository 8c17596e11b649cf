//! Marker-controlled watershed.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use ndarray::{Array2, ArrayView2};

use super::Neighbours;

/// A pixel that waits to hand its label on.
struct Waiting {
    level: f32,
    age: u64,
    at: [usize; 2],
}

impl Ord for Waiting {
    /// The heap pops its greatest element: the lowest level, and of equal levels the oldest.
    fn cmp(&self, other: &Self) -> Ordering {
        // Adding zero makes -0 a 0: the two are one level, which the total order would part.
        (other.level + 0.0).total_cmp(&(self.level + 0.0)).then(other.age.cmp(&self.age))
    }
}

impl PartialOrd for Waiting {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Waiting {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Waiting {}

/// Returns `markers` (0 is none) grown over `mask` by flooding `elevation` from the lowest level up. `[H, W]`
///
/// A pixel takes its label when a labelled neighbour reaches it, and passes it on at the highest level on its way
/// there; equal levels go by age. The rule of scikit-image 0.26. Markers outside of the mask stay out, and parts of the
/// mask without a marker stay 0. All three arrays have one shape.
pub fn watershed(
    elevation: ArrayView2<f32>,
    markers: ArrayView2<u32>,
    mask: ArrayView2<bool>,
    neighbours: Neighbours,
) -> Array2<u32> {
    let (height, width) = elevation.dim();
    let mut labels = Array2::zeros((height, width));
    let mut waiting = BinaryHeap::new();
    for ((y, x), &marker) in markers.indexed_iter() {
        if marker != 0 && mask[[y, x]] {
            labels[[y, x]] = marker;
            waiting.push(Waiting { level: elevation[[y, x]], age: 0, at: [y, x] });
        }
    }
    let mut age = 0;
    while let Some(from) = waiting.pop() {
        for next in neighbours.of(from.at, height, width) {
            if mask[next] && labels[next] == 0 {
                labels[next] = labels[from.at];
                age += 1;
                waiting.push(Waiting { level: from.level.max(elevation[next]), age, at: next });
            }
        }
    }
    labels
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
