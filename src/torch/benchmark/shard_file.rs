//! `cells.json`: the trainings of one job.
//!
//! It holds counts, not scores, and numbers keep all their bits: what is gathered equals what one job finds.

use std::path::Path;

use ndarray::Array2;
use serde::{Deserialize, Serialize};

use super::BenchmarkError;
use super::arms::{Experiment, Task};
use super::shards::{BenchmarkIdentity, ShardRun};
use super::trials::{Picture, Trained};
use lapsegan_core::error::DataError;
use lapsegan_core::output::write_file;
use lapsegan_core::scores::counts::Counts;
use lapsegan_core::side_file;

/// Name of the file in the folder of a shard.
pub(super) const FILE: &str = "cells.json";
/// The form of the file, raised when an older reader would misread a newer one.
const FORMAT: u64 = 2;

impl ShardRun {
    /// Writes the file into the folder of the shard.
    ///
    /// # Errors
    /// What the system says.
    pub fn write(&self, folder: &Path) -> Result<(), BenchmarkError> {
        // Only the first seed is shown.
        let shown = self.trained.iter().any(|t| t.task.seed == 0);
        let pictures = if shown { self.pictures.as_slice() } else { &[] };
        let stored = Stored {
            format: FORMAT,
            index: self.index,
            device: self.device.clone(),
            synthetic: self.synthetic.clone(),
            common: self.identity.clone(),
            cells: self.trained.iter().map(StoredTraining::from).collect(),
            pictures: pictures.iter().map(StoredPicture::from).collect(),
        };
        let text = serde_json::to_string(&stored).expect("numbers and text only");
        Ok(write_file(&folder.join(FILE), format!("{text}\n").as_bytes())?)
    }

    /// Reads the file from the folder of a shard.
    ///
    /// # Errors
    /// [`BenchmarkError::Data`] where it is missing, no JSON, or contradicts itself.
    pub fn read(folder: &Path) -> Result<Self, BenchmarkError> {
        let path = folder.join(FILE);
        if !path.is_file() {
            let expected = "the folder of a `segment-benchmark run --shard`, with cells.json".into();
            return Err(DataError::Missing { path, expected }.into());
        }
        let bad = |found: String| DataError::Metadata { path: path.clone(), field: FILE.into(), found };
        let bytes = side_file::read(&path, side_file::METADATA)?;
        let stored: Stored = serde_json::from_slice(&bytes).map_err(|e| bad(e.to_string()))?;
        if stored.format != FORMAT {
            return Err(bad(format!("format {}, this version reads {FORMAT}", stored.format)).into());
        }
        let Stored { index, device, synthetic, common: identity, cells, pictures, .. } = stored;
        identity.settings.check()?;
        let experiment = identity.settings.experiment()?;
        let pictures: Option<Vec<Picture>> = pictures.into_iter().map(StoredPicture::restore).collect();
        let pictures = pictures.ok_or_else(|| bad("a picture of another size than it says".into()))?;
        let trained: Result<Vec<Trained>, String> =
            cells.into_iter().map(|training| training.restore(&experiment)).collect();
        let trained = trained.map_err(bad)?;
        for Trained { task, counts, found, .. } in &trained {
            let expected = if task.seed == 0 { pictures.len() } else { 0 };
            let sizes =
                found.iter().zip(&pictures).all(|(found, picture)| found.dim() == picture.truth.dim());
            let n_test = identity.test.len();
            if counts.len() != n_test || found.len() != expected || !sizes {
                return Err(bad(format!("the {task} does not fit the {n_test} held-out sequences")).into());
            }
        }
        Ok(Self { index, device, synthetic, identity, trained, pictures })
    }
}

/// The file.
#[derive(Serialize, Deserialize)]
struct Stored {
    format: u64,
    index: usize,
    device: String,
    synthetic: String,
    common: BenchmarkIdentity,
    cells: Vec<StoredTraining>,
    pictures: Vec<StoredPicture>,
}

#[derive(Serialize, Deserialize)]
struct StoredTraining {
    arm: String,
    seed: usize,
    n_real: usize,
    counts: Vec<Counts>,
    real_names: Vec<String>,
    found: Vec<StoredLabels>,
}

#[derive(Serialize, Deserialize)]
struct StoredPicture {
    name: String,
    /// Bits of the floats: every reader gives them back as they were.
    image: Vec<u32>,
    truth: StoredLabels,
}

/// A label image `[H, W]`, rows one after another, as `[id, repeats]`.
#[derive(Serialize, Deserialize)]
struct StoredLabels {
    height: usize,
    width: usize,
    runs: Vec<[u32; 2]>,
}

impl From<&Trained> for StoredTraining {
    fn from(Trained { task, counts, real_names, found }: &Trained) -> Self {
        // Only the first seed is shown.
        let found = if task.seed == 0 { found.iter().map(StoredLabels::from).collect() } else { Vec::new() };
        Self {
            arm: task.arm.name.to_owned(),
            seed: task.seed,
            n_real: task.n_real,
            counts: counts.clone(),
            real_names: real_names.clone(),
            found,
        }
    }
}

impl StoredTraining {
    fn restore(self, experiment: &Experiment) -> Result<Trained, String> {
        let arm = experiment.arm(&self.arm).ok_or_else(|| {
            format!("there is no arm {:.40}, expected {}", self.arm, experiment.names().join(", "))
        })?;
        let found: Option<_> = self.found.into_iter().map(StoredLabels::restore).collect();
        Ok(Trained {
            task: Task { seed: self.seed, arm, n_real: self.n_real },
            counts: self.counts,
            real_names: self.real_names,
            found: found.ok_or("labels of another size than they say")?,
        })
    }
}

impl From<&Picture> for StoredPicture {
    fn from(picture: &Picture) -> Self {
        let image = picture.image.iter().map(|value| value.to_bits()).collect();
        Self { name: picture.name.clone(), image, truth: StoredLabels::from(&picture.truth) }
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

impl From<&Array2<u32>> for StoredLabels {
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

impl StoredLabels {
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
