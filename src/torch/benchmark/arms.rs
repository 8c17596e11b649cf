//! What is compared: arms, each trained on sequences of its own choice, and the differences between two of them.
//!
//! Arms are data. A further one is a name and the pools it trains on; trials, scores.json, the page and the table for
//! MultiQC follow.

use serde::{Serialize, Serializer};

/// Sequences that an arm can train on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PoolKind {
    /// The few real training sequences that are drawn per seed.
    Real,
    /// All synthetic sequences.
    Synthetic,
}

/// One way of training that is compared with others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arm {
    /// Name in JSON and reports, another one for each arm.
    pub name: &'static str,
    /// Pools that the frames of a batch are drawn from in turn. A pool that is named twice gives twice as many.
    pub trains_on: &'static [PoolKind],
}

impl Serialize for Arm {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(self.name)
    }
}

/// A few real sequences.
pub const REAL: Arm = Arm { name: "real", trains_on: &[PoolKind::Real] };
/// Synthetic sequences only.
pub const SYNTHETIC: Arm = Arm { name: "synthetic", trains_on: &[PoolKind::Synthetic] };
/// The same few real sequences and the synthetic ones, half and half in every batch.
pub const BOTH: Arm = Arm { name: "both", trains_on: &[PoolKind::Real, PoolKind::Synthetic] };

/// A difference that is reported: scores of `arm` less scores of `against`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Contrast {
    /// The arm in question.
    pub arm: Arm,
    /// The arm it is compared with.
    pub against: Arm,
}

impl Contrast {
    /// Returns the name used in JSON and reports, such as `both - real`.
    pub fn name(&self) -> String {
        format!("{} - {}", self.arm.name, self.against.name)
    }

    /// Returns what is done differently in `arm`, as the subject of a sentence on arms that train on `n_real` real
    /// sequences.
    pub fn subject(&self, n_real: usize) -> String {
        let trains_on = |arm: Arm, kind| arm.trains_on.contains(&kind);
        let real = [self.arm, self.against].map(|arm| trains_on(arm, PoolKind::Real));
        let synthetic = [self.arm, self.against].map(|arm| trains_on(arm, PoolKind::Synthetic));
        match (real, synthetic) {
            ([true, true], [true, false]) => format!("Adding synthetic sequences to {n_real} real ones"),
            ([false, true], [true, false]) => {
                format!("Training on synthetic sequences instead of {n_real} real ones")
            }
            _ => format!("Training as in arm {} instead of arm {}", self.arm.name, self.against.name),
        }
    }
}

/// One training: an arm with a seed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Task {
    /// Index of the seed.
    pub seed: usize,
    /// The arm.
    pub arm: Arm,
}

impl Serialize for Task {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        (self.seed, self.arm).serialize(to)
    }
}

impl std::fmt::Display for Task {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "training of arm {} with seed {}", self.arm.name, self.seed)
    }
}

/// The arms of a benchmark and the differences between them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Experiment {
    /// Arms in the order they are shown. The first one is what the others are compared with.
    pub arms: Vec<Arm>,
    /// Differences in the order they are shown.
    pub contrasts: Vec<Contrast>,
}

impl Experiment {
    /// Returns the question of the benchmark: do synthetic sequences help beside real ones, or instead of them?
    pub fn standard() -> Self {
        let against_real = |arm| Contrast { arm, against: REAL };
        Self { arms: vec![REAL, SYNTHETIC, BOTH], contrasts: [BOTH, SYNTHETIC].map(against_real).to_vec() }
    }

    /// Returns the experiment with one more arm, which is compared with the first one.
    #[must_use]
    pub fn with(mut self, arm: Arm) -> Self {
        self.contrasts.extend(self.arms.first().map(|&against| Contrast { arm, against }));
        self.arms.push(arm);
        self
    }

    /// Returns all trainings, seeds outermost.
    pub fn grid(&self, seeds: usize) -> Vec<Task> {
        (0..seeds).flat_map(|seed| self.arms.iter().map(move |&arm| Task { seed, arm })).collect()
    }

    /// Returns the arm of this name.
    pub fn arm(&self, name: &str) -> Option<Arm> {
        self.arms.iter().copied().find(|arm| arm.name == name)
    }

    /// Returns the names of the arms.
    pub fn names(&self) -> Vec<&'static str> {
        self.arms.iter().map(|arm| arm.name).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subjects_follow_from_what_the_arms_train_on() {
        let subjects: Vec<String> = Experiment::standard()
            .with(Arm { name: "real_twice", trains_on: &[PoolKind::Real, PoolKind::Real] })
            .contrasts
            .iter()
            .map(|contrast| contrast.subject(8))
            .collect();
        assert_eq!(
            subjects,
            [
                "Adding synthetic sequences to 8 real ones",
                "Training on synthetic sequences instead of 8 real ones",
                "Training as in arm real_twice instead of arm real",
            ]
        );
    }

    #[test]
    fn seeds_are_outermost_in_the_grid_and_tasks_are_pairs_in_json() {
        let grid = Experiment::standard().grid(2);
        let json = serde_json::to_value(&grid[2..4]).unwrap();
        assert_eq!((grid.len(), json), (6, serde_json::json!([[0, "both"], [1, "real"]])));
    }
}
