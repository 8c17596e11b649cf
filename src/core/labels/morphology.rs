//! Operations on masks by neighbourhood. What lies outside of the image counts as background.

use ndarray::{Array2, ArrayView2};

use super::Neighbours;
use super::components::components;
use super::per_label::PerLabel;

/// Returns `mask` with every background region filled that 4-neighbours cannot reach from the image's border.
///
/// # Examples
/// The left hole touches the outside by a corner only and is filled; the bay on the right is open to the border and
/// stays.
///
/// ```
/// use lapsegan_core::labels::morphology::fill_holes;
/// use lapsegan_core::mask;
///
/// let mask = mask![
///     [x x . x x x]
///     [x . x x . .]
///     [x x x x x x]
///     [. . . . . .]
/// ];
/// assert_eq!(
///     fill_holes(mask.view()),
///     mask![
///         [x x . x x x]
///         [x x x x . .]
///         [x x x x x x]
///         [. . . . . .]
///     ]
/// );
/// ```
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
///
/// # Examples
/// The diagonal has three pixels where corners touch, and is three objects of one pixel where they do not:
///
/// ```
/// use lapsegan_core::labels::Neighbours;
/// use lapsegan_core::labels::morphology::remove_small;
/// use lapsegan_core::mask;
///
/// let mask = mask![
///     [x x . . .]
///     [x . . x .]
///     [. . x . .]
///     [. x . . x]
/// ];
/// assert_eq!(
///     remove_small(mask.view(), 3, Neighbours::Eight),
///     mask![
///         [x x . . .]
///         [x . . x .]
///         [. . x . .]
///         [. x . . .]
///     ]
/// );
/// assert_eq!(
///     remove_small(mask.view(), 3, Neighbours::Four),
///     mask![
///         [x x . . .]
///         [x . . . .]
///         [. . . . .]
///         [. . . . .]
///     ]
/// );
/// ```
pub fn remove_small(mask: ArrayView2<bool>, min_area_px: usize, neighbours: Neighbours) -> Array2<bool> {
    let (mut labels, _) = components(mask, neighbours);
    remove_small_labels(&mut labels, min_area_px);
    labels.mapv(|id| id != 0)
}

/// Sets the pixels of all labels with fewer than `min_area_px` pixels to background; other labels keep their ids.
///
/// # Examples
/// An area counts all pixels of an id, connected or not: 7 has three, 8 two, 9 one.
///
/// ```
/// use lapsegan_core::labels;
/// use lapsegan_core::labels::morphology::remove_small_labels;
///
/// let mut cells = labels![
///     [7 7 . 8]
///     [. . . .]
///     [9 . 7 8]
/// ];
/// remove_small_labels(&mut cells, 2);
/// assert_eq!(
///     cells,
///     labels![
///         [7 7 . 8]
///         [. . . .]
///         [. . 7 8]
///     ]
/// );
/// ```
pub fn remove_small_labels(labels: &mut Array2<u32>, min_area_px: usize) {
    let mut areas = PerLabel::default();
    for &id in labels.iter() {
        *areas.at(id, || 0_usize) += 1;
    }
    labels.mapv_inplace(|id| if *areas.at(id, || 0) < min_area_px { 0 } else { id });
}

/// Returns the pixels whose whole neighbourhood lies in `mask`: the cross with four neighbours, the square with eight.
///
/// # Examples
/// ```
/// use lapsegan_core::labels::Neighbours;
/// use lapsegan_core::labels::morphology::erode;
/// use lapsegan_core::mask;
///
/// let cell = mask![
///     [. x x x .]
///     [x x x x x]
///     [x x x x x]
///     [x x x x x]
///     [. x x x .]
/// ];
/// assert_eq!(
///     erode(cell.view(), Neighbours::Four),
///     mask![
///         [. . . . .]
///         [. x x x .]
///         [. x x x .]
///         [. x x x .]
///         [. . . . .]
///     ]
/// );
/// // With corners counted, the corners of the inner square have a neighbour outside.
/// assert_eq!(
///     erode(cell.view(), Neighbours::Eight),
///     mask![
///         [. . . . .]
///         [. . x . .]
///         [. x x x .]
///         [. . x . .]
///         [. . . . .]
///     ]
/// );
/// ```
pub fn erode(mask: ArrayView2<bool>, neighbours: Neighbours) -> Array2<bool> {
    let (height, width) = mask.dim();
    Array2::from_shape_fn((height, width), |(y, x)| {
        let inside = neighbours.of([y, x], height, width).filter(|&at| mask[at]).count();
        mask[[y, x]] && inside == neighbours.count()
    })
}

/// Returns the pixels of `mask` and all their neighbours.
///
/// # Examples
/// ```
/// use lapsegan_core::labels::Neighbours;
/// use lapsegan_core::labels::morphology::dilate;
/// use lapsegan_core::mask;
///
/// let dots = mask![
///     [. . . . .]
///     [. x . . .]
///     [. . . . x]
/// ];
/// assert_eq!(
///     dilate(dots.view(), Neighbours::Four),
///     mask![
///         [. x . . .]
///         [x x x . x]
///         [. x . x x]
///     ]
/// );
/// assert_eq!(
///     dilate(dots.view(), Neighbours::Eight),
///     mask![
///         [x x x . .]
///         [x x x x x]
///         [x x x x x]
///     ]
/// );
/// ```
pub fn dilate(mask: ArrayView2<bool>, neighbours: Neighbours) -> Array2<bool> {
    let (height, width) = mask.dim();
    let mut wide = mask.to_owned();
    for ((y, x), _) in mask.indexed_iter().filter(|(_, inside)| **inside) {
        neighbours.of([y, x], height, width).for_each(|at| wide[at] = true);
    }
    wide
}

/// Returns `mask` eroded, then dilated: without what is thinner than the neighbourhood.
///
/// # Examples
/// The bridge between two cells is thinner than three pixels and goes; the cells stay whole:
///
/// ```
/// use lapsegan_core::labels::Neighbours;
/// use lapsegan_core::labels::morphology::opening;
/// use lapsegan_core::mask;
///
/// let bridged = mask![
///     [x x x . . x x x]
///     [x x x x x x x x]
///     [x x x . . x x x]
/// ];
/// assert_eq!(
///     opening(bridged.view(), Neighbours::Eight),
///     mask![
///         [x x x . . x x x]
///         [x x x . . x x x]
///         [x x x . . x x x]
///     ]
/// );
/// ```
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
