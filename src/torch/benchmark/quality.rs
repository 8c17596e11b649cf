//! How good the labels of every synthetic sequence are, told without a truth.

use ndarray::{Axis, Zip};
use rayon::prelude::*;
use serde::Serialize;

use super::BenchmarkError;
use super::arms::AugmentationStrength;
use super::crops::{Labelled, Pool};
use super::segmenter::{Lesson, Segmenter};
use lapsegan_core::error::DataError;
use lapsegan_core::plate::Plate;
use lapsegan_core::scores::counts::Counts;

/// Figures of one sequence.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SequenceQuality {
    /// Its well.
    pub well: String,
    /// Objects, over all frames.
    pub objects: usize,
    /// Mean average precision over IoU .50 to .95 of its labels against a segmenter that learned real labels; `None` where
    /// neither shows an object.
    pub average_precision: Option<f64>,
    /// How clearly its labels were drawn, in [0, 1]; `None` where they were not drawn with it.
    pub margin: Option<f64>,
    /// Probability that a labelled pixel is brighter than one that is not, in a channel of fluorescence; `None` where
    /// either is missing.
    pub brighter: Option<f64>,
}

/// Least figures of a sequence that is kept; `None` asks for nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Least {
    /// Of [`SequenceQuality::average_precision`].
    pub average_precision: Option<f64>,
    /// Of [`SequenceQuality::margin`].
    pub margin: Option<f64>,
    /// Of [`SequenceQuality::brighter`].
    pub brighter: Option<f64>,
}

impl Least {
    /// Returns whether a sequence is kept. What a sequence has no figure of is no reason to drop it.
    pub fn keeps(&self, sequence: &SequenceQuality) -> bool {
        let enough = |figure: Option<f64>, least: Option<f64>| figure.zip(least).is_none_or(|(f, l)| f >= l);
        enough(sequence.average_precision, self.average_precision)
            && enough(sequence.margin, self.margin)
            && enough(sequence.brighter, self.brighter)
    }
}

/// What a segmenter that learned real labels says.
#[derive(Clone, Debug, PartialEq)]
pub struct Judged {
    /// Its mean average precision on what it learned, all frames together; at most [`SHOWN_AGAIN`] sequences. Low where it
    /// learned nothing, and then says nothing.
    pub on_learned: Option<f64>,
    /// Objects of every synthetic sequence, and [`SequenceQuality::average_precision`].
    pub synthetic: Vec<(usize, Option<f64>)>,
}

/// Sequences that a segmenter is shown again.
pub const SHOWN_AGAIN: usize = 64;

/// Trains a segmenter on labelled real sequences and compares it with the labels of synthetic ones, in the order of these.
///
/// # Errors
/// What the segmenter says.
pub fn judge(
    segmenter: &dyn Segmenter,
    real: &[Labelled],
    synthetic: &[Labelled],
    seed: u64,
    on_step: &mut dyn FnMut(),
) -> Result<Judged, BenchmarkError> {
    let pool = Pool::new(real);
    let lesson =
        Lesson { before: Vec::new(), pools: vec![&pool], augmentation: AugmentationStrength::Standard };
    let fitted = segmenter.fit(&lesson, seed, on_step)?;
    let compare = |sequence: &Labelled| -> Result<Counts, BenchmarkError> {
        let found = fitted.predict(&[sequence.image.view()])?.remove(0);
        Ok(Counts::of_frames(found.view(), sequence.labels.view())?)
    };
    let mut learned = Counts::default();
    for sequence in real.iter().take(SHOWN_AGAIN) {
        learned += compare(sequence)?;
    }
    let one = |sequence| compare(sequence).map(|c| (c.n_predicted as usize, c.scores().mean_ap));
    let synthetic = synthetic.iter().map(one).collect::<Result<_, _>>()?;
    Ok(Judged { on_learned: learned.scores().mean_ap, synthetic })
}

/// Returns for each sequence of a plate how much brighter its labelled pixels are in a channel, see
/// [`SequenceQuality::brighter`].
///
/// # Errors
/// What reading says.
pub fn brighter(
    plate: &Plate,
    indices: &[usize],
    label: &str,
    channel: usize,
) -> Result<Vec<Option<f64>>, DataError> {
    let one = |&index: &usize| {
        let sequence = plate.read(index)?;
        let Some(labels) = sequence.labels.get(label) else { return Ok(None) };
        let (mut inside, mut outside) = (Vec::new(), Vec::new());
        Zip::from(&labels.ids).and(&sequence.image.index_axis(Axis(1), channel)).for_each(|&id, &count| {
            if id == 0 { &mut outside } else { &mut inside }.push(count);
        });
        Ok(probability_of_more(inside, outside))
    };
    indices.par_iter().map(one).collect()
}

/// Returns the probability that a value of the first is larger than one of the second, equal ones half (Mann and Whitney).
fn probability_of_more(mut first: Vec<u16>, mut second: Vec<u16>) -> Option<f64> {
    if first.is_empty() || second.is_empty() {
        return None;
    }
    first.sort_unstable();
    second.sort_unstable();
    let (mut below, mut up_to, mut wins) = (0, 0, 0.0);
    for value in &first {
        while below < second.len() && second[below] < *value {
            below += 1;
        }
        while up_to < second.len() && second[up_to] <= *value {
            up_to += 1;
        }
        wins += f64::midpoint(below as f64, up_to as f64);
    }
    Some(wins / (first.len() as f64 * second.len() as f64))
}

#[cfg(test)]
mod tests {
    use super::super::crops::drawn::discs;
    use super::super::segmenter::otsu::Otsu;
    use super::*;

    #[test]
    fn labels_that_do_not_fit_their_images_are_told_from_those_that_do() {
        let real = discs(6, 1, 1);
        let mut synthetic = discs(24, 1, 2);
        // The labels of the second half are those of other images.
        for (sequence, other) in synthetic[12..].iter_mut().zip(discs(12, 1, 3)) {
            sequence.labels = other.labels;
        }
        let found = judge(&Otsu, &real, &synthetic, 1, &mut || ()).unwrap();
        let ap: Vec<f64> = found.synthetic.iter().map(|(_, ap)| ap.unwrap()).collect();
        // Discs that touch are one to a threshold: some of the good ones are bad as well.
        let [good, bad] = [&ap[..12], &ap[12..]].map(|half| half.iter().sum::<f64>() / 12.0);
        assert!(good > 0.3 && bad < 0.05, "{ap:?}");
        assert!(found.synthetic.iter().all(|(objects, _)| *objects >= 6));
        assert!(found.on_learned.is_some_and(|learned| learned > bad));
    }

    #[test]
    fn the_probability_counts_equal_ones_half() {
        assert_eq!(probability_of_more(vec![3, 5], vec![1, 3]), Some(0.875));
        assert_eq!(probability_of_more(vec![1], vec![2, 2]), Some(0.0));
        assert_eq!(probability_of_more(vec![], vec![2]), None);
    }

    #[test]
    fn a_figure_that_is_missing_drops_nothing() {
        let sequence = |margin, brighter| SequenceQuality {
            well: "A/1".into(),
            objects: 3,
            average_precision: Some(0.5),
            margin,
            brighter,
        };
        let least = Least { margin: Some(0.7), brighter: Some(0.8), ..Least::default() };
        assert!(least.keeps(&sequence(None, Some(0.9))) && least.keeps(&sequence(Some(0.7), None)));
        assert!(!least.keeps(&sequence(Some(0.69), Some(0.9))));
        assert!(Least::default().keeps(&sequence(Some(0.0), Some(0.0))));
    }
}
