//! Going on with a run in another folder.

use std::ffi::OsStr;
use std::fs;
use std::path::Path;

use super::checkpoint::{self, Checkpoint};
use super::{TrainingError, samples, tensorboard};
use crate::data::DataError;
use crate::data::output::write_file;

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
    // What is damaged there is no reason to refuse what is whole here.
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

/// Copies a file, whole or not at all; what is not there is not copied.
fn copy(from: &Path, to: &Path) -> Result<(), DataError> {
    if !from.is_file() {
        return Ok(());
    }
    write_file(to, &fs::read(from).map_err(DataError::io(from))?)
}
