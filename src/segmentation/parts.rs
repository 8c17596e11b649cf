//! A benchmark in parts: `cells.json` holds the trainings of one job, and all of them make the whole grid.
//!
//! Counts stand in it, not scores, and numbers keep all their bits: what is gathered equals what one job finds.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use ndarray::Array2;
use serde::{Deserialize, Serialize};

use super::SegmentationError;
use super::material::Plan;
use super::protocol::{Arm, Cell, Picture, Task, Tested, Trained, Trials, grid};
use super::scores::Counts;
use super::settings::Settings;
use crate::data::DataError;
use crate::data::differences::differences;
use crate::data::output::write_file;

/// Name of the file in the folder of a part.
pub const FILE: &str = "cells.json";
/// The form of the file, raised when an older reader would misread a newer one.
const FORMAT: u64 = 1;
/// Differing fields, or cells, that are listed.
const LISTED: usize = 9;

/// What all parts of a benchmark have in common.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Common {
    /// Version of the package.
    pub version: String,
    /// Number of parts.
    pub of: usize,
    /// Seed of the benchmark.
    pub seed: u64,
    /// Digest of the real plate.
    pub real_sha256: String,
    /// Digest of the synthetic plate.
    pub synthetic_sha256: String,
    /// Settings.
    pub settings: Settings,
    /// What was found about the plates.
    pub plan: Plan,
    /// The held-out sequences.
    pub test: Vec<Tested>,
}

/// The trainings of one job.
#[derive(Clone, Debug, PartialEq)]
pub struct Part {
    /// Number of the part, from 1.
    pub index: usize,
    /// Where the networks were trained.
    pub device: String,
    /// File name of the synthetic plate, for people.
    pub synthetic: String,
    /// What all parts share.
    pub common: Common,
    /// Its trainings.
    pub trained: Vec<Trained>,
    /// Frames for the report; what was found in them stands with the trainings of the first seed.
    pub pictures: Vec<Picture>,
}

/// Parts that were put together.
#[derive(Clone, Debug)]
pub struct Gathered {
    /// What the parts share.
    pub common: Common,
    /// All trainings.
    pub trials: Trials,
    /// File name of the synthetic plate.
    pub synthetic: String,
    /// Devices of the parts, each once.
    pub devices: Vec<String>,
}

/// Returns the tasks of part `index` (from 1) of `of`: every `of`-th of the grid. Empty with more parts than tasks.
pub fn share(settings: &Settings, index: usize, of: usize) -> Vec<Task> {
    grid(settings).into_iter().skip(index - 1).step_by(of).collect()
}

impl Part {
    /// Writes the file into the folder of the part.
    ///
    /// # Errors
    /// What the system says.
    pub fn write(&self, folder: &Path) -> Result<(), SegmentationError> {
        let stored = Stored {
            format: FORMAT,
            index: self.index,
            device: self.device.clone(),
            synthetic: self.synthetic.clone(),
            common: self.common.clone(),
            cells: self.trained.iter().map(StoredCell::from).collect(),
            pictures: self.pictures.iter().map(StoredPicture::from).collect(),
        };
        let text = serde_json::to_string(&stored).expect("numbers and text only");
        Ok(write_file(&folder.join(FILE), format!("{text}\n").as_bytes())?)
    }

    /// Reads the file from the folder of a part.
    ///
    /// # Errors
    /// [`SegmentationError::Data`] where it is missing, no JSON, or contradicts itself.
    pub fn read(folder: &Path) -> Result<Self, SegmentationError> {
        let path = folder.join(FILE);
        if !path.is_file() {
            let expected = "the folder of a `segment-benchmark run --shard`, with cells.json".into();
            return Err(DataError::Missing { path: path.clone(), expected }.into());
        }
        let bad = |found: String| DataError::Metadata { path: path.clone(), field: FILE.into(), found };
        let bytes = std::fs::read(&path).map_err(DataError::io(&path))?;
        let stored: Stored = serde_json::from_slice(&bytes).map_err(|e| bad(e.to_string()))?;
        if stored.format != FORMAT {
            return Err(bad(format!("format {}, this version reads {FORMAT}", stored.format)).into());
        }
        let Stored { index, device, synthetic, common, cells, pictures, .. } = stored;
        common.settings.check()?;
        let pictures: Option<Vec<Picture>> = pictures.into_iter().map(StoredPicture::restore).collect();
        let pictures = pictures.ok_or_else(|| bad("a picture of another size than it says".into()))?;
        let trained: Option<Vec<Trained>> = cells.into_iter().map(StoredCell::restore).collect();
        let trained = trained.ok_or_else(|| bad("labels of another size than they say".into()))?;
        for Trained { cell, found, .. } in &trained {
            let expected = if cell.seed == 0 { pictures.len() } else { 0 };
            let sizes =
                found.iter().zip(&pictures).all(|(found, picture)| found.dim() == picture.truth.dim());
            if cell.counts.len() != common.test.len() || found.len() != expected || !sizes {
                let name = name(&(cell.seed, cell.arm));
                return Err(bad(format!(
                    "the {name} does not fit the {} held-out sequences",
                    common.test.len()
                ))
                .into());
            }
        }
        Ok(Self { index, device, synthetic, common, trained, pictures })
    }
}

/// Reads parts, in any order, and puts them together.
///
/// # Errors
/// What [`Part::read`] says, and [`SegmentationError::Input`] for parts of different benchmarks and for cells of the grid
/// that are missing or there twice; all of them are named.
pub fn gather(folders: &[PathBuf]) -> Result<Gathered, SegmentationError> {
    let mut parts = Vec::new();
    for folder in folders {
        parts.push((folder.display().to_string(), Part::read(folder)?));
    }
    parts.sort_by_key(|(_, part)| part.index);
    let Some((first, Part { common, synthetic, .. })) = parts.first() else {
        return Err(SegmentationError::input("no parts", "name the folders of all parts"));
    };
    for (other, part) in &parts[1..] {
        let fields = differences(common, &part.common);
        if !fields.is_empty() {
            let fields: Vec<String> = fields.iter().take(LISTED).map(|f| format!("{f:.200}")).collect();
            return Err(SegmentationError::input(
                format!("{first} and {other} are parts of different benchmarks: {}", fields.join("; ")),
                "run all parts with the same plates, seed and settings; --shard alone differs",
            ));
        }
    }
    expect_whole(&parts)?;
    let (common, synthetic) = (common.clone(), synthetic.clone());
    let mut devices: Vec<String> = parts.iter().map(|(_, part)| part.device.clone()).collect();
    devices.sort();
    devices.dedup();
    let (mut trained, mut pictures) = (Vec::new(), Vec::new());
    for (_, part) in parts {
        trained.extend(part.trained);
        if pictures.is_empty() {
            pictures = part.pictures;
        }
    }
    let trials = Trials::new(trained, common.test.clone(), pictures);
    Ok(Gathered { common, trials, synthetic, devices })
}

/// Checks that every cell of the grid is there, and once.
fn expect_whole(parts: &[(String, Part)]) -> Result<(), SegmentationError> {
    let common = &parts[0].1.common;
    let mut there: BTreeMap<Task, Vec<&str>> = BTreeMap::new();
    for (folder, part) in parts {
        for Trained { cell, .. } in &part.trained {
            there.entry((cell.seed, cell.arm)).or_default().push(folder);
        }
    }
    let list = |all: Vec<String>| {
        let more =
            if all.len() > LISTED { format!(" and {} more", all.len() - LISTED) } else { String::new() };
        format!("{}{more}", all.into_iter().take(LISTED).collect::<Vec<_>>().join(", "))
    };
    let twice = there.iter().filter(|(_, folders)| folders.len() > 1);
    let twice: Vec<String> =
        twice.map(|(task, folders)| format!("the {} in {}", name(task), folders.join(" and "))).collect();
    if !twice.is_empty() {
        return Err(SegmentationError::input(
            format!("trainings are there twice: {}", list(twice)),
            "name the folder of every part once",
        ));
    }
    let wanted = grid(&common.settings);
    let missing: Vec<String> = wanted
        .iter()
        .enumerate()
        .filter(|(_, task)| !there.contains_key(task))
        .map(|(at, task)| format!("the {} (part {} of {})", name(task), at % common.of.max(1) + 1, common.of))
        .collect();
    if !missing.is_empty() {
        return Err(SegmentationError::input(
            format!("{} of {} trainings are missing: {}", missing.len(), wanted.len(), list(missing)),
            "name the folders of all parts; run those that are missing with --shard",
        ));
    }
    if let Some(task) = there.keys().find(|task| !wanted.contains(task)) {
        return Err(SegmentationError::input(
            format!("the {} is no part of {} seeds", name(task), common.settings.seeds),
            "run this part again",
        ));
    }
    let pictured = parts.iter().filter(|(_, part)| part.trained.iter().any(|t| t.cell.seed == 0));
    let mut pictures = pictured.map(|(folder, part)| (folder, &part.pictures));
    if let Some((first, of_first)) = pictures.next()
        && let Some((other, _)) = pictures.find(|(_, of_other)| *of_other != of_first)
    {
        return Err(SegmentationError::input(
            format!("{first} and {other} show different held-out sequences"),
            "run these parts again",
        ));
    }
    Ok(())
}

fn name((seed, arm): &Task) -> String {
    format!("training of arm {} with seed {seed}", arm.name())
}

/// The file.
#[derive(Serialize, Deserialize)]
struct Stored {
    format: u64,
    index: usize,
    device: String,
    synthetic: String,
    common: Common,
    cells: Vec<StoredCell>,
    pictures: Vec<StoredPicture>,
}

#[derive(Serialize, Deserialize)]
struct StoredCell {
    arm: Arm,
    seed: usize,
    counts: Vec<Counts>,
    real_names: Vec<String>,
    found: Vec<Labels>,
}

#[derive(Serialize, Deserialize)]
struct StoredPicture {
    name: String,
    /// Bits of the floats: every reader gives them back as they were.
    image: Vec<u32>,
    truth: Labels,
}

/// A label image `[H, W]`, rows one after another, as `[id, repeats]`.
#[derive(Serialize, Deserialize)]
struct Labels {
    height: usize,
    width: usize,
    runs: Vec<[u32; 2]>,
}

impl From<&Trained> for StoredCell {
    fn from(Trained { cell, real_names, found }: &Trained) -> Self {
        // Only the first seed is shown.
        let found = if cell.seed == 0 { found.iter().map(Labels::from).collect() } else { Vec::new() };
        Self {
            arm: cell.arm,
            seed: cell.seed,
            counts: cell.counts.clone(),
            real_names: real_names.clone(),
            found,
        }
    }
}

impl StoredCell {
    fn restore(self) -> Option<Trained> {
        let found = self.found.into_iter().map(Labels::restore).collect::<Option<_>>()?;
        let cell = Cell { arm: self.arm, seed: self.seed, counts: self.counts };
        Some(Trained { cell, real_names: self.real_names, found })
    }
}

impl From<&Picture> for StoredPicture {
    fn from(picture: &Picture) -> Self {
        let image = picture.image.iter().map(|value| value.to_bits()).collect();
        Self { name: picture.name.clone(), image, truth: Labels::from(&picture.truth) }
    }
}

impl StoredPicture {
    fn restore(self) -> Option<Picture> {
        let truth = self.truth.restore()?;
        let values = self.image.into_iter().map(f32::from_bits).collect();
        let image = Array2::from_shape_vec(truth.dim(), values).ok()?;
        Some(Picture { name: self.name, image, truth, found: Vec::new() })
    }
}

impl From<&Array2<u32>> for Labels {
    fn from(ids: &Array2<u32>) -> Self {
        let mut runs: Vec<[u32; 2]> = Vec::new();
        for &id in ids {
            match runs.last_mut() {
                Some([last, n]) if *last == id => *n += 1,
                _ => runs.push([id, 1]),
            }
        }
        let (height, width) = ids.dim();
        Self { height, width, runs }
    }
}

impl Labels {
    /// Returns the label image, nothing where the runs do not fill it.
    fn restore(self) -> Option<Array2<u32>> {
        let pixels = self.height.checked_mul(self.width)?;
        let n: u64 = self.runs.iter().map(|run| u64::from(run[1])).sum();
        // Before memory is taken: a damaged file may claim any size.
        if n != pixels as u64 || n > 1 << 30 {
            return None;
        }
        let ids = self.runs.into_iter().flat_map(|[id, n]| std::iter::repeat_n(id, n as usize)).collect();
        Array2::from_shape_vec((self.height, self.width), ids).ok()
    }
}
