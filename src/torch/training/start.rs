//! How a run starts: in a new folder, from a checkpoint of its own or of another folder, or from other weights.

use std::ffi::OsStr;
use std::fs;
use std::path::Path;

use super::checkpoint::{self, Checkpoint, Identity};
use super::config::Config;
use super::state::State;
use super::{TrainingError, samples, tensorboard};
use crate::model::weights;
use lapsegan_core::error::DataError;
use lapsegan_core::output::{sweep, write_file};
use lapsegan_core::plate::PlateMeta;
use lapsegan_core::plate::groups::SplitGroup;

/// What a run starts from.
#[derive(Clone, Copy, Debug)]
pub struct Start<'a> {
    /// Folder to write into: `output`, or one that gets this name later, which is empty then.
    pub folder: &'a Path,
    /// Run folder.
    pub output: &'a Path,
    /// Go on from the newest checkpoint: of `output`, or of the folder given.
    pub resume: Option<Option<&'a Path>>,
    /// Weights for a run that does not go on.
    pub init: Option<&'a Path>,
}

/// Makes the run folder and brings `state` to where the run starts; returns what it warned of.
///
/// # Errors
/// [`TrainingError::OtherRun`] where the checkpoint found is of a run with other settings, or what reading and writing
/// say.
pub fn start(
    start: Start<'_>,
    state: &mut State,
    identity: &mut Identity,
) -> Result<Vec<String>, TrainingError> {
    let Start { folder: output, output: named, resume, init } = start;
    let mut warnings = Vec::new();
    // Everything is read before anything is written: what cannot be read must not cost an old run.
    let resumed = match resume {
        Some(from) => resume_from(from, output, named, state, identity, &mut warnings)?,
        None => false,
    };
    if let Some(init) = init.filter(|_| !resumed) {
        initialise(init, state, identity, &mut warnings)?;
    }
    fs::create_dir_all(output).map_err(DataError::io(output))?;
    for folder in [output, &output.join("checkpoints"), &output.join("samples")] {
        sweep(folder)?;
    }
    // A folder without run.json is a run that is not complete.
    let record = output.join("run.json");
    if record.exists() {
        fs::remove_file(&record).map_err(DataError::io(&record))?;
    }
    let text = toml::to_string_pretty(&identity.config).expect("a configuration is a TOML table");
    write_file(&output.join("config.toml"), text.as_bytes())?;
    Ok(warnings)
}

/// Says something on stderr and keeps it for the result.
fn warn(warnings: &mut Vec<String>, sentence: String) {
    tracing::warn!("{sentence}");
    warnings.push(sentence);
}

/// Restores the newest checkpoint; returns whether there was one.
fn resume_from(
    from: Option<&Path>,
    output: &Path,
    named: &Path,
    state: &mut State,
    identity: &mut Identity,
    warnings: &mut Vec<String>,
) -> Result<bool, TrainingError> {
    let folder = from.unwrap_or(named);
    let Some(found) = newest_of(folder, named)? else {
        if from.is_some() {
            // A pipeline's second attempt names the folder of the first, which may have ended before its first checkpoint.
            warn(warnings, format!("no checkpoint in {}: starting from the beginning", folder.display()));
        } else {
            tracing::info!("no checkpoint in {}: starting from the beginning", folder.display());
        }
        return Ok(false);
    };
    let fields = found.differences(identity);
    if !fields.is_empty() {
        return Err(TrainingError::OtherRun { path: found.path, fields });
    }
    let (before, now) = (found.manifest.threads, identity.threads);
    if before != now {
        warn(warnings, format!("{before} threads before, {now} now: results differ in rounding"));
    }
    let parts = |config: &Config| config.training.micro_batch;
    let (before, now) = (parts(&found.manifest.config), parts(&identity.config));
    if before != now {
        warn(
            warnings,
            format!(
                "training.micro_batch was {before} and is {now} (0: the whole batch): minibatch statistics, top-k and the \
                 mean path length are those of a part"
            ),
        );
    }
    found.restore(state)?;
    // What it began with before stays seen.
    identity.data.history_unknown |= found.manifest.data.history_unknown;
    if found.manifest.data.trained_on.iter().all(SplitGroup::is_known) {
        identity.data.inherit_history(&found.manifest.data);
    }
    take_over(&found, output)?;
    tracing::info!("resuming at {:.3} kimg from {}", state.kimg(), found.path.display());
    Ok(true)
}

/// Takes over what fits of another checkpoint: the averaged generator for both generators, the discriminator.
///
/// What that one has seen, these networks have seen as well.
fn initialise(
    init: &Path,
    state: &mut State,
    identity: &mut Identity,
    warnings: &mut Vec<String>,
) -> Result<(), TrainingError> {
    let source = checkpoint::find(init)?;
    let (theirs, ours) = (&source.manifest, &identity.data.labelled);
    let learned = &theirs.data.labelled;
    let adds_none = !learned.is_empty() && learned.iter().all(|sequence| ours.contains(sequence));
    if !ours.is_empty() && !theirs.config.model.label_maps.is_empty() && !adds_none {
        return Err(TrainingError::OtherLabels { path: source.path });
    }
    identity.data.inherit_history(&source.manifest.data);
    identity.data.history_unknown |= !source.manifest.tells_whole_history();
    if identity.data.history_unknown {
        warn(
            warnings,
            format!(
                "{}: not all that it was trained on is known: leakage cannot be ruled out for what is generated",
                init.display()
            ),
        );
    }
    let names =
        |data: &PlateMeta| data.channels.iter().map(|c| c.name.clone()).collect::<Vec<_>>().join(", ");
    let (theirs, ours) = (names(&source.manifest.data), names(&identity.data));
    if theirs != ours {
        warn(
            warnings,
            format!(
                "{} learned the channels {theirs}, in this order; the data has {ours}: weights meet channels by their place, \
                 so prepare the data with --channel in that order, or leave out --init",
                init.display()
            ),
        );
    }
    let mut left_out = weights::load_fitting(&state.generator.vs, &source.tensors, "generator_ema.");
    weights::load_fitting(&state.generator_ema.vs, &source.tensors, "generator_ema.");
    left_out.extend(weights::load_fitting(&state.discriminator.vs, &source.tensors, "discriminator."));
    let total = weights::sorted(&state.generator.vs).len() + weights::sorted(&state.discriminator.vs).len();
    tracing::info!("{} of {total} tensors taken from {}", total - left_out.len(), init.display());
    if !left_out.is_empty() {
        warn(warnings, format!("freshly initialised, since they do not fit: {}", left_out.join(", ")));
    }
    Ok(())
}

/// Returns the checkpoint that a run in `output` goes on from: the newest one of `from`, but where a run that went on
/// in `output` before has got as far, the newest one there.
///
/// # Errors
/// As [`checkpoint::newest`].
pub fn newest_of(from: &Path, output: &Path) -> Result<Option<Checkpoint>, TrainingError> {
    let found = checkpoint::newest(from)?;
    if same(from, output) {
        return Ok(found);
    }
    // A damaged checkpoint in `output` must not prevent the use of a whole one in `from`.
    let ours = checkpoint::newest(output).unwrap_or_default();
    let seen = |c: &Option<Checkpoint>| c.as_ref().map(|c| c.manifest.sequences_seen);
    Ok(if seen(&ours) >= seen(&found) { ours } else { found })
}

/// Copies a checkpoint into the run folder `output`, with the lines, events and sample grids of its run up to there.
///
/// The checkpoint comes last: before it is complete, `output` holds no run to go on from. Nothing happens where it is a
/// checkpoint of `output`. The lines after the checkpoint are dropped when the run goes on.
pub fn take_over(found: &Checkpoint, output: &Path) -> Result<(), TrainingError> {
    let (Some(checkpoints), Some(name)) = (found.path.parent(), found.path.file_name()) else {
        return Ok(());
    };
    let Some(from) = checkpoints.parent() else { return Ok(()) };
    if same(from, output) {
        return Ok(());
    }
    let to = output.join("checkpoints");
    for folder in [output, &to, &output.join("samples")] {
        fs::create_dir_all(folder).map_err(DataError::io(folder))?;
    }
    copy(&from.join("stats.jsonl"), &output.join("stats.jsonl"))?;
    copy(&tensorboard::path(from), &tensorboard::path(output))?;
    let last = samples::path(from, found.manifest.sequences_seen as f64 / 1000.0);
    for entry in fs::read_dir(from.join("samples")).into_iter().flatten().flatten() {
        // Names sort by kimg.
        if Some(entry.file_name().as_os_str()) <= last.file_name() {
            copy(&entry.path(), &output.join("samples").join(entry.file_name()))?;
        }
    }
    copy(&found.path, &to.join(name))?;
    let side = found.path.with_extension("json");
    copy(&side, &to.join(side.file_name().unwrap_or(OsStr::new(""))))?;
    Ok(write_file(&to.join("latest"), format!("{}\n", name.to_string_lossy()).as_bytes())?)
}

fn same(a: &Path, b: &Path) -> bool {
    matches!((a.canonicalize(), b.canonicalize()), (Ok(a), Ok(b)) if a == b)
}

/// Copies a file, whole or not at all. A missing file is skipped.
fn copy(from: &Path, to: &Path) -> Result<(), DataError> {
    if !from.is_file() {
        return Ok(());
    }
    write_file(to, &fs::read(from).map_err(DataError::io(from))?)
}
