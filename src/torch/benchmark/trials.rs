//! The experiment: several arms, several seeds, one held-out set.
//!
//! Every arm trains the same segmenter with the same settings; only the source of its examples differs. Nothing else
//! could favour an arm: no checkpoint is chosen, and more data mean no more steps.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;

use ndarray::{Array2, Axis};
use rand::seq::SliceRandom;
use serde::{Deserialize, Serialize};

use super::BenchmarkError;
use super::arms::{Arm, Experiment, PoolKind, REAL_STRONG, Task};
use super::crops::{Labelled, Pool};
use super::plates::Material;
use super::segmenter::{Fitted, Lesson, Segmenter};
use lapsegan_core::scores::counts::Counts;
use lapsegan_core::seed::{self, Stream};

/// Test sequences shown in the report.
const PICTURES: usize = 6;

/// What a training leaves behind.
#[derive(Clone, Debug, PartialEq)]
pub struct Trained {
    /// Its arm and seed.
    pub task: Task,
    /// Counts of every test sequence, in the order of [`Material::test`].
    pub counts: Vec<Counts>,
    /// Names of the real training sequences of its seed.
    pub real_names: Vec<String>,
    /// Labels found in the [`pictures`].
    pub found: Vec<Array2<u32>>,
}

/// A held-out sequence without its pixels.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Tested {
    /// Its well.
    pub name: String,
    /// Its split group.
    pub group: String,
}

/// A frame of a held-out sequence with what each arm found in it with the first seed.
#[derive(Clone, Debug, PartialEq)]
pub struct Picture {
    /// Sequence and frame.
    pub name: String,
    /// First input channel, normalised. `[H, W]`
    pub image: Array2<f32>,
    /// True labels. `[H, W]`
    pub truth: Array2<u32>,
    /// Labels found, per arm in the order of [`Experiment::arms`]. `[H, W]`
    pub found: Vec<Array2<u32>>,
}

/// All trainings.
#[derive(Clone, Debug)]
pub struct Trials {
    /// What is compared.
    pub experiment: Experiment,
    /// The held-out sequences.
    pub test: Vec<Tested>,
    /// One per arm and seed, in the order of the grid.
    pub trained: Vec<Trained>,
    /// Frames for the report.
    pub pictures: Vec<Picture>,
}

impl Trials {
    /// Puts trainings of the whole grid together, in its order, whatever order they come in.
    pub fn new(
        experiment: Experiment,
        mut trained: Vec<Trained>,
        test: Vec<Tested>,
        mut pictures: Vec<Picture>,
    ) -> Self {
        let order = |arm: Arm| experiment.arms.iter().position(|other| *other == arm);
        trained.sort_by_key(|t| (t.task.seed, order(t.task.arm)));
        for of_first_seed in trained.iter().filter(|t| t.task.seed == 0) {
            for (picture, found) in pictures.iter_mut().zip(&of_first_seed.found) {
                picture.found.push(found.clone());
            }
        }
        Self { experiment, test, trained, pictures }
    }

    /// Puts trainings of the whole grid together, one for each number of real sequences. An arm that uses none is in all.
    pub fn by_number(
        experiment: &Experiment,
        trained: &[Trained],
        test: &[Tested],
        pictures: &[Picture],
        n_real: &[usize],
    ) -> Vec<Self> {
        let of = |n: &usize| {
            let here = |t: &&Trained| t.task.n_real == *n || !t.task.arm.depends_on_n();
            let trained = trained.iter().filter(here).cloned().collect();
            Self::new(experiment.clone(), trained, test.to_vec(), pictures.to_vec())
        };
        n_real.iter().map(of).collect()
    }

    /// Returns the trainings of an arm, by seed.
    pub fn of_arm(&self, arm: Arm) -> impl Iterator<Item = &Trained> {
        self.trained.iter().filter(move |t| t.task.arm == arm)
    }

    /// Returns the names of the real training sequences of each seed, which all arms share.
    pub fn real_names(&self) -> Vec<&[String]> {
        let first = self.experiment.arms.first();
        first.into_iter().flat_map(|&arm| self.of_arm(arm)).map(|t| t.real_names.as_slice()).collect()
    }

    /// Returns the number of real training sequences.
    pub fn n_real(&self) -> usize {
        let with = self.trained.iter().find(|t| t.task.arm.depends_on_n()).or(self.trained.first());
        with.map_or(0, |t| t.real_names.len())
    }
}

/// What is going on.
#[derive(Clone, Copy, Debug)]
pub enum TrialEvent {
    /// One step of a training was taken.
    Step,
    /// A training was scored.
    Scored {
        /// Its arm and seed.
        task: Task,
        /// Pooled mean AP on the test sequences.
        mean_ap: Option<f64>,
    },
}

/// What all trainings have in common.
#[derive(Clone, Copy)]
pub struct Setup<'a> {
    /// Sequences to train and to test on.
    pub material: &'a Material,
    /// What is trained.
    pub segmenter: &'a dyn Segmenter,
    /// Everything random follows from it.
    pub base_seed: u64,
    /// Trainings at a time. The results do not depend on it.
    pub workers: usize,
}

impl Setup<'_> {
    /// Returns the number of steps that these trainings take together.
    pub fn steps(&self, tasks: &[Task]) -> u64 {
        let trainings = |task: &Task| if task.arm.uses(PoolKind::Taught) { 2 } else { 1 };
        (tasks.iter().map(trainings).sum::<usize>() * self.segmenter.steps()) as u64
    }
}

impl std::fmt::Debug for Setup<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} with seed {}, {} at a time", self.segmenter.name(), self.base_seed, self.workers)
    }
}

/// Trains and scores `tasks`, several at a time, and returns them in this order.
///
/// Within a seed, the arms share the drawn real sequences and the seed of the training, so that their difference is
/// paired.
///
/// # Errors
/// What the segmenter says, and [`BenchmarkError::Score`] where truth and prediction differ in size, which is a bug.
pub fn run(
    setup: &Setup,
    tasks: &[Task],
    on_event: &mut dyn FnMut(TrialEvent),
) -> Result<Vec<Trained>, BenchmarkError> {
    let synthetic = Pool::new(&setup.material.synthetic);
    let next = AtomicUsize::new(0);
    let mut done: Vec<Option<Result<Trained, BenchmarkError>>> = tasks.iter().map(|_| None).collect();
    let (send, receive) = mpsc::channel::<Message>();
    std::thread::scope(|scope| {
        let worker = |_| {
            let (send, synthetic, next) = (send.clone(), &synthetic, &next);
            scope.spawn(move || {
                loop {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    let Some(&task) = tasks.get(at) else { break };
                    // Sending fails only where the other side has panicked, and then the scope ends in that panic.
                    let mut on_step = || drop(send.send(Message::Event(TrialEvent::Step)));
                    let trained = trial(setup, synthetic, task, &mut on_step);
                    drop(send.send(Message::Trained(at, trained)));
                }
            })
        };
        let workers: Vec<_> = (0..setup.workers.clamp(1, tasks.len().max(1))).map(worker).collect();
        drop(send);
        for message in receive {
            match message {
                Message::Event(event) => on_event(event),
                Message::Trained(at, trained) => {
                    if let Ok(Trained { task, counts, .. }) = &trained {
                        let mean_ap = counts.iter().copied().sum::<Counts>().scores().mean_ap;
                        on_event(TrialEvent::Scored { task: *task, mean_ap });
                    }
                    done[at] = Some(trained);
                }
            }
        }
        for worker in workers {
            // The scope alone would end in a panic that no longer says what happened.
            if let Err(panic) = worker.join() {
                std::panic::resume_unwind(panic);
            }
        }
    });
    done.into_iter().flatten().collect()
}

/// What a worker tells.
enum Message {
    Event(TrialEvent),
    /// The task at this index is done.
    Trained(usize, Result<Trained, BenchmarkError>),
}

fn trial(
    setup: &Setup,
    synthetic: &Pool,
    task: Task,
    on_step: &mut dyn FnMut(),
) -> Result<Trained, BenchmarkError> {
    let Setup { material, base_seed, segmenter, .. } = *setup;
    let Task { seed, arm, n_real } = task;
    let chosen = choose(&material.real, n_real, base_seed, seed);
    let real_names: Vec<String> = chosen.iter().map(|s| s.name.clone()).collect();
    let real = Pool::new(chosen);
    let others = || material.unlabelled.iter().filter(|s| !real_names.contains(&s.name));
    let key = seed::key(Stream::BenchmarkTraining, &[base_seed, seed as u64]);
    let taught = if arm.uses(PoolKind::Taught) {
        let lesson =
            Lesson { before: Vec::new(), pools: vec![&real], augmentation: REAL_STRONG.augmentation };
        label(&*segmenter.fit(&lesson, key, on_step)?, others())?
    } else {
        Vec::new()
    };
    let (taught, thresholded) = (Pool::new(&taught), Pool::new(others()));
    // Without any other sequence there is nothing to learn from them.
    let pool = |kind: &PoolKind| match kind {
        PoolKind::Real => Some(&real),
        PoolKind::Synthetic => Some(synthetic),
        PoolKind::Taught => Some(&taught).filter(|pool| !pool.sequences.is_empty()),
        PoolKind::Thresholded => Some(&thresholded).filter(|pool| !pool.sequences.is_empty()),
    };
    let pools = |kinds: &[PoolKind]| kinds.iter().filter_map(pool).collect();
    let lesson = Lesson {
        before: pools(arm.pretrains_on),
        pools: pools(arm.trains_on),
        augmentation: arm.augmentation,
    };
    let fitted = segmenter.fit(&lesson, key, on_step)?;
    let mut counts = Vec::with_capacity(material.test.len());
    let mut pictured = Vec::new();
    let images: Vec<_> = material.test.iter().map(|sequence| sequence.image.view()).collect();
    for (at, (sequence, found)) in material.test.iter().zip(fitted.predict(&images)?).enumerate() {
        let scored = Counts::of_frames(sequence.labels.view(), found.view());
        counts.push(scored.map_err(|e| e.at(&sequence.name))?);
        if at < PICTURES {
            pictured.push(found.index_axis(Axis(0), found.dim().0 / 2).to_owned());
        }
    }
    Ok(Trained { task, counts, real_names, found: pictured })
}

/// Returns sequences with the labels that a segmenter finds in them.
fn label<'a>(
    teacher: &dyn Fitted,
    sequences: impl Iterator<Item = &'a Labelled>,
) -> Result<Vec<Labelled>, BenchmarkError> {
    let sequences: Vec<&Labelled> = sequences.collect();
    let images: Vec<_> = sequences.iter().map(|sequence| sequence.image.view()).collect();
    let labelled = |(labels, sequence): (_, &&Labelled)| Labelled { labels, ..(*sequence).clone() };
    Ok(teacher.predict(&images)?.into_iter().zip(&sequences).map(labelled).collect())
}

/// Returns the real training sequences of one seed; those of a smaller number are among those of a larger one.
fn choose(real: &[Labelled], count: usize, base_seed: u64, index: usize) -> Vec<&Labelled> {
    let mut all: Vec<&Labelled> = real.iter().collect();
    all.shuffle(&mut seed::rng(Stream::BenchmarkChoice, &[base_seed, index as u64]));
    // Nothing can be learned from a choice without any object: one that has some is among all numbers.
    if let Some(first) = all.iter().position(|s| s.labels.iter().any(|&id| id > 0)) {
        let full = all.remove(first);
        all.insert(0, full);
    }
    all.truncate(count);
    all
}

/// Returns the middle frames of the first test sequences, still without predictions.
pub fn pictures(test: &[Labelled]) -> Vec<Picture> {
    test.iter()
        .take(PICTURES)
        .map(|sequence| {
            let frame = sequence.labels.dim().0 / 2;
            Picture {
                name: format!("{} frame {frame}", sequence.name),
                image: sequence.image.index_axis(Axis(0), frame).index_axis(Axis(0), 0).to_owned(),
                truth: sequence.labels.index_axis(Axis(0), frame).to_owned(),
                found: Vec::new(),
            }
        })
        .collect()
}

/// Returns what reports need to know of the test sequences.
pub fn tested(test: &[Labelled]) -> Vec<Tested> {
    test.iter().map(|s| Tested { name: s.name.clone(), group: s.group.clone() }).collect()
}

#[cfg(test)]
mod tests {
    use super::super::crops::drawn::discs;
    use super::super::segmenter::Fitted;
    use super::super::segmenter::otsu::Otsu;
    use super::*;

    fn material() -> Material {
        let real = discs(6, 3, 1);
        Material { unlabelled: real.clone(), real, synthetic: discs(4, 1, 2), test: discs(3, 3, 3) }
    }

    #[test]
    fn a_pupil_learns_from_its_teacher_and_numbers_of_sequences_are_nested() {
        let mut material = material();
        // Labels that nobody looks at.
        material.unlabelled.iter_mut().for_each(|s| s.labels.fill(0));
        let experiment = Experiment::of(&["self_training".to_owned(), "pseudo_labels".to_owned()]).unwrap();
        let setup = Setup { material: &material, segmenter: &Otsu, base_seed: 5, workers: 1 };
        let mut steps = 0;
        let grid = experiment.grid(3, &[1, 4, 6]);
        let count = &mut |event| steps += u64::from(matches!(event, TrialEvent::Step));
        let trained = run(&setup, &grid, count).unwrap();
        assert_eq!((steps, trained.len()), (setup.steps(&grid), 27));
        let all = Trials::by_number(&experiment, &trained, &tested(&material.test), &[], &[1, 4, 6]);
        assert_eq!(all.iter().map(Trials::n_real).collect::<Vec<_>>(), [1, 4, 6]);
        for (few, many) in all[0].real_names().iter().zip(all[1].real_names()) {
            assert!(few.iter().all(|name| many.contains(name)));
        }
        assert!(all.iter().all(|trials| trials.trained.len() == 9));
    }

    #[test]
    fn every_arm_is_trained_with_every_seed_whatever_the_number_of_workers() {
        let material = material();
        let experiment = Experiment::standard();
        let once = |workers| {
            let setup = Setup { material: &material, segmenter: &Otsu, base_seed: 5, workers };
            let mut steps = 0;
            let count = &mut |event| steps += usize::from(matches!(event, TrialEvent::Step));
            let trained = run(&setup, &experiment.grid(3, &[2]), count).unwrap();
            assert_eq!(steps, 9 * Otsu.steps());
            Trials::new(experiment.clone(), trained, tested(&material.test), pictures(&material.test))
        };
        let trials = once(1);
        assert_eq!(trials.trained.iter().map(|t| t.task).collect::<Vec<_>>(), experiment.grid(3, &[2]));
        assert!(trials.trained.iter().all(|trained| trained.counts.len() == 3));
        assert!(trials.pictures.iter().all(|p| p.found.len() == 3));
        assert!(trials.real_names().iter().all(|names| names.len() == 2));
        assert_eq!(trials.trained, once(3).trained);
        // Discs are twice as bright as their background.
        let found = trials.trained.iter().map(|t| t.counts.iter().copied().sum::<Counts>());
        assert!(
            found.clone().all(|counts| counts.scores().dice > Some(0.5)),
            "{:?}",
            found.collect::<Vec<_>>()
        );
    }

    /// Runs out of memory as libtorch does.
    struct Greedy;

    impl Segmenter for Greedy {
        fn name(&self) -> &'static str {
            "greedy"
        }

        fn steps(&self) -> usize {
            1
        }

        fn fit(&self, _: &Lesson, _: u64, _: &mut dyn FnMut()) -> Result<Box<dyn Fitted>, BenchmarkError> {
            panic!("CUDA out of memory. Tried to allocate 20.00 GiB")
        }
    }

    #[test]
    fn what_ends_a_worker_is_told() {
        let material = material();
        let setup = Setup { material: &material, segmenter: &Greedy, base_seed: 5, workers: 2 };
        let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            run(&setup, &Experiment::standard().grid(3, &[2]), &mut |_| ())
        }));
        assert!(ended.unwrap_err().downcast_ref::<&str>().is_some_and(|text| text.contains("out of memory")));
    }

    #[test]
    fn a_smaller_choice_is_part_of_a_larger_one_also_where_most_sequences_are_empty() {
        let mut real = discs(12, 1, 1);
        real[..9].iter_mut().for_each(|s| s.labels.fill(0));
        let names =
            |count, index| choose(&real, count, 0, index).iter().map(|s| s.name.clone()).collect::<Vec<_>>();
        for index in 0..10 {
            for count in 1..12 {
                let (few, more) = (names(count, index), names(count + 1, index));
                assert!(few.iter().all(|name| more.contains(name)), "{few:?} {more:?}");
            }
        }
        // The one that is among all is not the same for every seed.
        assert!((1..10).any(|index| names(1, index) != names(1, 0)));
    }

    #[test]
    fn a_choice_has_at_least_one_object() {
        let mut real = discs(5, 1, 1);
        real[1..].iter_mut().for_each(|s| s.labels.fill(0));
        for index in 0..10 {
            assert!(choose(&real, 1, 0, index)[0].labels.iter().any(|&id| id > 0));
        }
    }
}
