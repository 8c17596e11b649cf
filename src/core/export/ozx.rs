//! A plate of OME-Zarr 0.5 in one zipped file, to send and to keep (RFC-9 of OME-NGFF).
//!
//! Files are stored, not compressed, since what is in them is; metadata come first, from the root down, so that a reader
//! of the directory's beginning knows the whole hierarchy.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, BufWriter};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use super::ome_zarr_04::of;
use super::{Chosen, Exporter, Item};
use crate::error::DataError;
use crate::plate::PlateMeta;
use crate::plate::ome_zarr::{
    image_object, label_object, labels_object, plate_object, well_object, well_path, write_array, write_group,
};

/// Where the plate is written before it is zipped.
const TREE: &str = "tree";
/// Name of the zipped file.
pub(super) const FILE: &str = "plate.ozx";
/// Says that the directory begins with the metadata.
const COMMENT: &str = r#"{"ome":{"version":"0.5","zipFile":{"centralDirectory":{"jsonFirst":true}}}}"#;

/// A zipped plate.
pub(super) struct Ozx;

impl Exporter for Ozx {
    fn sequence(&self, folder: &Path, item: &Item<'_>) -> Result<Value, DataError> {
        let root = folder.join(TREE);
        let meta = of(item.meta, item.selection);
        let well = well_path(item.number, item.selection.sequences.len());
        let image = item.sequence.image.select(ndarray::Axis(1), &item.selection.channels);
        if let Some((row, _)) = well.split_once('/') {
            write_group(&root, row, json!({}))?;
        }
        write_group(&root, &well, json!({ "ome": well_object() }))?;
        let at = format!("{well}/0");
        write_group(&root, &at, json!({ "ome": image_object(item.name, &meta) }))?;
        write_array(&root, &format!("{at}/0"), image.view())?;
        let names: Vec<&str> = item.selection.labels.iter().map(String::as_str).collect();
        if names.is_empty() {
            return Ok(Value::Null);
        }
        write_group(&root, &format!("{at}/labels"), json!({ "ome": labels_object(&names) }))?;
        for name in names {
            let labels = &item.sequence.labels[name];
            let there: BTreeSet<u32> = labels.ids.iter().copied().collect();
            let at = format!("{at}/labels/{name}");
            write_group(&root, &at, json!({ "ome": label_object(name, &meta, &there, &labels.parents) }))?;
            let ids = labels.ids.view().insert_axis(ndarray::Axis(1));
            if ids.iter().all(|id| u16::try_from(*id).is_ok()) {
                write_array(&root, &format!("{at}/0"), ids.mapv(|id| id as u16).view())?;
            } else {
                write_array(&root, &format!("{at}/0"), ids)?;
            }
        }
        Ok(Value::Null)
    }

    fn finish(&self, folder: &Path, _: &PlateMeta, selection: &Chosen, _: &[Value]) -> Result<(), DataError> {
        let root = folder.join(TREE);
        let count = selection.sequences.len();
        write_group(&root, "", json!({ "ome": plate_object("exported by LapseGAN", count, 0..count) }))?;
        let file = folder.join(FILE);
        zip(&root, &file).map_err(DataError::io(file))?;
        fs::remove_dir_all(&root).map_err(DataError::io(root))
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
