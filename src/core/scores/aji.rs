//! The aggregated Jaccard index, as first defined and in its one-to-one form.

use std::ops::AddAssign;

use serde::{Deserialize, Serialize};

use super::assignment::assign;
use super::overlap::{Overlap, OverlapTable};

/// Shared and joint pixels, to be divided once they are summed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Jaccard {
    /// Pixels shared by the pairs.
    pub intersection: u64,
    /// Pixels of the pairs and of everything left unpaired.
    pub union: u64,
}

impl AddAssign for Jaccard {
    fn add_assign(&mut self, other: Self) {
        self.intersection += other.intersection;
        self.union += other.union;
    }
}

impl Jaccard {
    /// Returns the index in [0, 1]; `None` where there is no object on either side.
    ///
    /// # Examples
    /// Pixels of several images are added before the division, so an image with large objects weighs more:
    ///
    /// ```
    /// use lapsegan_core::scores::aji::Jaccard;
    ///
    /// let mut sum = Jaccard { intersection: 90, union: 100 };
    /// sum += Jaccard { intersection: 0, union: 20 };
    /// assert_eq!(sum.index(), Some(90.0 / 120.0));
    /// assert_eq!(Jaccard::default().index(), None);
    /// ```
    pub fn index(self) -> Option<f64> {
        (self.union > 0).then(|| self.intersection as f64 / self.union as f64)
    }
}

/// Returns AJI as Kumar et al. define it: every true object takes the prediction with the best IoU, which several may
/// share (of equal ones the lowest label); predictions that were not taken and true objects without overlap add to the
/// union only.
///
/// # Reference
/// Kumar et al., "A dataset and a technique for generalized nuclear segmentation", 2017. Cellpose's function of the
/// same name is another quantity.
///
/// # Examples
/// Cells 1 and 2 are merged into 5, cell 3 is missed, and 6 is invented:
///
/// ```
/// use lapsegan_core::labels;
/// use lapsegan_core::scores::aji::{Jaccard, aji};
/// use lapsegan_core::scores::overlap::OverlapTable;
///
/// let truth = labels![
///     [1 1 . 3]
///     [2 2 . .]
/// ];
/// let prediction = labels![
///     [5 5 . .]
///     [5 5 . 6]
/// ];
/// let got = aji(&OverlapTable::new(truth.view(), prediction.view())?);
/// // 1 takes 5: 2 of 4 pixels; 2 takes 5 as well: 2 of 4; 3 adds its pixel to the union, 6 too.
/// assert_eq!(got, Jaccard { intersection: 2 + 2, union: 4 + 4 + 1 + 1 });
/// assert_eq!(got.index(), Some(0.4));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn aji(table: &OverlapTable) -> Jaccard {
    let mut sum = Jaccard::default();
    let mut used = vec![false; table.prediction.len()];
    let mut touched = vec![false; table.truth.len()];
    for group in table.overlaps.chunk_by(|a, b| a.truth == b.truth) {
        let mut best = group[0];
        for &other in &group[1..] {
            // Cross-multiplied in integers: no rounding decides between equal ratios.
            if other.intersection * best.union > best.intersection * other.union {
                best = other;
            }
        }
        touched[best.truth] = true;
        used[best.prediction] = true;
        sum += Jaccard { intersection: best.intersection, union: best.union };
    }
    let alone = table.truth.iter().zip(&touched).chain(table.prediction.iter().zip(&used));
    sum.union += alone.filter(|(_, met)| !**met).map(|(object, _)| object.pixels).sum::<u64>();
    sum
}

/// Returns AJI+: pairs are one to one and maximise the sum of IoU over all pairs that overlap.
///
/// # Reference
/// Graham et al., "HoVer-Net", 2019.
///
/// # Examples
/// The picture of [`aji`]. The merged prediction serves one cell only, so a merge costs more:
///
/// ```
/// use lapsegan_core::labels;
/// use lapsegan_core::scores::aji::{Jaccard, aji_plus};
/// use lapsegan_core::scores::overlap::OverlapTable;
///
/// let truth = labels![
///     [1 1 . 3]
///     [2 2 . .]
/// ];
/// let prediction = labels![
///     [5 5 . .]
///     [5 5 . 6]
/// ];
/// let got = aji_plus(&OverlapTable::new(truth.view(), prediction.view())?);
/// // 1 takes 5: 2 pixels. The union is all 5 true and 5 predicted pixels less the 2 shared by the pair.
/// assert_eq!(got, Jaccard { intersection: 2, union: 5 + 5 - 2 });
/// assert_eq!(got.index(), Some(0.25));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn aji_plus(table: &OverlapTable) -> Jaccard {
    let intersection: u64 = groups(table).iter().map(|group| best_intersection(group)).sum();
    let area = |objects: &[super::overlap::Object]| objects.iter().map(|o| o.pixels).sum::<u64>();
    Jaccard { intersection, union: area(&table.truth) + area(&table.prediction) - intersection }
}

/// Returns the overlaps in groups that share no object, so that the assignment problem stays small.
fn groups(table: &OverlapTable) -> Vec<Vec<Overlap>> {
    let offset = table.truth.len();
    let mut root: Vec<usize> = (0..offset + table.prediction.len()).collect();
    for overlap in &table.overlaps {
        let (a, b) = (find(&mut root, overlap.truth), find(&mut root, offset + overlap.prediction));
        root[a] = b;
    }
    let mut groups = std::collections::BTreeMap::<usize, Vec<Overlap>>::new();
    for overlap in &table.overlaps {
        groups.entry(find(&mut root, overlap.truth)).or_default().push(*overlap);
    }
    groups.into_values().collect()
}

fn find(root: &mut [usize], mut at: usize) -> usize {
    while root[at] != at {
        root[at] = root[root[at]];
        at = root[at];
    }
    at
}

fn best_intersection(group: &[Overlap]) -> u64 {
    let places = |of: fn(&Overlap) -> usize| {
        let mut all: Vec<usize> = group.iter().map(of).collect();
        all.sort_unstable();
        all.dedup();
        all
    };
    let (rows, columns) = (places(|o| o.truth), places(|o| o.prediction));
    let mut weights = vec![vec![0.0; columns.len()]; rows.len()];
    let mut pixels = vec![vec![0; columns.len()]; rows.len()];
    for overlap in group {
        let row = rows.partition_point(|&t| t < overlap.truth);
        let column = columns.partition_point(|&p| p < overlap.prediction);
        weights[row][column] = overlap.iou();
        pixels[row][column] = overlap.intersection;
    }
    assign(&weights).into_iter().map(|(row, column)| pixels[row][column]).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::arr2;

    #[test]
    fn a_prediction_serves_two_objects_in_aji_and_one_in_aji_plus() {
        let truth = arr2(&[[1, 1, 2, 2, 0, 3]]);
        let prediction = arr2(&[[9, 9, 9, 0, 8, 0]]);
        let table = OverlapTable::new(truth.view(), prediction.view()).unwrap();
        // Kumar: 1 with 9 (2 of 3), 2 with 9 (1 of 4), prediction 8 unused (1), object 3 alone (1).
        assert_eq!(aji(&table), Jaccard { intersection: 3, union: 9 });
        // One to one: only 1 with 9; all areas 5 + 4 - 2.
        assert_eq!(aji_plus(&table), Jaccard { intersection: 2, union: 7 });
    }

    #[test]
    fn nothing_on_both_sides_is_undefined() {
        let empty = arr2(&[[0, 0]]);
        let table = OverlapTable::new(empty.view(), empty.view()).unwrap();
        assert_eq!((aji(&table).index(), aji_plus(&table).index()), (None, None));
    }
}
