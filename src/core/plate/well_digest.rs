//! Are the files of a well those that were written there?
//!
//! Every well carries a digest of its image and labels, which its own name goes into: wells that were swapped, and files
//! that were altered, lost or added, are noticed. Programs read such a plate nevertheless, since people correct labels by
//! hand; `prepare check` is who tells.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use zarrs::storage::Bytes;

use super::digest::Digest;
use super::{Plate, ome_zarr};
use crate::error::DataError;

/// `attributes.lapsegan` of a well.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct WellDigest {
    /// SHA-256 over the path of the well and the [`Digest`] of its image, hexadecimal.
    sha256: String,
}

impl WellDigest {
    /// Returns the digest of the files that are in a well (such as `A/1`) of the plate at `root`.
    ///
    /// # Errors
    /// [`DataError::Io`] with the file.
    pub(super) fn of(root: &Path, well: &str) -> Result<Self, DataError> {
        Ok(Self::with(well, &Digest::of(&root.join(well).join("0"))?))
    }

    /// Returns the digest of a well whose image and labels are these files, by their path in the plate.
    pub(super) fn of_written(well: &str, files: &BTreeMap<PathBuf, Bytes>) -> Self {
        let image = Path::new(well).join("0");
        let inside =
            files.iter().filter_map(|(path, content)| Some((path.strip_prefix(&image).ok()?, &content[..])));
        Self::with(well, &Digest::of_files(inside))
    }

    fn with(well: &str, image: &Digest) -> Self {
        let mut hash = Sha256::new();
        hash.update(well);
        hash.update([0]);
        hash.update(&image.sha256);
        Self { sha256: format!("{:x}", hash.finalize()) }
    }

    /// Returns the digest that was written with a well; `None` in a plate that was written before there were any.
    fn written(root: &Path, well: &str) -> Result<Option<Self>, DataError> {
        let attributes = ome_zarr::read_group(root, well)?;
        let parse = |stored: &serde_json::Value| {
            Self::deserialize(stored).map_err(|e| DataError::Metadata {
                path: root.join(well).join("zarr.json"),
                field: "attributes.lapsegan".into(),
                found: e.to_string(),
            })
        };
        attributes.get("lapsegan").map(parse).transpose()
    }
}

/// What the wells of a plate are found to be.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Wells {
    /// Number of wells that hold what was written.
    pub as_written: usize,
    /// Wells whose files are others than those written there.
    pub changed: Vec<String>,
    /// Number of wells without a digest, of which it is only known that they can be read.
    pub without_digest: usize,
}

impl Plate {
    /// Compares the files of every well with its digest; whether pixels can be read is looked at elsewhere.
    ///
    /// # Errors
    /// [`DataError`] naming the file that is missing or unreadable.
    pub fn changed_wells(&self) -> Result<Wells, DataError> {
        let check = |(well, _): &(String, _)| -> Result<Option<bool>, DataError> {
            let written = WellDigest::written(&self.path, well)?;
            written.map(|digest| Ok(digest == WellDigest::of(&self.path, well)?)).transpose()
        };
        let found: Vec<Option<bool>> = self.wells.par_iter().map(check).collect::<Result<_, _>>()?;
        let count = |wanted| found.iter().filter(|&&same| same == wanted).count();
        let changed = self.wells.iter().zip(&found).filter(|(_, same)| **same == Some(false));
        Ok(Wells {
            as_written: count(Some(true)),
            changed: changed.map(|((well, _), _)| well.clone()).collect(),
            without_digest: count(None),
        })
    }
}
