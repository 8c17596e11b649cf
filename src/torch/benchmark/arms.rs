//! What is compared: arms, each trained on sequences of its own choice, and the differences between two of them.
//!
//! Arms are data. A further one is a name and the pools it trains on; trials, scores.json, the page and the table for
//! MultiQC follow.

use serde::{Serialize, Serializer};

/// Sequences that an arm can train on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PoolKind {
    /// The few real training sequences that are drawn per seed, with their labels.
    Real,
    /// All synthetic sequences.
    Synthetic,
    /// The other real training sequences, whose labels nobody looks at: labelled by a threshold of fluorescence.
    Thresholded,
    /// The same ones, labelled by a segmenter that learned from the few.
    Taught,
}

/// What is done to examples.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AugmentationStrength {
    /// Crops, flips and quarter turns, gain and offset.
    Standard,
    /// Besides: any angle, scale, shear, bending, gamma, blur and noise.
    Strong,
}

/// One way of training that is compared with others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arm {
    /// Name in settings, JSON and reports, another one for each arm.
    pub name: &'static str,
    /// What it does, for people.
    pub what: &'static str,
    /// Pools of the first half of the steps; none where the whole training is alike.
    pub pretrains_on: &'static [PoolKind],
    /// Pools that the frames of a batch are drawn from in turn. A pool that is named twice gives twice as many.
    pub trains_on: &'static [PoolKind],
    /// What is done to examples.
    pub augmentation: AugmentationStrength,
}

impl Arm {
    /// Returns an arm that trains on pools all the time, with standard augmentation.
    pub const fn plain(name: &'static str, what: &'static str, trains_on: &'static [PoolKind]) -> Self {
        Self { name, what, pretrains_on: &[], trains_on, augmentation: AugmentationStrength::Standard }
    }

    const fn strong(self) -> Self {
        Self { augmentation: AugmentationStrength::Strong, ..self }
    }

    /// Returns whether it trains on a pool at any time.
    pub fn uses(&self, kind: PoolKind) -> bool {
        self.trains_on.contains(&kind) || self.pretrains_on.contains(&kind)
    }

    /// Returns whether it is another one with another number of real sequences.
    pub fn depends_on_n(&self) -> bool {
        [PoolKind::Real, PoolKind::Thresholded, PoolKind::Taught].into_iter().any(|kind| self.uses(kind))
    }
}

impl Serialize for Arm {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(self.name)
    }
}

use PoolKind::{Real, Synthetic, Taught, Thresholded};

/// A few real sequences.
pub const REAL: Arm = Arm::plain("real", "the few real sequences", &[Real]);
/// The same, strongly augmented: what costs nothing.
pub const REAL_STRONG: Arm =
    Arm::plain("real_strong", "the few real sequences, strongly augmented", &[Real]).strong();
/// Synthetic sequences only.
pub const SYNTHETIC: Arm = Arm::plain("synthetic", "synthetic sequences only", &[Synthetic]);
/// The same few real sequences and the synthetic ones, half and half in every batch.
pub const BOTH: Arm = Arm::plain("both", "real and synthetic ones, half and half", &[Real, Synthetic]);
/// The same, a third synthetic.
pub const BOTH_THIRD: Arm =
    Arm::plain("both_third", "real and synthetic ones, a third synthetic", &[Real, Synthetic, Real]);
/// The same, four fifths synthetic.
pub const BOTH_FOUR_FIFTHS: Arm = Arm::plain(
    "both_four_fifths",
    "real and synthetic ones, four fifths synthetic",
    &[Real, Synthetic, Synthetic, Synthetic, Synthetic],
);
/// Synthetic sequences first, then the few real ones.
pub const PRETRAINED: Arm = Arm {
    pretrains_on: &[Synthetic],
    ..Arm::plain("pretrained", "synthetic ones in the first half of the steps, then the real ones", &[Real])
};
/// The few real sequences, and the others with labels by threshold: a rival without a generator.
pub const PSEUDO_LABELS: Arm = Arm::plain(
    "pseudo_labels",
    "the real ones, and the unlabelled ones with labels by a threshold of fluorescence",
    &[Real, Thresholded],
);
/// The few real sequences, and the others with labels by a teacher: the other rival without a generator.
pub const SELF_TRAINING: Arm = Arm::plain(
    "self_training",
    "the real ones, and the unlabelled ones as arm real_strong labels them",
    &[Real, Taught],
)
.strong();

/// All arms that can be asked for.
pub const ALL: [Arm; 9] = [
    REAL,
    REAL_STRONG,
    SYNTHETIC,
    BOTH,
    BOTH_THIRD,
    BOTH_FOUR_FIFTHS,
    PRETRAINED,
    PSEUDO_LABELS,
    SELF_TRAINING,
];

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
        match (self.arm, self.against) {
            (BOTH, REAL) => format!("Adding synthetic sequences to {n_real} real ones"),
            (SYNTHETIC, REAL) => format!("Training on synthetic sequences instead of {n_real} real ones"),
            (arm, against) => {
                format!(
                    "With {n_real} real ones, training as in arm {} instead of arm {}",
                    arm.name, against.name
                )
            }
        }
    }
}

/// One training: an arm with a seed and a number of real sequences.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Task {
    /// Index of the seed.
    pub seed: usize,
    /// The arm.
    pub arm: Arm,
    /// Real sequences that are drawn; of an arm that uses none, the first number of the grid.
    pub n_real: usize,
}

impl Serialize for Task {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        (self.seed, self.arm, self.n_real).serialize(to)
    }
}

impl std::fmt::Display for Task {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "training of arm {} with seed {} and {} real sequences",
            self.arm.name, self.seed, self.n_real
        )
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

    /// Returns the experiment of arms by their names: each is compared with [`REAL`], which is always there, and [`BOTH`] with
    /// the rivals that need no generator.
    ///
    /// # Errors
    /// The first name that is no arm, or is there twice.
    pub fn of(names: &[String]) -> Result<Self, String> {
        let mut experiment = Self { arms: vec![REAL], contrasts: Vec::new() };
        for (at, name) in names.iter().enumerate() {
            let arm = ALL.into_iter().find(|arm| arm.name == name).ok_or_else(|| name.clone())?;
            if names[..at].contains(name) {
                return Err(name.clone());
            }
            if arm != REAL {
                experiment = experiment.with(arm);
            }
        }
        // The question comes first.
        experiment.contrasts.sort_by_key(|contrast| contrast.arm != BOTH);
        if experiment.arms.contains(&BOTH) {
            let rivals = [REAL_STRONG, PSEUDO_LABELS, SELF_TRAINING];
            let there = rivals.into_iter().filter(|rival| experiment.arms.contains(rival));
            experiment
                .contrasts
                .extend(there.map(|against| Contrast { arm: BOTH, against }).collect::<Vec<_>>());
        }
        Ok(experiment)
    }

    /// Returns the experiment with one more arm, which is compared with the first one.
    #[must_use]
    pub fn with(mut self, arm: Arm) -> Self {
        self.contrasts.extend(self.arms.first().map(|&against| Contrast { arm, against }));
        self.arms.push(arm);
        self
    }

    /// Returns all trainings: seeds outermost, then numbers of real sequences.
    pub fn grid(&self, seeds: usize, n_real: &[usize]) -> Vec<Task> {
        let with = |seed, at: usize| {
            let arms = self.arms.iter().filter(move |arm| at == 0 || arm.depends_on_n());
            arms.map(move |&arm| Task { seed, arm, n_real: n_real[at] })
        };
        (0..seeds).flat_map(|seed| (0..n_real.len()).flat_map(move |at| with(seed, at))).collect()
    }

    /// Returns whether any arm trains on a pool.
    pub fn uses(&self, kind: PoolKind) -> bool {
        self.arms.iter().any(|arm| arm.uses(kind))
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
            .with(Arm::plain("real_twice", "", &[PoolKind::Real, PoolKind::Real]))
            .contrasts
            .iter()
            .map(|contrast| contrast.subject(8))
            .collect();
        assert_eq!(
            subjects,
            [
                "Adding synthetic sequences to 8 real ones",
                "Training on synthetic sequences instead of 8 real ones",
                "With 8 real ones, training as in arm real_twice instead of arm real",
            ]
        );
    }

    #[test]
    fn seeds_are_outermost_in_the_grid_and_tasks_are_triples_in_json() {
        let grid = Experiment::standard().grid(2, &[8]);
        let json = serde_json::to_value(&grid[2..4]).unwrap();
        assert_eq!((grid.len(), json), (6, serde_json::json!([[0, "both", 8], [1, "real", 8]])));
    }

    #[test]
    fn what_uses_no_real_sequence_is_trained_once_for_all_numbers_of_them() {
        let grid = Experiment::standard().grid(1, &[1, 4]);
        let of = |name: &'static str| {
            grid.iter().filter(move |task| task.arm.name == name).map(|task| task.n_real)
        };
        assert_eq!(of("both").collect::<Vec<_>>(), [1, 4]);
        assert_eq!(of("synthetic").collect::<Vec<_>>(), [1]);
    }

    #[test]
    fn arms_are_found_by_name_and_both_is_compared_with_what_needs_no_generator() {
        let of = |names: &[&str]| Experiment::of(&names.iter().map(|&n| n.to_owned()).collect::<Vec<_>>());
        let names = |e: Experiment| e.contrasts.iter().map(Contrast::name).collect::<Vec<_>>();
        let found = names(of(&["both", "real", "self_training"]).unwrap());
        assert_eq!(found, ["both - real", "self_training - real", "both - self_training"]);
        assert_eq!(of(&["both", "magic"]).unwrap_err(), "magic");
        assert_eq!(of(&["both", "both"]).unwrap_err(), "both");
    }
}
