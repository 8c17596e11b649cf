//! Operations on masks by neighbourhood. What lies outside of the image counts as background.

use ndarray::{Array2, ArrayView2};

use super::Neighbours;
use super::components::components;

/// Returns `mask` with every background region filled that 4-neighbours cannot reach from the image's border.
pub fn fill_holes(mask: ArrayView2<bool>) -> Array2<bool> {
    let (height, width) = mask.dim();
    let (regions, count) = components(mask.mapv(|inside| !inside).view(), Neighbours::Four);
    let mut open = vec![false; count as usize + 1];
    for ((y, x), &region) in regions.indexed_iter() {
        if y == 0 || x == 0 || y + 1 == height || x + 1 == width {
            open[region as usize] = true;
        }
    }
    regions.mapv(|region| region == 0 || !open[region as usize])
}

/// Returns `mask` without its components of fewer than `min_area_px` pixels.
pub fn remove_small(mask: ArrayView2<bool>, min_area_px: usize, neighbours: Neighbours) -> Array2<bool> {
    let (mut labels, _) = components(mask, neighbours);
    remove_small_labels(&mut labels, min_area_px);
    labels.mapv(|id| id != 0)
}

/// Sets the pixels of all labels with fewer than `min_area_px` pixels to background; other labels keep their ids.
pub fn remove_small_labels(labels: &mut Array2<u32>, min_area_px: usize) {
    let mut area = std::collections::HashMap::new();
    for &id in labels.iter() {
        *area.entry(id).or_insert(0_usize) += 1;
    }
    labels.mapv_inplace(|id| if area[&id] < min_area_px { 0 } else { id });
}

/// Returns the pixels whose whole neighbourhood lies in `mask`: the cross with four neighbours, the square with eight.
pub fn erode(mask: ArrayView2<bool>, neighbours: Neighbours) -> Array2<bool> {
    let (height, width) = mask.dim();
    Array2::from_shape_fn((height, width), |(y, x)| {
        let whole = match neighbours {
            Neighbours::Four => 4,
            Neighbours::Eight => 8,
        };
        mask[[y, x]] && neighbours.of([y, x], height, width).filter(|&at| mask[at]).count() == whole
    })
}

/// Returns the pixels of `mask` and all their neighbours.
pub fn dilate(mask: ArrayView2<bool>, neighbours: Neighbours) -> Array2<bool> {
    let (height, width) = mask.dim();
    Array2::from_shape_fn((height, width), |(y, x)| {
        mask[[y, x]] || neighbours.of([y, x], height, width).any(|at| mask[at])
    })
}

/// Returns `mask` eroded, then dilated: without what is thinner than the neighbourhood.
pub fn opening(mask: ArrayView2<bool>, neighbours: Neighbours) -> Array2<bool> {
    dilate(erode(mask, neighbours).view(), neighbours)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::arr2;

    #[test]
    fn holes_are_filled_and_bays_are_kept() {
        let mask = arr2(&[[1, 1, 1, 0], [1, 0, 1, 0], [1, 1, 1, 0], [0, 1, 0, 1]]).mapv(|v| v == 1);
        let filled = fill_holes(mask.view());
        assert!(filled[[1, 1]]);
        assert_eq!(filled.iter().filter(|&&v| v).count(), mask.iter().filter(|&&v| v).count() + 1);
    }

    #[test]
    fn small_labels_go_and_others_keep_their_ids() {
        let mut labels = arr2(&[[7, 7, 0], [0, 0, 9]]);
        remove_small_labels(&mut labels, 2);
        assert_eq!(labels, arr2(&[[7, 7, 0], [0, 0, 0]]));
    }
}
