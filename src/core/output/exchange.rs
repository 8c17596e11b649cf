//! A finished output takes the place of the old one in one step, or the old one comes back.

use std::fs;
use std::io;
use std::path::Path;

use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;

/// Where the old output is after the exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OldIs {
    /// There was none.
    Nowhere,
    /// Under the name that the new one had.
    AtNew,
    /// Under the name that was given for it.
    Aside,
}

/// The two steps that the system offers, so that a test can let one fail.
pub(super) struct Steps<'a> {
    /// Exchanges two names.
    pub(super) swap: &'a dyn Fn(&Path, &Path) -> io::Result<()>,
    /// Renames, where the new name is free.
    pub(super) rename: &'a dyn Fn(&Path, &Path) -> io::Result<()>,
}

/// The steps of the system.
pub(super) const SYSTEM: Steps<'static> = Steps { swap: &swap, rename: &rename_new };

/// Gives `new` the name `target`. An old output of that name is then where the result says; `aside` is a free name for
/// it, used where the file system cannot exchange names.
///
/// # Errors
/// What the system says. The old output has its name then, unless the message says where it is.
pub(super) fn put(new: &Path, target: &Path, aside: &Path, steps: &Steps<'_>) -> io::Result<OldIs> {
    if target.symlink_metadata().is_err() {
        return (steps.rename)(new, target).map(|()| OldIs::Nowhere);
    }
    match (steps.swap)(new, target) {
        Ok(()) => return Ok(OldIs::AtNew),
        Err(e) if !is_unsupported(&e) => return Err(e),
        Err(_) => {}
    }
    (steps.rename)(target, aside)?;
    let Err(failed) = (steps.rename)(new, target) else { return Ok(OldIs::Aside) };
    match (steps.rename)(aside, target) {
        Ok(()) => Err(failed),
        Err(e) => {
            let text =
                format!("{failed}; the old output is {} and could not be put back: {e}", aside.display());
            Err(io::Error::new(failed.kind(), text))
        }
    }
}

/// Renames where the new name is free.
pub(super) fn rename_new(from: &Path, to: &Path) -> io::Result<()> {
    match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE).map_err(io::Error::from) {
        Err(e) if is_unsupported(&e) => {
            if to.symlink_metadata().is_ok() {
                return Err(Errno::EXIST.into());
            }
            fs::rename(from, to)
        }
        done => done,
    }
}

fn swap(a: &Path, b: &Path) -> io::Result<()> {
    Ok(renameat_with(CWD, a, CWD, b, RenameFlags::EXCHANGE)?)
}

/// Returns whether the file system does not know what was asked for.
fn is_unsupported(error: &io::Error) -> bool {
    [Errno::INVAL, Errno::NOSYS, Errno::OPNOTSUPP]
        .iter()
        .any(|e| error.raw_os_error() == Some(e.raw_os_error()))
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::path::PathBuf;

    use super::*;

    fn folders() -> (tempfile::TempDir, [PathBuf; 3]) {
        let dir = tempfile::tempdir().unwrap();
        let paths = ["new", "target", "aside"].map(|name| dir.path().join(name));
        for path in &paths[..2] {
            fs::create_dir(path).unwrap();
            fs::write(path.join("is"), path.file_name().unwrap().to_str().unwrap()).unwrap();
        }
        (dir, paths)
    }

    fn is(path: &Path) -> String {
        fs::read_to_string(path.join("is")).unwrap()
    }

    fn no_swap(_: &Path, _: &Path) -> io::Result<()> {
        Err(Errno::INVAL.into())
    }

    #[test]
    fn names_are_exchanged_with_and_without_help_of_the_file_system() {
        let (_dir, [new, target, aside]) = folders();
        if put(&new, &target, &aside, &SYSTEM).unwrap() == OldIs::AtNew {
            assert_eq!((is(&target), is(&new)), ("new".into(), "target".into()));
        }
        let (_dir, [new, target, aside]) = folders();
        let steps = Steps { swap: &no_swap, rename: &rename_new };
        assert_eq!(put(&new, &target, &aside, &steps).unwrap(), OldIs::Aside);
        assert_eq!((is(&target), is(&aside)), ("new".into(), "target".into()));
        fs::remove_dir_all(&target).unwrap();
        assert_eq!(put(&aside, &target, &new, &steps).unwrap(), OldIs::Nowhere);
        assert!(rename_new(&target, &target.with_file_name("target")).is_err(), "the name is not free");
    }

    #[test]
    fn where_any_step_fails_the_old_output_has_its_name_and_the_new_one_is_there() {
        for failing in 1..=2 {
            let (_dir, [new, target, aside]) = folders();
            let calls = Cell::new(0);
            let rename = |from: &Path, to: &Path| {
                calls.set(calls.get() + 1);
                if calls.get() == failing { Err(Errno::IO.into()) } else { rename_new(from, to) }
            };
            let error = put(&new, &target, &aside, &Steps { swap: &no_swap, rename: &rename }).unwrap_err();
            assert_eq!(error.raw_os_error(), Some(Errno::IO.raw_os_error()), "step {failing}");
            assert_eq!((is(&target), is(&new)), ("target".into(), "new".into()), "step {failing}");
            assert!(!aside.exists());
        }
        let (_dir, [new, target, aside]) = folders();
        let rename =
            |from: &Path, to: &Path| if to == target { Err(Errno::IO.into()) } else { rename_new(from, to) };
        let error = put(&new, &target, &aside, &Steps { swap: &no_swap, rename: &rename }).unwrap_err();
        assert!(error.to_string().contains(&aside.display().to_string()), "{error}");
        assert_eq!((is(&aside), is(&new)), ("target".into(), "new".into()));
    }
}
