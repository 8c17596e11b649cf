//! Opening a plate: what is there instead, versions, metadata, and whether files of pixels are missing.

use std::path::Path;

use rayon::prelude::*;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::{FORMAT, Plate, PlateMeta, is_zipped, names, ome_zarr};
use crate::error::DataError;

impl Plate {
    /// Opens a plate, checks its metadata, and that no file of pixels is missing; pixels are read and checked by
    /// [`Plate::read`].
    ///
    /// # Errors
    /// [`DataError`] where nothing is there, where it is something else than a plate of this package, where metadata is
    /// missing or contradicts itself, or where a shard is missing.
    pub fn open(path: &Path) -> Result<Self, DataError> {
        let plate = Self::open_unseen(path)?;
        // So that a file that got lost ends a long run before it begins.
        plate.wells.par_iter().try_for_each(|(well, _)| {
            let labels = plate.meta.label_names().into_iter().map(|name| format!("{well}/0/labels/{name}/0"));
            std::iter::once(format!("{well}/0/0"))
                .chain(labels)
                .try_for_each(|array| ome_zarr::expect_shard(path, &array))
        })?;
        Ok(plate)
    }

    /// Opens a plate without a look for its pixels.
    ///
    /// # Errors
    /// As [`Plate::open`], but for missing shards.
    pub(crate) fn open_unseen(path: &Path) -> Result<Self, DataError> {
        if !path.exists() {
            return Err(DataError::Missing {
                path: path.to_owned(),
                expected: "a plate (*.ome.zarr)".into(),
            });
        }
        let json = path.join("zarr.json");
        if !json.exists() {
            return Err(no_zarr_v3(path));
        }
        let attributes = ome_zarr::read_group(path, "")?;
        expect_version(&json, &attributes)?;
        let Some(found) = attributes.get("lapsegan") else {
            let found = "it is OME-Zarr, but carries no splits and calibration (attributes.lapsegan)";
            return Err(DataError::NotAPlate { path: path.to_owned(), found: found.into() });
        };
        expect_format(&json, found)?;
        let meta = PlateMeta::from_json(found.clone()).map_err(|e| DataError::Metadata {
            path: json.clone(),
            field: "attributes.lapsegan".into(),
            found: e.to_string(),
        })?;
        let bad = |field: &str, found: &str| DataError::Metadata {
            path: json.clone(),
            field: field.into(),
            found: found.into(),
        };
        names::check(&meta).map_err(|(field, found)| bad(&format!("lapsegan.{field}"), &found))?;
        if let Some(channel) = meta.channels.iter().find(|c| c.calibration.hi <= c.calibration.lo) {
            return Err(bad("lapsegan.channels", &format!("{}: hi is not above lo", channel.name)));
        }
        if meta.channels.is_empty() || meta.frames == 0 || meta.height == 0 || meta.width == 0 {
            return Err(bad("lapsegan", "no channels, frames or pixels"));
        }
        let listed = attributes.get("ome").and_then(|o| o.pointer("/plate/wells")).and_then(Value::as_array);
        let paths: Vec<String> = listed
            .ok_or_else(|| bad("ome.plate.wells", "missing, expected a list"))?
            .iter()
            .map(|well| well.get("path").and_then(Value::as_str).map(str::to_owned))
            .collect::<Option<_>>()
            .ok_or_else(|| bad("ome.plate.wells", "a well without a path"))?;
        if let Some(well) = paths.iter().find(|well| !names::is_well(well)) {
            return Err(bad("ome.plate.wells", &format!("{well:.80?} is no path of a well, such as A/1")));
        }
        let read_meta = |well: String| -> Result<_, DataError> {
            let image = format!("{well}/0");
            let stored =
                lapsegan(&path.join(&image).join("zarr.json"), &ome_zarr::read_group(path, &image)?)?;
            Ok((well, stored))
        };
        let wells = paths.into_par_iter().map(read_meta).collect::<Result<_, _>>()?;
        Ok(Self { path: path.to_owned(), meta, wells })
    }
}

fn no_zarr_v3(path: &Path) -> DataError {
    if path.join(".zattrs").exists() || path.join(".zgroup").exists() {
        let found = "OME-Zarr 0.4 or older (Zarr v2)".into();
        return DataError::Version { path: path.join(".zattrs"), found, expected: "OME-Zarr 0.5" };
    }
    let found = if path.is_dir() {
        "the folder holds no zarr.json"
    } else if is_zipped(path) {
        "it is a zipped OME-Zarr, which prepare reads; expected a folder"
    } else {
        "it is a file, expected a folder"
    };
    DataError::NotAPlate { path: path.to_owned(), found: found.into() }
}

fn expect_version(json: &Path, attributes: &Map<String, Value>) -> Result<(), DataError> {
    match attributes.get("ome").map(|ome| ome.get("version").and_then(Value::as_str)) {
        Some(Some(ome_zarr::VERSION)) => Ok(()),
        Some(version) => Err(DataError::Version {
            path: json.to_owned(),
            found: version.map_or_else(|| "OME-Zarr without a version".into(), |v| format!("OME-Zarr {v}")),
            expected: "OME-Zarr 0.5",
        }),
        None => Err(DataError::NotAPlate {
            path: json.parent().unwrap_or(json).to_owned(),
            found: "it is Zarr, but not OME-Zarr (no attributes.ome)".into(),
        }),
    }
}

/// Plates of before there were formats have none, which is the first.
fn expect_format(json: &Path, found: &Value) -> Result<(), DataError> {
    let Some(format) = found.get("format") else { return Ok(()) };
    match format.as_u64() {
        Some(1..=FORMAT) => Ok(()),
        Some(1..) => Err(DataError::Version {
            path: json.to_owned(),
            found: format!("plate format {format}"),
            expected: "plate format 1 or 2, or a newer LapseGAN",
        }),
        _ => Err(DataError::Metadata {
            path: json.to_owned(),
            field: "lapsegan.format".into(),
            found: format!("{format:.80}, expected a whole number from 1 on"),
        }),
    }
}

fn lapsegan<T: DeserializeOwned>(json: &Path, attributes: &Map<String, Value>) -> Result<T, DataError> {
    let bad = |found: String| DataError::Metadata {
        path: json.to_owned(),
        field: "attributes.lapsegan".into(),
        found,
    };
    let value = attributes.get("lapsegan").ok_or_else(|| bad("missing".into()))?;
    serde_json::from_value(value.clone()).map_err(|e| bad(e.to_string()))
}
