//! Scores of small, middling and large objects apart: a segmenter that finds large cells only looks good pooled.

use serde::Serialize;

use super::matching::{N_THRESHOLDS, THRESHOLDS_IN_20THS, pairs};
use super::overlap::OverlapTable;

/// Objects with their areas and what they were matched with, of all images.
#[derive(Clone, Debug, Default)]
pub struct Sizes {
    truth: Vec<Measured>,
    prediction: Vec<Measured>,
}

/// Area in pixels, and the number of thresholds at which the object has a partner; these are the lowest ones.
type Measured = (u64, usize);

impl Sizes {
    /// Adds the objects of an image.
    pub fn add(&mut self, table: &OverlapTable) {
        let mut truth: Vec<Measured> = table.truth.iter().map(|object| (object.pixels, 0)).collect();
        let mut prediction: Vec<Measured> =
            table.prediction.iter().map(|object| (object.pixels, 0)).collect();
        for k in THRESHOLDS_IN_20THS {
            for pair in pairs(table, k) {
                let overlap = table.overlaps[pair];
                truth[overlap.truth].1 += 1;
                prediction[overlap.prediction].1 += 1;
            }
        }
        self.truth.extend(truth);
        self.prediction.extend(prediction);
    }

    /// Returns the scores of the three thirds of the true objects by area; fewer where areas are equal, none without
    /// objects. Predictions without partner count where their own area belongs.
    pub fn thirds(&self) -> Vec<SizeClass> {
        let mut areas: Vec<u64> = self.truth.iter().map(|object| object.0).collect();
        areas.sort_unstable();
        let Some(&largest) = areas.last() else { return Vec::new() };
        // Up to and with these areas; a third begins above the one before.
        let mut ends =
            vec![areas[areas.len().div_ceil(3) - 1], areas[(2 * areas.len()).div_ceil(3) - 1], largest];
        ends.dedup();
        let mut from = 0;
        let mut classes = Vec::new();
        for (at, &end) in ends.iter().enumerate() {
            // What is larger than all true objects is false among the largest.
            let to = if at + 1 == ends.len() { u64::MAX } else { end };
            let inside = |object: &&Measured| (from..=to).contains(&object.0);
            let n_true = self.truth.iter().filter(inside).count() as u64;
            let tp: [u64; N_THRESHOLDS] = std::array::from_fn(|threshold| {
                self.truth.iter().filter(inside).filter(|object| object.1 > threshold).count() as u64
            });
            let fp: [u64; N_THRESHOLDS] = std::array::from_fn(|threshold| {
                self.prediction.iter().filter(inside).filter(|object| object.1 <= threshold).count() as u64
            });
            let ap = std::array::from_fn(|t| tp[t] as f64 / (n_true + fp[t]) as f64);
            let mean_ap = ap.iter().sum::<f64>() / N_THRESHOLDS as f64;
            classes.push(SizeClass { from_px: from, to_px: end, n_true, tp, fp, ap, mean_ap });
            from = end + 1;
        }
        classes
    }
}

/// Scores of the objects of some areas.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SizeClass {
    /// Least area.
    pub from_px: u64,
    /// Largest area of a true object here.
    pub to_px: u64,
    /// True objects.
    pub n_true: u64,
    /// True objects with a partner of any size, per threshold.
    pub tp: [u64; N_THRESHOLDS],
    /// Predictions of these areas without a partner.
    pub fp: [u64; N_THRESHOLDS],
    /// TP / (true objects + FP).
    pub ap: [f64; N_THRESHOLDS],
    /// Mean of `ap`.
    pub mean_ap: f64,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::labels;

    #[test]
    fn each_third_has_scores_of_its_own() {
        let truth = labels![[1 . 2 2 . 3 3 3 3]];
        let prediction = labels![[. . 2 2 . 3 3 3 .]];
        let mut sizes = Sizes::default();
        sizes.add(&OverlapTable::new(truth.view(), prediction.view()).unwrap());
        let thirds = sizes.thirds();
        let range = |class: &SizeClass| (class.from_px, class.to_px, class.n_true);
        assert_eq!(thirds.iter().map(range).collect::<Vec<_>>(), [(0, 1, 1), (2, 2, 1), (3, 4, 1)]);
        assert_eq!(thirds[0].ap, [0.0; N_THRESHOLDS]);
        assert_eq!(thirds[1].mean_ap, 1.0);
        // 3 of 4 pixels: from 0.8 on neither of the two has a partner.
        assert_eq!(
            (thirds[2].tp, thirds[2].fp),
            ([1, 1, 1, 1, 1, 1, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0, 1, 1, 1, 1])
        );
        assert_eq!(thirds[2].ap[6], 0.0);
    }

    #[test]
    fn equal_areas_are_one_class_and_larger_inventions_count_in_the_last() {
        let truth = labels![[1 1 . 2 2 . .] [. . . . . . .]];
        let prediction = labels![[1 1 . 2 2 . .] [3 3 3 3 3 . .]];
        let mut sizes = Sizes::default();
        sizes.add(&OverlapTable::new(truth.view(), prediction.view()).unwrap());
        let thirds = sizes.thirds();
        assert_eq!((thirds.len(), thirds[0].n_true, thirds[0].ap[0]), (1, 2, 2.0 / 3.0));
        assert_eq!(Sizes::default().thirds(), []);
    }
}
