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
    /// A number is drawn from the sequences in which `objects` are labelled, where these are named: where a label image was
    /// missing, `prepare --missing empty` has put an empty one.
    ///
    /// # Errors
    /// [`DataError::Label`] where a name is unknown or not of the training part, or there are fewer than asked for, and
    /// what reading says.
    pub fn choose(&self, plate: &Plate, objects: Option<&str>, seed: u64) -> Result<Vec<usize>, DataError> {
        let training = plate.indices(Split::Train);
        let mut chosen = match self {
            Self::Number(wanted) => {
                if !(1..=training.len()).contains(wanted) {
                    return Err(too_few(plate, *wanted, training.len()));
                }
                draw(plate, &training, objects, *wanted, seed)?
            }
            Self::Listed(names) => {
                let meant = names.iter().map(|name| named(plate, &training, name));
                meant.collect::<Result<Vec<_>, _>>()?.concat()
            }
        };
        chosen.sort_unstable();
        chosen.dedup();
        if chosen.is_empty() {
            return Err(too_few(plate, 0, training.len()));
        }
        Ok(chosen)
    }
}

fn too_few(plate: &Plate, wanted: usize, there: usize) -> DataError {
    DataError::Label { path: plate.path.clone(), source: LabelError::NumberLabelled { wanted, there } }
}

/// Returns the training sequences that have this name.
fn named(plate: &Plate, training: &[usize], name: &str) -> Result<Vec<usize>, DataError> {
    let has_name = |i: &usize| plate.wells[*i].0 == name || plate.wells[*i].1.split_group == name;
    let meant: Vec<usize> = training.iter().copied().filter(has_name).collect();
    if !meant.is_empty() {
        return Ok(meant);
    }
    let well = training.first().map(|&i| plate.wells[i].0.clone());
    let group = training.last().map(|&i| plate.wells[i].1.split_group.clone());
    let source = LabelError::UnknownLabelled {
        name: name.to_owned(),
        held_out: (0..plate.wells.len()).any(|i| has_name(&i)),
        examples: well.into_iter().chain(group).collect(),
    };
    Err(DataError::Label { path: plate.path.clone(), source })
}

/// Draws one sequence of every group in turn, groups and sequences in an order that follows from the seed.
fn draw(
    plate: &Plate,
    training: &[usize],
    objects: Option<&str>,
    wanted: usize,
    seed: u64,
) -> Result<Vec<usize>, DataError> {
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
    let mut drawn = Vec::new();
    for &index in in_turn {
        if drawn.len() == wanted {
            break;
        }
        let shows_objects = match objects {
            None => true,
            Some(name) => {
                plate.read(index)?.labels.get(name).is_some_and(|labels| labels.ids.iter().any(|&id| id != 0))
            }
        };
        if shows_objects {
            drawn.push(index);
        }
    }
    if let Some(name) = objects.filter(|_| drawn.is_empty()) {
        let source = LabelError::AllEmpty { name: name.to_owned(), sequences: training.len() };
        return Err(DataError::Label { path: plate.path.clone(), source });
    }
    if drawn.len() < wanted {
        return Err(too_few(plate, wanted, drawn.len()));
    }
    Ok(drawn)
}

/// Returns the training sequences of a plate that are meant, as indices, rising.
///
/// # Errors
/// The first one that is not there.
pub fn find<'a>(plate: &Plate, labelled: &'a [LabelledSequence]) -> Result<Vec<usize>, &'a LabelledSequence> {
    let training: BTreeMap<LabelledSequence, usize> = plate
        .indices(Split::Train)
        .into_iter()
        .map(|i| (LabelledSequence::of(&plate.wells[i].1), i))
        .collect();
    let found = labelled.iter().map(|sequence| training.get(sequence).copied().ok_or(sequence));
    let mut found: Vec<usize> = found.collect::<Result<_, _>>()?;
    found.sort_unstable();
    Ok(found)
}

/// A sequence whose labels were used, as the metadata of plates and checkpoints names it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
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

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::error::{Advice, Exit};
    use crate::plate::{Origin, PlateMeta};

    /// Twelve sequences: four groups of training with two each, and two groups that are held out.
    fn plate() -> Plate {
        let well = |i: usize| {
            let split = if i < 8 { Split::Train } else { Split::Test };
            let meta = SequenceMeta {
                source: format!("movie y={}", i % 2),
                first_frame: 3 * i,
                split,
                split_group: format!("position-{}", i / 2),
                frame_ranges: None,
                label_margin: None,
            };
            (format!("A/{}", i + 1), meta)
        };
        Plate {
            path: PathBuf::from("plate.ome.zarr"),
            meta: PlateMeta::new("prepare", Origin::Recording, [1, 8, 8], Vec::new()),
            wells: (0..12).map(well).collect(),
        }
    }

    fn chosen(wish: &str) -> Result<Vec<usize>, DataError> {
        wish.parse::<Labelled>().unwrap().choose(&plate(), None, 1)
    }

    #[test]
    fn a_number_is_drawn_from_as_many_groups_as_there_are() {
        let four = chosen("4").unwrap();
        let groups: std::collections::BTreeSet<usize> = four.iter().map(|i| i / 2).collect();
        assert_eq!((four.len(), groups.len()), (4, 4));
        assert_eq!(chosen("8").unwrap(), (0..8).collect::<Vec<_>>());
        let of_seeds: Vec<_> =
            (0..8).map(|seed| Labelled::Number(1).choose(&plate(), None, seed).unwrap()).collect();
        assert!(of_seeds.iter().any(|one| *one != of_seeds[0]));
    }

    #[test]
    fn names_are_wells_or_groups_of_the_training_part() {
        assert_eq!(chosen("A/8, position-0,A/1").unwrap(), [0, 1, 7]);
        for (wish, words) in
            [("A/9", "held out"), ("position-9", "no such well"), ("9", "1 to 8"), ("", "1 to 8")]
        {
            let error = chosen(wish).unwrap_err();
            assert!(error.to_string().contains(words), "{wish}: {error}");
            assert_eq!(error.exit(), Exit::Usage);
        }
    }

    #[test]
    fn what_was_recorded_is_found_again() {
        let plate = plate();
        let recorded: Vec<LabelledSequence> =
            [7, 2].iter().map(|&i| LabelledSequence::of(&plate.wells[i].1)).collect();
        assert_eq!(find(&plate, &recorded).unwrap(), [2, 7]);
        let held_out = [LabelledSequence::of(&plate.wells[9].1)];
        assert_eq!(find(&plate, &held_out).unwrap_err(), &held_out[0]);
    }
}
