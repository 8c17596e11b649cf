//! Counts of label images, summed, and the scores that follow from them.
//!
//! Counts are added first and divided once (`pooled`), the number to report; the mean over images is another number and
//! carries another name. Where neither side has any object a score is undefined: `None`, `null` in JSON, never 0 or 1.
//! Where only one side is empty every score is 0, and so is a ratio 0/0 inside of an image that is not empty.

use std::ops::AddAssign;

use ndarray::{ArrayView, ArrayView3, Axis, Dimension};
use serde::{Deserialize, Serialize};

use super::ScoreError;
use super::aji::{Jaccard, aji, aji_plus};
use super::ctc::{Detected, detected};
use super::matching::{Matched, N_THRESHOLDS, matched};
use super::overlap::OverlapTable;

/// Counts from which all scores follow, of one image or summed over several.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Counts {
    /// Images counted, undefined ones included.
    pub n_images: u64,
    /// Images without any object on either side.
    pub n_undefined: u64,
    /// True objects.
    pub n_true: u64,
    /// Predicted objects.
    pub n_predicted: u64,
    /// Matched pairs at ten thresholds.
    pub matched: Matched,
    /// Foreground pixels of the truth.
    pub truth_pixels: u64,
    /// Foreground pixels of the prediction.
    pub prediction_pixels: u64,
    /// Foreground pixels of both.
    pub shared_pixels: u64,
    /// For AJI.
    pub aji: Jaccard,
    /// For AJI+.
    pub aji_plus: Jaccard,
    /// For SEG and DET.
    pub detected: Detected,
}

impl Counts {
    /// Returns the counts of one label image against the truth.
    ///
    /// # Errors
    /// [`ScoreError::Shape`] where the shapes differ.
    ///
    /// # Examples
    /// A split (1), a merge (2 and 3), a miss (4) and an invention (9), as in [`matched`]:
    ///
    /// ```
    /// use lapsegan_core::labels;
    /// use lapsegan_core::scores::counts::Counts;
    ///
    /// let truth = labels![
    ///     [1 1 1 1 . 4]
    ///     [2 2 3 3 . .]
    /// ];
    /// let prediction = labels![
    ///     [7 7 7 8 . .]
    ///     [6 6 6 6 . 9]
    /// ];
    /// let counts = Counts::of(truth.view(), prediction.view())?;
    /// assert_eq!((counts.n_true, counts.n_predicted), (4, 4));
    /// assert_eq!((counts.truth_pixels, counts.prediction_pixels, counts.shared_pixels), (9, 9, 8));
    /// // 1 takes 7 (3 of 4 pixels), 2 and 3 take 6 (2 of 4 each); 4, 8 and 9 are left with a pixel each.
    /// assert_eq!((counts.aji.intersection, counts.aji.union), (3 + 2 + 2, 4 + 4 + 4 + 1 + 1 + 1));
    /// // One to one: 1 with 7 and one of 2 and 3 with 6.
    /// assert_eq!((counts.aji_plus.intersection, counts.aji_plus.union), (3 + 2, 9 + 9 - 5));
    /// // Nothing covers 4; 8 and 9 cover nothing by more than half; 6 covers two cells.
    /// let found = counts.detected;
    /// assert_eq!((found.missed, found.wrong, found.splits, found.sum_iou), (1, 2, 1, 0.75 + 0.5 + 0.5));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn of<D: Dimension>(
        truth: ArrayView<u32, D>,
        prediction: ArrayView<u32, D>,
    ) -> Result<Self, ScoreError> {
        Ok(Self::of_table(&OverlapTable::new(truth, prediction)?))
    }

    /// Returns the counts of one label image whose overlap with the truth is known.
    pub fn of_table(table: &OverlapTable) -> Self {
        Self {
            n_images: 1,
            n_undefined: u64::from(table.truth.is_empty() && table.prediction.is_empty()),
            n_true: table.truth.len() as u64,
            n_predicted: table.prediction.len() as u64,
            matched: matched(table),
            truth_pixels: table.truth.iter().map(|o| o.pixels).sum(),
            prediction_pixels: table.prediction.iter().map(|o| o.pixels).sum(),
            shared_pixels: table.overlaps.iter().map(|o| o.intersection).sum(),
            aji: aji(table),
            aji_plus: aji_plus(table),
            detected: detected(table),
        }
    }

    /// Returns the summed counts of a sequence `[T, H, W]`, every frame an image of its own.
    ///
    /// # Errors
    /// [`ScoreError::Shape`] where the shapes differ.
    ///
    /// # Examples
    /// The second frame is empty on both sides; it counts as an image and is undefined.
    ///
    /// ```
    /// use lapsegan_core::labels;
    /// use lapsegan_core::scores::counts::Counts;
    /// use ndarray::{Axis, stack};
    ///
    /// let frames = [labels![[1 1 . 2]], labels![[. . . .]]];
    /// let movie = stack(Axis(0), &[frames[0].view(), frames[1].view()])?;
    /// let counts = Counts::of_frames(movie.view(), movie.view())?;
    /// assert_eq!((counts.n_images, counts.n_undefined), (2, 1));
    /// assert_eq!((counts.n_true, counts.n_predicted), (2, 2));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn of_frames(truth: ArrayView3<u32>, prediction: ArrayView3<u32>) -> Result<Self, ScoreError> {
        if truth.dim() != prediction.dim() {
            return Err(ScoreError::Shape {
                truth: truth.shape().to_vec(),
                prediction: prediction.shape().to_vec(),
            });
        }
        let mut sum = Self::default();
        for (t, p) in truth.axis_iter(Axis(0)).zip(prediction.axis_iter(Axis(0))) {
            sum += Self::of(t, p)?;
        }
        Ok(sum)
    }

    /// Returns the scores of these counts.
    ///
    /// # Examples
    /// A split (1), a merge (2 and 3), a miss (4) and an invention (9), as in [`Counts::of`]. At IoU 0.5 two of four
    /// cells match two of four predictions, with IoU 0.75 and 0.5:
    ///
    /// ```
    /// use lapsegan_core::labels;
    /// use lapsegan_core::scores::counts::Counts;
    ///
    /// let truth = labels![
    ///     [1 1 1 1 . 4]
    ///     [2 2 3 3 . .]
    /// ];
    /// let prediction = labels![
    ///     [7 7 7 8 . .]
    ///     [6 6 6 6 . 9]
    /// ];
    /// let scores = Counts::of(truth.view(), prediction.view())?.scores();
    /// // TP 2, FP 2, FN 2.
    /// assert_eq!(scores.ap[0], Some(2.0 / 6.0));
    /// assert_eq!((scores.precision[0], scores.recall[0], scores.f1[0]), (Some(0.5), Some(0.5), Some(0.5)));
    /// assert_eq!(scores.pq[0], Some((0.75 + 0.5) / (2.0 + 1.0 + 1.0)));
    /// assert_eq!(scores.mean_matched_score[0], Some((0.75 + 0.5) / 2.0));
    /// // From 0.55 to 0.75 only one of them matches (1 / 7), from 0.80 none.
    /// assert!((scores.mean_ap.unwrap() - (2.0 / 6.0 + 5.0 / 7.0) / 10.0).abs() < 1e-12);
    /// // Pixels: 8 of 9 are shared. Foreground alone looks good.
    /// assert_eq!(scores.dice, Some(16.0 / 18.0));
    /// assert_eq!((scores.aji, scores.aji_plus), (Some(7.0 / 15.0), Some(5.0 / 13.0)));
    /// // One missed cell, two wrong objects and a split cost 10 + 2 + 5 of 4 * 10.
    /// assert_eq!((scores.seg, scores.det), (Some(1.75 / 4.0), Some(1.0 - 17.0 / 40.0)));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn scores(&self) -> Scores {
        let defined = self.n_true + self.n_predicted > 0;
        let ratio = |a: f64, b: f64| defined.then(|| if b > 0.0 { a / b } else { 0.0 });
        let (n_true, n_pred) = (self.n_true as f64, self.n_predicted as f64);
        let tp = self.matched.true_positives.map(|n| n as f64);
        let sum = self.matched.sum_matched_iou;
        let each = |f: &dyn Fn(usize) -> Option<f64>| std::array::from_fn(f);
        let ap: PerThreshold = each(&|i| ratio(tp[i], n_true + n_pred - tp[i]));
        Scores {
            ap,
            mean_ap: mean(ap).0,
            precision: each(&|i| ratio(tp[i], n_pred)),
            recall: each(&|i| ratio(tp[i], n_true)),
            f1: each(&|i| ratio(2.0 * tp[i], n_true + n_pred)),
            mean_matched_score: each(&|i| ratio(sum[i], tp[i])),
            mean_true_score: each(&|i| ratio(sum[i], n_true)),
            pq: each(&|i| ratio(2.0 * sum[i], n_true + n_pred)),
            aji: self.aji.index(),
            aji_plus: self.aji_plus.index(),
            dice: ratio(2.0 * self.shared_pixels as f64, (self.truth_pixels + self.prediction_pixels) as f64),
            seg: self.detected.seg(),
            det: self.detected.det(),
        }
    }

    /// Returns counts and scores together.
    ///
    /// # Examples
    /// At IoU 0.5 both halves of the first cell could match it, and one does; the second cell is missed.
    ///
    /// ```
    /// use lapsegan_core::labels;
    /// use lapsegan_core::scores::counts::Counts;
    ///
    /// let truth = labels![[1 1 1 1 . 2]];
    /// let prediction = labels![[5 5 6 6 . .]];
    /// let report = Counts::of(truth.view(), prediction.view())?.report();
    /// assert_eq!((report.tp[0], report.fp[0], report.fn_[0]), (1, 1, 1));
    /// // At 0.55 no half is enough.
    /// assert_eq!((report.tp[1], report.fp[1], report.fn_[1]), (0, 2, 2));
    /// assert_eq!(report.scores.recall[0], Some(0.5));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn report(&self) -> Report {
        let tp = self.matched.true_positives;
        Report {
            n_images: self.n_images,
            n_undefined: self.n_undefined,
            n_true: self.n_true,
            n_pred: self.n_predicted,
            tp,
            fp: tp.map(|n| self.n_predicted - n),
            fn_: tp.map(|n| self.n_true - n),
            sum_matched_iou: self.matched.sum_matched_iou,
            scores: self.scores(),
        }
    }
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.n_images += other.n_images;
        self.n_undefined += other.n_undefined;
        self.n_true += other.n_true;
        self.n_predicted += other.n_predicted;
        for i in 0..N_THRESHOLDS {
            self.matched.true_positives[i] += other.matched.true_positives[i];
            self.matched.sum_matched_iou[i] += other.matched.sum_matched_iou[i];
        }
        self.truth_pixels += other.truth_pixels;
        self.prediction_pixels += other.prediction_pixels;
        self.shared_pixels += other.shared_pixels;
        self.aji += other.aji;
        self.aji_plus += other.aji_plus;
        self.detected += other.detected;
    }
}

impl std::iter::Sum for Counts {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), |mut sum, one| {
            sum += one;
            sum
        })
    }
}

/// One value per threshold 0.50, 0.55, ... 0.95.
pub type PerThreshold = [Option<f64>; N_THRESHOLDS];

/// Scores in [0, 1], from counts of one image, pooled over several, or averaged over images.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Scores {
    /// TP / (TP + FP + FN): `StarDist`'s accuracy, Cellpose's average precision; not COCO's.
    pub ap: PerThreshold,
    /// Mean of `ap` over the ten thresholds.
    pub mean_ap: Option<f64>,
    /// TP / (TP + FP).
    pub precision: PerThreshold,
    /// TP / (TP + FN).
    pub recall: PerThreshold,
    /// 2 TP / (2 TP + FP + FN).
    pub f1: PerThreshold,
    /// Mean IoU over matched pairs.
    pub mean_matched_score: PerThreshold,
    /// Sum of matched IoU over all true objects.
    pub mean_true_score: PerThreshold,
    /// Panoptic quality: sum of matched IoU / (TP + FP / 2 + FN / 2).
    pub pq: PerThreshold,
    /// Aggregated Jaccard index of Kumar et al.
    pub aji: Option<f64>,
    /// One-to-one aggregated Jaccard index.
    pub aji_plus: Option<f64>,
    /// Dice of the foreground, which does not separate objects.
    pub dice: Option<f64>,
    /// Cell Tracking Challenge SEG; undefined without a true object.
    pub seg: Option<f64>,
    /// Cell Tracking Challenge DET; undefined without a true object.
    pub det: Option<f64>,
}

/// Counts with their scores, as written to JSON.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Report {
    /// Images counted.
    pub n_images: u64,
    /// Images without any object on either side.
    pub n_undefined: u64,
    /// True objects.
    pub n_true: u64,
    /// Predicted objects.
    pub n_pred: u64,
    /// True positives.
    pub tp: [u64; N_THRESHOLDS],
    /// Predictions without a match.
    pub fp: [u64; N_THRESHOLDS],
    /// True objects without a match.
    #[serde(rename = "fn")]
    pub fn_: [u64; N_THRESHOLDS],
    /// Sum of the IoU of matched pairs.
    pub sum_matched_iou: [f64; N_THRESHOLDS],
    /// What follows from the counts.
    #[serde(flatten)]
    pub scores: Scores,
}

/// Returns each score's mean over the images where it is defined.
///
/// # Examples
/// Three cells found in one image, one not found (but another invented) in the next, none in the last. The mean weighs
/// the first two images alike; the pooled score weighs cells alike.
///
/// ```
/// use lapsegan_core::labels;
/// use lapsegan_core::scores::counts::{Counts, mean_over_defined_images};
///
/// let truth = [labels![[1 2 3]], labels![[1 . .]], labels![[. . .]]];
/// let prediction = [labels![[1 2 3]], labels![[. . 1]], labels![[. . .]]];
/// let mut each = Vec::new();
/// for (t, p) in truth.iter().zip(&prediction) {
///     each.push(Counts::of(t.view(), p.view())?);
/// }
/// let scores: Vec<_> = each.iter().map(Counts::scores).collect();
/// assert_eq!(mean_over_defined_images(&scores).ap[0], Some((1.0 + 0.0) / 2.0));
/// // Pooled: TP 3, FP 1, FN 1.
/// let pooled: Counts = each.into_iter().sum();
/// assert_eq!(pooled.scores().ap[0], Some(3.0 / 5.0));
/// // Without a defined image there is no mean.
/// assert_eq!(mean_over_defined_images(&scores[2..]).ap[0], None);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn mean_over_defined_images(images: &[Scores]) -> Scores {
    let per = |of: fn(&Scores) -> &PerThreshold| -> PerThreshold {
        std::array::from_fn(|i| mean(images.iter().map(|s| of(s)[i])).0)
    };
    let one = |of: fn(&Scores) -> Option<f64>| mean(images.iter().map(of)).0;
    Scores {
        ap: per(|s| &s.ap),
        mean_ap: one(|s| s.mean_ap),
        precision: per(|s| &s.precision),
        recall: per(|s| &s.recall),
        f1: per(|s| &s.f1),
        mean_matched_score: per(|s| &s.mean_matched_score),
        mean_true_score: per(|s| &s.mean_true_score),
        pq: per(|s| &s.pq),
        aji: one(|s| s.aji),
        aji_plus: one(|s| s.aji_plus),
        dice: one(|s| s.dice),
        seg: one(|s| s.seg),
        det: one(|s| s.det),
    }
}

/// Returns the mean of the values that are there, and how many these are.
fn mean(values: impl IntoIterator<Item = Option<f64>>) -> (Option<f64>, usize) {
    let there: Vec<f64> = values.into_iter().flatten().collect();
    let n = there.len();
    ((n > 0).then(|| there.iter().sum::<f64>() / n as f64), n)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Array3, arr2, stack};

    #[test]
    fn identical_labels_score_one_whatever_the_ids() {
        let truth = arr2(&[[1, 1, 0, 2], [1, 1, 0, 2]]);
        let scores = Counts::of(truth.view(), truth.mapv(|id| id * 1000).view()).unwrap().scores();
        assert_eq!(scores.ap, [Some(1.0); N_THRESHOLDS]);
        for one in [scores.mean_ap, scores.aji, scores.aji_plus, scores.dice, scores.seg, scores.det] {
            assert_eq!(one, Some(1.0));
        }
    }

    #[test]
    fn empty_images_are_undefined_and_half_empty_ones_are_zero() {
        let empty = arr2(&[[0, 0]]);
        let object = arr2(&[[0, 3]]);
        let both = Counts::of(empty.view(), empty.view()).unwrap();
        assert_eq!((both.n_undefined, both.scores().ap[0], both.scores().dice), (1, None, None));
        let missed = Counts::of(object.view(), empty.view()).unwrap().scores();
        assert_eq!(
            (missed.ap[0], missed.precision[0], missed.dice, missed.seg),
            (Some(0.0), Some(0.0), Some(0.0), Some(0.0))
        );
        let invented = Counts::of(empty.view(), object.view()).unwrap().scores();
        assert_eq!(
            (invented.ap[0], invented.recall[0], invented.dice, invented.seg),
            (Some(0.0), Some(0.0), Some(0.0), None)
        );
    }

    #[test]
    fn pooled_weighs_objects_and_the_mean_weighs_images() {
        let truth = [arr2(&[[1, 2, 3]]), arr2(&[[1, 0, 0]]), arr2(&[[0, 0, 0]])];
        let prediction = [arr2(&[[1, 2, 3]]), arr2(&[[0, 0, 1]]), arr2(&[[0, 0, 0]])];
        let join = |frames: &[ndarray::Array2<u32>; 3]| -> Array3<u32> {
            stack(Axis(0), &frames.each_ref().map(|f| f.view())).unwrap()
        };
        let pooled = Counts::of_frames(join(&truth).view(), join(&prediction).view()).unwrap();
        assert_eq!(pooled.scores().ap[0], Some(0.6));
        assert_eq!((pooled.n_images, pooled.n_undefined), (3, 1));
        let each: Vec<Scores> = truth
            .iter()
            .zip(&prediction)
            .map(|(t, p)| Counts::of(t.view(), p.view()).unwrap().scores())
            .collect();
        assert_eq!(mean_over_defined_images(&each).ap[0], Some(0.5));
        assert_eq!(mean_over_defined_images(&[]).ap[0], None);
    }

    #[test]
    fn json_keeps_short_keys_and_null() {
        let empty = arr2(&[[0]]);
        let json = serde_json::to_value(Counts::of(empty.view(), empty.view()).unwrap().report()).unwrap();
        assert_eq!((&json["fn"][0], &json["ap"][0]), (&serde_json::json!(0), &serde_json::Value::Null));
    }
}
