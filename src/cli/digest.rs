//! The content of a file or folder as one number, for `run.json` and for pipeline engines.
//!
//! Engines see a changed folder by the time of its top level only, or not at all; a small file with the digest of what is
//! inside is an input that they can compare.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use super::Failure;
use crate::data::DataError;
use crate::data::output::{refuse_existing, write_file};

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

/// What `--digest` writes.
#[derive(Serialize)]
struct Named<'a> {
    name: &'a str,
    #[serde(flatten)]
    digest: &'a Digest,
}

impl Digest {
    /// Returns the digest of a file, or of all files below a folder.
    ///
    /// Left out are `run.json`, whose clock times would make two equal plates differ, and hidden files, which are not
    /// ours: Snakemake puts `.snakemake_timestamp` into every folder it knows.
    ///
    /// # Errors
    /// What the system says, naming the file.
    pub fn of(path: &Path) -> Result<Self, DataError> {
        let files = files(path)?;
        let mut hash = Sha256::new();
        let mut bytes = 0;
        let mut buffer = vec![0_u8; 1 << 20];
        for file in &files {
            if path.is_dir() {
                hash.update(file.strip_prefix(path).unwrap_or(file).as_os_str().as_encoded_bytes());
            }
            let mut reader = fs::File::open(file).map_err(DataError::io(file))?;
            loop {
                let n = reader.read(&mut buffer).map_err(DataError::io(file))?;
                if n == 0 {
                    break;
                }
                bytes += n as u64;
                hash.update(&buffer[..n]);
            }
        }
        Ok(Self { sha256: format!("{:x}", hash.finalize()), files: files.len(), bytes })
    }
}

/// `--digest` of the programs that write a plate.
#[derive(Args, Clone, Debug)]
pub struct DigestFlag {
    /// Also write the digest of the plate's content, for engines that see a folder's top level only
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub digest: Option<PathBuf>,
}

impl DigestFlag {
    /// Checks before any work that the file may be written, and that it lies outside of the output.
    pub fn check(&self, output: &Path, overwrite: bool) -> Result<(), Failure> {
        let Some(file) = &self.digest else { return Ok(()) };
        if file.starts_with(output) {
            let message = format!(
                "--digest {}: lies in {}, whose content it describes",
                file.display(),
                output.display()
            );
            return Err(Failure::usage(
                message,
                "write it beside the output, as in --digest plate.digest.json",
            ));
        }
        Ok(refuse_existing(file, overwrite)?)
    }

    /// Writes the digest of the finished `output`: `{"name", "sha256", "files", "bytes"}`.
    pub fn write(&self, output: &Path) -> Result<(), Failure> {
        let Some(file) = &self.digest else { return Ok(()) };
        let name = output.file_name().unwrap_or_default().to_string_lossy();
        let text = serde_json::to_string_pretty(&Named { name: &name, digest: &Digest::of(output)? })
            .expect("text and numbers only");
        Ok(write_file(file, format!("{text}\n").as_bytes())?)
    }
}

/// Returns the files that count, sorted.
fn files(path: &Path) -> Result<Vec<PathBuf>, DataError> {
    let mut files: Vec<PathBuf> = Vec::new();
    let mut folders = vec![path.to_owned()];
    while let Some(at) = folders.pop() {
        if !at.is_dir() {
            files.push(at);
            continue;
        }
        for entry in fs::read_dir(&at).map_err(DataError::io(&at))? {
            let entry = entry.map_err(DataError::io(&at))?;
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
