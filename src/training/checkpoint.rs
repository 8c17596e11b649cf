//! Checkpoints: everything a run needs to go on, and all that `generate` needs to know.
//!
//! `kimg_*.safetensors` holds the tensors, `kimg_*.json` of the same stem everything else, with the digest of the
//! tensors: a torn pair is recognised and skipped. No clock times, so that equal states are equal bytes.

use std::fs;
use std::path::{Path, PathBuf};

use safetensors::SafeTensorError;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tch::nn::VarStore;
use tch::{Device, Kind, TchError, Tensor};

use super::TrainingError;
use super::config::Config;
use super::state::State;
use super::stats::Accumulator;
use crate::data::DataError;
use crate::data::differences::differences;
use crate::data::output::write_file;
use crate::data::plate::PlateMeta;
use crate::model::weights::{self, Tensors};
use crate::optim::adam::{Adam, Moments};

/// Version of this format.
const FORMAT: u32 = 1;

/// Running mean of the path length. `[]`
const PATH_LENGTH_MEAN: &str = "path_length_mean";
/// Augmentation probability. `[]`, f64
const ADA_P: &str = "ada.p";
/// Mean signs since its last update. `[n]`, f64
const ADA_PENDING: &str = "ada.pending";
/// Before the names of what was measured since the last tick.
const TICK: &str = "since_tick.";

/// The side file of a checkpoint.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// Version of the format.
    pub format: u32,
    /// Version of this package.
    pub version: String,
    /// Configuration of the run.
    pub config: Config,
    /// Seed of the run.
    pub seed: u64,
    /// CPU threads of the run; other counts round differently.
    pub threads: usize,
    /// Iterations done.
    pub iteration: u64,
    /// Real sequences shown to the discriminator.
    pub sequences_seen: u64,
    /// The data the run learns from: channels, calibration, sizes, split groups (`trained_on`).
    pub data: PlateMeta,
    /// Digest of the data plate.
    pub data_sha256: String,
    /// Optimiser steps per parameter, in the order of the sorted names; empty in an export.
    pub generator_steps: Vec<i64>,
    /// As `generator_steps`.
    pub discriminator_steps: Vec<i64>,
    /// SHA-256 of the safetensors file.
    pub tensors_sha256: String,
}

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
        for (name, state) in names.iter().zip(&adam.state) {
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
    // As tensors: JSON need not give the same bits back.
    tensors.push((ADA_P.into(), Tensor::from(state.ada.p)));
    let pending: Vec<f64> = state.ada.pending.iter().map(|r| r.double_value(&[])).collect();
    tensors.push((ADA_PENDING.into(), Tensor::from_slice(&pending)));
    tensors.extend(state.since_tick.to_tensors().into_iter().map(|(name, t)| (format!("{TICK}{name}"), t)));
    write_pair(path, &tensors, manifest(state, identity, generator_steps, discriminator_steps))
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
    write_pair(path, &tensors, manifest(state, identity, Vec::new(), Vec::new()))
}

/// Reads a checkpoint and checks it against its digest.
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
    let text = fs::read(&side).map_err(DataError::io(&side))?;
    let manifest: Manifest =
        serde_json::from_slice(&text).map_err(|e| damaged(format!("{}: {e}", side.display())))?;
    if manifest.format != FORMAT {
        return Err(damaged(format!("checkpoint format {}, this version reads {FORMAT}", manifest.format)));
    }
    if sha256(&path).map_err(DataError::io(&path))? != manifest.tensors_sha256 {
        return Err(damaged(
            "tensors do not match the digest in the side file: incomplete or damaged".into(),
        ));
    }
    let tensors = weights::read(&path)?;
    Ok(Checkpoint { path, manifest, tensors })
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
        // The side file goes first: tensors alone are no checkpoint.
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

impl Checkpoint {
    /// Puts the state back, bit by bit.
    ///
    /// # Errors
    /// Names the first tensor that is missing or of another shape; the state is then unusable.
    pub fn restore(&self, state: &mut State) -> Result<(), TrainingError> {
        let file = self.path.display().to_string();
        weights::load(&state.generator.vs, &self.tensors, "generator.", &file)?;
        weights::load(&state.generator_ema.vs, &self.tensors, "generator_ema.", &file)?;
        weights::load(&state.discriminator.vs, &self.tensors, "discriminator.", &file)?;
        self.restore_moments(
            "generator_adam.",
            &state.generator.names,
            &self.manifest.generator_steps,
            &mut state.generator_adam,
        )?;
        self.restore_moments(
            "discriminator_adam.",
            &state.discriminator.names,
            &self.manifest.discriminator_steps,
            &mut state.discriminator_adam,
        )?;
        let value = |name: &str| {
            self.tensors.get(name).ok_or_else(|| TrainingError::Checkpoint {
                path: self.path.clone(),
                problem: format!("tensor {name} is missing"),
            })
        };
        let device = state.path_length_mean.device();
        state.path_length_mean = value(PATH_LENGTH_MEAN)?.to_device(device).view([]);
        state.ada.p = value(ADA_P)?.double_value(&[]);
        let pending = value(ADA_PENDING)?;
        state.ada.pending = (0..pending.numel() as i64).map(|i| pending.get(i).to_device(device)).collect();
        let tick =
            |(name, t): (&String, &Tensor)| Some((name.strip_prefix(TICK)?.to_owned(), t.shallow_clone()));
        state.since_tick = Accumulator::from_tensors(self.tensors.iter().filter_map(tick).collect(), device);
        state.iteration = self.manifest.iteration;
        state.sequences_seen = self.manifest.sequences_seen;
        Ok(())
    }

    /// Returns the fields in which the checkpoint differs from a run, `field: checkpoint != run`.
    ///
    /// What only watches a run may differ, and its length, where the recipe does not depend on it.
    pub fn differences(&self, run: &Identity) -> Vec<String> {
        let mut theirs = self.manifest.config.clone();
        if !run.config.training.depends_on_length() {
            theirs.training.kimg = run.config.training.kimg;
        }
        theirs.training.tick_kimg = run.config.training.tick_kimg;
        theirs.training.keep_checkpoints = run.config.training.keep_checkpoints;
        let mut fields = differences(&theirs, &run.config);
        if self.manifest.seed != run.seed {
            fields.push(format!("seed: {} != {}", self.manifest.seed, run.seed));
        }
        if self.manifest.data_sha256 != run.data_sha256 {
            fields.push(format!("data: {} != {}", &self.manifest.data_sha256[..12], &run.data_sha256[..12]));
        }
        fields
    }

    fn restore_moments(
        &self,
        prefix: &str,
        names: &[String],
        steps: &[i64],
        adam: &mut Adam,
    ) -> Result<(), TrainingError> {
        let missing = |name: &str| TrainingError::Checkpoint {
            path: self.path.clone(),
            problem: format!(
                "optimiser state {name} is missing; an export cannot be resumed, only used with --init"
            ),
        };
        if steps.len() != names.len() {
            return Err(missing(&format!("{prefix}*")));
        }
        let device = adam.parameters().first().map_or(Device::Cpu, Tensor::device);
        for ((name, step), state) in names.iter().zip(steps).zip(&mut adam.state) {
            let tensor = |kind: &str| {
                let key = format!("{prefix}{kind}.{name}");
                self.tensors.get(&key).map(|t| t.to_device(device)).ok_or_else(|| missing(&key))
            };
            *state = match step {
                0 => None,
                &step => {
                    Some(Moments { step, exp_avg: tensor("exp_avg")?, exp_avg_sq: tensor("exp_avg_sq")? })
                }
            };
        }
        Ok(())
    }
}

fn manifest(
    state: &State,
    identity: &Identity,
    generator_steps: Vec<i64>,
    discriminator_steps: Vec<i64>,
) -> Manifest {
    Manifest {
        format: FORMAT,
        version: env!("CARGO_PKG_VERSION").into(),
        config: identity.config.clone(),
        seed: identity.seed,
        threads: identity.threads,
        iteration: state.iteration,
        sequences_seen: state.sequences_seen,
        data: identity.data.clone(),
        data_sha256: identity.data_sha256.clone(),
        generator_steps,
        discriminator_steps,
        tensors_sha256: String::new(),
    }
}

/// Writes tensors, then the side file with their digest; each whole or not at all.
fn write_pair(
    path: &Path,
    tensors: &[(String, Tensor)],
    mut manifest: Manifest,
) -> Result<(), TrainingError> {
    let partial = path.with_extension("safetensors.partial");
    let written = Tensor::write_safetensors(tensors, &partial)
        .map_err(|e| match e {
            TchError::SafeTensorError { err: SafeTensorError::IoError(e), .. } => e,
            e => std::io::Error::other(e.to_string()),
        })
        .and_then(|()| fs::File::open(&partial)?.sync_all())
        .and_then(|()| sha256(&partial))
        .and_then(|digest| {
            manifest.tensors_sha256 = digest;
            fs::rename(&partial, path)
        });
    if let Err(source) = written {
        let _ = fs::remove_file(&partial);
        return Err(DataError::Io { path: path.to_owned(), source }.into());
    }
    let text = serde_json::to_string_pretty(&manifest)
        .map_err(|e| TrainingError::Checkpoint { path: path.to_owned(), problem: e.to_string() })?;
    Ok(write_file(&path.with_extension("json"), format!("{text}\n").as_bytes())?)
}

/// Returns the digest of a file, read in parts: a checkpoint may be larger than the memory that is left.
fn sha256(path: &Path) -> std::io::Result<String> {
    let mut hash = Sha256::new();
    std::io::copy(&mut fs::File::open(path)?, &mut hash)?;
    Ok(format!("{:x}", hash.finalize()))
}

/// Returns a contiguous copy on the CPU.
fn host(tensor: &Tensor, kind: Kind) -> Tensor {
    tensor.detach().to_device(Device::Cpu).to_kind(kind).contiguous()
}
