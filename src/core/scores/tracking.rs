//! TRA and LNK of the Cell Tracking Challenge: how much a graph of cells over frames must be mended to be the true one.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::AddAssign;

use serde::{Deserialize, Serialize};

use super::ctc::{Detected, MISSED, matches};
use super::overlap::{Object, OverlapTable};

/// Price of a link that should not be.
const REDUNDANT: f64 = 1.0;
/// Price of a link that is missing.
const LACKING: f64 = 1.5;
/// Price of a link that takes a cell for a daughter, or a daughter for the cell itself.
const CHANGED: f64 = 1.0;

/// Counts from which LNK and, with those of [`Detected`], TRA follow, of one sequence or summed over several.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Linked {
    /// True links: of a cell to itself in the next frame, and of a parent to each of its daughters.
    pub n_links: u64,
    /// Predicted links between found cells that are no true ones.
    pub redundant: u64,
    /// True links that were not predicted.
    pub lacking: u64,
    /// Links of the wrong kind.
    pub changed: u64,
}

impl AddAssign for Linked {
    fn add_assign(&mut self, other: Self) {
        self.n_links += other.n_links;
        self.redundant += other.redundant;
        self.lacking += other.lacking;
        self.changed += other.changed;
    }
}

impl Linked {
    /// Returns 1 less the price of mending the links over the price of making all of them, in [0, 1]; `None` without a
    /// true link.
    pub fn lnk(&self) -> Option<f64> {
        let nothing = LACKING * self.n_links as f64;
        (self.n_links > 0).then(|| 1.0 - self.price().min(nothing) / nothing)
    }

    /// Returns 1 less the price of mending cells and links over the price of making all of them, in [0, 1]; `None`
    /// without a true cell.
    pub fn tra(&self, detected: &Detected) -> Option<f64> {
        let nothing = MISSED * detected.n_true as f64 + LACKING * self.n_links as f64;
        (detected.n_true > 0).then(|| 1.0 - (detected.price() + self.price()).min(nothing) / nothing)
    }

    fn price(&self) -> f64 {
        REDUNDANT * self.redundant as f64 + LACKING * self.lacking as f64 + CHANGED * self.changed as f64
    }
}

/// Compares the links of a sequence, given the table of each frame and the parents of both sides, child to parent.
///
/// A parent may go on after its child began, as the mother of a bud does; the link leaves it in its last frame before.
///
/// # Reference
/// Matula et al., "Cell tracking accuracy measurement based on comparison of acyclic oriented graphs", 2015; weights of
/// the challenge.
///
/// # Examples
/// Two cells in two frames exchange their ids in the prediction: both links are to be made.
///
/// ```
/// use std::collections::BTreeMap;
///
/// use lapsegan_core::labels;
/// use lapsegan_core::scores::overlap::OverlapTable;
/// use lapsegan_core::scores::tracking::{Linked, linked};
///
/// let truth = [labels![[1 1 . 2 2]], labels![[1 1 . 2 2]]];
/// let prediction = [labels![[1 1 . 2 2]], labels![[2 2 . 1 1]]];
/// let [a, b] = [0, 1].map(|t| OverlapTable::new(truth[t].view(), prediction[t].view()).unwrap());
/// let none = BTreeMap::new();
/// let found = linked(&[&a, &b], [&none, &none]);
/// assert_eq!(found, Linked { n_links: 2, redundant: 2, lacking: 2, changed: 0 });
/// assert_eq!(found.lnk(), Some(0.0));
/// ```
pub fn linked(tables: &[&OverlapTable], parents: [&BTreeMap<u32, u32>; 2]) -> Linked {
    let truth = links(tables, |table| &table.truth, parents[0]);
    let prediction = links(tables, |table| &table.prediction, parents[1]);
    // Predicted cells that stand for one true cell; what covers two of them has no links.
    let mut stands_for: HashMap<Node, Node> = HashMap::new();
    for (frame, table) in tables.iter().enumerate() {
        let mut of_prediction = vec![Vec::new(); table.prediction.len()];
        for overlap in matches(table) {
            of_prediction[overlap.prediction].push(overlap.truth);
        }
        for (predicted, matched) in table.prediction.iter().zip(of_prediction) {
            if let [one] = matched[..] {
                stands_for.insert((frame, predicted.id), (frame, table.truth[one].id));
            }
        }
    }
    let mut found = Linked { n_links: truth.len() as u64, ..Linked::default() };
    let mut made: HashSet<(Node, Node)> = HashSet::new();
    for (ends, kind) in prediction {
        let (Some(&from), Some(&to)) = (stands_for.get(&ends.0), stands_for.get(&ends.1)) else { continue };
        match truth.get(&(from, to)) {
            Some(true_kind) => {
                made.insert((from, to));
                found.changed += u64::from(*true_kind != kind);
            }
            None => found.redundant += 1,
        }
    }
    found.lacking = found.n_links - made.len() as u64;
    found
}

/// A cell in a frame: frame and id.
type Node = (usize, u32);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Same,
    Daughter,
}

/// Returns the links of one side.
fn links(
    tables: &[&OverlapTable],
    side: impl Fn(&OverlapTable) -> &Vec<Object>,
    parents: &BTreeMap<u32, u32>,
) -> BTreeMap<(Node, Node), Kind> {
    let mut frames_of: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
    for (frame, table) in tables.iter().enumerate() {
        for object in side(table) {
            frames_of.entry(object.id).or_default().push(frame);
        }
    }
    let same = frames_of.iter().flat_map(|(&id, frames)| {
        let next = frames.windows(2).filter(|pair| pair[1] == pair[0] + 1);
        next.map(move |pair| (((pair[0], id), (pair[1], id)), Kind::Same))
    });
    let daughters = parents.iter().filter_map(|(child, parent)| {
        let born = *frames_of.get(child)?.first()?;
        let last = *frames_of.get(parent)?.iter().rfind(|frame| **frame < born)?;
        Some((((last, *parent), (born, *child)), Kind::Daughter))
    });
    same.chain(daughters).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::labels;

    fn of(
        truth: &[ndarray::Array2<u32>],
        prediction: &[ndarray::Array2<u32>],
        p: [&[(u32, u32)]; 2],
    ) -> Linked {
        let tables: Vec<OverlapTable> = truth
            .iter()
            .zip(prediction)
            .map(|(t, p)| OverlapTable::new(t.view(), p.view()).unwrap())
            .collect();
        let [t, p] = p.map(|pairs| pairs.iter().copied().collect());
        linked(&tables.iter().collect::<Vec<_>>(), [&t, &p])
    }

    #[test]
    fn a_bud_keeps_its_link_while_its_mother_goes_on() {
        let frames = [labels![[1 1 1 . .]], labels![[1 1 1 2 2]]];
        let with = of(&frames, &frames, [&[(2, 1)], &[(2, 1)]]);
        assert_eq!(with, Linked { n_links: 2, ..Linked::default() });
        let without = of(&frames, &frames, [&[(2, 1)], &[]]);
        assert_eq!(without, Linked { n_links: 2, lacking: 1, ..Linked::default() });
    }

    #[test]
    fn a_daughter_taken_for_its_mother_is_a_link_of_the_wrong_kind() {
        let truth = [labels![[1 1 1 1]], labels![[2 2 . 3]]];
        let prediction = [labels![[1 1 1 1]], labels![[1 1 . 3]]];
        let found = of(&truth, &prediction, [&[(2, 1), (3, 1)], &[]]);
        assert_eq!(found, Linked { n_links: 2, redundant: 0, lacking: 1, changed: 1 });
    }

    #[test]
    fn without_links_lnk_is_undefined_and_tra_is_det() {
        let frame = [labels![[1 1 . 2 2]]];
        let found = of(&frame, &[labels![[1 1 . . .]]], [&[], &[]]);
        let detected = Detected { n_true: 2, missed: 1, ..Detected::default() };
        assert_eq!((found.lnk(), found.tra(&detected)), (None, detected.det()));
    }
}
