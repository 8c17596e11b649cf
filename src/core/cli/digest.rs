//! `--digest FILE`: the digest of the plate that a program wrote.

use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;

use super::Failure;
use crate::output::write_file;
use crate::plate::digest::Digest;

/// What `--digest` writes.
#[derive(Serialize)]
struct Named<'a> {
    name: &'a str,
    #[serde(flatten)]
    digest: &'a Digest,
}

/// `--digest` of the programs that write a plate.
#[derive(Args, Clone, Debug)]
pub struct DigestFlag {
    /// Also write the digest of the plate's content, for engines that see a folder's top level only
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub digest: Option<PathBuf>,
}

impl DigestFlag {
    /// Writes the digest of the finished `output`: `{"name", "sha256", "files", "bytes"}`.
    pub fn write(&self, output: &Path) -> Result<(), Failure> {
        let Some(file) = &self.digest else { return Ok(()) };
        let name = output.file_name().unwrap_or_default().to_string_lossy();
        let text = serde_json::to_string_pretty(&Named { name: &name, digest: &Digest::of(output)? })
            .expect("text and numbers only");
        Ok(write_file(file, format!("{text}\n").as_bytes())?)
    }
}
