//! Which predicted object is which true one, at ten thresholds of the overlap.
//!
//! The definitions are StarDist's and Cellpose's: a true positive is a pair with IoU at or above the threshold, every
//! object in one pair at most. This is not the average precision of COCO, which is an area under a curve.

use serde::{Deserialize, Serialize};

use super::overlap::OverlapTable;

/// Number of thresholds.
pub const N_THRESHOLDS: usize = 10;

/// Thresholds in twentieths: 10/20 = 0.50, 0.55, ... 0.95. Compared as integers, so that an IoU exactly on a threshold
/// counts at every one of them; 0.05 has no exact binary form.
pub const THRESHOLDS_IN_20THS: [u64; N_THRESHOLDS] = [10, 11, 12, 13, 14, 15, 16, 17, 18, 19];

/// Returns the thresholds as numbers, 0.50 to 0.95.
///
/// # Examples
/// ```
/// use lapsegan_core::scores::matching::thresholds;
///
/// assert_eq!(thresholds(), [0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95]);
/// ```
pub fn thresholds() -> [f64; N_THRESHOLDS] {
    THRESHOLDS_IN_20THS.map(|k| k as f64 / 20.0)
}

/// What matching finds in one image, or summed over several.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Matched {
    /// Pairs at each threshold.
    pub true_positives: [u64; N_THRESHOLDS],
    /// Sum of the IoU of these pairs.
    pub sum_matched_iou: [f64; N_THRESHOLDS],
}

/// Returns the largest one-to-one matching of each threshold.
///
/// # Examples
/// A cell of 4 pixels is cut in two (1 into 7 and 8), two cells are merged (2 and 3 into 6), one is missed (4), and one
/// is invented (9):
///
/// ```
/// use lapsegan_core::labels;
/// use lapsegan_core::scores::matching::matched;
/// use lapsegan_core::scores::overlap::OverlapTable;
///
/// let truth = labels![
///     [1 1 1 1 . 4]
///     [2 2 3 3 . .]
/// ];
/// let prediction = labels![
///     [7 7 7 8 . .]
///     [6 6 6 6 . 9]
/// ];
/// let got = matched(&OverlapTable::new(truth.view(), prediction.view())?);
/// // IoU: 1 with 7 is 3/4, 1 with 8 is 1/4; 2 with 6 and 3 with 6 are 2/4, of which one may match.
/// // Two pairs at 0.50; one from 0.55 to 0.75; none from 0.80.
/// assert_eq!(got.true_positives, [2, 1, 1, 1, 1, 1, 0, 0, 0, 0]);
/// assert_eq!(got.sum_matched_iou[..2], [0.75 + 0.5, 0.75]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn matched(table: &OverlapTable) -> Matched {
    let mut result = Matched::default();
    for (at, &k) in THRESHOLDS_IN_20THS.iter().enumerate() {
        for pair in pairs(table, k) {
            result.true_positives[at] += 1;
            result.sum_matched_iou[at] += table.overlaps[pair].iou();
        }
    }
    result
}

/// Returns the pairs matched at an IoU of `k`/20 or more, as indices into `table.overlaps`; `k` is at least 10.
///
/// Taking every admissible pair whose two objects are free gives a largest matching, and every largest one has the same
/// sum of IoU. Above 1/2 an object has one admissible partner at most. At exactly 1/2 it may have two, but only if it
/// consists of just these two halves, which then overlap nothing else: either half will do, and both have the same IoU.
///
/// # Examples
/// A cell cut into two halves: each half has an IoU of 2/4 with it. At 10/20 the first one matches, at 11/20 none does.
///
/// ```
/// use lapsegan_core::labels;
/// use lapsegan_core::scores::matching::pairs;
/// use lapsegan_core::scores::overlap::OverlapTable;
///
/// let truth = labels![[1 1 1 1]];
/// let prediction = labels![[5 5 6 6]];
/// let table = OverlapTable::new(truth.view(), prediction.view())?;
/// let matched = pairs(&table, 10);
/// assert_eq!(matched.len(), 1);
/// let first = table.overlaps[matched[0]];
/// assert_eq!((table.truth[first.truth].id, table.prediction[first.prediction].id), (1, 5));
/// assert!(pairs(&table, 11).is_empty());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn pairs(table: &OverlapTable, k: u64) -> Vec<usize> {
    debug_assert!(k >= 10, "below 1/2 a largest matching needs a search");
    let mut truth_taken = vec![false; table.truth.len()];
    let mut prediction_taken = vec![false; table.prediction.len()];
    let mut pairs = Vec::new();
    for (index, overlap) in table.overlaps.iter().enumerate() {
        let admissible = 20 * overlap.intersection >= k * overlap.union;
        if admissible && !truth_taken[overlap.truth] && !prediction_taken[overlap.prediction] {
            truth_taken[overlap.truth] = true;
            prediction_taken[overlap.prediction] = true;
            pairs.push(index);
        }
    }
    pairs
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Array2, arr2};
    use proptest::prelude::*;

    #[test]
    fn an_iou_on_the_threshold_counts_and_one_pixel_less_does_not() {
        // 7 of 10 pixels: IoU exactly 0.70, which 0.5 + 4 * 0.05 in floating point exceeds.
        let truth = arr2(&[[1; 10]]);
        let mut prediction = arr2(&[[0; 10]]);
        prediction.slice_mut(ndarray::s![0, ..7]).fill(4);
        let got = matched(&OverlapTable::new(truth.view(), prediction.view()).unwrap());
        assert_eq!(got.true_positives, [1, 1, 1, 1, 1, 0, 0, 0, 0, 0]);
        assert_eq!(got.sum_matched_iou[4], 0.7);
    }

    #[test]
    fn two_halves_of_one_object_are_one_match() {
        let truth = arr2(&[[1, 1, 1, 1]]);
        let prediction = arr2(&[[2, 2, 3, 3]]);
        for (a, b) in [(&truth, &prediction), (&prediction, &truth)] {
            let got = matched(&OverlapTable::new(a.view(), b.view()).unwrap());
            assert_eq!(got.true_positives[..2], [1, 0]);
        }
    }

    /// The largest number of pairs that any choice among `allowed` reaches.
    fn exhaustive(allowed: &[(usize, usize)], truth_taken: u32, prediction_taken: u32) -> u64 {
        let Some((&(t, p), rest)) = allowed.split_first() else { return 0 };
        let without = exhaustive(rest, truth_taken, prediction_taken);
        if truth_taken & 1 << t != 0 || prediction_taken & 1 << p != 0 {
            return without;
        }
        without.max(1 + exhaustive(rest, truth_taken | 1 << t, prediction_taken | 1 << p))
    }

    proptest! {
        #[test]
        fn matching_is_as_large_as_the_best_choice_of_all(
            truth in prop::collection::vec(0_u32..5, 24), prediction in prop::collection::vec(0_u32..5, 24),
            copied in 0_usize..24,
        ) {
            let mut prediction = prediction;
            prediction[..copied].copy_from_slice(&truth[..copied]);
            let image = |v: Vec<u32>| Array2::from_shape_vec((4, 6), v).unwrap();
            let (truth, prediction) = (image(truth), image(prediction));
            let table = OverlapTable::new(truth.view(), prediction.view()).unwrap();
            let swapped = OverlapTable::new(prediction.view(), truth.view()).unwrap();
            let got = matched(&table);
            for (at, &k) in THRESHOLDS_IN_20THS.iter().enumerate() {
                let allowed: Vec<_> = table.overlaps.iter()
                    .filter(|o| 20 * o.intersection >= k * o.union)
                    .map(|o| (o.truth, o.prediction)).collect();
                prop_assert_eq!(got.true_positives[at], exhaustive(&allowed, 0, 0));
                prop_assert_eq!(got.true_positives[at], matched(&swapped).true_positives[at]);
                prop_assert!((got.sum_matched_iou[at] - matched(&swapped).sum_matched_iou[at]).abs() < 1e-12);
            }
        }
    }
}
