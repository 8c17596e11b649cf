//! A plate of OME-Zarr 0.4 (Zarr 2), for what does not read 0.5 yet: QuPath, Bio-Formats, Vitessce.
//!
//! The metadata is that of 0.5 with the versions of 0.4 and without the `ome` around it; arrays have one chunk per plane,
//! compressed with Blosc (lz4), as bioformats2raw writes it.

use std::collections::BTreeSet;
use std::path::Path;

use ndarray::ArrayView4;
use serde_json::{Map, Value, json};
use zarrs::array::{Array, ArrayMetadata, CodecOptions, Element};

use super::{Chosen, Exporter, Item};
use crate::error::DataError;
use crate::plate::PlateMeta;
use crate::plate::ome_zarr::{
    image_object, label_object, labels_object, plate_object, well_object, well_path,
};
use crate::plate::store::{Files, write};

/// A plate of version 0.4.
pub(super) struct OmeZarr04;

impl Exporter for OmeZarr04 {
    fn sequence(&self, folder: &Path, item: &Item<'_>) -> Result<Value, DataError> {
        let meta = of(item.meta, item.selection);
        let well = well_path(item.number, item.selection.sequences.len());
        let image = item.sequence.image.select(ndarray::Axis(1), &item.selection.channels);
        if let Some((row, _)) = well.split_once('/') {
            group(&folder.join(row), Value::Object(Map::new()))?;
        }
        group(&folder.join(&well), well_object())?;
        let at = folder.join(&well).join("0");
        group(&at, image_object(item.name, &meta))?;
        array(&at.join("0"), image.view(), "<u2")?;
        let names: Vec<&str> = item.selection.labels.iter().map(String::as_str).collect();
        if names.is_empty() {
            return Ok(Value::Null);
        }
        group(&at.join("labels"), labels_object(&names))?;
        for name in names {
            let labels = &item.sequence.labels[name];
            let ids = labels.ids.view().insert_axis(ndarray::Axis(1));
            let there: BTreeSet<u32> = labels.ids.iter().copied().filter(|id| *id != 0).collect();
            let at = at.join("labels").join(name);
            group(&at, label_object(name, &meta, &there, &labels.parents))?;
            if ids.iter().all(|id| u16::try_from(*id).is_ok()) {
                array(&at.join("0"), ids.mapv(|id| id as u16).view(), "<u2")?;
            } else {
                array(&at.join("0"), ids, "<u4")?;
            }
        }
        Ok(Value::Null)
    }

    fn finish(&self, folder: &Path, _: &PlateMeta, selection: &Chosen, _: &[Value]) -> Result<(), DataError> {
        let count = selection.sequences.len();
        group(folder, plate_object("exported by LapseGAN", count, 0..count))
    }
}

/// Returns the metadata of a plate with the selected channels only.
pub(super) fn of(meta: &PlateMeta, selection: &Chosen) -> PlateMeta {
    let channels = selection.channels.iter().map(|&c| meta.channels[c].clone()).collect();
    PlateMeta { channels, ..meta.clone() }
}

/// Writes a group with the metadata of 0.5 as that of 0.4.
fn group(folder: &Path, mut ome: Value) -> Result<(), DataError> {
    if let Some(object) = ome.as_object_mut() {
        object.remove("version");
        if let Some(multiscale) = object.get_mut("multiscales").and_then(|m| m.get_mut(0)) {
            multiscale["version"] = json!("0.4");
        }
    }
    older(&mut ome);
    let text = |value: &Value| format!("{value:#}\n");
    for (file, value) in [(".zgroup", json!({ "zarr_format": 2 })), (".zattrs", ome)] {
        let path = folder.join(file);
        write(&path, text(&value).as_bytes()).map_err(DataError::io(path))?;
    }
    Ok(())
}

/// Replaces versions, however deep they lie.
fn older(value: &mut Value) {
    match value {
        Value::Object(object) => {
            for (key, value) in object {
                if key == "version" { *value = json!("0.4") } else { older(value) }
            }
        }
        Value::Array(values) => values.iter_mut().for_each(older),
        _ => {}
    }
}

/// Writes an array of Zarr 2. `[T, C, H, W]`
fn array<A: Element + Copy>(folder: &Path, data: ArrayView4<'_, A>, kind: &str) -> Result<(), DataError> {
    let shape = data.shape();
    let zarray = json!({
        "zarr_format": 2,
        "shape": shape,
        "chunks": [1, 1, shape[2], shape[3]],
        "dtype": kind,
        "compressor": { "id": "blosc", "cname": "lz4", "clevel": 5, "shuffle": 1, "blocksize": 0 },
        "fill_value": 0,
        "order": "C",
        "filters": null,
        "dimension_separator": "/",
    });
    let failed = |e: &dyn std::fmt::Display| DataError::Io {
        path: folder.to_owned(),
        source: std::io::Error::other(e.to_string()),
    };
    let metadata = serde_json::from_value(zarray.clone()).map(ArrayMetadata::V2).map_err(|e| failed(&e))?;
    let array = Array::new_with_metadata(Files::new(folder), "/", metadata).map_err(|e| failed(&e))?;
    let path = folder.join(".zarray");
    write(&path, format!("{zarray:#}\n").as_bytes()).map_err(DataError::io(path))?;
    let options = CodecOptions::default().with_store_empty_chunks(true).with_concurrent_target(1);
    for t in 0..shape[0] {
        for c in 0..shape[1] {
            let plane: Vec<A> = data.slice(ndarray::s![t, c, .., ..]).iter().copied().collect();
            array.store_chunk_opt(&[t as u64, c as u64, 0, 0], plane, &options).map_err(|e| failed(&e))?;
        }
    }
    Ok(())
}
