//! Checkpoints: everything a run needs to go on, and all that `generate` needs to know.
//!
//! `kimg_*.safetensors` holds the tensors, `kimg_*.json` of the same stem everything else, with the digest of the
//! tensors, so that a pair of which one file is older is recognised and skipped. Neither holds a clock time, so that
//! equal states give equal bytes.

mod header;
mod manifest;
mod restore;

pub use manifest::{FORMAT, IMPORTED, Manifest};

use std::fs;
use std::path::{Path, PathBuf};

use safetensors::SafeTensorError;
use sha2::{Digest, Sha256};
use tch::nn::VarStore;
use tch::{Kind, TchError, Tensor};

use super::TrainingError;
use super::augment::controller::Controller;
use super::config::Config;
use super::state::State;
use crate::model::weights::{self, Tensors};
use crate::optim::adam::Adam;
use crate::transfer::download;
use lapsegan_core::error::DataError;
use lapsegan_core::labels::maps::MappedLabels;
use lapsegan_core::output::{PendingFile, finish_all, write_file};
use lapsegan_core::plate::PlateMeta;

/// Running mean of the path length. `[]`
const PATH_LENGTH_MEAN: &str = "path_length_mean";
/// Augmentation probability. `[]`, f64
const ADA_P: &str = "ada.p";
/// Mean signs since its last update. `[n]`, f64
const ADA_PENDING: &str = "ada.pending";
/// As `ADA_P` and `ADA_PENDING`, of sequences with labels, where not all have them.
const LABELS_ADA_P: &str = "labels_ada.p";
const LABELS_ADA_PENDING: &str = "labels_ada.pending";
/// Before the names of what was measured since the last tick.
const TICK: &str = "since_tick.";

/// A checkpoint that was read and whose tensors match their digest.
#[derive(Debug)]
pub struct Checkpoint {
    /// The safetensors file.
    pub path: PathBuf,
    /// The side file.
    pub manifest: Manifest,
    /// Tensors by name, prefixed `generator.`, `generator_ema.`, `discriminator.`, `generator_adam.`, ...
    pub tensors: Tensors,
}

/// What of a run a checkpoint must agree with, besides its state.
#[derive(Clone, Debug)]
pub struct Identity {
    /// Configuration.
    pub config: Config,
    /// Seed.
    pub seed: u64,
    /// CPU threads.
    pub threads: usize,
    /// Data.
    pub data: PlateMeta,
    /// Labels of the data that the label domain learns.
    pub mapped: MappedLabels,
    /// Digest of the data.
    pub data_sha256: String,
}

/// Writes the state below `folder` and returns the safetensors file. `latest` names it afterwards.
pub fn save(folder: &Path, state: &State, identity: &Identity) -> Result<PathBuf, TrainingError> {
    fs::create_dir_all(folder).map_err(DataError::io(folder))?;
    let path = folder.join(format!("kimg_{:010.3}.safetensors", state.kimg()));
    write(&path, state, identity)?;
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    write_file(&folder.join("latest"), format!("{name}\n").as_bytes())?;
    Ok(path)
}

/// Writes the state as `path` (.safetensors) and its side file.
pub fn write(path: &Path, state: &State, identity: &Identity) -> Result<(), TrainingError> {
    let mut tensors = Vec::new();
    let mut network = |prefix: &str, vs: &VarStore| {
        tensors.extend(
            weights::sorted(vs)
                .into_iter()
                .map(|(name, t)| (format!("{prefix}{name}"), host(&t, Kind::Float))),
        );
    };
    network("generator.", &state.generator.vs);
    network("generator_ema.", &state.generator_ema.vs);
    network("discriminator.", &state.discriminator.vs);
    let mut moments = |prefix: &str, names: &[String], adam: &Adam| -> Vec<i64> {
        let mut steps = Vec::new();
        for (name, state) in names.iter().zip(adam.state()) {
            steps.push(state.as_ref().map_or(0, |s| s.step));
            if let Some(state) = state {
                tensors.push((format!("{prefix}exp_avg.{name}"), host(&state.exp_avg, Kind::Float)));
                tensors.push((format!("{prefix}exp_avg_sq.{name}"), host(&state.exp_avg_sq, Kind::Float)));
            }
        }
        steps
    };
    let generator_steps = moments("generator_adam.", &state.generator.names, &state.generator_adam);
    let discriminator_steps =
        moments("discriminator_adam.", &state.discriminator.names, &state.discriminator_adam);
    tensors.push((PATH_LENGTH_MEAN.into(), host(&state.path_length_mean, Kind::Float)));
    // These are stored as tensors, because JSON need not give the same bits back.
    tensors.push((ADA_P.into(), Tensor::from(state.ada.p)));
    let pending = |ada: &Controller| {
        Tensor::from_slice(&ada.pending.iter().map(|r| r.double_value(&[])).collect::<Vec<f64>>())
    };
    tensors.push((ADA_PENDING.into(), pending(&state.ada)));
    if identity.config.training.labels.every > 0 {
        tensors.push((LABELS_ADA_P.into(), Tensor::from(state.labels_ada.p)));
        tensors.push((LABELS_ADA_PENDING.into(), pending(&state.labels_ada)));
    }
    tensors.extend(state.since_tick.to_tensors().into_iter().map(|(name, t)| (format!("{TICK}{name}"), t)));
    write_pair(path, &tensors, Manifest::new(state, identity, generator_steps, discriminator_steps))
}

/// Writes the averaged generator and the discriminator in half precision: for sharing, generating, `--init`.
pub fn export(path: &Path, state: &State, identity: &Identity) -> Result<(), TrainingError> {
    let networks = [("generator_ema.", &state.generator_ema.vs), ("discriminator.", &state.discriminator.vs)];
    let tensors: Vec<_> = networks
        .iter()
        .flat_map(|(prefix, vs)| {
            weights::sorted(vs)
                .into_iter()
                .map(move |(name, t)| (format!("{prefix}{name}"), host(&t, Kind::Half)))
        })
        .collect();
    write_pair(path, &tensors, Manifest::new(state, identity, Vec::new(), Vec::new()))
}

/// Reads a checkpoint and checks it: side file and tensors against their digests, names, kinds and shapes of tensors
/// against the side file before libtorch sees them, and that all values are numbers.
///
/// # Errors
/// [`TrainingError::Checkpoint`] or a missing file, naming it.
pub fn read(path: &Path) -> Result<Checkpoint, TrainingError> {
    let path = if path.extension().is_some_and(|e| e == "json") {
        path.with_extension("safetensors")
    } else {
        path.to_owned()
    };
    let damaged = |problem: String| TrainingError::Checkpoint { path: path.clone(), problem };
    let side = path.with_extension("json");
    for file in [&path, &side] {
        if !file.is_file() {
            return Err(DataError::Missing {
                path: file.clone(),
                expected: "both files of a checkpoint".into(),
            }
            .into());
        }
    }
    let manifest =
        Manifest::read(&side).map_err(|problem| damaged(format!("{}: {problem}", side.display())))?;
    if sha256(&path).map_err(DataError::io(&path))? != manifest.tensors_sha256 {
        return Err(damaged(
            "tensors do not match the digest in the side file: incomplete or damaged".into(),
        ));
    }
    let listed = header::read(&path).map_err(damaged)?;
    manifest.expect_tensors(&listed).map_err(damaged)?;
    let tensors = weights::read(&path)?;
    if let Some(name) = weights::not_a_number(&tensors) {
        return Err(damaged(format!("tensor {name} holds values that are no numbers")));
    }
    Ok(Checkpoint { path, manifest, tensors })
}

/// Reads a checkpoint, or the newest one of a run folder.
///
/// # Errors
/// As [`read`] and [`newest`], and [`DataError::Missing`] for a run without a complete checkpoint.
pub fn find(path: &Path) -> Result<Checkpoint, TrainingError> {
    if !path.is_dir() {
        return read(path);
    }
    let missing = || DataError::Missing {
        path: path.join("checkpoints"),
        expected: "a complete checkpoint of a run".into(),
    };
    Ok(newest(path)?.ok_or_else(missing)?)
}

/// Returns the newest complete checkpoint of a run folder, `None` where there is none at all.
///
/// A damaged one is skipped with a warning in the log, and so is one whose side file was never written: the program was
/// killed before the checkpoint was complete.
///
/// # Errors
/// What is wrong with the newest one, where there are checkpoints but none can be used.
pub fn newest(run: &Path) -> Result<Option<Checkpoint>, TrainingError> {
    let mut first = None;
    for path in list(&run.join("checkpoints")).into_iter().rev() {
        if !path.with_extension("json").is_file() {
            tracing::warn!("skipped {}: it was not finished", path.display());
            continue;
        }
        match read(&path) {
            Ok(checkpoint) => return Ok(Some(checkpoint)),
            Err(error) => {
                tracing::warn!("skipped {error}");
                first.get_or_insert(error);
            }
        }
    }
    first.map_or(Ok(None), Err)
}

/// Removes all but the first and the `keep` newest checkpoints.
pub fn prune(folder: &Path, keep: usize) -> Result<(), TrainingError> {
    let all = list(folder);
    let surplus = all.len().saturating_sub(keep).max(1);
    for path in all.iter().take(surplus).skip(1) {
        // The side file is removed first, because tensors alone are not taken for a checkpoint.
        for file in [path.with_extension("json"), path.clone()] {
            if file.exists() {
                fs::remove_file(&file).map_err(DataError::io(&file))?;
            }
        }
    }
    Ok(())
}

/// Returns the safetensors files of a checkpoint folder, oldest first.
fn list(folder: &Path) -> Vec<PathBuf> {
    let mut all: Vec<PathBuf> = fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .filter(|p| {
            let name = p.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
            name.starts_with("kimg_") && name.ends_with(".safetensors")
        })
        .collect();
    all.sort();
    all
}

/// Writes tensors, then the side file with their digest; each whole or not at all.
fn write_pair(
    path: &Path,
    tensors: &[(String, Tensor)],
    mut manifest: Manifest,
) -> Result<(), TrainingError> {
    let pending = PendingFile::create(path)?;
    let written = Tensor::write_safetensors(tensors, pending.path())
        .map_err(|e| match e {
            TchError::SafeTensorError { err: SafeTensorError::IoError(e), .. } => e,
            e => std::io::Error::other(e.to_string()),
        })
        .and_then(|()| sha256(pending.path()));
    manifest.tensors_sha256 = written.map_err(DataError::io(path))?;
    manifest.tensors = header::read(pending.path())
        .map_err(|problem| TrainingError::Checkpoint { path: path.to_owned(), problem })?;
    let mut side = PendingFile::create(&path.with_extension("json"))?;
    side.write_all(manifest.to_text().as_bytes())?;
    Ok(finish_all([pending, side])?)
}

/// Returns the digest of a file, read in parts: a checkpoint may be larger than the memory that is left.
fn sha256(path: &Path) -> std::io::Result<String> {
    let mut hash = Sha256::new();
    std::io::copy(&mut fs::File::open(path)?, &mut hash)?;
    Ok(format!("{:x}", hash.finalize()))
}

/// Returns a contiguous copy on the CPU.
fn host(tensor: &Tensor, kind: Kind) -> Tensor {
    download(&tensor.detach()).to_kind(kind).contiguous()
}
