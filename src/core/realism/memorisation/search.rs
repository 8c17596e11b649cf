//! The test from sequences to numbers.

use std::collections::BTreeMap;

use ndarray::Array3;
use rayon::prelude::*;

use super::candidates::{Ranking, rankings};
use super::draws::{BalancedDraw, Groups};
use super::nearest::{Nearest, Query};
use super::result::{
    Memorisation, MemorisationNumbers, Neighbour, RatioDistribution, SetSize, WorstPair, cannot_show,
    definition, verdict,
};
use super::shares::{Answers, shares};
use super::space::Space;
use super::symmetry::Symmetry;
use crate::plate::Plate;
use crate::realism::pool::Pool;
use crate::realism::protocol::{ComparisonPlan, Plates, Selection};

/// Draws of equal numbers.
pub const DRAWS: usize = 16;

/// Resamples behind an interval.
pub const RESAMPLES: usize = 1000;

/// Fewest held-out sequences: of fewer, one synthetic sequence in five is expected to be nearer than all of them.
const LEAST_HELD_OUT: usize = 8;

/// Worst pairs that are told and shown.
const WORST: usize = 20;

/// Distances that differ by less, in standard deviations, are equal; it is added to both sides of a ratio, so that
/// constant images have one.
const EQUAL: f64 = 1e-3;

/// Sequences in memory.
#[derive(Clone, Copy, Debug)]
pub struct Searched<'a> {
    /// What may repeat training sequences.
    pub synthetic: &'a Pool,
    /// What may be repeated.
    pub training: &'a Pool,
    /// What no one trained on.
    pub held_out: &'a Pool,
}

/// What one sequence found.
struct Answer {
    training: Nearest,
    held_out: Nearest,
    log_ratio: f64,
    closer: Vec<f64>,
}

/// Returns how many sequences look for their nearest.
pub fn steps(plan: &ComparisonPlan) -> u64 {
    (plan.synthetic.read + plan.reference.read) as u64
}

/// Tests whether synthetic sequences repeat training sequences. `tick` is called for each of [`steps`].
pub fn memorisation(
    searched: Searched<'_>,
    plates: &Plates,
    plan: &ComparisonPlan,
    seed: u64,
    tick: &(dyn Fn() + Sync),
) -> Memorisation {
    if let Some(why) = too_few(plan) {
        (0..steps(plan)).for_each(|_| tick());
        return Memorisation::none(why);
    }
    let real = Real::new(searched, seed);
    let answers = |pool: &Pool, held_out: bool| real.answers(pool, held_out, tick);
    let of_held_out = answers(searched.held_out, true);
    let of_synthetic = answers(searched.synthetic, false);
    let set = |answers: &[Answer], pool: &Pool| Answers {
        log_ratios: answers.iter().map(|a| a.log_ratio).collect(),
        closer: answers.iter().map(|a| a.closer.clone()).collect(),
        groups: members(&pool.groups, 0),
    };
    let synthetic = set(&of_synthetic, searched.synthetic);
    let held_out = set(&of_held_out, searched.held_out);
    let shares = shares(&synthetic, &held_out, RESAMPLES, seed);
    let size = |part: &Selection| SetSize { available: part.available, read: part.read, groups: part.groups };
    let (suspicious, finding) = verdict(&shares, size(&plan.reference));
    Memorisation {
        definition: definition(&real.space, &real.symmetries),
        cannot_show: cannot_show(size(&plan.training)),
        missing: None,
        found: Some(MemorisationNumbers {
            synthetic: size(&plan.synthetic),
            training: size(&plan.training),
            held_out: size(&plan.reference),
            shares,
            ratio_synthetic: RatioDistribution::of(&synthetic.log_ratios),
            ratio_held_out: RatioDistribution::of(&held_out.log_ratios),
            suspicious,
            finding,
            worst: worst(&of_synthetic, searched.training.len(), plates, plan),
        }),
    }
}

/// Returns why there is no test.
fn too_few(plan: &ComparisonPlan) -> Option<String> {
    let held_out = &plan.reference;
    if held_out.groups < 2 {
        return Some(format!(
            "Held-out sequences are of {} split group, expected at least 2: what a sequence has in common with others of its own group is no measure for what training data explain. Hold out more positions.",
            held_out.groups
        ));
    }
    (held_out.read < LEAST_HELD_OUT).then(|| {
        format!(
            "{} held-out sequences, expected at least {LEAST_HELD_OUT}: fewer do not tell what is near by chance. Hold out more of the recording.",
            held_out.read
        )
    })
}

/// Real sequences that are searched: training sequences, then held-out ones.
struct Real {
    space: Space,
    symmetries: Vec<Symmetry>,
    cells: Vec<Array3<f32>>,
    n_training: usize,
    /// The number of the group of each held-out sequence, and its share of the held-out sequences.
    group_of: Vec<usize>,
    weights: Vec<f64>,
    draws: Vec<BalancedDraw>,
}

impl Real {
    fn new(searched: Searched<'_>, seed: u64) -> Self {
        let pools = [searched.training, searched.held_out];
        let n_training = searched.training.len();
        let sequences = pools.iter().map(|pool| pool.len()).sum::<usize>() + searched.synthetic.len();
        let [_, _, height, width] =
            searched.training.stacks.first().map_or([0, 0, 1, 1], |s| s.counts.dim().into());
        let space = Space::of(searched.training, sequences);
        let cells = pools
            .iter()
            .flat_map(|pool| {
                let of = |i| space.features(pool, i).cells;
                (0..pool.len()).into_par_iter().map(of).collect::<Vec<_>>()
            })
            .collect();
        let training = members(&searched.training.groups, 0);
        let held_out = members(&searched.held_out.groups, n_training);
        let mut group_of = vec![0; searched.held_out.len()];
        for (group, members) in held_out.iter().enumerate() {
            for i in members {
                group_of[i - n_training] = group;
            }
        }
        let weights = held_out.iter().map(|m| m.len() as f64 / searched.held_out.len() as f64).collect();
        let draws = (0..DRAWS).map(|draw| BalancedDraw::new(&training, &held_out, seed, draw)).collect();
        let symmetries = Symmetry::all(height, width);
        Self { space, symmetries, cells, n_training, group_of, weights, draws }
    }

    /// Returns what each sequence of a pool finds. Held-out sequences leave out their own group.
    fn answers(&self, pool: &Pool, held_out: bool, tick: &(dyn Fn() + Sync)) -> Vec<Answer> {
        let features: Vec<_> =
            (0..pool.len()).into_par_iter().map(|i| self.space.features(pool, i)).collect();
        let cells: Vec<Array3<f32>> = features.iter().map(|f| f.cells.clone()).collect();
        let rankings: Vec<Ranking> = rankings(&cells, &self.cells, &self.symmetries);
        (0..pool.len())
            .into_par_iter()
            .filter_map(|i| {
                let shifted = self.space.shifted(pool, i, &features[i]);
                let query = Query::new(&self.space, shifted, &self.cells, &rankings[i]);
                let answer = self.answer(query, held_out.then(|| self.group_of[i]));
                tick();
                answer
            })
            .collect()
    }

    /// Returns what a sequence finds; `own` is its held-out group. There is always something, since two groups are held
    /// out.
    fn answer(&self, mut query: Query<'_>, own: Option<usize>) -> Option<Answer> {
        let first = self.n_training;
        let training = query.nearest(|i| i < first)?;
        let mut without =
            |group: Option<usize>| query.nearest(|i| i >= first && Some(self.group_of[i - first]) != group);
        let held_out = without(own)?;
        let log_ratio = if own.is_some() {
            log_of_ratio(&training, &held_out)
        } else {
            let mut mean = 0.0;
            for (group, weight) in self.weights.iter().enumerate() {
                mean += weight * log_of_ratio(&training, &without(Some(group))?);
            }
            mean
        };
        let mut closer = Vec::with_capacity(self.draws.len());
        for draw in &self.draws {
            let [training, held_out] = draw.members(own);
            let mut among = |members: Vec<usize>| {
                let mut wanted = vec![false; self.cells.len()];
                for i in members {
                    wanted[i] = true;
                }
                query.nearest(|i| wanted[i])
            };
            let ratio = log_of_ratio(&among(training)?, &among(held_out)?);
            closer.push(if ratio == 0.0 { 0.5 } else { f64::from(u8::from(ratio < 0.0)) });
        }
        Some(Answer { training, held_out, log_ratio, closer })
    }
}

/// Returns the logarithm of the ratio of two distances, 0 where they are equal.
fn log_of_ratio(training: &Nearest, held_out: &Nearest) -> f64 {
    let (a, b) = (training.distance, held_out.distance);
    if (a - b).abs() <= EQUAL { 0.0 } else { ((a + EQUAL) / (b + EQUAL)).ln() }
}

/// Returns the sequences of each group, counted from `first` on.
fn members(groups: &[usize], first: usize) -> Groups {
    let mut members: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for (i, group) in groups.iter().enumerate() {
        members.entry(*group).or_default().push(first + i);
    }
    members.into_values().collect()
}

/// Returns the synthetic sequences of the smallest ratio.
fn worst(answers: &[Answer], n_training: usize, plates: &Plates, plan: &ComparisonPlan) -> Vec<WorstPair> {
    let well = |plate: &Plate, index: usize| plate.wells[index].0.clone();
    let neighbour = |nearest: &Nearest, index: usize| Neighbour {
        well: well(plates.real, index),
        distance: nearest.distance,
        alignment: nearest.alignment,
        index,
    };
    let mut order: Vec<usize> = (0..answers.len()).collect();
    order.sort_by(|a, b| answers[*a].log_ratio.total_cmp(&answers[*b].log_ratio).then(a.cmp(b)));
    let pair = |i: usize| {
        let (answer, index) = (&answers[i], plan.synthetic.indices[i]);
        WorstPair {
            synthetic: well(plates.synthetic, index),
            training: neighbour(&answer.training, plan.training.indices[answer.training.index]),
            held_out: neighbour(&answer.held_out, plan.reference.indices[answer.held_out.index - n_training]),
            ratio: answer.log_ratio.exp(),
            index,
        }
    };
    order.into_iter().take(WORST).map(pair).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_sequences_or_groups_are_a_reason_to_say_nothing() {
        let part = |read, groups| Selection { available: read, read, groups, indices: (0..read).collect() };
        let plan = |read, groups| ComparisonPlan {
            n: 4,
            images: 4,
            reference: part(read, groups),
            training: part(20, 4),
            synthetic: part(20, 20),
            untrained: None,
            label: None,
            warnings: Vec::new(),
        };
        assert!(too_few(&plan(40, 1)).unwrap().contains("of 1 split group, expected at least 2"));
        assert!(too_few(&plan(7, 7)).unwrap().contains("7 held-out sequences, expected at least 8"));
        assert_eq!(too_few(&plan(8, 2)), None);
    }

    #[test]
    fn equally_far_is_a_ratio_of_one() {
        let at = |distance| Nearest {
            index: 0,
            distance,
            alignment: super::super::symmetry::Alignment { symmetry: Symmetry::NONE, shift: [0, 0] },
        };
        assert_eq!(log_of_ratio(&at(0.0), &at(0.0)), 0.0);
        assert!(log_of_ratio(&at(0.0), &at(0.5)) < -6.0 && log_of_ratio(&at(0.5), &at(0.0)).is_finite());
        assert!((log_of_ratio(&at(0.5), &at(1.0)) + std::f64::consts::LN_2).abs() < 1e-2);
    }
}
