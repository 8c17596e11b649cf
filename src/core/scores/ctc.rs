//! SEG and DET of the Cell Tracking Challenge, from per-frame tables. See [`super::tracking`] for TRA and LNK.

use std::ops::AddAssign;

use serde::{Deserialize, Serialize};

use super::overlap::{Overlap, OverlapTable};

/// Price of a split in DET.
const SPLIT: f64 = 5.0;
/// Price of a missed object in DET. The price of all errors is at most that of missing every true object.
pub(super) const MISSED: f64 = 10.0;
/// Price of a wrong object in DET.
const WRONG: f64 = 1.0;

/// Counts from which SEG and DET follow, of one frame or summed over several.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Detected {
    /// True objects.
    pub n_true: u64,
    /// True objects of which no prediction covers more than half.
    pub missed: u64,
    /// Predictions that match no true object.
    pub wrong: u64,
    /// True objects beyond the first that a prediction matches: cells that should have been split.
    pub splits: u64,
    /// Sum of the IoU of matched true objects.
    pub sum_iou: f64,
}

impl AddAssign for Detected {
    fn add_assign(&mut self, other: Self) {
        self.n_true += other.n_true;
        self.missed += other.missed;
        self.wrong += other.wrong;
        self.splits += other.splits;
        self.sum_iou += other.sum_iou;
    }
}

impl Detected {
    /// Returns the mean IoU over true objects, 0 for unmatched ones; `None` without any true object.
    ///
    /// # Examples
    /// One cell is found exactly, one with 3 of its 4 pixels, and one is missed:
    ///
    /// ```
    /// use lapsegan_core::labels;
    /// use lapsegan_core::scores::ctc::detected;
    /// use lapsegan_core::scores::overlap::OverlapTable;
    ///
    /// let truth = labels![
    ///     [1 1 . 2 2]
    ///     [1 1 . 2 2]
    ///     [. . . . .]
    ///     [3 3 . . .]
    /// ];
    /// let prediction = labels![
    ///     [1 1 . 2 2]
    ///     [1 1 . 2 .]
    ///     [. . . . .]
    ///     [. . . . .]
    /// ];
    /// let table = OverlapTable::new(truth.view(), prediction.view())?;
    /// assert_eq!(detected(&table).seg(), Some((1.0 + 0.75 + 0.0) / 3.0));
    ///
    /// // Without a true cell SEG is undefined, also where a cell was invented.
    /// let empty = labels![[. . .]];
    /// let invented = OverlapTable::new(empty.view(), labels![[. 1 .]].view())?;
    /// assert_eq!(detected(&invented).seg(), None);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn seg(&self) -> Option<f64> {
        (self.n_true > 0).then(|| self.sum_iou / self.n_true as f64)
    }

    /// Returns 1 less the weighted errors over the price of finding nothing, in [0, 1]; `None` without a true object.
    ///
    /// # Examples
    /// Of two cells one is missed (price 10) and one is found; another is invented (price 1). Finding nothing would
    /// cost 2 * 10.
    ///
    /// ```
    /// use lapsegan_core::labels;
    /// use lapsegan_core::scores::ctc::detected;
    /// use lapsegan_core::scores::overlap::OverlapTable;
    ///
    /// let truth = labels![
    ///     [1 1 . 2]
    ///     [1 1 . .]
    /// ];
    /// let prediction = labels![
    ///     [1 1 . .]
    ///     [1 1 . 9]
    /// ];
    /// let table = OverlapTable::new(truth.view(), prediction.view())?;
    /// assert_eq!(detected(&table).det(), Some(1.0 - 11.0 / 20.0));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn det(&self) -> Option<f64> {
        let nothing = MISSED * self.n_true as f64;
        (self.n_true > 0).then(|| 1.0 - self.price().min(nothing) / nothing)
    }

    /// Returns the weighted errors.
    pub(super) fn price(&self) -> f64 {
        SPLIT * self.splits as f64 + MISSED * self.missed as f64 + WRONG * self.wrong as f64
    }
}

/// Matches every true object with the prediction that covers strictly more than half of it, if there is one.
///
/// # Reference
/// Ulman et al., "An objective comparison of cell-tracking algorithms", 2017; weights of the challenge.
///
/// # Examples
/// A merge: 5 covers more than half of 1 and of 2, so both count as found, at the price of one split.
///
/// ```
/// use lapsegan_core::labels;
/// use lapsegan_core::scores::ctc::{Detected, detected};
/// use lapsegan_core::scores::overlap::OverlapTable;
///
/// let two = labels![[1 1 2 2]];
/// let one = labels![[5 5 5 5]];
/// let merged = detected(&OverlapTable::new(two.view(), one.view())?);
/// assert_eq!(merged, Detected { n_true: 2, missed: 0, wrong: 0, splits: 1, sum_iou: 0.5 + 0.5 });
/// assert_eq!(merged.det(), Some(1.0 - 5.0 / 20.0));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// The same images with their parts exchanged: a cell cut into two halves, of which none covers more than half. It is
/// missed, and both halves are wrong; the price of 10 + 2 is no more than that of finding nothing.
///
/// ```
/// # use lapsegan_core::labels;
/// # use lapsegan_core::scores::ctc::{Detected, detected};
/// # use lapsegan_core::scores::overlap::OverlapTable;
/// let one = labels![[5 5 5 5]];
/// let two = labels![[1 1 2 2]];
/// let cut = detected(&OverlapTable::new(one.view(), two.view())?);
/// assert_eq!(cut, Detected { n_true: 1, missed: 1, wrong: 2, splits: 0, sum_iou: 0.0 });
/// assert_eq!(cut.det(), Some(0.0));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn detected(table: &OverlapTable) -> Detected {
    let mut matched = vec![0_u64; table.prediction.len()];
    let mut sum = Detected { n_true: table.truth.len() as u64, ..Detected::default() };
    for overlap in matches(table) {
        matched[overlap.prediction] += 1;
        sum.sum_iou += overlap.iou();
    }
    sum.missed = sum.n_true - matched.iter().sum::<u64>();
    sum.wrong = matched.iter().filter(|&&n| n == 0).count() as u64;
    sum.splits = matched.iter().map(|n| n.saturating_sub(1)).sum();
    sum
}

/// Returns the pairs in which the prediction covers strictly more than half of the true object, one per true object at most.
pub(super) fn matches(table: &OverlapTable) -> impl Iterator<Item = &Overlap> {
    table.overlaps.iter().filter(|overlap| 2 * overlap.intersection > table.truth[overlap.truth].pixels)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::arr2;

    #[test]
    fn half_is_not_enough_and_merged_objects_cost_a_split() {
        let truth = arr2(&[[1, 1, 2, 2, 3, 3, 0]]);
        let prediction = arr2(&[[7, 7, 7, 7, 4, 0, 5]]);
        let got = detected(&OverlapTable::new(truth.view(), prediction.view()).unwrap());
        assert_eq!(got, Detected { n_true: 3, missed: 1, wrong: 2, splits: 1, sum_iou: 1.0 });
        assert!((got.det().unwrap() - (1.0 - 17.0 / 30.0)).abs() < 1e-12);
        assert!((got.seg().unwrap() - 1.0 / 3.0).abs() < 1e-12);
    }
}
