//! The SHA-256 digest of a file or folder, for `run.json` and for pipeline engines.
//!
//! Pipeline engines detect a change of a folder by the time of its top level only, or not at all. A small file with the
//! digest of the folder's content is an input that they can compare.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use serde::Serialize;
use sha2::{Digest as _, Sha256};

use crate::error::DataError;

/// What a file or folder holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Digest {
    /// SHA-256 over the sorted names and the contents, hexadecimal.
    pub sha256: String,
    /// Number of files.
    pub files: usize,
    /// Sum of their sizes.
    pub bytes: u64,
}

impl Digest {
    /// Returns the digest of a file, or of all files below a folder.
    ///
    /// `run.json` is left out, since its clock times would make two equal plates differ, and so are hidden files, which
    /// other programs write: Snakemake puts `.snakemake_timestamp` into every folder it knows.
    ///
    /// # Errors
    /// [`DataError::Io`] with the file.
    pub fn of(path: &Path) -> Result<Self, DataError> {
        let files = files(path)?;
        let mut hash = Hasher::default();
        // One that stays in the cache: a larger one costs more to come by than to fill, once per well.
        let mut buffer = vec![0_u8; 1 << 15];
        for file in &files {
            if path.is_dir() {
                hash.start(file.strip_prefix(path).unwrap_or(file));
            }
            let mut reader = fs::File::open(file).map_err(DataError::read(file))?;
            loop {
                let n = reader.read(&mut buffer).map_err(DataError::read(file))?;
                if n == 0 {
                    break;
                }
                hash.update(&buffer[..n]);
            }
        }
        Ok(hash.finish(files.len()))
    }

    /// Returns what [`Digest::of`] says of a folder whose files, by their path in it, are these: sorted, none of them
    /// one that it leaves out.
    pub(super) fn of_files<'a>(files: impl IntoIterator<Item = (&'a Path, &'a [u8])>) -> Self {
        let mut hash = Hasher::default();
        let mut count = 0;
        for (path, content) in files {
            hash.start(path);
            hash.update(content);
            count += 1;
        }
        hash.finish(count)
    }
}

/// A digest in the making.
#[derive(Default)]
struct Hasher {
    sha256: Sha256,
    bytes: u64,
}

impl Hasher {
    fn start(&mut self, file: &Path) {
        self.sha256.update(file.as_os_str().as_encoded_bytes());
    }

    fn update(&mut self, content: &[u8]) {
        self.bytes += content.len() as u64;
        self.sha256.update(content);
    }

    fn finish(self, files: usize) -> Digest {
        Digest { sha256: format!("{:x}", self.sha256.finalize()), files, bytes: self.bytes }
    }
}

/// Returns the files that go into the digest, sorted.
fn files(path: &Path) -> Result<Vec<PathBuf>, DataError> {
    let mut files: Vec<PathBuf> = Vec::new();
    let mut folders = vec![path.to_owned()];
    while let Some(at) = folders.pop() {
        if !at.is_dir() {
            files.push(at);
            continue;
        }
        for entry in fs::read_dir(&at).map_err(DataError::read(&at))? {
            let entry = entry.map_err(DataError::read(&at))?;
            let name = entry.file_name();
            if name != "run.json" && !name.as_encoded_bytes().starts_with(b".") {
                folders.push(entry.path());
            }
        }
    }
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_contents_count_and_foreign_files_do_not() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| fs::write(dir.path().join(name), text).unwrap();
        fs::create_dir(dir.path().join("a")).unwrap();
        write("a/zarr.json", "one");
        let first = Digest::of(dir.path()).unwrap();
        assert_eq!((first.files, first.bytes), (1, 3));
        write("run.json", "a clock time");
        write(".snakemake_timestamp", "");
        write("a/.nfs0001", "");
        assert_eq!(Digest::of(dir.path()).unwrap(), first);
        write("b", "");
        let second = Digest::of(dir.path()).unwrap();
        assert_eq!((second.files, second.bytes), (2, 3));
        assert_ne!(second.sha256, first.sha256);
        write("a/zarr.json", "two");
        assert_ne!(Digest::of(dir.path()).unwrap().sha256, second.sha256);
    }
}
