//! Connected components of a mask.

use ndarray::{Array2, ArrayView2};

use super::Neighbours;
use super::framed::Framed;

/// Returns the components of `mask`, numbered from 1 in raster order of their first pixels, and how many there are.
///
/// # Examples
/// Pixels that touch by a corner are one object with eight neighbours, two with four:
///
/// ```
/// use lapsegan_core::labels::Neighbours;
/// use lapsegan_core::labels::components::components;
/// use lapsegan_core::{labels, mask};
///
/// let mask = mask![
///     [x x . . x]
///     [x . . x .]
///     [. . . . .]
///     [x x x . x]
/// ];
/// let (four, count) = components(mask.view(), Neighbours::Four);
/// assert_eq!(count, 5);
/// assert_eq!(
///     four,
///     labels![
///         [1 1 . . 2]
///         [1 . . 3 .]
///         [. . . . .]
///         [4 4 4 . 5]
///     ]
/// );
/// let (eight, count) = components(mask.view(), Neighbours::Eight);
/// assert_eq!(count, 4);
/// assert_eq!(
///     eight,
///     labels![
///         [1 1 . . 2]
///         [1 . . 2 .]
///         [. . . . .]
///         [3 3 3 . 4]
///     ]
/// );
/// ```
pub fn components(mask: ArrayView2<bool>, neighbours: Neighbours) -> (Array2<u32>, u32) {
    let frame = Framed::new(mask.dim());
    // Outside of the mask, and in the frame, a pixel counts as visited.
    let mut open = frame.put(mask, false);
    let mut labels = vec![0; open.len()];
    let steps = frame.steps(neighbours);
    let mut count = 0;
    let mut waiting = Vec::new();
    for start in 0..open.len() {
        if !open[start] {
            continue;
        }
        count += 1;
        open[start] = false;
        waiting.push(start);
        while let Some(at) = waiting.pop() {
            labels[at] = count;
            for step in &steps {
                let next = at.wrapping_add_signed(*step);
                if open[next] {
                    open[next] = false;
                    waiting.push(next);
                }
            }
        }
    }
    (frame.take(&labels), count)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::arr2;

    #[test]
    fn corners_join_only_with_eight_neighbours() {
        let mask = arr2(&[[1, 0, 1], [0, 1, 0]]).mapv(|v| v == 1);
        assert_eq!(components(mask.view(), Neighbours::Four).0, arr2(&[[1, 0, 2], [0, 3, 0]]));
        assert_eq!(components(mask.view(), Neighbours::Eight).0, arr2(&[[1, 0, 1], [0, 1, 0]]));
    }
}
