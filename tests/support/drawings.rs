//! Plates of drawn, moving discs, for all tests that need a plate but no particular biology.

use std::collections::BTreeMap;
use std::path::Path;

use lapsegan_core::plate::groups::SplitGroup;
use lapsegan_core::plate::{
    Calibration, Channel, LabelKind, LabelMeta, Labels, Origin, PlateMeta, PlateWriter, Sequence,
    SequenceMeta, Split,
};
use ndarray::{Array3, Array4};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// What is drawn.
#[derive(Clone, Debug)]
pub(crate) struct Drawing {
    /// Real or synthetic.
    pub(crate) origin: Origin,
    /// Sequences per split: train, val, test. Each split has four groups, such as `train-0`.
    pub(crate) splits: [usize; 3],
    /// Frames per sequence.
    pub(crate) frames: usize,
    /// Rows and columns.
    pub(crate) side: usize,
    /// Channel names.
    pub(crate) channels: Vec<&'static str>,
    /// Label names; all have the same ids.
    pub(crate) labels: Vec<&'static str>,
    /// Split groups that the generator has seen.
    pub(crate) trained_on: Vec<&'static str>,
    /// Standard deviation of the noise is about this many counts.
    pub(crate) noise: u16,
    /// Discs per sequence, at most four: each has a quarter of the frame, so that they do not touch.
    pub(crate) discs: usize,
    /// Discs move this many pixels per frame.
    pub(crate) speed: f64,
    /// Seed.
    pub(crate) seed: u64,
}

fn label(name: &str) -> LabelMeta {
    LabelMeta { name: name.into(), kind: LabelKind::of_name(name), route: Some("phantom_truth".into()) }
}

impl Drawing {
    /// A real plate of 12 training, 4 val and 4 test sequences of two channels.
    pub(crate) fn real() -> Self {
        Self {
            origin: Origin::Recording,
            splits: [12, 4, 4],
            frames: 3,
            side: 32,
            channels: vec!["phase", "gfp"],
            labels: vec!["cells"],
            trained_on: Vec::new(),
            noise: 20,
            discs: 3,
            speed: 1.0,
            seed: 1,
        }
    }

    /// 10 sequences like the real ones, said to be synthetic.
    pub(crate) fn synthetic() -> Self {
        let trained_on = vec!["train-0", "train-1", "train-2", "train-3"];
        Self { origin: Origin::Synthetic, splits: [10, 0, 0], trained_on, seed: 2, ..Self::real() }
    }

    /// Writes the plate.
    pub(crate) fn write(&self, path: &Path) {
        self.write_changed(path, |_, _| {});
    }

    /// Writes the plate with something done to every sequence, by its number.
    pub(crate) fn write_changed(&self, path: &Path, change: impl Fn(usize, &mut Sequence)) {
        let count = self.splits.iter().sum();
        let writer = PlateWriter::create(path, &self.meta(), count, false).unwrap();
        let splits = [Split::Train, Split::Val, Split::Test].into_iter().zip(self.splits);
        for (index, split) in splits.flat_map(|(split, n)| vec![split; n]).enumerate() {
            let mut sequence = self.sequence(index, split);
            change(index, &mut sequence);
            writer.write(index, &sequence).unwrap();
        }
        writer.finish().unwrap();
    }

    fn meta(&self) -> PlateMeta {
        let channel = |(i, name): (usize, &&str)| Channel {
            name: (*name).to_owned(),
            color: if i == 0 { [255; 3] } else { [0, 255, 0] },
            recorded: None,
            calibration: Calibration { lo: 100.0, hi: 1100.0, clipped_low: 0.0, clipped_high: 0.0 },
        };
        PlateMeta {
            seed: self.seed,
            labels: self.labels.iter().map(|name| label(name)).collect(),
            groups: if self.origin == Origin::Synthetic { Vec::new() } else { self.groups() },
            trained_on: self.trained_on.iter().map(|name| SplitGroup::named(*name)).collect(),
            ..PlateMeta::new(
                "test",
                self.origin,
                [self.frames, self.side, self.side],
                self.channels.iter().enumerate().map(channel).collect(),
            )
        }
    }

    /// Returns the split groups; each is said to show one frame of its own.
    fn groups(&self) -> Vec<SplitGroup> {
        let group = |i: u64| {
            let split = ["train", "val", "test"][i as usize / 4];
            SplitGroup::new(format!("{split}-{}", i % 4), [100 * self.seed + i])
        };
        (0..12).map(group).collect()
    }

    /// Returns one sequence.
    pub(crate) fn sequence(&self, index: usize, split: Split) -> Sequence {
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed * 100_000 + index as u64);
        let size = self.side as f64;
        let first = rng.random_range(0..4);
        let discs: Vec<[f64; 4]> = (0..self.discs)
            .map(|k| {
                let quarter = (first + k) % 4;
                let mut place =
                    |half: usize| (0.25 + 0.5 * half as f64 + rng.random_range(-0.06..0.06)) * size;
                let (y, x) = (place(quarter / 2), place(quarter % 2));
                [y, x, rng.random_range(0.0..std::f64::consts::TAU), rng.random_range(0.1..0.14) * size]
            })
            .collect();
        let ids = Array3::from_shape_fn((self.frames, self.side, self.side), |(t, y, x)| {
            let inside = |disc: &[f64; 4]| {
                let (cy, cx) = (
                    disc[0] + self.speed * t as f64 * disc[2].sin(),
                    disc[1] + self.speed * t as f64 * disc[2].cos(),
                );
                (y as f64 - cy).hypot(x as f64 - cx) < disc[3]
            };
            discs.iter().position(inside).map_or(0, |i| i as u32 + 1)
        });
        let shape = (self.frames, self.channels.len(), self.side, self.side);
        let image = Array4::from_shape_fn(shape, |(t, c, y, x)| {
            let noise = (0..4).map(|_| rng.random_range(0..=self.noise)).sum::<u16>();
            let signal = match (ids[[t, y, x]], c) {
                (0, 0) => 500,
                (_, 0) => 700,
                (0, _) => 200,
                _ => 800,
            };
            signal + noise
        });
        let labels = owned(&self.labels).into_iter();
        let labels = labels.map(|name| (name, Labels { ids: ids.clone(), parents: BTreeMap::new() }));
        let split_name = format!("{split:?}").to_lowercase();
        Sequence {
            meta: SequenceMeta {
                source: "drawn".into(),
                first_frame: 0,
                split,
                split_group: format!("{split_name}-{}", index % 4),
                frame_ranges: None,
                label_margin: None,
            },
            image,
            labels: labels.collect(),
        }
    }
}

fn owned(names: &[&str]) -> Vec<String> {
    names.iter().map(|&name| name.to_owned()).collect()
}
