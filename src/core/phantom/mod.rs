//! A simulated recording with exact truth: budding yeast in a microfluidic trap, brightfield and a fluorescent
//! reporter.
//!
//! The demo and the tests run on it. Its labels are exact, so label decoders and metrics can be checked against them.
//! It looks like a recording of yeast in traps, and models no particular strain or microscope. Start with [`cells`]
//! (growth and movement) and [`optics`] (the image in the camera).

pub mod cells;
pub mod optics;

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;
use std::sync::OnceLock;

use ndarray::{Array3, Array4, Axis, s};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::error::DataError;
use crate::input::png;
use crate::input::source::{Extent, Frames, Place, Source, Survey};
use crate::input::tiff;
use crate::plate::labels::STRUCTURE;
use crate::plate::{LabelKind, LabelMeta};
use crate::seed::{self, Stream};
use cells::Trap;
use optics::Microscope;

/// Side of the field of view in micrometres, at every image size.
pub const FIELD_UM: f64 = 13.44;

/// Time between frames in seconds.
pub const FRAME_INTERVAL_S: f64 = 600.0;

/// Channel names in storage order.
pub const CHANNELS: [&str; 2] = ["brightfield", "gfp"];

/// Label names.
pub const LABELS: [&str; 2] = ["cells", STRUCTURE];

/// Size of the simulation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Phantom {
    /// Independent traps.
    pub positions: usize,
    /// Frames per trap, ten minutes apart.
    pub frames_per_position: usize,
    /// Rows and columns of a frame.
    pub size: usize,
}

/// One simulated position.
#[derive(Clone, Debug)]
struct Position {
    /// Camera counts. `[F, C, H, W]`
    image: Array4<u16>,
    /// Cell ids and trap ids. `[F, H, W]`
    labels: [Array3<u32>; 2],
    /// Bud to mother.
    parents: BTreeMap<u32, u32>,
}

/// A simulated recording, wholly in memory from when a frame of it is first asked for.
#[derive(Debug)]
pub struct Simulated {
    phantom: Phantom,
    seed: u64,
    positions: OnceLock<Vec<Position>>,
}

impl Phantom {
    /// Returns the recording; position `i` depends on the seed and `i` alone. Nothing is simulated before it is needed.
    pub fn simulate(&self, seed: u64) -> Simulated {
        Simulated { phantom: self.clone(), seed, positions: OnceLock::new() }
    }

    /// Returns the bytes that the recording takes in memory.
    pub fn memory(&self) -> u64 {
        let pixel = CHANNELS.len() * size_of::<u16>() + LABELS.len() * size_of::<u32>();
        [self.positions, self.frames_per_position, self.size, self.size, pixel]
            .into_iter()
            .fold(1, |bytes: u64, n| bytes.saturating_mul(n as u64))
    }

    fn position(&self, seed: u64, index: u64) -> Position {
        // Cells and camera have streams of their own, so that the image size does not change how the cells grow.
        let stream = |of: Stream| seed::rng(of, &[seed, index]);
        let (mut life, mut light) = (stream(Stream::PhantomCells), stream(Stream::PhantomCamera));
        let mut trap = Trap::new(&mut life);
        let mut microscope = Microscope::new(self.size, &mut light);
        let shape = (self.frames_per_position, self.size, self.size);
        let mut image = Array4::zeros((shape.0, CHANNELS.len(), self.size, self.size));
        let mut labels = [Array3::zeros(shape), Array3::zeros(shape)];
        for t in 0..self.frames_per_position {
            if t > 0 {
                trap.step(&mut life);
            }
            let picture = microscope.expose(&trap, &mut light);
            for (c, plane) in [picture.brightfield, picture.fluorescence].into_iter().enumerate() {
                image.index_axis_mut(Axis(0), t).index_axis_mut(Axis(0), c).assign(&plane);
            }
            labels[0].index_axis_mut(Axis(0), t).assign(&picture.cells);
            labels[1].index_axis_mut(Axis(0), t).assign(&picture.structure);
        }
        Position { image, labels, parents: trap.parents().clone() }
    }
}

impl Simulated {
    fn positions(&self) -> &[Position] {
        self.positions.get_or_init(|| {
            let one = |index| self.phantom.position(self.seed, index as u64);
            (0..self.phantom.positions).into_par_iter().map(one).collect()
        })
    }

    /// Writes the recording as folders of TIFF frames and PNG labels: `<channel>/<position>/t<frame>`.
    ///
    /// # Errors
    /// [`DataError::Io`] with the file.
    pub fn export(&self, folder: &Path) -> Result<(), DataError> {
        for (i, position) in self.positions().iter().enumerate() {
            for t in 0..self.phantom.frames_per_position {
                let file =
                    |what: &str, end: &str| folder.join(what).join(name(i)).join(format!("t{t:03}.{end}"));
                for (c, channel) in CHANNELS.iter().enumerate() {
                    tiff::write(&file(channel, "tif"), position.image.slice(s![t, c, .., ..]))?;
                }
                for (label, ids) in LABELS.iter().zip(&position.labels) {
                    let plane = ids.index_axis(Axis(0), t).mapv(|id| id as u16);
                    png::write(&file(label, "png"), plane.view())?;
                }
            }
        }
        Ok(())
    }
}

impl Source for Simulated {
    fn channels(&self) -> Vec<String> {
        CHANNELS.map(str::to_owned).to_vec()
    }

    fn labels(&self) -> Vec<LabelMeta> {
        let label = |name: &str| LabelMeta { name: name.into(), kind: LabelKind::of_name(name), route: None };
        LABELS.map(label).to_vec()
    }

    fn extent(&self) -> Extent {
        let Phantom { positions, frames_per_position, size } = self.phantom;
        let run = 0..frames_per_position;
        let positions = (0..positions).map(|i| (name(i), vec![run.clone()])).collect();
        Extent { positions, size: (size, size) }
    }

    fn load(
        &self,
        position: usize,
        range: Range<usize>,
        survey: Option<&Survey>,
    ) -> Result<Frames, DataError> {
        let all = &self.positions()[position];
        if let Some(survey) = survey {
            for t in range.clone() {
                for c in 0..CHANNELS.len() {
                    survey.add(
                        c,
                        Place { position, frame: t },
                        all.image.slice(s![t, c, .., ..]),
                        false,
                        &format!("{}/t{t:03}", name(position)),
                    );
                }
            }
        }
        let labels = LABELS.iter().zip(&all.labels);
        Ok(Frames {
            image: all.image.slice(s![range.clone(), .., .., ..]).to_owned(),
            labels: labels
                .map(|(l, ids)| ((*l).to_owned(), ids.slice(s![range.clone(), .., ..]).to_owned()))
                .collect(),
        })
    }

    fn parents(&self, position: usize, label: &str) -> BTreeMap<u32, u32> {
        if label == LABELS[0] { self.positions()[position].parents.clone() } else { BTreeMap::new() }
    }

    fn describe(&self, position: usize, range: Range<usize>) -> String {
        format!("phantom {}/t{:03}..t{:03}", name(position), range.start, range.end.saturating_sub(1))
    }
}

fn name(position: usize) -> String {
    format!("position-{position:03}")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn small() -> Phantom {
        Phantom { positions: 6, frames_per_position: 24, size: 32 }
    }

    #[test]
    fn the_same_seed_gives_the_same_counts_and_another_seed_others() {
        let phantom = Phantom { positions: 2, frames_per_position: 3, size: 32 };
        let (a, b, c) = (phantom.simulate(1), phantom.simulate(1), phantom.simulate(2));
        assert_eq!(a.positions()[1].image, b.positions()[1].image);
        assert_ne!(a.positions()[1].image, c.positions()[1].image);
        assert_ne!(a.positions()[0].image, a.positions()[1].image);
        // A position does not depend on how many others there are.
        let alone = Phantom { positions: 1, ..phantom }.simulate(1);
        assert_eq!(a.positions()[0].image, alone.positions()[0].image);
    }

    #[test]
    fn a_field_shows_one_to_six_cells_and_buds_with_known_mothers() {
        let recording = small().simulate(5);
        let mut births = 0;
        for position in recording.positions() {
            for t in 0..24 {
                let ids: BTreeSet<u32> = position.labels[0].index_axis(Axis(0), t).iter().copied().collect();
                assert!((2..=7).contains(&ids.len()), "frame {t}: {ids:?}");
            }
            for (child, parent) in &position.parents {
                assert!(parent < child);
            }
            births += position.parents.len();
        }
        assert!(births >= 6, "{births}");
    }

    #[test]
    fn a_mother_is_ten_to_fourteen_pixels_wide_at_32_px() {
        for position in small().simulate(9).positions() {
            let last = position.labels[0].index_axis(Axis(0), 12);
            let mut areas: BTreeMap<u32, usize> = BTreeMap::new();
            for &id in last.iter().filter(|&&id| id > 0) {
                *areas.entry(id).or_default() += 1;
            }
            let largest = areas.values().max().copied().unwrap_or(0) as f64;
            let diameter = (largest * 4.0 / std::f64::consts::PI).sqrt();
            assert!((9.0..14.5).contains(&diameter), "{diameter}");
        }
    }

    #[test]
    fn one_id_is_one_connected_cell_that_moves_little() {
        let recording = small().simulate(3);
        for position in recording.positions() {
            let mut before: BTreeMap<u32, (f64, f64)> = BTreeMap::new();
            for plane in position.labels[0].outer_iter() {
                let mut now: BTreeMap<u32, (f64, f64, f64)> = BTreeMap::new();
                for ((y, x), &id) in plane.indexed_iter().filter(|(_, id)| **id > 0) {
                    let entry = now.entry(id).or_default();
                    *entry = (entry.0 + y as f64, entry.1 + x as f64, entry.2 + 1.0);
                }
                let now: BTreeMap<u32, (f64, f64)> =
                    now.into_iter().map(|(id, (y, x, n))| (id, (y / n, x / n))).collect();
                for (id, (y, x)) in &now {
                    if let Some((py, px)) = before.get(id) {
                        assert!((y - py).hypot(x - px) < 7.0, "cell {id} jumped");
                    }
                }
                before = now;
            }
        }
    }
}
