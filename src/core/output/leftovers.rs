//! What killed runs left: beside an output, and in a folder that a run goes on in.

use std::fs;
use std::path::Path;

use super::names::{self, Sibling};
use super::registry::{changing, remove, warn};
use super::{contents, exchange};
use crate::error::DataError;

/// Removes what killed runs left beside an output, and puts an old output back that was moved aside while nothing has
/// its name. The output must be locked: then no sibling is anybody's any more.
pub(super) fn clear(target: &Path) {
    let Some(parent) = target.parent() else { return };
    let mut found: Vec<_> = fs::read_dir(parent)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| Some((names::kind_of(target, &entry.file_name())?, entry.path())))
        .collect();
    found.sort_by_key(|(_, path)| path.clone());
    for (kind, path) in found {
        let _change = changing();
        let (shown, name) = (path.display(), target.display());
        let there = target.symlink_metadata().is_ok();
        if kind == Sibling::Old && !there && exchange::rename_new(&path, target).is_ok() {
            warn(format!("{name} was put back: a run was killed while it replaced it"));
        } else if let Some(foreign) = contents::foreign_in_leftover(&path) {
            warn(format!(
                "{shown} was left as it is, since it holds {foreign}: no killed run of these programs"
            ));
        } else if let Err(error) = remove(&path) {
            warn(format!("{shown}, which a killed run left, could not be removed: {error}"));
        } else {
            tracing::info!("removed {shown}, which a killed run had left");
        }
    }
}

/// Removes the files of a training that a killed run had not finished. Nobody else may be writing there; other names are
/// other people's.
pub fn sweep(folder: &Path) -> Result<(), DataError> {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let (path, name) = (entry.path(), entry.file_name().to_string_lossy().into_owned());
        let ours = match name.strip_suffix(".partial") {
            // As versions before wrote it.
            Some(file) => file.ends_with(".safetensors") && contents::is_training_file(file),
            None => names::stands_for(&name).is_some_and(contents::is_training_file),
        };
        if ours && entry.file_type().is_ok_and(|kind| kind.is_file()) {
            fs::remove_file(&path).map_err(DataError::io(&path))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::Lock;

    fn names_in(folder: &Path) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(folder)
            .unwrap()
            .map(|e| e.unwrap().file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn what_runs_with_the_process_id_of_this_one_left_is_removed() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("out");
        let left = dir.path().join(format!(".out.partial-{}", std::process::id()));
        fs::create_dir_all(left.join("ZZ/1")).unwrap();
        fs::write(left.join("run.json"), "{}").unwrap();
        fs::create_dir(dir.path().join(".out.partial-0123456789abcdef")).unwrap();
        fs::write(dir.path().join(format!(".out.old-{}", std::process::id())), "file").unwrap();
        fs::create_dir(&target).unwrap();
        fs::create_dir(dir.path().join(".other.partial-1")).unwrap();
        drop(Lock::take(&target).unwrap());
        assert_eq!(names_in(dir.path()), [".other.partial-1", "out"]);
    }

    #[test]
    fn an_old_output_comes_back_where_nothing_has_its_name() {
        let dir = tempfile::tempdir().unwrap();
        let old = dir.path().join(".out.old-77");
        fs::create_dir(&old).unwrap();
        fs::write(old.join("run.json"), "old").unwrap();
        drop(Lock::take(&dir.path().join("out")).unwrap());
        assert_eq!(names_in(dir.path()), ["out"]);
        assert_eq!(fs::read_to_string(dir.path().join("out/run.json")).unwrap(), "old");
    }

    #[test]
    fn a_sibling_with_somebody_elses_files_stays() {
        let dir = tempfile::tempdir().unwrap();
        let mine = dir.path().join(".out.old-2024");
        fs::create_dir_all(mine.join("raw")).unwrap();
        fs::write(mine.join("raw/thesis.docx"), "years").unwrap();
        fs::create_dir(dir.path().join("out")).unwrap();
        drop(Lock::take(&dir.path().join("out")).unwrap());
        assert!(mine.join("raw/thesis.docx").exists());
    }

    #[test]
    fn what_a_killed_training_left_is_swept_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let stay =
            ["stats.jsonl", "partial-1", ".a", "movie.partial", ".movie.partial-17", "a.safetensors.partial"];
        let go = [
            ".stats.jsonl.partial-17",
            "kimg_000001.000.safetensors.partial",
            ".latest.partial-00000000000000ff",
        ];
        for name in stay.iter().chain(&go) {
            fs::write(dir.path().join(name), "x").unwrap();
        }
        sweep(dir.path()).unwrap();
        let mut expected = stay.map(str::to_owned).to_vec();
        expected.sort();
        assert_eq!(names_in(dir.path()), expected);
        sweep(&dir.path().join("nowhere")).unwrap();
    }
}
