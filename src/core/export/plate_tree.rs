//! The groups and arrays of an OME-Zarr plate, whichever version they are written in.

use std::collections::BTreeSet;

use ndarray::ArrayView4;
use serde_json::{Value, json};

use super::{Chosen, Item};
use crate::error::DataError;
use crate::plate::PlateMeta;
use crate::plate::ome_zarr::{
    image_object, label_object, labels_object, plate_object, well_object, well_path,
};

/// Writes groups and arrays of one version; paths are those below the plate, empty for the plate itself.
pub(super) trait Tree {
    /// Writes a group with the metadata of version 0.5.
    fn group(&self, path: &str, ome: Value) -> Result<(), DataError>;

    /// Writes counts or small ids. `[T, C, H, W]`
    fn array_16(&self, path: &str, data: ArrayView4<'_, u16>) -> Result<(), DataError>;

    /// Writes large ids. `[T, 1, H, W]`
    fn array_32(&self, path: &str, data: ArrayView4<'_, u32>) -> Result<(), DataError>;
}

/// Writes a sequence: its row, well, image and labels.
pub(super) fn sequence(tree: &dyn Tree, item: &Item<'_>) -> Result<(), DataError> {
    let meta = of(item.meta, item.selection);
    let well = well_path(item.number, item.selection.sequences.len());
    let image = item.sequence.image.select(ndarray::Axis(1), &item.selection.channels);
    if let Some((row, _)) = well.split_once('/') {
        tree.group(row, json!({}))?;
    }
    tree.group(&well, well_object())?;
    let at = format!("{well}/0");
    tree.group(&at, image_object(item.name, &meta))?;
    tree.array_16(&format!("{at}/0"), image.view())?;
    let names: Vec<&str> = item.selection.labels.iter().map(String::as_str).collect();
    if names.is_empty() {
        return Ok(());
    }
    tree.group(&format!("{at}/labels"), labels_object(&names))?;
    for name in names {
        let labels = &item.sequence.labels[name];
        let ids = labels.ids.view().insert_axis(ndarray::Axis(1));
        let there: BTreeSet<u32> = labels.ids.iter().copied().filter(|id| *id != 0).collect();
        let at = format!("{at}/labels/{name}");
        tree.group(&at, label_object(name, &meta, &there, &labels.parents))?;
        let array = format!("{at}/0");
        if ids.iter().all(|id| u16::try_from(*id).is_ok()) {
            tree.array_16(&array, ids.mapv(|id| id as u16).view())?;
        } else {
            tree.array_32(&array, ids)?;
        }
    }
    Ok(())
}

/// Writes the group of the plate, when all its wells are there.
pub(super) fn plate(tree: &dyn Tree, selection: &Chosen) -> Result<(), DataError> {
    let count = selection.sequences.len();
    tree.group("", plate_object("exported by LapseGAN", count, 0..count))
}

/// Returns the metadata of a plate with the selected channels only.
fn of(meta: &PlateMeta, selection: &Chosen) -> PlateMeta {
    let channels = selection.channels.iter().map(|&c| meta.channels[c].clone()).collect();
    PlateMeta { channels, ..meta.clone() }
}
