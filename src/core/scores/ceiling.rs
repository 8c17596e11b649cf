//! What is lost where labels become maps and come back: the most that whoever draws such maps can score.

use ndarray::Axis;
use rayon::prelude::*;
use serde::Serialize;

use super::counts::{Counts, Report};
use super::overlap::OverlapTable;
use crate::error::DataError;
use crate::labels::codec::{DecodeSettings, decode, encode};
use crate::plate::{Plate, Sequence};

/// IoU from which an object counts as come back.
const SAME: f64 = 0.5;

/// How labels come back from their maps.
#[derive(Clone, Debug, Serialize)]
pub struct Ceiling {
    /// Scores of all frames together.
    pub pooled: Report,
    /// Every sequence with its scores, the worst first.
    pub sequences: Vec<SequenceCeiling>,
    /// Objects that do not come back: their areas in pixels, by size.
    pub lost_areas_px: Vec<u64>,
}

/// A sequence whose labels went there and back.
#[derive(Clone, Debug, Serialize)]
pub struct SequenceCeiling {
    /// Well of the plate.
    pub well: String,
    /// Scores of its frames together.
    pub pooled: Report,
}

/// Encodes and decodes a label image in the sequences at `indices` of a plate; `on_sequence` is called after each.
///
/// # Errors
/// What reading says.
pub fn ceiling(
    plate: &Plate,
    label: &str,
    indices: &[usize],
    settings: &DecodeSettings,
    on_sequence: &(dyn Fn() + Sync),
) -> Result<Ceiling, DataError> {
    let one = |&index: &usize| -> Result<_, DataError> {
        let there_and_back = one_sequence(&plate.read(index)?, label, settings);
        on_sequence();
        Ok((plate.wells[index].0.clone(), there_and_back))
    };
    let all: Vec<(String, (Counts, Vec<u64>))> = indices.par_iter().map(one).collect::<Result<_, _>>()?;
    let mut sum = Counts::default();
    let (mut sequences, mut lost_areas_px) = (Vec::new(), Vec::new());
    for (well, (counts, lost)) in all {
        sum += counts;
        lost_areas_px.extend(lost);
        sequences.push(SequenceCeiling { well, pooled: counts.report() });
    }
    lost_areas_px.sort_unstable();
    // Sequences without objects have no score, and lose nothing.
    let score = |s: &SequenceCeiling| s.pooled.scores.mean_ap.unwrap_or(1.0);
    sequences.sort_by(|a, b| score(a).total_cmp(&score(b)));
    Ok(Ceiling { pooled: sum.report(), sequences, lost_areas_px })
}

/// Returns the counts of a sequence, and the areas of the objects that do not come back.
fn one_sequence(sequence: &Sequence, label: &str, settings: &DecodeSettings) -> (Counts, Vec<u64>) {
    let (mut counts, mut lost) = (Counts::default(), Vec::new());
    let Some(labels) = sequence.labels.get(label) else { return (counts, lost) };
    for truth in labels.ids.axis_iter(Axis(0)) {
        let back = decode(&encode(truth), settings);
        let table = OverlapTable::new(truth, back.view()).expect("a label image of the same size");
        let mut best = vec![0.0_f64; table.truth.len()];
        for overlap in &table.overlaps {
            best[overlap.truth] = best[overlap.truth].max(overlap.iou());
        }
        lost.extend(
            table.truth.iter().zip(best).filter(|(_, iou)| *iou < SAME).map(|(object, _)| object.pixels),
        );
        counts += Counts::of(truth, back.view()).expect("a label image of the same size");
    }
    (counts, lost)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::labels;
    use crate::plate::{Labels, SequenceMeta, Split};
    use std::collections::BTreeMap;

    #[test]
    fn what_is_too_small_is_lost_and_the_rest_comes_back() {
        let frame = labels![
            [1 1 1 . . 2]
            [1 1 1 . . .]
            [1 1 1 . 3 3]
            [. . . . 3 3]
        ];
        let ids = frame.insert_axis(Axis(0));
        let labels = Labels { ids, parents: BTreeMap::new() };
        let meta = SequenceMeta {
            source: String::new(),
            first_frame: 0,
            split: Split::Train,
            split_group: String::new(),
            frame_ranges: None,
            label_margin: None,
        };
        let image = ndarray::Array4::zeros((1, 1, 4, 6));
        let sequence = Sequence { meta, image, labels: BTreeMap::from([("cells".to_owned(), labels)]) };
        let (counts, lost) = one_sequence(&sequence, "cells", &DecodeSettings::standard());
        assert_eq!((counts.n_true, counts.n_predicted, lost), (3, 2, vec![1]));
        assert_eq!(counts.report().scores.ap[0], Some(2.0 / 3.0));
        assert_eq!(one_sequence(&sequence, "nuclei", &DecodeSettings::standard()).0, Counts::default());
    }
}
