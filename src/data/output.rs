//! Outputs that appear whole: written beside their final name, renamed when complete.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use super::DataError;

/// A folder in the making. Dropped before [`PendingFolder::finish`], it leaves nothing behind.
#[derive(Debug)]
pub struct PendingFolder {
    target: PathBuf,
    partial: PathBuf,
    overwrite: bool,
    finished: bool,
}

impl PendingFolder {
    /// Makes a temporary sibling of `target`.
    ///
    /// # Errors
    /// [`DataError::OutputExists`] where `target` is there and `overwrite` is false, or what the system says.
    pub fn create(target: &Path, overwrite: bool) -> Result<Self, DataError> {
        refuse_existing(target, overwrite)?;
        let partial = sibling(target, "partial");
        fs::create_dir_all(&partial).map_err(|source| DataError::Io { path: partial.clone(), source })?;
        Ok(Self { target: target.to_owned(), partial, overwrite, finished: false })
    }

    /// Returns the folder to write into.
    pub fn path(&self) -> &Path {
        &self.partial
    }

    /// Gives the folder its final name, replacing an old one only now.
    pub fn finish(mut self) -> Result<(), DataError> {
        refuse_existing(&self.target, self.overwrite)?;
        let io = |path: &Path, source| DataError::Io { path: path.to_owned(), source };
        let old = sibling(&self.target, "old");
        let replaces = self.target.exists();
        if replaces {
            fs::rename(&self.target, &old).map_err(|e| io(&self.target, e))?;
        }
        fs::rename(&self.partial, &self.target).map_err(|e| io(&self.target, e))?;
        self.finished = true;
        if replaces {
            let removed = if old.is_dir() { fs::remove_dir_all(&old) } else { fs::remove_file(&old) };
            removed.map_err(|e| io(&old, e))?;
        }
        Ok(())
    }
}

impl Drop for PendingFolder {
    fn drop(&mut self) {
        if !self.finished {
            // Nothing better can be done here; the name says that it is partial.
            let _ = fs::remove_dir_all(&self.partial);
        }
    }
}

/// Returns an error where `target` exists and must not be replaced.
pub fn refuse_existing(target: &Path, overwrite: bool) -> Result<(), DataError> {
    if target.exists() && !overwrite {
        return Err(DataError::OutputExists { path: target.to_owned() });
    }
    Ok(())
}

/// Writes a file through a temporary sibling, so that a reader sees the old content or the new one.
pub fn write_file(path: &Path, bytes: &[u8]) -> Result<(), DataError> {
    let partial = sibling(path, "partial");
    let written = fs::File::create(&partial).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&partial, path)
    });
    written.map_err(|source| {
        let _ = fs::remove_file(&partial);
        DataError::Io { path: path.to_owned(), source }
    })
}

/// How files were taken over from another folder.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Taken {
    /// Files that are hard links now: no pixel was copied.
    pub linked: u64,
    /// Files that were copied, since they lie on another file system or it has no links.
    pub copied: u64,
}

/// Makes `to` a folder with the files of `from`, by hard links where the file system allows; hidden files stay behind.
///
/// # Errors
/// What the system says, naming the file.
pub fn take(from: &Path, to: &Path) -> Result<Taken, DataError> {
    let mut taken = Taken::default();
    let mut folders = vec![(from.to_owned(), to.to_owned())];
    while let Some((from, to)) = folders.pop() {
        fs::create_dir_all(&to).map_err(DataError::io(&to))?;
        for entry in fs::read_dir(&from).map_err(DataError::io(&from))? {
            let entry = entry.map_err(DataError::io(&from))?;
            let (path, target) = (entry.path(), to.join(entry.file_name()));
            if entry.file_name().as_encoded_bytes().starts_with(b".") {
                continue;
            }
            // Engines hand out inputs as symbolic links; what is kept must not depend on them.
            let path = path.canonicalize().map_err(DataError::io(&path))?;
            if path.is_dir() {
                folders.push((path, target));
            } else if fs::hard_link(&path, &target).is_ok() {
                taken.linked += 1;
            } else {
                fs::copy(&path, &target).map_err(DataError::io(&target))?;
                taken.copied += 1;
            }
        }
    }
    Ok(taken)
}

/// Removes the files in a folder that a killed program had not finished. Nobody else may be writing there.
pub fn sweep(folder: &Path) -> Result<(), DataError> {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let (path, name) = (entry.path(), entry.file_name().to_string_lossy().into_owned());
        let left = name.ends_with(".partial") || name.starts_with('.') && name.contains(".partial-");
        if left && path.is_file() {
            fs::remove_file(&path).map_err(|source| DataError::Io { path: path.clone(), source })?;
        }
    }
    Ok(())
}

fn sibling(target: &Path, what: &str) -> PathBuf {
    let name = target.file_name().map_or_else(|| "output".into(), |n| n.to_string_lossy().into_owned());
    target.with_file_name(format!(".{name}.{what}-{}", std::process::id()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dropped_folder_leaves_nothing_and_an_existing_one_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("out");
        drop(PendingFolder::create(&target, false).unwrap());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);

        let pending = PendingFolder::create(&target, false).unwrap();
        fs::write(pending.path().join("a"), "new").unwrap();
        pending.finish().unwrap();
        assert!(matches!(PendingFolder::create(&target, false), Err(DataError::OutputExists { .. })));

        drop(PendingFolder::create(&target, true).unwrap());
        assert_eq!(fs::read_to_string(target.join("a")).unwrap(), "new");
        PendingFolder::create(&target, true).unwrap().finish().unwrap();
        assert_eq!(fs::read_dir(&target).unwrap().count(), 0);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn files_are_taken_over_as_links_and_hidden_ones_stay() {
        let dir = tempfile::tempdir().unwrap();
        let (from, to) = (dir.path().join("from"), dir.path().join("to"));
        fs::create_dir_all(from.join("c/0")).unwrap();
        for (name, text) in [("zarr.json", "{}"), ("c/0/0", "pixels"), (".nfs1", "")] {
            fs::write(from.join(name), text).unwrap();
        }
        let taken = take(&from, &to).unwrap();
        assert_eq!(taken.linked + taken.copied, 2);
        assert_eq!(fs::read_to_string(to.join("c/0/0")).unwrap(), "pixels");
        assert!(!to.join(".nfs1").exists());
        assert!(take(&dir.path().join("nowhere"), &to).is_err());
    }

    #[test]
    fn what_a_killed_program_left_is_swept_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        for name in
            [".stats.jsonl.partial-17", "kimg_1.safetensors.partial", "stats.jsonl", "partial-1", ".a"]
        {
            fs::write(dir.path().join(name), "x").unwrap();
        }
        sweep(dir.path()).unwrap();
        let mut left: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
        left.sort();
        assert_eq!(left, [".a", "partial-1", "stats.jsonl"]);
        sweep(&dir.path().join("nowhere")).unwrap();
    }
}
