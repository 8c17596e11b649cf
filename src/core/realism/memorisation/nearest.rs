//! The nearest of some real sequences to one sequence.

use std::collections::BTreeMap;

use ndarray::Array3;

use super::candidates::Ranking;
use super::distance::aligned;
use super::space::{Shifted, Space};
use super::symmetry::Alignment;

/// So many sequences of the least coarse distance are laid upon the query; the nearest of them is taken.
pub const CANDIDATES: usize = 5;

/// The nearest sequence.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Nearest {
    /// Its place among those searched.
    pub index: usize,
    /// Its distance, in standard deviations of a channel.
    pub distance: f64,
    /// How it lies upon the query.
    pub alignment: Alignment,
}

/// One sequence that looks for its nearest. Distances are remembered, since it looks several times among other ones.
#[derive(Debug)]
pub struct Query<'a> {
    space: &'a Space,
    shifted: Shifted,
    others: &'a [Array3<f32>],
    ranking: &'a Ranking,
    known: BTreeMap<usize, (f64, Alignment)>,
}

impl<'a> Query<'a> {
    /// Returns a query with its ranking of all `others`.
    pub fn new(space: &'a Space, shifted: Shifted, others: &'a [Array3<f32>], ranking: &'a Ranking) -> Self {
        Self { space, shifted, others, ranking, known: BTreeMap::new() }
    }

    /// Returns the nearest of those `wanted`; `None` where there is none.
    pub fn nearest(&mut self, wanted: impl Fn(usize) -> bool) -> Option<Nearest> {
        let candidates = self.ranking.iter().filter(|(index, _)| wanted(*index)).take(CANDIDATES);
        let mut nearest: Option<Nearest> = None;
        for (index, symmetry) in candidates {
            let (distance, alignment) = *self
                .known
                .entry(*index)
                .or_insert_with(|| aligned(self.space, &self.shifted, &self.others[*index], *symmetry));
            if nearest.is_none_or(|n| distance < n.distance) {
                nearest = Some(Nearest { index: *index, distance, alignment });
            }
        }
        nearest
    }
}
