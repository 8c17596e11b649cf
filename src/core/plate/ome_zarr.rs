//! OME-Zarr 0.5 as the plate uses it: the metadata objects, and arrays that are one shard each.
//!
//! Nothing here knows splits or calibration; [`super::plate`] does. Metadata is written by hand, so that its keys have
//! one order and sizes keep all their digits.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use ndarray::{Array4, ArrayView4};
use serde_json::{Map, Value, json};
use zarrs::array::codec::ZstdCodec;
use zarrs::array::{
    Array, ArrayBuilder, ArrayError, ArrayMetadataOptions, CodecOptions, DataType, Element, ElementOwned,
    FillValue, data_type,
};
use zarrs::storage::StorageError;

use super::store;
use super::store::Files;
use super::{Channel, PlateMeta};
use crate::error::DataError;
use crate::plate::axes::{AXES, ome_axes, ome_scale};
use crate::side_file;

/// The version written, and the only one read.
pub(super) const VERSION: &str = "0.5";

/// Returns the row and column index of sequence `index` in a near-square plate of `count` sequences.
pub(super) fn well_position(index: usize, count: usize) -> (usize, usize) {
    let columns = columns(count);
    (index / columns, index % columns)
}

/// Returns the path of a well, such as `A/1`: row letters as in a spreadsheet, columns from 1.
pub(crate) fn well_path(index: usize, count: usize) -> String {
    let (row, column) = well_position(index, count);
    format!("{}/{}", row_name(row), column + 1)
}

fn columns(count: usize) -> usize {
    let mut columns = count.isqrt();
    if columns * columns < count {
        columns += 1;
    }
    columns.max(1)
}

fn row_name(row: usize) -> String {
    let mut name = Vec::new();
    let mut rest = row + 1;
    while rest > 0 {
        rest -= 1;
        name.push(b'A' + (rest % 26) as u8);
        rest /= 26;
    }
    name.iter().rev().map(|&b| char::from(b)).collect()
}

/// Returns `ome` of the plate itself, laid out for `count` sequences of which it holds `there`.
pub(crate) fn plate_object(name: &str, count: usize, there: Range<usize>) -> Value {
    let columns = columns(count);
    let rows = count.div_ceil(columns);
    json!({
        "version": VERSION,
        "plate": {
            "version": VERSION,
            "name": name,
            "acquisitions": [{ "id": 0, "name": "sequences", "maximumfieldcount": 1 }],
            "field_count": 1,
            "rows": (0..rows).map(|r| json!({ "name": row_name(r) })).collect::<Vec<_>>(),
            "columns": (1..=columns.min(count)).map(|c| json!({ "name": c.to_string() })).collect::<Vec<_>>(),
            "wells": there.map(|index| {
                let (row, column) = well_position(index, count);
                json!({ "path": well_path(index, count), "rowIndex": row, "columnIndex": column })
            }).collect::<Vec<_>>(),
        },
    })
}

/// Returns `ome` of a well with its one image.
pub(crate) fn well_object() -> Value {
    json!({ "version": VERSION, "well": { "version": VERSION, "images": [{ "path": "0", "acquisition": 0 }] } })
}

/// Returns `ome` of an image.
pub(crate) fn image_object(name: &str, meta: &PlateMeta) -> Value {
    json!({
        "version": VERSION,
        "multiscales": [multiscale(name, meta)],
        "omero": { "channels": meta.channels.iter().map(omero_channel).collect::<Vec<_>>() },
    })
}

fn omero_channel(channel: &Channel) -> Value {
    let [r, g, b] = channel.color;
    json!({
        "label": channel.name,
        "color": format!("{r:02X}{g:02X}{b:02X}"),
        "active": true,
        "window": { "min": 0.0, "max": 65535.0, "start": channel.calibration.lo, "end": channel.calibration.hi },
    })
}

/// Returns `ome` of the group of label images.
pub(crate) fn labels_object(names: &[&str]) -> Value {
    json!({ "version": VERSION, "labels": names })
}

/// Returns `ome` of a label image that holds `ids` (0 is added) with their parents.
pub(crate) fn label_object(
    name: &str,
    meta: &PlateMeta,
    ids: &BTreeSet<u32>,
    parents: &BTreeMap<u32, u32>,
) -> Value {
    // 0 is always listed: an empty list of colours is invalid, and a frame may hold no object.
    let listed: BTreeSet<u32> = ids.iter().chain(parents.keys()).copied().chain([0]).collect();
    let colors: Vec<Value> =
        listed.iter().map(|&id| json!({ "label-value": id, "rgba": color(id) })).collect();
    let properties: Vec<Value> = listed
        .iter()
        .map(|id| {
            let mut entry = json!({ "label-value": id });
            if let Some(parent) = parents.get(id) {
                entry["parent"] = json!(parent);
            }
            entry
        })
        .collect();
    json!({
        "version": VERSION,
        "multiscales": [multiscale(name, meta)],
        "image-label": {
            "version": VERSION,
            "colors": colors,
            "properties": properties,
            "source": { "image": "../../" },
        },
    })
}

fn multiscale(name: &str, meta: &PlateMeta) -> Value {
    json!({
        "name": name,
        "axes": ome_axes(meta.pixel_size_um, meta.frame_interval_s),
        "datasets": [{
            "path": "0",
            "coordinateTransformations": [
                { "type": "scale", "scale": ome_scale(meta.pixel_size_um, meta.frame_interval_s) },
            ],
        }],
        "type": "none",
        "metadata": { "description": "one level, full resolution" },
    })
}

/// Returns the colour of an id; the background is transparent. The hues of consecutive ids are a golden angle apart, so
/// that they are easy to tell apart.
fn color(id: u32) -> [u8; 4] {
    if id == 0 {
        return [0, 0, 0, 0];
    }
    let hue = (f64::from(id) * 0.618_033_988_749_895).fract() * 6.0;
    let ramp = |offset: f64| {
        let distance = ((hue + offset).rem_euclid(6.0) - 3.0).abs() - 1.0;
        (70.0 + 185.0 * distance.clamp(0.0, 1.0)).round() as u8
    };
    [ramp(0.0), ramp(4.0), ramp(2.0), 255]
}

/// File of the metadata of a group or array.
const METADATA: &str = "zarr.json";

/// File of an array's only shard.
const SHARD: &str = "c/0/0/0/0";

/// Writes the `zarr.json` of a group.
pub(crate) fn write_group(files: &Files, group: &str, attributes: Value) -> Result<(), DataError> {
    let path = if group.is_empty() { METADATA.to_owned() } else { format!("{group}/{METADATA}") };
    let text = format!("{:#}\n", json!({ "zarr_format": 3, "node_type": "group", "attributes": attributes }));
    files.write(&path, text.into()).map_err(DataError::io(files.root().join(&path)))
}

/// Reads the attributes of a group.
pub(super) fn read_group(root: &Path, group: &str) -> Result<Map<String, Value>, DataError> {
    let path = root.join(group).join("zarr.json");
    if !path.exists() {
        let (field, found) = ("zarr.json".into(), "the file is missing".into());
        return Err(DataError::Metadata { path, field, found });
    }
    let bytes = side_file::read(&path, side_file::METADATA)?;
    let bad =
        |field: &str, found: String| DataError::Metadata { path: path.clone(), field: field.into(), found };
    let value: Value =
        serde_json::from_slice(&bytes).map_err(|e| bad("zarr.json", format!("no JSON: {e}")))?;
    match value.get("attributes") {
        Some(Value::Object(attributes)) => Ok(attributes.clone()),
        _ => Err(bad("attributes", "missing, expected an object".into())),
    }
}

/// A pixel type of a plate.
pub(crate) trait Pixel: Element + ElementOwned + Default + Copy {
    /// Returns the Zarr name of the type.
    fn data_type() -> DataType;
}

impl Pixel for u16 {
    fn data_type() -> DataType {
        data_type::uint16()
    }
}

impl Pixel for u32 {
    fn data_type() -> DataType {
        data_type::uint32()
    }
}

/// Writes an array as one shard file with a checksum per plane. `[T, C, H, W]`
pub(crate) fn write_array<P: Pixel>(
    files: &Arc<Files>,
    array: &str,
    data: ArrayView4<'_, P>,
) -> Result<(), DataError>
where
    FillValue: From<P>,
{
    let shape: Vec<u64> = data.shape().iter().map(|&n| n as u64).collect();
    let plane = vec![1, 1, shape[2], shape[3]];
    let path = files.root().join(array);
    let invalid = |e: &dyn std::fmt::Display| DataError::Metadata {
        path: path.clone(),
        field: "array".into(),
        found: e.to_string(),
    };
    let target = ArrayBuilder::new(shape.clone(), shape, P::data_type(), FillValue::from(P::default()))
        .subchunk_shape(plane)
        .bytes_to_bytes_codecs(vec![Arc::new(ZstdCodec::new(3, true))])
        .dimension_names(Some(AXES))
        .build(Arc::clone(files), &format!("/{array}"))
        .map_err(|e| invalid(&e))?;
    let failed = |e: &ArrayError| match e {
        ArrayError::StorageError(e) => storage_error(&path, e),
        e => invalid(e),
    };
    target
        .store_metadata_opt(&ArrayMetadataOptions::default().with_include_zarrs_metadata(false))
        .map_err(|e| storage_error(&path, &e))?;
    // An empty label image is stored as well, so that a missing file is always a lost one. One thread keeps the planes
    // in order, so that equal plates have equal bytes; callers work on sequences in parallel.
    let options = CodecOptions::default().with_store_empty_chunks(true).with_concurrent_target(1);
    let data = data.as_standard_layout();
    let pixels = data.as_slice().map_or_else(|| Cow::Owned(data.iter().copied().collect()), Cow::Borrowed);
    target.store_chunk_opt(&[0, 0, 0, 0], pixels.as_ref(), &options).map_err(|e| failed(&e))
}

/// Expects the file of an array's only shard.
pub(super) fn expect_shard(root: &Path, array: &str) -> Result<(), DataError> {
    let folder = root.join(array);
    let path = folder.join(SHARD);
    // Without its metadata, or in another layout, `read_array` says what is wrong.
    if path.exists() || !folder.join("zarr.json").exists() || !folder.join("c").exists() {
        return Ok(());
    }
    Err(DataError::MissingPixels { path })
}

/// Reads an array of `shape` that is one shard. `[T, C, H, W]`
pub(super) fn read_array(root: &Path, array: &str, shape: [usize; 4]) -> Result<Array4<u32>, DataError> {
    let opened = open_array(root, array, shape)?;
    if *opened.data_type() == data_type::uint32() {
        return read_shard::<u32>(root, array, &opened, shape);
    }
    Ok(read_pixels(root, array, &opened, shape)?.mapv(u32::from))
}

/// Reads a 16-bit array of `shape` that is one shard. `[T, C, H, W]`
pub(super) fn read_counts(root: &Path, array: &str, shape: [usize; 4]) -> Result<Array4<u16>, DataError> {
    let opened = open_array(root, array, shape)?;
    read_pixels(root, array, &opened, shape)
}

fn read_pixels(
    root: &Path,
    array: &str,
    opened: &Array<Files>,
    shape: [usize; 4],
) -> Result<Array4<u16>, DataError> {
    if *opened.data_type() != data_type::uint16() {
        return Err(DataError::Metadata {
            path: root.join(array).join("zarr.json"),
            field: "data_type".into(),
            found: format!("{}, expected uint16", opened.data_type()),
        });
    }
    read_shard::<u16>(root, array, opened, shape)
}

fn open_array(root: &Path, array: &str, shape: [usize; 4]) -> Result<Array<Files>, DataError> {
    let json = root.join(array).join("zarr.json");
    let bad =
        |field: &str, found: String| DataError::Metadata { path: json.clone(), field: field.into(), found };
    let opened =
        Array::open(Files::new(root), &format!("/{array}")).map_err(|e| bad("array", e.to_string()))?;
    let wanted: Vec<u64> = shape.iter().map(|&n| n as u64).collect();
    if opened.shape() != wanted {
        return Err(bad("shape", format!("{:?}, expected {wanted:?} (t, c, y, x)", opened.shape())));
    }
    let one_shard = opened.chunk_shape(&[0, 0, 0, 0]).is_ok_and(|s| s.iter().map(|n| n.get()).eq(wanted));
    if !one_shard {
        return Err(bad("chunk_grid", "more than one shard, expected all frames in one".into()));
    }
    Ok(opened)
}

fn read_shard<P: Pixel>(
    root: &Path,
    array: &str,
    opened: &Array<Files>,
    shape: [usize; 4],
) -> Result<Array4<P>, DataError> {
    let key = opened.chunk_key(&[0, 0, 0, 0]);
    let path = root.join(key.as_str());
    let options = CodecOptions::default().with_concurrent_target(1);
    // The function without `if_exists` would return zeros for a missing shard.
    match opened.retrieve_chunk_if_exists_opt::<Vec<P>>(&[0, 0, 0, 0], &options) {
        Ok(Some(pixels)) => Array4::from_shape_vec(shape, pixels)
            .map_err(|e| DataError::DamagedPixels { path: path.clone(), found: format!("{e} ({array})") }),
        Ok(None) => Err(DataError::MissingPixels { path }),
        Err(ArrayError::StorageError(StorageError::IOError(e))) if e.raw_os_error().is_some() => {
            Err(DataError::read(&path)(copy_of(&e)))
        }
        Err(e) => Err(DataError::DamagedPixels { path, found: e.to_string() }),
    }
}

fn storage_error(path: &Path, error: &StorageError) -> DataError {
    let source = match error {
        StorageError::IOError(e) => copy_of(e),
        e => std::io::Error::other(e.to_string()),
    };
    DataError::Io { path: path.to_owned(), source }
}

/// Returns an error again that the library owns.
fn copy_of(e: &std::io::Error) -> std::io::Error {
    match e.raw_os_error() {
        Some(code) => std::io::Error::from_raw_os_error(code),
        None => std::io::Error::new(e.kind(), e.to_string()),
    }
}

/// Waits until the plate below `folder` is on disk.
pub(super) fn sync(folder: &Path) -> Result<(), DataError> {
    store::sync(folder).map_err(DataError::io(folder))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_named_like_spreadsheet_columns() {
        let names: Vec<String> = [0, 25, 26, 701, 702, 999].into_iter().map(row_name).collect();
        assert_eq!(names, ["A", "Z", "AA", "ZZ", "AAA", "ALL"]);
    }

    #[test]
    fn wells_fill_a_near_square_grid_without_a_double() {
        for count in [1, 2, 3, 5, 24, 100, 1000] {
            let paths: BTreeSet<String> = (0..count).map(|i| well_path(i, count)).collect();
            assert_eq!(paths.len(), count);
            let (rows, columns) = (count.div_ceil(columns(count)), columns(count));
            assert!(rows <= columns && columns <= rows + 1, "{count}: {rows} x {columns}");
        }
        assert_eq!(well_path(999_999, 1_000_000), "ALL/1000");
    }

    #[test]
    fn background_is_transparent_and_neighbours_differ() {
        assert_eq!(color(0)[3], 0);
        for id in 1..300 {
            assert_ne!(color(id), color(id + 1));
        }
    }
}
