//! A group of a store and its attributes, in both versions of Zarr.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::Log;
use crate::error::DataError;
use crate::side_file;

/// A group.
pub(super) struct Group {
    pub(super) folder: PathBuf,
    /// Path below the store.
    pub(super) path: String,
    /// Version of Zarr, 2 or 3.
    pub(super) zarr: u8,
    pub(super) attributes: Map<String, Value>,
    /// The OME part of them.
    pub(super) ome: Map<String, Value>,
}

impl Group {
    /// Reads a group; `None` where the folder holds none. What is no JSON is logged.
    pub(super) fn read(folder: &Path, path: &str, log: &Log) -> Result<Option<Self>, DataError> {
        let (v3, v2) = (folder.join("zarr.json"), folder.join(".zattrs"));
        let zarr = if v3.is_file() { 3 } else { 2 };
        let file = if zarr == 3 { v3 } else { v2 };
        if !file.is_file() {
            return Ok(None);
        }
        let bytes = side_file::read(&file, side_file::METADATA)?;
        let value: Value = match serde_json::from_slice(&bytes) {
            Ok(value) => value,
            Err(e) => {
                log.error(path, "metadata", format!("its attributes are no JSON: {e}"));
                return Ok(None);
            }
        };
        if zarr == 3 && value.get("node_type").and_then(Value::as_str) == Some("array") {
            return Ok(None);
        }
        let attributes = if zarr == 3 { value.get("attributes").cloned().unwrap_or_default() } else { value };
        let attributes = attributes.as_object().cloned().unwrap_or_default();
        let ome = attributes.get("ome").and_then(Value::as_object).cloned();
        if zarr == 3 && ome.is_none() {
            log.error(path, "metadata", "has no attributes.ome, below which 0.5 keeps everything");
        }
        let ome = ome.unwrap_or_else(|| attributes.clone());
        let (folder, path) = (folder.to_owned(), path.to_owned());
        Ok(Some(Self { folder, path, zarr, attributes, ome }))
    }

    /// Returns a group below this one.
    pub(super) fn sub(&self, name: &str, log: &Log) -> Result<Option<Self>, DataError> {
        let below = name.split('/').all(|part| !part.is_empty() && part != "." && part != "..");
        if !below {
            log.error(&self.path, "metadata", format!("names `{name:.60}`, which leads out of the group"));
            return Ok(None);
        }
        Self::read(&self.folder.join(name), &self.path_of(name), log)
    }

    /// Returns the path of something below this group.
    pub(super) fn path_of(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { format!("{}/{name}", self.path) }
    }

    /// Returns the version that the group or its first object names.
    pub(super) fn version(&self) -> Option<String> {
        let of = |value: Option<&Value>| value?.get("version")?.as_str().map(str::to_owned);
        let own = self.ome.get("version").and_then(Value::as_str).map(str::to_owned);
        own.or_else(|| of(self.ome.get("multiscales")?.get(0)))
            .or_else(|| of(self.ome.get("plate")))
            .or_else(|| of(self.ome.get("well")))
            .or_else(|| of(self.ome.get("image-label")))
    }

    /// Returns whether there is such an attribute, within the OME part or beside it.
    pub(super) fn has(&self, key: &str) -> bool {
        self.ome.contains_key(key) || self.attributes.contains_key(key)
    }

    /// Returns the names of all folders below.
    pub(super) fn sub_groups(&self) -> Result<Vec<String>, DataError> {
        let mut names = Vec::new();
        for entry in std::fs::read_dir(&self.folder).map_err(DataError::read(&self.folder))? {
            let path = entry.map_err(DataError::read(&self.folder))?.path();
            if path.is_dir() {
                names.extend(path.file_name().map(|n| n.to_string_lossy().into_owned()));
            }
        }
        names.sort();
        Ok(names)
    }
}
