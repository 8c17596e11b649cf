//! How many pixels every true object shares with every predicted one.

use std::collections::HashMap;

use ndarray::{ArrayView, Dimension};

use super::ScoreError;

/// One object of a label image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Object {
    /// Its label, never 0.
    pub id: u32,
    /// Its area.
    pub pixels: u64,
}

/// A true and a predicted object that share pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Overlap {
    /// Index into [`OverlapTable::truth`].
    pub truth: usize,
    /// Index into [`OverlapTable::prediction`].
    pub prediction: usize,
    /// Pixels they share, at least 1.
    pub intersection: u64,
    /// Pixels that at least one of them has.
    pub union: u64,
}

impl Overlap {
    /// Returns intersection over union, in (0, 1].
    ///
    /// # Examples
    /// Two objects of four pixels share two: 2 / (4 + 4 - 2).
    ///
    /// ```
    /// use lapsegan_core::labels;
    /// use lapsegan_core::scores::overlap::OverlapTable;
    ///
    /// let truth = labels![
    ///     [1 1 .]
    ///     [1 1 .]
    /// ];
    /// let prediction = labels![
    ///     [. 1 1]
    ///     [. 1 1]
    /// ];
    /// let table = OverlapTable::new(truth.view(), prediction.view())?;
    /// assert_eq!(table.overlaps[0].iou(), 2.0 / 6.0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn iou(&self) -> f64 {
        self.intersection as f64 / self.union as f64
    }
}

/// The sparse contingency table of two label images.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OverlapTable {
    /// True objects by rising id.
    pub truth: Vec<Object>,
    /// Predicted objects by rising id.
    pub prediction: Vec<Object>,
    /// Pairs that share pixels, by rising true and then predicted id.
    pub overlaps: Vec<Overlap>,
}

impl OverlapTable {
    /// Counts two label images of one shape, 0 being background; a sequence `[T, H, W]` counts tracked objects.
    ///
    /// Labels need not be consecutive nor connected; memory grows with the number of pairs, not with the largest label.
    ///
    /// # Errors
    /// [`ScoreError::Shape`] where the shapes differ.
    ///
    /// # Examples
    /// ```
    /// use lapsegan_core::labels;
    /// use lapsegan_core::scores::overlap::{Object, Overlap, OverlapTable};
    ///
    /// let truth = labels![
    ///     [1 1 . 2]
    ///     [1 1 . 2]
    /// ];
    /// let prediction = labels![
    ///     [. 5 5 6]
    ///     [. 5 5 .]
    /// ];
    /// let table = OverlapTable::new(truth.view(), prediction.view())?;
    /// assert_eq!(table.truth, [Object { id: 1, pixels: 4 }, Object { id: 2, pixels: 2 }]);
    /// assert_eq!(table.prediction, [Object { id: 5, pixels: 4 }, Object { id: 6, pixels: 1 }]);
    /// assert_eq!(
    ///     table.overlaps,
    ///     [
    ///         // 1 and 5 share a column of two pixels, of 4 + 4 - 2.
    ///         Overlap { truth: 0, prediction: 0, intersection: 2, union: 6 },
    ///         // 2 and 6 share the upper right pixel, of 2 + 1 - 1.
    ///         Overlap { truth: 1, prediction: 1, intersection: 1, union: 2 },
    ///     ]
    /// );
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn new<D: Dimension>(
        truth: ArrayView<u32, D>,
        prediction: ArrayView<u32, D>,
    ) -> Result<Self, ScoreError> {
        if truth.shape() != prediction.shape() {
            return Err(ScoreError::Shape {
                truth: truth.shape().to_vec(),
                prediction: prediction.shape().to_vec(),
            });
        }
        let mut pairs: HashMap<(u32, u32), u64> = HashMap::new();
        // Neighbours mostly have the same labels: count runs, look up once per run.
        let (mut run, mut length) = ((0, 0), 0);
        for (&t, &p) in truth.iter().zip(prediction) {
            if (t, p) != run {
                *pairs.entry(run).or_insert(0) += length;
                (run, length) = ((t, p), 0);
            }
            length += 1;
        }
        *pairs.entry(run).or_insert(0) += length;

        let truth = objects(pairs.iter().map(|(&(t, _), &n)| (t, n)));
        let prediction = objects(pairs.iter().map(|(&(_, p), &n)| (p, n)));
        let index = |objects: &[Object], id| objects.binary_search_by_key(&id, |o| o.id).ok();
        let mut overlaps: Vec<Overlap> = pairs
            .into_iter()
            .filter_map(|((t, p), intersection)| {
                let (t, p) = (index(&truth, t)?, index(&prediction, p)?);
                let union = truth[t].pixels + prediction[p].pixels - intersection;
                Some(Overlap { truth: t, prediction: p, intersection, union })
            })
            .collect();
        overlaps.sort_unstable_by_key(|o| (o.truth, o.prediction));
        Ok(Self { truth, prediction, overlaps })
    }
}

fn objects(labels: impl Iterator<Item = (u32, u64)>) -> Vec<Object> {
    let mut areas: HashMap<u32, u64> = HashMap::new();
    for (id, pixels) in labels.filter(|&(id, pixels)| id != 0 && pixels > 0) {
        *areas.entry(id).or_insert(0) += pixels;
    }
    let mut objects: Vec<Object> = areas.into_iter().map(|(id, pixels)| Object { id, pixels }).collect();
    objects.sort_unstable_by_key(|o| o.id);
    objects
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::arr2;

    #[test]
    fn areas_and_shared_pixels_are_counted() {
        let truth = arr2(&[[1, 1, 0, 70000], [1, 1, 0, 70000]]);
        let prediction = arr2(&[[5, 5, 5, 0], [5, 2, 0, 0]]);
        let table = OverlapTable::new(truth.view(), prediction.view()).unwrap();
        assert_eq!(table.truth, [Object { id: 1, pixels: 4 }, Object { id: 70000, pixels: 2 }]);
        assert_eq!(table.prediction, [Object { id: 2, pixels: 1 }, Object { id: 5, pixels: 4 }]);
        assert_eq!(
            table.overlaps,
            [
                Overlap { truth: 0, prediction: 0, intersection: 1, union: 4 },
                Overlap { truth: 0, prediction: 1, intersection: 3, union: 5 },
            ]
        );
    }

    #[test]
    fn different_shapes_are_reported_with_both_sizes() {
        let error = OverlapTable::new(arr2(&[[0, 1]]).view(), arr2(&[[0], [1]]).view()).unwrap_err();
        assert_eq!(error.to_string(), "truth is [1, 2], prediction [2, 1]");
    }
}
