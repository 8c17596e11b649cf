//! A plate of OME-Zarr 0.5 in one zipped file, to send and to keep (RFC-9 of OME-NGFF).
//!
//! Files are stored, not compressed, since what is in them is; metadata come first, from the root down, so that a reader
//! of the directory's beginning knows the whole hierarchy.

use std::fs::{self, File};
use std::io::{self, BufWriter};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ndarray::ArrayView4;
use serde_json::{Value, json};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use super::plate_tree::{self, Tree};
use super::{Chosen, Exporter, Item};
use crate::error::DataError;
use crate::plate::PlateMeta;
use crate::plate::ome_zarr::{write_array, write_group};
use crate::plate::store::Files;

/// Where the plate is written before it is zipped.
const TREE: &str = "tree";
/// Name of the zipped file.
const FILE: &str = "plate.ozx";
/// Says that the directory begins with the metadata.
const COMMENT: &str = r#"{"ome":{"version":"0.5","zipFile":{"centralDirectory":{"jsonFirst":true}}}}"#;

/// A zipped plate.
pub(super) struct Ozx;

/// The folder that is zipped.
struct Folder(Arc<Files>);

impl Exporter for Ozx {
    fn sequence(&self, folder: &Path, item: &Item<'_>) -> Result<Value, DataError> {
        plate_tree::sequence(&Folder(Files::new(&folder.join(TREE))), item).map(|()| Value::Null)
    }

    fn finish(&self, folder: &Path, _: &PlateMeta, selection: &Chosen, _: &[Value]) -> Result<(), DataError> {
        let root = folder.join(TREE);
        plate_tree::plate(&Folder(Files::new(&root)), selection)?;
        let file = folder.join(FILE);
        zip(&root, &file).map_err(DataError::io(file))?;
        fs::remove_dir_all(&root).map_err(DataError::io(root))
    }
}

impl Tree for Folder {
    fn group(&self, path: &str, ome: Value) -> Result<(), DataError> {
        let is_empty = ome.as_object().is_some_and(serde_json::Map::is_empty);
        write_group(&self.0, path, if is_empty { ome } else { json!({ "ome": ome }) })
    }

    fn array_16(&self, path: &str, data: ArrayView4<'_, u16>) -> Result<(), DataError> {
        write_array(&self.0, path, data)
    }

    fn array_32(&self, path: &str, data: ArrayView4<'_, u32>) -> Result<(), DataError> {
        write_array(&self.0, path, data)
    }
}

/// Puts the files below a folder into one.
fn zip(root: &Path, file: &Path) -> io::Result<()> {
    let mut names = Vec::new();
    collect(root, Path::new(""), &mut names)?;
    names.sort_by_key(|name| {
        let is_data = name.file_name().is_none_or(|file| file != "zarr.json");
        (is_data, name.components().count(), name.clone())
    });
    let mut archive = ZipWriter::new(BufWriter::new(File::create(file)?));
    archive.set_comment(COMMENT).map_err(io::Error::other)?;
    for name in names {
        let mut data = File::open(root.join(&name))?;
        let large = data.metadata()?.len() >= u64::from(u32::MAX);
        let options = SimpleFileOptions::default()
            .compression_method(CompressionMethod::Stored)
            .large_file(large)
            .unix_permissions(0o644);
        archive.start_file(name.to_string_lossy(), options).map_err(io::Error::other)?;
        io::copy(&mut data, &mut archive)?;
    }
    let written = archive.finish().map_err(io::Error::other)?;
    written.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()
}

/// Adds the files below a folder, as paths from the root.
fn collect(root: &Path, below: &Path, names: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(root.join(below))? {
        let entry = entry?;
        let path = below.join(entry.file_name());
        if entry.file_type()?.is_dir() { collect(root, &path, names)? } else { names.push(path) }
    }
    Ok(())
}
