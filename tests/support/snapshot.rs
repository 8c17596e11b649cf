//! What is in a folder, byte by byte, to see that nothing of it was touched.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Returns all files, folders and links below a path, hidden ones too. Folders have no bytes; links are not followed.
pub(crate) fn snapshot(path: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut open = vec![path.to_owned()];
    while let Some(at) = open.pop() {
        let Ok(kind) = at.symlink_metadata() else { continue };
        let name = at.strip_prefix(path).unwrap().to_owned();
        if kind.is_symlink() {
            found.insert(name, std::fs::read_link(&at).unwrap().to_string_lossy().into_owned().into_bytes());
        } else if kind.is_dir() {
            open.extend(std::fs::read_dir(&at).unwrap().map(|entry| entry.unwrap().path()));
            found.insert(name, Vec::new());
        } else {
            found.insert(name, std::fs::read(&at).unwrap());
        }
    }
    found
}

/// Returns the names in which two snapshots differ.
pub(crate) fn differing(a: &BTreeMap<PathBuf, Vec<u8>>, b: &BTreeMap<PathBuf, Vec<u8>>) -> Vec<PathBuf> {
    a.keys().chain(b.keys()).filter(|name| a.get(*name) != b.get(*name)).cloned().collect()
}
