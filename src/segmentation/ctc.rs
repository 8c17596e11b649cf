//! SEG and DET of the Cell Tracking Challenge, from per-frame tables. TRA, which also scores links, is not here.

use std::ops::AddAssign;

use serde::{Deserialize, Serialize};

use super::overlap::OverlapTable;

/// Price of a split in DET.
const SPLIT: f64 = 5.0;
/// Price of a missed object in DET; missing all objects costs this much each, and more than that is not charged.
const MISSED: f64 = 10.0;
/// Price of a wrong object in DET.
const WRONG: f64 = 1.0;

/// What SEG and DET are made of, over one frame or summed over several.
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
    pub fn seg(&self) -> Option<f64> {
        (self.n_true > 0).then(|| self.sum_iou / self.n_true as f64)
    }

    /// Returns 1 less the weighted errors over the price of finding nothing, in [0, 1]; `None` without a true object.
    pub fn det(&self) -> Option<f64> {
        let errors = SPLIT * self.splits as f64 + MISSED * self.missed as f64 + WRONG * self.wrong as f64;
        let nothing = MISSED * self.n_true as f64;
        (self.n_true > 0).then(|| 1.0 - errors.min(nothing) / nothing)
    }
}

/// Matches every true object with the prediction that covers strictly more than half of it, if there is one.
///
/// # Reference
/// Ulman et al., "An objective comparison of cell-tracking algorithms", 2017; weights of the challenge.
pub fn detected(table: &OverlapTable) -> Detected {
    let mut matches = vec![0_u64; table.prediction.len()];
    let mut sum = Detected { n_true: table.truth.len() as u64, ..Detected::default() };
    for overlap in &table.overlaps {
        if 2 * overlap.intersection > table.truth[overlap.truth].pixels {
            matches[overlap.prediction] += 1;
            sum.sum_iou += overlap.iou();
        }
    }
    sum.missed = sum.n_true - matches.iter().sum::<u64>();
    sum.wrong = matches.iter().filter(|&&n| n == 0).count() as u64;
    sum.splits = matches.iter().map(|n| n.saturating_sub(1)).sum();
    sum
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
