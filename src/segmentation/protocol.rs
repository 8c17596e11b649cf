//! The experiment: three arms, several seeds, one held-out set.
//!
//! Every arm trains the same network for the same number of steps on batches of the same size; only the source of the
//! crops differs. What could favour an arm otherwise (choosing a checkpoint, more steps for more data) does not exist.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;

use ndarray::{Array2, Axis};
use rand::seq::SliceRandom;
use serde::{Deserialize, Serialize};
use tch::Device;

use super::SegmentationError;
use super::examples::{Labelled, Pool};
use super::material::Material;
use super::scores::Counts;
use super::settings::Settings;
use super::train::{predict, train};
use crate::seed;

/// Test sequences shown in the report.
const PICTURES: usize = 6;

/// Where an arm's training crops come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Arm {
    /// A few real sequences.
    Real,
    /// Synthetic sequences only.
    Synthetic,
    /// The same few real sequences and the synthetic ones, half and half in every batch.
    Both,
}

impl Arm {
    /// All arms in the order they are shown.
    pub const ALL: [Self; 3] = [Self::Real, Self::Synthetic, Self::Both];

    /// Returns the name used in JSON and reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Real => "real",
            Self::Synthetic => "synthetic",
            Self::Both => "both",
        }
    }
}

/// What [`run`] trains: the index of a seed, and an arm.
pub type Task = (usize, Arm);

/// Returns the whole grid, seeds outermost.
pub fn grid(settings: &Settings) -> Vec<Task> {
    (0..settings.seeds).flat_map(|seed| Arm::ALL.map(|arm| (seed, arm))).collect()
}

/// One training and its scores.
#[derive(Clone, Debug, PartialEq)]
pub struct Cell {
    /// Its arm.
    pub arm: Arm,
    /// Index of its seed.
    pub seed: usize,
    /// Counts of every test sequence, in the order of [`Material::test`].
    pub counts: Vec<Counts>,
}

/// What a training leaves behind.
#[derive(Clone, Debug, PartialEq)]
pub struct Trained {
    /// Its scores.
    pub cell: Cell,
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
    /// Labels found, per arm in the order of [`Arm::ALL`]. `[H, W]`
    pub found: Vec<Array2<u32>>,
}

/// All trainings.
#[derive(Clone, Debug)]
pub struct Trials {
    /// The held-out sequences.
    pub test: Vec<Tested>,
    /// One per arm and seed, seeds outermost.
    pub cells: Vec<Cell>,
    /// Names of the real training sequences of each seed.
    pub real_names: Vec<Vec<String>>,
    /// Frames for the report.
    pub pictures: Vec<Picture>,
}

impl Trials {
    /// Puts trainings of the whole grid together, in its order, whatever order they come in.
    pub fn new(mut trained: Vec<Trained>, test: Vec<Tested>, mut pictures: Vec<Picture>) -> Self {
        trained.sort_by_key(|t| (t.cell.seed, t.cell.arm));
        let (mut cells, mut names) = (Vec::new(), Vec::new());
        for Trained { cell, real_names, found } in trained {
            if cell.arm == Arm::Real {
                names.push(real_names);
            }
            if cell.seed == 0 {
                pictures.iter_mut().zip(found).for_each(|(picture, found)| picture.found.push(found));
            }
            cells.push(cell);
        }
        Self { test, cells, real_names: names, pictures }
    }
}

/// What is going on.
#[derive(Clone, Copy, Debug)]
pub enum Event {
    /// One optimiser step was taken.
    Step,
    /// A training was scored.
    Scored {
        /// Its arm.
        arm: Arm,
        /// Index of its seed.
        seed: usize,
        /// Pooled mean AP on the test sequences.
        mean_ap: Option<f64>,
    },
}

/// Trains and scores `tasks` of the [`grid`], `workers` at a time, and returns them in this order.
///
/// Within a seed, the arms share the drawn real sequences and the initial weights, so that their difference is paired.
/// The result does not depend on `workers`. On a CPU let libtorch use one thread: a network this small gains nothing
/// from more, and trainings side by side do.
///
/// # Errors
/// [`SegmentationError::Shape`] where truth and prediction differ in size, which is a bug.
pub fn run(
    material: &Material,
    settings: &Settings,
    base_seed: u64,
    device: Device,
    workers: usize,
    tasks: &[Task],
    on_event: &mut dyn FnMut(Event),
) -> Result<Vec<Trained>, SegmentationError> {
    let synthetic = Pool::new(&material.synthetic, device);
    let next = AtomicUsize::new(0);
    let mut done: Vec<Option<Result<Trained, SegmentationError>>> = tasks.iter().map(|_| None).collect();
    let (send, receive) = mpsc::channel::<Message>();
    std::thread::scope(|scope| {
        for _ in 0..workers.clamp(1, tasks.len().max(1)) {
            let (send, synthetic) = (send.clone(), synthetic.share());
            let next = &next;
            scope.spawn(move || {
                while let Some(&(seed, arm)) = tasks.get(next.fetch_add(1, Ordering::Relaxed)) {
                    // Nobody listens any more only where the scope is being left by a panic.
                    let mut on_step = || drop(send.send(Message::Event(Event::Step)));
                    let trained =
                        trial(material, &synthetic, settings, base_seed, device, (seed, arm), &mut on_step);
                    drop(send.send(Message::Trained(seed, arm, trained)));
                }
            });
        }
        drop(send);
        for message in receive {
            match message {
                Message::Event(event) => on_event(event),
                Message::Trained(seed, arm, trained) => {
                    if let Ok(trained) = &trained {
                        let mean_ap = trained.cell.counts.iter().copied().sum::<Counts>().scores().mean_ap;
                        on_event(Event::Scored { arm, seed, mean_ap });
                    }
                    if let Some(at) = tasks.iter().position(|task| *task == (seed, arm)) {
                        done[at] = Some(trained);
                    }
                }
            }
        }
    });
    done.into_iter().flatten().collect()
}

/// What a worker tells.
enum Message {
    Event(Event),
    Trained(usize, Arm, Result<Trained, SegmentationError>),
}

fn trial(
    material: &Material,
    synthetic: &Pool,
    settings: &Settings,
    base_seed: u64,
    device: Device,
    (seed, arm): Task,
    on_step: &mut dyn FnMut(),
) -> Result<Trained, SegmentationError> {
    let chosen = choose(&material.real, settings.real_sequences, base_seed, seed);
    let real_names = chosen.iter().map(|s| s.name.clone()).collect();
    let real = Pool::new(chosen, device);
    let pools: &[&Pool] = match arm {
        Arm::Real => &[&real],
        Arm::Synthetic => &[synthetic],
        Arm::Both => &[&real, synthetic],
    };
    let network = train(pools, &settings.train, device, seed::key(&[base_seed, seed as u64, 1]), on_step);
    let mut counts = Vec::with_capacity(material.test.len());
    let mut pictured = Vec::new();
    for (at, sequence) in material.test.iter().enumerate() {
        let found = predict(&network, sequence.image.view(), &settings.decode);
        let scored = Counts::of_frames(sequence.labels.view(), found.view());
        counts.push(scored.map_err(|e| e.at(&sequence.name))?);
        if at < PICTURES {
            pictured.push(found.index_axis(Axis(0), found.dim().0 / 2).to_owned());
        }
    }
    Ok(Trained { cell: Cell { arm, seed, counts }, real_names, found: pictured })
}

/// Returns the real training sequences of one seed.
fn choose(real: &[Labelled], count: usize, base_seed: u64, index: usize) -> Vec<&Labelled> {
    let mut all: Vec<&Labelled> = real.iter().collect();
    all.shuffle(&mut seed::stream(&[base_seed, index as u64, 0]));
    all.truncate(count);
    // A choice without any object teaches nothing; take one that has some, so that the arm is a fair opponent.
    let empty = |s: &&Labelled| s.labels.iter().all(|&id| id == 0);
    if all.iter().all(empty)
        && let (Some(last), Some(other)) = (all.last_mut(), real.iter().find(|s| !empty(s)))
    {
        *last = other;
    }
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
    use super::super::examples::drawn::discs;
    use super::*;

    #[test]
    fn every_arm_is_trained_with_every_seed_whatever_the_number_of_workers() {
        let material = Material { real: discs(6, 3, 1), synthetic: discs(4, 1, 2), test: discs(3, 3, 3) };
        let mut settings = Settings { real_sequences: 2, ..Settings::quick() };
        (settings.train.steps, settings.train.batch, settings.train.base_channels) = (2, 4, 4);
        let once = |workers| {
            let mut steps = 0;
            let count = &mut |event| steps += u64::from(matches!(event, Event::Step));
            let trained =
                run(&material, &settings, 5, Device::Cpu, workers, &grid(&settings), count).unwrap();
            assert_eq!(steps, 9 * 2);
            Trials::new(trained, tested(&material.test), pictures(&material.test))
        };
        let trials = once(1);
        assert_eq!(trials.cells.len(), 9);
        assert!(trials.cells.iter().all(|cell| cell.counts.len() == 3));
        assert!(trials.pictures.iter().all(|p| p.found.len() == 3));
        assert!(trials.real_names.iter().all(|names| names.len() == 2));
        let counts = |t: &Trials| t.cells.iter().flat_map(|c| c.counts.clone()).collect::<Vec<_>>();
        assert_eq!(counts(&trials), counts(&once(3)));
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
