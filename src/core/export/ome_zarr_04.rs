//! A plate of OME-Zarr 0.4 (Zarr 2), for what does not read 0.5 yet: QuPath, Bio-Formats, Vitessce.
//!
//! The metadata is that of 0.5 with the versions of 0.4 and without the `ome` around it; arrays have one chunk per plane,
//! compressed with Blosc (lz4), as bioformats2raw writes it.

use std::path::Path;

use ndarray::ArrayView4;
use serde_json::{Value, json};
use zarrs::array::{Array, ArrayMetadata, CodecOptions, Element};

use super::plate_tree::{self, Tree};
use super::{Chosen, Exporter, Item};
use crate::error::DataError;
use crate::plate::PlateMeta;
use crate::plate::store::{Files, write};

/// A plate of version 0.4.
pub(super) struct OmeZarr04;

/// Where it is written.
struct Folder<'a>(&'a Path);

impl Exporter for OmeZarr04 {
    fn sequence(&self, folder: &Path, item: &Item<'_>) -> Result<Value, DataError> {
        plate_tree::sequence(&Folder(folder), item).map(|()| Value::Null)
    }

    fn finish(&self, folder: &Path, _: &PlateMeta, selection: &Chosen, _: &[Value]) -> Result<(), DataError> {
        plate_tree::plate(&Folder(folder), selection)
    }
}

impl Tree for Folder<'_> {
    fn group(&self, path: &str, ome: Value) -> Result<(), DataError> {
        group(&self.0.join(path), ome)
    }

    fn array_16(&self, path: &str, data: ArrayView4<'_, u16>) -> Result<(), DataError> {
        array(&self.0.join(path), data, "<u2")
    }

    fn array_32(&self, path: &str, data: ArrayView4<'_, u32>) -> Result<(), DataError> {
        array(&self.0.join(path), data, "<u4")
    }
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
