//! One run at a time writes an output: a hidden file beside it, `.NAME.lock`, is locked while the run goes on.
//!
//! The system gives the lock back when the process ends, however it ends, and whatever its number is in its container.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::ErrorKind;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::fs::OFlags;

use super::registry::{self, changing, warn};
use super::{leftovers, names, place};
use crate::error::{DataError, OutputError};

/// Attempts to lock a file that other runs, which end at the same time, keep removing.
const ATTEMPTS: usize = 100;

/// Outputs that this process has locked, and whether something is being written for them.
static HELD: Mutex<BTreeMap<PathBuf, bool>> = Mutex::new(BTreeMap::new());

fn held() -> MutexGuard<'static, BTreeMap<PathBuf, bool>> {
    HELD.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The right to write an output, until dropped.
#[derive(Debug)]
pub struct Lock {
    target: PathBuf,
    path: PathBuf,
    /// Nothing where the file system has no locks.
    file: Option<File>,
    /// Whether it stands in [`HELD`].
    held: bool,
    /// Folders that were made for the output.
    parents: Vec<PathBuf>,
}

impl Lock {
    /// Takes the lock of an output, whose folder is made where it is not there, and removes what killed runs left beside
    /// the output. Where the file system has no locks, it is only warned of that.
    ///
    /// # Errors
    /// [`OutputError::Busy`] where another run has the lock, or what the system says.
    pub fn take(target: &Path) -> Result<Self, DataError> {
        let target = place::resolve(target)?;
        let mut lock =
            Self { path: names::lock(&target), target, file: None, held: false, parents: Vec::new() };
        if held().contains_key(&lock.target) {
            return Err(lock.busy().into());
        }
        for _ in 0..ATTEMPTS {
            let made = place::make_parents(&lock.target)?;
            registry::add_parents(&made);
            lock.parents.extend(made);
            let change = changing();
            let file = match open(&lock.path) {
                Ok(file) => file,
                // A run that ends removes the folder that it had made.
                Err(e) if e.kind() == ErrorKind::NotFound => continue,
                Err(e) if matches!(e.kind(), ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem) => {
                    lock.go_on_without(&e);
                    return Ok(lock);
                }
                Err(e) => return Err(DataError::io(&lock.path)(e)),
            };
            match file.try_lock() {
                Ok(()) if is_at(&file, &lock.path) => {
                    registry::add_lock(&lock.path);
                    lock.file = Some(file);
                    drop(change);
                    lock.hold();
                    leftovers::clear(&lock.target);
                    return Ok(lock);
                }
                // The run that had it has just removed it.
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Err(lock.busy().into()),
                Err(TryLockError::Error(e)) => {
                    let _ = remove_empty(&file, &lock.path);
                    lock.go_on_without(&e);
                    return Ok(lock);
                }
            }
        }
        Err(lock.busy().into())
    }

    fn busy(&self) -> OutputError {
        OutputError::Busy { path: self.target.clone(), lock: self.path.clone() }
    }

    fn hold(&mut self) {
        held().insert(self.target.clone(), false);
        self.held = true;
    }

    fn go_on_without(&mut self, error: &std::io::Error) {
        self.hold();
        warn(format!(
            "{} cannot be locked ({error}): make sure that no other run writes it, and remove by hand what a killed run leaves beside it",
            self.target.display()
        ));
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        if let Some(file) = &self.file {
            registry::forget_lock(&self.path);
            // While the lock is still held, so that nobody else's is removed.
            let _ = remove_empty(file, &self.path);
        }
        if self.held {
            held().remove(&self.target);
        }
        registry::forget_parents(&self.parents);
        for folder in self.parents.iter().rev() {
            // Fails where something is in it, and then it stays.
            let _ = fs::remove_dir(folder);
        }
    }
}

/// The right of one pending output to use the lock that this process has; the lock is taken where it has none.
#[derive(Debug)]
pub(super) struct Claim {
    target: PathBuf,
    _own: Option<Lock>,
}

impl Claim {
    /// Claims an output, whose path is resolved.
    pub(super) fn take(target: &Path) -> Result<Self, DataError> {
        let own = if held().contains_key(target) { None } else { Some(Lock::take(target)?) };
        match held().get_mut(target) {
            Some(used) if *used => {
                Err(OutputError::Busy { path: target.to_owned(), lock: names::lock(target) }.into())
            }
            Some(used) => {
                *used = true;
                Ok(Self { target: target.to_owned(), _own: own })
            }
            None => unreachable!("a lock that was taken is held"),
        }
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        if let Some(used) = held().get_mut(&self.target) {
            *used = false;
        }
    }
}

fn open(path: &Path) -> std::io::Result<File> {
    // A link that somebody put there is not followed.
    let flags = OFlags::NOFOLLOW.bits() as i32;
    OpenOptions::new().create(true).truncate(false).read(true).write(true).custom_flags(flags).open(path)
}

/// Returns whether the open file is the one that has the name.
fn is_at(file: &File, path: &Path) -> bool {
    matches!((file.metadata(), path.symlink_metadata()), (Ok(a), Ok(b)) if (a.dev(), a.ino()) == (b.dev(), b.ino()))
}

/// Removes a lock file. Ours are empty; a file of this name with something in it is not ours.
fn remove_empty(file: &File, path: &Path) -> std::io::Result<()> {
    if file.metadata()?.len() == 0 && is_at(file, path) {
        fs::remove_file(path)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::{Advice, Exit};

    #[test]
    fn one_at_a_time_has_the_lock_and_nothing_is_left_of_it() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("made/for/out");
        let lock = Lock::take(&target).unwrap();
        assert!(dir.path().join("made/for/.out.lock").is_file());
        let error = Lock::take(&target).unwrap_err();
        assert_eq!(error.exit(), Exit::OutputExists);
        assert!(error.to_string().contains("another run"), "{error}");
        drop(Lock::take(&dir.path().join("made/for/other")).unwrap());
        drop(lock);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
        drop(Lock::take(&target).unwrap());
    }

    #[test]
    fn the_lock_of_a_run_that_was_killed_is_taken_and_one_that_is_held_elsewhere_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let (target, path) = (dir.path().join("out"), dir.path().join(".out.lock"));
        let other = File::create(&path).unwrap();
        drop(Lock::take(&target).unwrap());
        assert!(!path.exists());
        // As another process would.
        drop(other);
        let other = File::create(&path).unwrap();
        other.try_lock().unwrap();
        assert!(matches!(Lock::take(&target), Err(DataError::Output(OutputError::Busy { .. }))));
        drop(other);
        fs::write(&path, "somebody's notes").unwrap();
        drop(Lock::take(&target).unwrap());
        assert_eq!(fs::read_to_string(&path).unwrap(), "somebody's notes");
    }

    #[test]
    fn many_that_want_the_lock_get_it_one_after_the_other() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("out");
        let inside = std::sync::atomic::AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..200 {
                        let Ok(_lock) = Lock::take(&target) else { continue };
                        assert_eq!(inside.fetch_add(1, std::sync::atomic::Ordering::SeqCst), 0);
                        inside.fetch_sub(1, std::sync::atomic::Ordering::SeqCst);
                    }
                });
            }
        });
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}
