//! Peaks of a map as markers of objects.

use std::cmp::Reverse;

use ndarray::{Array2, ArrayView2};

use super::Neighbours;
use super::framed::Framed;

/// Returns the pixels `[y, x]` above `threshold` that are the maximum of their square of `2 distance_px + 1` pixels,
/// highest first. Of equal peaks nearer than `distance_px` the first in raster order is kept.
///
/// The rule of scikit-image's `peak_local_max` with `exclude_border=False`.
///
/// # Examples
/// ```
/// use lapsegan_core::image;
/// use lapsegan_core::labels::peaks::local_maxima;
///
/// let map = image![
///     [ .  1.0  .   .   .   . ]
///     [1.0 5.0 1.0  .  3.0  . ]
///     [ .  1.0  .   .   .   . ]
///     [ .   .   .   .  9.0  . ]
/// ];
/// assert_eq!(local_maxima(map.view(), 1, 0.5), [[3, 4], [1, 1], [1, 4]]);
/// // The 9 is two rows below the 3, which is no maximum within a distance of 2.
/// assert_eq!(local_maxima(map.view(), 2, 0.5), [[3, 4], [1, 1]]);
/// // A peak must be above the threshold.
/// assert_eq!(local_maxima(map.view(), 1, 5.0), [[3, 4]]);
/// ```
pub fn local_maxima(map: ArrayView2<f32>, distance_px: usize, threshold: f32) -> Vec<[usize; 2]> {
    let (height, width) = map.dim();
    let window =
        |at: usize, length: usize| at.saturating_sub(distance_px)..(at + distance_px + 1).min(length);
    // The maximum over a square is the maximum over columns of the maxima over rows.
    let rows = Array2::from_shape_fn((height, width), |(y, x)| {
        window(x, width).map(|u| map[[y, u]]).fold(f32::NEG_INFINITY, f32::max)
    });
    let mut found: Vec<[usize; 2]> = map
        .indexed_iter()
        .filter(|&((y, x), &value)| value > threshold && window(y, height).all(|v| rows[[v, x]] <= value))
        .map(|((y, x), _)| [y, x])
        .collect();
    found.sort_by(|a, b| map[*b].total_cmp(&map[*a]));
    let mut kept: Vec<[usize; 2]> = Vec::new();
    for [y, x] in found {
        if kept.iter().all(|[v, u]| y.abs_diff(*v).max(x.abs_diff(*u)) >= distance_px.max(1)) {
            kept.push([y, x]);
        }
    }
    kept
}

/// Returns the peaks `[y, x]` of `map` inside `mask` that rise at least `height` above the pass to any higher peak,
/// highest first. The highest peak of every 4-connected component of the mask is always one of them.
///
/// Unlike [`local_maxima`] this needs no object size: noise makes many maxima, but low ones. A peak's rise is its
/// persistence, found by adding pixels from the highest to the lowest and noting the level at which two islands meet.
///
/// # Examples
/// Two peaks of 5 and 4 with a pass of 3 between them: the lower one rises 4 - 3 = 1 above it. The peak of 1 is alone
/// in its component of the mask and needs no rise.
///
/// ```
/// use lapsegan_core::image;
/// use lapsegan_core::labels::peaks::persistent_peaks;
///
/// let map = image![
///     [2.0 2.0 2.0 2.0 2.0  .  1.0]
///     [2.0 5.0 3.0 4.0 2.0  .  1.0]
///     [2.0 2.0 2.0 2.0 2.0  .  1.0]
/// ];
/// let mask = map.mapv(|v| v > 0.0);
/// assert_eq!(persistent_peaks(map.view(), mask.view(), 1.0), [[1, 1], [1, 3], [0, 6]]);
/// assert_eq!(persistent_peaks(map.view(), mask.view(), 1.5), [[1, 1], [0, 6]]);
/// ```
pub fn persistent_peaks(map: ArrayView2<f32>, mask: ArrayView2<bool>, height: f32) -> Vec<[usize; 2]> {
    let frame = Framed::new(map.dim());
    let values = frame.put(map, 0.0);
    let inside = frame.put(mask, false);
    // From the highest to the lowest; equal ones in raster order.
    let mut order: Vec<(Reverse<u32>, u32)> = (0_u32..)
        .zip(&inside)
        .filter(|(_, inside)| **inside)
        .map(|(at, _)| (Reverse(ordered(values[at as usize])), at))
        .collect();
    order.sort_unstable();
    let steps = frame.steps(Neighbours::Four);
    // Union-find over pixels; the root of an island is its peak. A pixel not yet added is `u32::MAX`.
    let mut root = vec![u32::MAX; values.len()];
    let mut absorbed = vec![false; values.len()];
    for &(_, at) in &order {
        root[at as usize] = at;
        for step in &steps {
            let next = (at as usize).wrapping_add_signed(*step);
            if root[next] == u32::MAX {
                continue;
            }
            let (mine, other) = (find(&mut root, at), find(&mut root, next as u32));
            if mine == other {
                continue;
            }
            let (a, b) = (values[mine as usize], values[other as usize]);
            // Of two equal peaks the first in raster order stays.
            let (high, low) = if a > b || (a == b && mine < other) { (mine, other) } else { (other, mine) };
            // A pixel that joins an island when it is added is no peak, even with a height of 0.
            absorbed[low as usize] |= low == at || values[low as usize] - values[at as usize] < height;
            root[low as usize] = high;
        }
    }
    let peaks = order.into_iter().map(|(_, at)| at as usize).filter(|&at| !absorbed[at]);
    peaks.map(|at| frame.pixel(at)).collect()
}

/// Returns a number that orders like the value, for which -0 is 0.
pub(super) fn ordered(value: f32) -> u32 {
    let bits = (value + 0.0).to_bits();
    if bits >> 31 == 0 { bits | 1 << 31 } else { !bits }
}

fn find(root: &mut [u32], mut at: u32) -> u32 {
    while root[at as usize] != at {
        root[at as usize] = root[root[at as usize] as usize];
        at = root[at as usize];
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::arr2;

    #[test]
    fn low_bumps_are_no_peaks_but_every_component_has_one() {
        let map = arr2(&[[1.0, 5.0, 4.0, 4.5, 3.0, 6.0, 0.0, 0.2]]);
        let mask = map.mapv(|v| v > 0.0);
        assert_eq!(persistent_peaks(map.view(), mask.view(), 1.0), [[0, 5], [0, 1], [0, 7]]);
        assert_eq!(persistent_peaks(map.view(), mask.view(), 0.4), [[0, 5], [0, 1], [0, 3], [0, 7]]);
        assert_eq!(persistent_peaks(map.view(), mask.view(), 10.0), [[0, 5], [0, 7]]);
    }

    #[test]
    fn a_plateau_is_one_peak() {
        let map = Array2::from_elem((4, 4), 2.0);
        assert_eq!(persistent_peaks(map.view(), map.mapv(|_| true).view(), 0.5), [[0, 0]]);
        assert_eq!(local_maxima(map.view(), 4, 1.0), [[0, 0]]);
        assert!(local_maxima(map.view(), 4, 2.0).is_empty());
    }
}
