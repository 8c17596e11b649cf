//! What of this process is not finished: taken away when the program is stopped by a signal.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};

/// How long a stopped program waits for a file that is being written.
const PATIENCE: Duration = Duration::from_secs(2);
/// How often it looks, and the pause between two attempts to remove a folder.
const PULSE: Duration = Duration::from_millis(1);
/// Attempts to remove a folder into which somebody may still be writing.
const ATTEMPTS: usize = 20;

static STOPPING: AtomicBool = AtomicBool::new(false);
static GATE: RwLock<()> = RwLock::new(());
static OPEN: Mutex<Unfinished> = Mutex::new(Unfinished {
    pending: Vec::new(),
    locks: Vec::new(),
    parents: Vec::new(),
    programs: Vec::new(),
});
static WARNINGS: Mutex<Vec<String>> = Mutex::new(Vec::new());

#[derive(Default)]
struct Unfinished {
    /// Files and folders under partial names.
    pending: Vec<PathBuf>,
    /// Lock files.
    locks: Vec<PathBuf>,
    /// Folders that were made for an output, to be removed where they stay empty; the outermost comes first.
    parents: Vec<PathBuf>,
    /// Process groups of programs that work for this one.
    programs: Vec<u32>,
}

fn lock<T>(mutex: &'static Mutex<T>) -> MutexGuard<'static, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Asks for leave to make, rename or remove files of an output, which holds while the result lives. Once the program is
/// being stopped, nobody gets it any more: the caller waits until the process ends. Not to be asked for twice at once.
pub(crate) fn changing() -> RwLockReadGuard<'static, ()> {
    let leave = GATE.read().unwrap_or_else(PoisonError::into_inner);
    if !is_stopping() {
        return leave;
    }
    drop(leave);
    loop {
        thread::park();
    }
}

/// Returns whether [`abandon`] was called: the process is about to end.
pub fn is_stopping() -> bool {
    STOPPING.load(Ordering::SeqCst)
}

/// Removes everything that is unfinished, and the locks, and kills the programs that work for this one. From now on no output of this process changes; the caller ends
/// the process.
pub fn abandon() {
    STOPPING.store(true, Ordering::SeqCst);
    let began = Instant::now();
    let mut gate = GATE.try_write();
    // Somebody who writes to a disk that hangs must not keep the program from ending.
    while gate.is_err() && began.elapsed() < PATIENCE {
        thread::sleep(PULSE);
        gate = GATE.try_write();
    }
    let Unfinished { pending, locks, parents, programs } = std::mem::take(&mut *lock(&OPEN));
    for group in programs.into_iter().filter_map(|group| Pid::from_raw(group as i32)) {
        let _ = kill_process_group(group, Signal::KILL);
    }
    for path in pending.iter().rev() {
        let _ = remove(path);
    }
    for path in &locks {
        let _ = fs::remove_file(path);
    }
    for path in parents.iter().rev() {
        let _ = fs::remove_dir(path);
    }
    std::mem::forget(gate);
}

/// Removes a file, or a folder with all that is in it; symbolic links are not followed. Nothing there is no error.
pub(super) fn remove(path: &Path) -> std::io::Result<()> {
    let gone = |result: std::io::Result<()>| match result {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(()),
        result => result,
    };
    if !path.symlink_metadata().is_ok_and(|found| found.is_dir()) {
        return gone(fs::remove_file(path));
    }
    let mut removed = gone(fs::remove_dir_all(path));
    for _ in 1..ATTEMPTS {
        match &removed {
            Err(e) if e.kind() == std::io::ErrorKind::DirectoryNotEmpty => {}
            _ => break,
        }
        thread::sleep(PULSE);
        removed = gone(fs::remove_dir_all(path));
    }
    removed
}

pub(super) fn add_pending(path: &Path) {
    lock(&OPEN).pending.push(path.to_owned());
}

pub(super) fn forget_pending(path: &Path) {
    lock(&OPEN).pending.retain(|known| known != path);
}

pub(super) fn add_lock(path: &Path) {
    lock(&OPEN).locks.push(path.to_owned());
}

pub(super) fn forget_lock(path: &Path) {
    lock(&OPEN).locks.retain(|known| known != path);
}

pub(super) fn add_parents(parents: &[PathBuf]) {
    lock(&OPEN).parents.extend_from_slice(parents);
}

pub(super) fn forget_parents(parents: &[PathBuf]) {
    lock(&OPEN).parents.retain(|known| !parents.contains(known));
}

pub(super) fn add_program(group: u32) {
    lock(&OPEN).programs.push(group);
}

pub(super) fn forget_program(group: u32) {
    lock(&OPEN).programs.retain(|known| *known != group);
}

/// Warns on stderr, and keeps the warning for the program's result.
pub(super) fn warn(text: String) {
    tracing::warn!("{text}");
    lock(&WARNINGS).push(text);
}

/// Returns what was warned of concerning outputs since the last call.
pub fn take_warnings() -> Vec<String> {
    std::mem::take(&mut *lock(&WARNINGS))
}
