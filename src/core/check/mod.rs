//! Whether an OME-Zarr store is in order: what validators see in its metadata, and what none of them looks at: levels and
//! labels of other shapes or types, scales that do not go with shapes, chunks that are gone, cut or changed, ids without
//! properties, and split groups that share frames.
//!
//! All problems are gathered. Rules are those of OME-Zarr 0.4 and 0.5: <https://ngff.openmicroscopy.org/0.5/>.

mod array;
mod group;
mod image;
mod labels;
mod plate;

use std::path::Path;
use std::sync::{Mutex, PoisonError};

use serde::Serialize;

use crate::error::DataError;
use group::Group;

/// What a problem means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Weight {
    /// The store breaks a rule, or pixels cannot be read.
    Error,
    /// Allowed, but programs may read it otherwise than it was meant.
    Warning,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Problem {
    /// Error or warning.
    pub weight: Weight,
    /// Group, array or file below the store; empty for the store itself.
    pub path: String,
    /// Which rule: `metadata`, `shape`, `type`, `scale`, `pixels`, `label`, `split`.
    pub rule: &'static str,
    /// What is wrong.
    pub found: String,
}

/// What was looked at, and what was found.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Findings {
    /// `image`, `plate` or `collection`, and the version.
    pub what: String,
    /// Number of images.
    pub images: usize,
    /// Number of label images.
    pub labels: usize,
    /// Number of arrays.
    pub arrays: usize,
    /// Number of chunks or shards that were read.
    pub chunks: usize,
    /// Number of chunks that are not stored, and stand for the fill value.
    pub chunks_not_stored: usize,
    /// Everything that is wrong, errors first.
    pub problems: Vec<Problem>,
}

impl Findings {
    /// Returns the number of errors.
    pub fn errors(&self) -> usize {
        self.problems.iter().filter(|p| p.weight == Weight::Error).count()
    }
}

/// The findings in the making; images are looked at side by side.
struct Log {
    findings: Mutex<Findings>,
}

impl Log {
    fn with(&self, change: impl FnOnce(&mut Findings)) {
        change(&mut self.findings.lock().unwrap_or_else(PoisonError::into_inner));
    }

    fn error(&self, path: &str, rule: &'static str, found: impl Into<String>) {
        self.add(Weight::Error, path, rule, found.into());
    }

    fn warning(&self, path: &str, rule: &'static str, found: impl Into<String>) {
        self.add(Weight::Warning, path, rule, found.into());
    }

    fn add(&self, weight: Weight, path: &str, rule: &'static str, found: String) {
        self.with(|all| all.problems.push(Problem { weight, path: path.to_owned(), rule, found }));
    }
}

/// Returns about how many images a store holds, for a progress bar.
pub fn count(path: &Path) -> u64 {
    let log = Log { findings: Mutex::default() };
    let root = Group::read(path, "", &log).ok().flatten();
    let wells = root.as_ref().and_then(|root| root.ome.get("plate")?.get("wells")?.as_array().map(Vec::len));
    wells.unwrap_or(1) as u64
}

/// Looks at a whole store; `on_image` is called after each image.
///
/// # Errors
/// [`DataError`] where there is no store, or where the system cannot read it.
pub fn store(path: &Path, on_image: &(dyn Fn() + Sync)) -> Result<Findings, DataError> {
    let log = Log { findings: Mutex::default() };
    let root = Group::read(path, "", &log)?.ok_or_else(|| DataError::Unusable {
        path: path.to_owned(),
        found: "is no Zarr group with attributes".into(),
        expected: "an OME-Zarr image, plate or collection".into(),
        hint: "give the folder that holds the zarr.json or .zattrs with `ome`, `multiscales` or `plate`"
            .into(),
    })?;
    let version = root.version().unwrap_or_else(|| "of no stated version".into());
    if root.ome.contains_key("plate") {
        log.with(|f| f.what = format!("OME-Zarr {version} plate"));
        plate::check(&root, &log, on_image)?;
    } else if root.ome.contains_key("multiscales") {
        log.with(|f| f.what = format!("OME-Zarr {version} image"));
        image::check(&root, &log)?;
        on_image();
    } else if root.has("bioformats2raw.layout") {
        log.with(|f| f.what = format!("OME-Zarr {version} collection"));
        for name in root.sub_groups()? {
            if let Some(group) = root.sub(&name, &log)?.filter(|group| group.ome.contains_key("multiscales"))
            {
                image::check(&group, &log)?;
                on_image();
            }
        }
    } else {
        log.with(|f| f.what = "Zarr group".into());
        log.error("", "metadata", "holds neither multiscales nor plate: it is no OME-Zarr image or plate");
    }
    let mut findings = log.findings.into_inner().unwrap_or_else(PoisonError::into_inner);
    findings.problems.sort();
    Ok(findings)
}

#[cfg(test)]
mod tests;
