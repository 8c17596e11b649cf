//! Edges between objects that touch, one pixel sharper than a watershed leaves them.

use ndarray::{Array2, ArrayView2};

/// Rows and columns to the eight neighbours.
const STEPS: [[isize; 2]; 8] = [[-1, -1], [-1, 0], [-1, 1], [0, -1], [0, 1], [1, -1], [1, 0], [1, 1]];

/// Gives every pixel between two objects to the one whose distance map goes on to it.
///
/// A map of distances over the largest in the object falls along a line towards its object's edge, in a large object
/// slower than in a small one. A flood takes a pixel on such an edge for the object whose map is higher beside it, which
/// is the smaller one. Here the line decides: of the ways out of the objects around, over the two pixels before, the one
/// that ends nearest to the value of the pixel.
///
/// # Shapes
/// `distance`, `labels` `[H, W]`.
pub(super) fn settle(distance: ArrayView2<f32>, labels: &mut Array2<u32>) {
    let before = labels.clone();
    let (height, width) = before.dim();
    for ((y, x), &own) in before.indexed_iter().filter(|(_, id)| **id != 0) {
        let at = |[dy, dx]: [isize; 2], steps: isize| {
            let y = y.checked_add_signed(dy * steps).filter(|y| *y < height)?;
            Some([y, x.checked_add_signed(dx * steps).filter(|x| *x < width)?])
        };
        let label = |at: [usize; 2]| before[at];
        let touches = STEPS.iter().any(|&step| at(step, 1).is_some_and(|at| ![0, own].contains(&label(at))));
        if !touches {
            continue;
        }
        let mut best: Option<(f32, u32)> = None;
        for step in STEPS {
            let (Some(near), Some(far)) = (at(step, 1), at(step, 2)) else { continue };
            if label(near) == 0 || label(near) != label(far) || distance[far] <= distance[near] {
                continue;
            }
            let slope = distance[far] - distance[near];
            let error = (distance[near] - slope - distance[[y, x]]).abs();
            if error > slope / 2.0 {
                continue;
            }
            if best.is_none_or(|(least, _)| error < least) {
                best = Some((error, label(near)));
            }
        }
        if let Some((_, id)) = best {
            labels[[y, x]] = id;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::labels::codec::{DecodeSettings, decode, encode};

    #[test]
    fn a_large_cell_keeps_the_pixels_that_touch_a_small_one() {
        let mut labels = Array2::zeros((24, 24));
        for ((y, x), pixel) in labels.indexed_iter_mut() {
            if (y as f64 - 12.0).hypot(x as f64 - 8.0) <= 7.0 {
                *pixel = 1;
            } else if (y as f64 - 12.0).hypot(x as f64 - 18.0) <= 3.5 {
                *pixel = 2;
            }
        }
        let decoded = decode(&encode(labels.view()), &DecodeSettings::standard());
        let large = decoded[[12, 8]];
        assert_eq!(decoded.mapv(|id| id == large), labels.mapv(|id| id == 1));
    }

    #[test]
    fn an_object_too_small_for_a_slope_is_left_alone() {
        let mut labels = Array2::zeros((12, 12));
        labels.slice_mut(ndarray::s![1..11, 1..8]).fill(1);
        labels.slice_mut(ndarray::s![4..6, 8..10]).fill(2);
        let distance = encode(labels.view()).distance;
        let mut settled = labels.clone();
        settle(distance.view(), &mut settled);
        assert_eq!(settled, labels);
    }
}
