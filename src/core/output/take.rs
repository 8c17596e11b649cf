//! Taking over files from another folder, by links where the file system allows.

use std::fs;
use std::path::Path;

use super::registry::changing;
use crate::error::DataError;

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
        let change = changing();
        fs::create_dir_all(&to).map_err(DataError::io(&to))?;
        drop(change);
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
                continue;
            }
            let _change = changing();
            if fs::hard_link(&path, &target).is_ok() {
                taken.linked += 1;
            } else {
                fs::copy(&path, &target).map_err(DataError::io(&target))?;
                taken.copied += 1;
            }
        }
    }
    Ok(taken)
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
