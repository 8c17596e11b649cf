//! Real and synthetic plates with drawn, moving discs: random, with chosen noise, speed, size and channels.

use std::collections::BTreeMap;
use std::path::Path;

use lapsegan::data::plate::{
    Calibration, Channel, Labels, Origin, PlateMeta, PlateWriter, Sequence, SequenceMeta, Split,
};
use ndarray::{Array3, Array4};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// What is drawn.
#[derive(Clone, Debug)]
pub(crate) struct Drawing {
    /// Real or synthetic.
    pub(crate) origin: Origin,
    /// Sequences per split: train, val, test.
    pub(crate) splits: [usize; 3],
    /// Rows and columns.
    pub(crate) side: usize,
    /// Channel names.
    pub(crate) channels: Vec<&'static str>,
    /// Standard deviation of the noise is about this many counts.
    pub(crate) noise: u16,
    /// Discs move this many pixels per frame.
    pub(crate) speed: f64,
    /// Seed.
    pub(crate) seed: u64,
}

impl Drawing {
    /// A real plate of 12 training, 4 val and 4 test sequences of two channels.
    pub(crate) fn real() -> Self {
        Self {
            origin: Origin::Recording,
            splits: [12, 4, 4],
            side: 32,
            channels: vec!["phase", "gfp"],
            noise: 20,
            speed: 1.0,
            seed: 1,
        }
    }

    /// 10 sequences like the real ones, said to be synthetic.
    pub(crate) fn synthetic() -> Self {
        Self { origin: Origin::Synthetic, splits: [10, 0, 0], seed: 2, ..Self::real() }
    }

    /// Writes the plate.
    pub(crate) fn write(&self, path: &Path) {
        let count = self.splits.iter().sum();
        let writer = PlateWriter::create(path, &self.meta(), count, false).unwrap();
        let splits = [Split::Train, Split::Val, Split::Test].into_iter().zip(self.splits);
        for (index, split) in splits.flat_map(|(split, n)| vec![split; n]).enumerate() {
            writer.write(index, &self.sequence(index, split)).unwrap();
        }
        writer.finish().unwrap();
    }

    fn meta(&self) -> PlateMeta {
        let channel = |(i, name): (usize, &&str)| Channel {
            name: (*name).to_owned(),
            color: if i == 0 { [255; 3] } else { [0, 255, 0] },
            calibration: Calibration { lo: 100.0, hi: 1100.0, clipped_low: 0.0, clipped_high: 0.0 },
        };
        PlateMeta {
            tool: "test".into(),
            version: "0".into(),
            origin: self.origin,
            seed: self.seed,
            frames: 3,
            height: self.side,
            width: self.side,
            channels: self.channels.iter().enumerate().map(channel).collect(),
            labels: vec!["cells".into()],
            label_route: None,
            pixel_size_um: None,
            frame_interval_s: None,
            single_movie: false,
            normalise: "percentile".into(),
            trained_on: if self.origin == Origin::Synthetic { vec!["train-0".into()] } else { Vec::new() },
            notes: Vec::new(),
        }
    }

    fn sequence(&self, index: usize, split: Split) -> Sequence {
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed * 100_000 + index as u64);
        let size = self.side as f64;
        let discs: Vec<[f64; 4]> = (0..3)
            .map(|_| {
                let angle = rng.random_range(0.0..std::f64::consts::TAU);
                [
                    rng.random_range(0.2..0.8) * size,
                    rng.random_range(0.2..0.8) * size,
                    angle,
                    rng.random_range(0.08..0.15) * size,
                ]
            })
            .collect();
        let ids = Array3::from_shape_fn((3, self.side, self.side), |(t, y, x)| {
            let inside = |disc: &[f64; 4]| {
                let (cy, cx) = (
                    disc[0] + self.speed * t as f64 * disc[2].sin(),
                    disc[1] + self.speed * t as f64 * disc[2].cos(),
                );
                (y as f64 - cy).hypot(x as f64 - cx) < disc[3]
            };
            discs.iter().position(inside).map_or(0, |i| i as u32 + 1)
        });
        let image = Array4::from_shape_fn((3, self.channels.len(), self.side, self.side), |(t, c, y, x)| {
            let noise = (0..4).map(|_| rng.random_range(0..=self.noise)).sum::<u16>();
            let signal = match (ids[[t, y, x]], c) {
                (0, 0) => 500,
                (_, 0) => 700,
                (0, _) => 200,
                _ => 800,
            };
            signal + noise
        });
        let split_name = format!("{split:?}").to_lowercase();
        Sequence {
            meta: SequenceMeta {
                source: "drawn".into(),
                first_frame: 0,
                split,
                split_group: format!("{split_name}-{}", index % 4),
                frame_ranges: None,
            },
            image,
            labels: BTreeMap::from([("cells".to_owned(), Labels { ids, parents: BTreeMap::new() })]),
        }
    }
}
