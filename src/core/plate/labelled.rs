//! The sequences of a plate whose labels are used, where not all are: `--labelled`, and what is recorded of it.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::str::FromStr;

use rand::seq::SliceRandom;
use serde::{Deserialize, Serialize};

use super::{Plate, SequenceMeta, Split};
use crate::error::{DataError, LabelError};
use crate::seed::{self, Stream};

/// A wish for the sequences whose labels are used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Labelled {
    /// So many, drawn from as many split groups as there are.
    Number(usize),
    /// These wells (`A/3`), and all training sequences of these split groups (`position-007`).
    Listed(Vec<String>),
}

impl FromStr for Labelled {
    type Err = Infallible;

    /// A whole number, or names with commas between.
    fn from_str(text: &str) -> Result<Self, Infallible> {
        let listed = || text.split(',').map(str::trim).filter(|name| !name.is_empty()).map(Into::into);
        Ok(text.trim().parse().map_or_else(|_| Self::Listed(listed().collect()), Self::Number))
    }
}

impl Labelled {
    /// Returns the sequences of the training part that are meant, as indices into the plate, rising.
    ///
    /// # Errors
    /// [`DataError::Label`] where a name is unknown or not of the training part, or there are fewer than asked for.
    pub fn choose(&self, plate: &Plate, seed: u64) -> Result<Vec<usize>, DataError> {
        let wrong = |source| DataError::Label { path: plate.path.clone(), source };
        let training = plate.indices(Split::Train);
        let mut chosen = match self {
            Self::Number(wanted) if (1..=training.len()).contains(wanted) => draw(plate, &training, *wanted, seed),
            Self::Number(wanted) => {
                return Err(wrong(LabelError::NumberLabelled { wanted: *wanted, there: training.len() }));
            }
            Self::Listed(names) => {
                let mut chosen = Vec::new();
                for name in names {
                    let is_meant =
                        |i: &usize| plate.wells[*i].0 == *name || plate.wells[*i].1.split_group == *name;
                    let meant: Vec<usize> = training.iter().copied().filter(is_meant).collect();
                    if meant.is_empty() {
                        let elsewhere = (0..plate.wells.len()).any(|i| is_meant(&i));
                        return Err(wrong(LabelError::UnknownLabelled {
                            name: name.clone(),
                            held_out: elsewhere,
                            examples: examples(plate, &training),
                        }));
                    }
                    chosen.extend(meant);
                }
                chosen
            }
        };
        chosen.sort_unstable();
        chosen.dedup();
        if chosen.is_empty() {
            return Err(wrong(LabelError::NumberLabelled { wanted: 0, there: training.len() }));
        }
        Ok(chosen)
    }
}

/// Draws one sequence of every group in turn, groups and sequences in an order that follows from the seed.
fn draw(plate: &Plate, training: &[usize], wanted: usize, seed: u64) -> Vec<usize> {
    let mut groups: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for &index in training {
        groups.entry(&plate.wells[index].1.split_group).or_default().push(index);
    }
    let mut rng = seed::rng(Stream::LabelledChoice, &[seed]);
    let mut groups: Vec<Vec<usize>> = groups.into_values().collect();
    groups.shuffle(&mut rng);
    for group in &mut groups {
        group.shuffle(&mut rng);
    }
    let rounds = groups.iter().map(Vec::len).max().unwrap_or(0);
    let in_turn = (0..rounds).flat_map(|round| groups.iter().filter_map(move |group| group.get(round)));
    in_turn.copied().take(wanted).collect()
}

fn examples(plate: &Plate, training: &[usize]) -> Vec<String> {
    let well = training.first().map(|&i| plate.wells[i].0.clone());
    let group = training.last().map(|&i| plate.wells[i].1.split_group.clone());
    well.into_iter().chain(group).collect()
}

/// A sequence whose labels were used, as the metadata of plates and checkpoints names it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LabelledSequence {
    /// As in [`SequenceMeta`].
    pub split_group: String,
    /// As in [`SequenceMeta`].
    pub source: String,
    /// As in [`SequenceMeta`].
    pub first_frame: usize,
}

impl LabelledSequence {
    /// Names a sequence.
    pub fn of(sequence: &SequenceMeta) -> Self {
        let SequenceMeta { split_group, source, first_frame, .. } = sequence;
        Self { split_group: split_group.clone(), source: source.clone(), first_frame: *first_frame }
    }
}
