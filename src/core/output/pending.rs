//! Outputs in the making: hidden siblings of a random name, which get the final name when complete.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

use super::exchange::{self, OldIs};
use super::lock::Claim;
use super::ownership::{OutputKind, expect_free};
use super::registry::{self, changing, remove, warn};
use super::{names, place};
use crate::error::{Advice, DataError, Exit, OutputError};

/// Attempts to find a name that is not taken.
const ATTEMPTS: usize = 16;

/// A folder in the making. Dropped before [`PendingFolder::finish`], it leaves nothing behind.
#[derive(Debug)]
pub struct PendingFolder {
    target: PathBuf,
    partial: PathBuf,
    kind: OutputKind,
    overwrite: bool,
    finished: bool,
    _claim: Claim,
}

impl PendingFolder {
    /// Makes a temporary sibling of `target`, and takes the lock of `target` where this process does not have it.
    ///
    /// # Errors
    /// As [`expect_free`] and [`Lock::take`](super::Lock::take), or what the system says.
    pub fn create(target: &Path, kind: OutputKind, overwrite: bool) -> Result<Self, DataError> {
        let target = place::resolve(target)?;
        expect_free(&target, kind, overwrite)?;
        let claim = Claim::take(&target)?;
        let (partial, ()) = make(&target, |path| fs::create_dir(path))?;
        Ok(Self { target, partial, kind, overwrite, finished: false, _claim: claim })
    }

    /// Returns the folder to write into.
    pub fn path(&self) -> &Path {
        &self.partial
    }

    /// Gives the folder its final name, in one step with taking it from an old output, which is removed then.
    ///
    /// # Errors
    /// [`OutputError::Kept`] where the name cannot be had any more: the folder then has another one, which is told. That
    /// the old output cannot be removed is only warned of.
    pub fn finish(mut self) -> Result<(), DataError> {
        let aside = names::old(&self.target);
        let change = changing();
        let put = expect_free(&self.target, self.kind, self.overwrite).and_then(|()| {
            exchange::put(&self.partial, &self.target, &aside, &exchange::SYSTEM)
                .map_err(DataError::io(&self.target))
        });
        // Whatever happened, the new output is not removed any more.
        self.finished = true;
        let old = match put {
            Ok(OldIs::Nowhere) => {
                registry::forget_pending(&self.partial);
                None
            }
            Ok(OldIs::AtNew) => Some(self.partial.clone()),
            Ok(OldIs::Aside) => {
                registry::forget_pending(&self.partial);
                registry::add_pending(&aside);
                Some(aside)
            }
            Err(error) => {
                registry::forget_pending(&self.partial);
                return Err(self.keep(&error).into());
            }
        };
        drop(change);
        // So that the name is on disk, too. Where a file system cannot do that, nothing is lost.
        if let Some(parent) = self.target.parent() {
            let _ = File::open(parent).and_then(|folder| folder.sync_all());
        }
        if let Some(old) = old {
            if let Err(error) = remove(&old) {
                warn(format!(
                    "{} is new, but what was there before could not be removed ({error}): it is {}",
                    self.target.display(),
                    old.display()
                ));
            }
            registry::forget_pending(&old);
        }
        Ok(())
    }

    /// Gives the finished folder a name that nobody sweeps away.
    fn keep(&self, error: &DataError) -> OutputError {
        let name = names::finished(&self.target);
        let kept =
            exchange::rename_new(&self.partial, &name).map_or_else(|_| self.partial.clone(), |()| name);
        let exit = match error {
            DataError::Io { .. } => Exit::Failed,
            error => error.exit(),
        };
        let problem = match error {
            DataError::Io { source, .. } => source.to_string(),
            error => error.to_string(),
        };
        OutputError::Kept { path: self.target.clone(), kept, problem, exit }
    }
}

impl Drop for PendingFolder {
    fn drop(&mut self) {
        if !self.finished {
            // Nothing better can be done here; the next run on this output sweeps it.
            let _ = remove(&self.partial);
            registry::forget_pending(&self.partial);
        }
    }
}

/// A file in the making. Dropped before [`PendingFile::finish`], it leaves nothing behind.
#[derive(Debug)]
pub struct PendingFile {
    target: PathBuf,
    partial: PathBuf,
    file: File,
    finished: bool,
}

impl PendingFile {
    /// Makes a temporary sibling of `target`. Whether `target` may be replaced is for the caller to say.
    ///
    /// # Errors
    /// What the system says, naming `target`.
    pub fn create(target: &Path) -> Result<Self, DataError> {
        // A link stays a link.
        let target = if target.is_symlink() { place::resolve(target)? } else { target.to_owned() };
        let (partial, file) =
            make(&target, |path| OpenOptions::new().write(true).create_new(true).open(path))?;
        Ok(Self { target, partial, file, finished: false })
    }

    /// Returns the file to write into, by name.
    pub fn path(&self) -> &Path {
        &self.partial
    }

    /// Writes `bytes`.
    pub fn write_all(&mut self, bytes: &[u8]) -> Result<(), DataError> {
        self.file.write_all(bytes).map_err(DataError::io(&self.target))
    }

    /// Gives the file its final name, when its content is on disk.
    pub fn finish(self) -> Result<(), DataError> {
        finish_all([self])
    }
}

impl Drop for PendingFile {
    fn drop(&mut self) {
        if !self.finished {
            let _ = remove(&self.partial);
        }
        registry::forget_pending(&self.partial);
    }
}

/// Gives several files that belong together their final names, one right after the other when all are on disk.
///
/// # Errors
/// What the system says, naming the file.
pub fn finish_all<const N: usize>(mut files: [PendingFile; N]) -> Result<(), DataError> {
    for file in &files {
        // By name, since others may have written it by name.
        let synced = File::open(&file.partial).and_then(|written| written.sync_all());
        synced.map_err(DataError::io(&file.target))?;
    }
    let _change = changing();
    for file in &mut files {
        fs::rename(&file.partial, &file.target).map_err(DataError::io(&file.target))?;
        file.finished = true;
    }
    Ok(())
}

/// Writes a file through a temporary sibling, so that a reader sees the old content or the new one.
pub fn write_file(path: &Path, bytes: &[u8]) -> Result<(), DataError> {
    let mut file = PendingFile::create(path)?;
    file.write_all(bytes)?;
    file.finish()
}

/// Makes a sibling of `target` under a name that is not taken.
pub(super) fn make<T>(
    target: &Path,
    make: impl Fn(&Path) -> io::Result<T>,
) -> Result<(PathBuf, T), DataError> {
    let mut failed = io::Error::from(ErrorKind::AlreadyExists);
    for _ in 0..ATTEMPTS {
        let partial = names::partial(target);
        let _change = changing();
        match make(&partial) {
            Ok(made) => {
                registry::add_pending(&partial);
                return Ok((partial, made));
            }
            Err(e) if e.kind() == ErrorKind::AlreadyExists => failed = e,
            Err(e) => return Err(DataError::io(target)(e)),
        }
    }
    Err(DataError::io(target)(failed))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::Lock;

    fn count(folder: &Path) -> usize {
        fs::read_dir(folder).unwrap().count()
    }

    /// An evaluation, for the tests.
    fn evaluation(folder: &Path, text: &str) {
        fs::write(folder.join("run.json"), r#"{"program": "evaluate", "version": "0"}"#).unwrap();
        fs::write(folder.join("report.html"), text).unwrap();
    }

    #[test]
    fn a_dropped_folder_leaves_nothing_and_an_existing_one_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("made/out");
        let create = |overwrite| PendingFolder::create(&target, OutputKind::Evaluation, overwrite);
        drop(create(false).unwrap());
        assert_eq!(count(dir.path()), 0);

        let pending = create(false).unwrap();
        evaluation(pending.path(), "new");
        pending.finish().unwrap();
        assert!(matches!(create(false), Err(DataError::OutputExists { .. })));

        drop(create(true).unwrap());
        assert_eq!(fs::read_to_string(target.join("report.html")).unwrap(), "new");
        create(true).unwrap().finish().unwrap();
        assert_eq!((count(&target), count(&dir.path().join("made"))), (0, 1));
    }

    #[test]
    fn one_output_is_written_once_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("out");
        let create = || PendingFolder::create(&target, OutputKind::Evaluation, false);
        let busy = |found| matches!(found, Err(DataError::Output(OutputError::Busy { .. })));
        let first = create().unwrap();
        assert!(busy(create()));
        drop(first);
        let lock = Lock::take(&target).unwrap();
        let first = create().unwrap();
        assert!(busy(create()));
        drop(first);
        drop((create().unwrap(), lock));
        assert_eq!(count(dir.path()), 0);
    }

    #[test]
    fn what_came_in_between_is_kept_and_so_is_the_finished_output() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("out");
        let pending = PendingFolder::create(&target, OutputKind::Evaluation, true).unwrap();
        evaluation(pending.path(), "mine");
        fs::create_dir(&target).unwrap();
        fs::write(target.join("thesis.docx"), "years").unwrap();
        let error = pending.finish().unwrap_err();
        assert_eq!(error.exit(), Exit::OutputExists);
        let DataError::Output(OutputError::Kept { kept, .. }) = &error else { panic!("{error}") };
        assert!(error.to_string().contains(&kept.display().to_string()), "{error}");
        assert_eq!(fs::read_to_string(kept.join("report.html")).unwrap(), "mine");
        assert!(target.join("thesis.docx").exists());
        // The next run on this output leaves it alone.
        drop(Lock::take(&target).unwrap());
        assert!(kept.exists());
    }

    #[test]
    fn a_link_stays_and_what_it_leads_to_is_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let (real, link) = (dir.path().join("disk/real"), dir.path().join("out"));
        fs::create_dir_all(&real).unwrap();
        std::os::unix::fs::symlink("disk/real", &link).unwrap();
        let pending = PendingFolder::create(&link, OutputKind::Evaluation, true).unwrap();
        evaluation(pending.path(), "new");
        assert!(pending.path().starts_with(dir.path().canonicalize().unwrap().join("disk")));
        pending.finish().unwrap();
        assert!(link.is_symlink() && real.join("run.json").exists());
    }

    #[test]
    fn names_as_long_as_the_file_system_allows_can_be_written() {
        let dir = tempfile::tempdir().unwrap();
        for length in [240, 241, 255] {
            let target = dir.path().join("n".repeat(length));
            write_file(&target, b"text").unwrap();
            fs::remove_file(&target).unwrap();
            let pending = PendingFolder::create(&target, OutputKind::Evaluation, false).unwrap();
            pending.finish().unwrap();
        }
        assert_eq!(count(dir.path()), 3);
    }
}
