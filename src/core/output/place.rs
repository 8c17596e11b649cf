//! Where an output really lies: without links, dots and names that cannot be.

use std::fs;
use std::path::{Component, Path, PathBuf};

use super::registry::changing;
use crate::error::{DataError, OutputError};

/// Returns the path without links, `.` and `..`; what is not there yet is taken as it is spelt. An output that is a link
/// is what the link leads to.
///
/// # Errors
/// [`OutputError`] for links that lead nowhere or in circles, paths through files, and names that are too long.
pub fn resolve(path: &Path) -> Result<PathBuf, OutputError> {
    let place = |found: String| OutputError::Place { path: path.to_owned(), found };
    let whole = std::path::absolute(path).map_err(|e| place(e.to_string()))?;
    let mut at = PathBuf::new();
    for part in whole.components() {
        match part {
            Component::ParentDir => {
                at.pop();
            }
            Component::CurDir => {}
            Component::Prefix(_) | Component::RootDir => at.push(part),
            Component::Normal(name) => {
                let next = at.join(name);
                at = match next.canonicalize() {
                    Ok(found) => found,
                    Err(_) if next.is_symlink() => {
                        let to = fs::read_link(&next).unwrap_or_default();
                        return Err(OutputError::Link { path: next, to });
                    }
                    Err(e) if e.kind() == std::io::ErrorKind::NotFound => next,
                    Err(e) if e.kind() == std::io::ErrorKind::NotADirectory => {
                        return Err(place(format!("{} is a file, expected a folder", at.display())));
                    }
                    Err(e) if e.kind() == std::io::ErrorKind::InvalidFilename => {
                        return Err(place("the name is too long".into()));
                    }
                    Err(e) => return Err(place(e.to_string())),
                };
            }
        }
    }
    if at.file_name().is_none() {
        return Err(place("is the root of the file system".into()));
    }
    Ok(at)
}

/// Makes the folders above an output; returns those that were not there, the outermost first.
pub(super) fn make_parents(target: &Path) -> Result<Vec<PathBuf>, DataError> {
    let missing: Vec<&Path> = target.ancestors().skip(1).take_while(|folder| !folder.exists()).collect();
    let _change = changing();
    let mut made = Vec::new();
    for folder in missing.into_iter().rev() {
        match fs::create_dir(folder) {
            Ok(()) => made.push(folder.to_owned()),
            // Another run was faster.
            Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(e) => return Err(DataError::io(folder)(e)),
        }
    }
    Ok(made)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::error::{Advice, Exit};

    #[test]
    fn paths_are_followed_to_where_they_lead() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        fs::create_dir_all(root.join("real/deep")).unwrap();
        fs::write(root.join("file"), "").unwrap();
        symlink("real", root.join("link")).unwrap();
        symlink("nowhere", root.join("dangling")).unwrap();
        symlink("loop", root.join("loop")).unwrap();
        for (path, expected) in [
            ("link", "real"),
            ("link/new/out", "real/new/out"),
            ("link/deep/../out", "real/out"),
            ("not/there/../../out", "out"),
            ("./real/./deep/", "real/deep"),
        ] {
            assert_eq!(resolve(&root.join(path)).unwrap(), root.join(expected), "{path}");
        }
        assert!(!root.join("not").exists());
        for (path, exit, words) in [
            ("dangling", Exit::OutputExists, "symbolic link"),
            ("dangling/out", Exit::OutputExists, "symbolic link"),
            ("loop", Exit::OutputExists, "symbolic link"),
            ("file/out", Exit::Usage, "is a file"),
        ] {
            let error = resolve(&root.join(path)).unwrap_err();
            assert_eq!(error.exit(), exit, "{path}: {error}");
            assert!(error.to_string().contains(words) && error.hint().is_some(), "{error}");
        }
        assert_eq!(resolve(&root.join("n".repeat(256))).unwrap_err().exit(), Exit::Usage);
        assert_eq!(resolve(Path::new("/")).unwrap_err().exit(), Exit::Usage);
    }
}
