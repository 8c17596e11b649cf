//! The metadata of OME-Zarr 0.4 and 0.5, read leniently: what other programs leave out or write otherwise is passed over.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::place::Place;
use crate::error::DataError;
use crate::input::listing::Scale;
use crate::input::units::{micrometres, positive, seconds};

/// Attributes of a group, and the OME part of them.
#[derive(Clone, Debug)]
pub(super) struct Group {
    pub(super) place: Place,
    /// All attributes.
    pub(super) attributes: Map<String, Value>,
    /// The OME part: below `ome` from version 0.5 on, else all of them.
    pub(super) ome: Map<String, Value>,
    /// File that holds them.
    pub(super) file: PathBuf,
}

/// An axis of an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Axis {
    T,
    C,
    Z,
    Y,
    X,
}

/// An image: its axes, and its level of full resolution.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Image {
    pub(super) axes: Vec<Axis>,
    /// Path of the array below the group.
    pub(super) array: String,
    pub(super) scale: Scale,
    /// Pixel size along y, where it is another.
    pub(super) pixel_height_um: Option<f64>,
    /// Names of channels, as far as they have one.
    pub(super) channels: Vec<Option<String>>,
    pub(super) colors: Vec<Option<[u8; 3]>>,
    pub(super) version: String,
}

impl Group {
    /// Reads the attributes of a group; `None` where the folder is none.
    pub(super) fn read(place: &Place) -> Result<Option<Self>, DataError> {
        let group = |file: &str, attributes: Map<String, Value>, ome| Self {
            place: place.clone(),
            attributes,
            ome,
            file: place.path().join(file),
        };
        let v3 = place.metadata("zarr.json")?;
        let (file, bytes) = if let Some(bytes) = v3 {
            ("zarr.json", bytes)
        } else if let Some(bytes) = place.metadata(".zattrs")? {
            (".zattrs", bytes)
        } else {
            // A group of Zarr 2 without attributes.
            let there = place.metadata(".zgroup")?.is_some();
            return Ok(there.then(|| group(".zgroup", Map::new(), Map::new())));
        };
        let path = place.path().join(file);
        let wrong = |field: &str, found: String| wrong(&path, field, found);
        let value: Value =
            serde_json::from_slice(&bytes).map_err(|e| wrong(file, format!("is no JSON ({e})")))?;
        let Value::Object(mut object) = value else { return Err(wrong(file, "is no object".into())) };
        let attributes = if file == "zarr.json" {
            if object.get("node_type").and_then(Value::as_str) == Some("array") {
                return Ok(None);
            }
            match object.remove("attributes") {
                Some(Value::Object(attributes)) => attributes,
                None => Map::new(),
                Some(_) => return Err(wrong("attributes", "are no object".into())),
            }
        } else {
            object
        };
        let ome = match attributes.get("ome") {
            Some(Value::Object(ome)) => ome.clone(),
            _ => attributes.clone(),
        };
        Ok(Some(group(file, attributes, ome)))
    }

    /// Returns the version that the group or one of its objects names.
    fn version(&self) -> Option<String> {
        let of = |value: &Value| value.get("version").and_then(Value::as_str).map(str::to_owned);
        let own = self.ome.get("version").and_then(Value::as_str).map(str::to_owned);
        own.or_else(|| of(self.ome.get("multiscales")?.get(0)?))
            .or_else(|| of(self.ome.get("plate")?))
            .or_else(|| of(self.ome.get("well")?))
    }

    /// Refuses versions that are laid out otherwise.
    pub(super) fn check_version(&self) -> Result<(), DataError> {
        let version = self.version().unwrap_or_default();
        let multiscales = self.ome.get("multiscales").and_then(|m| m.get(0));
        let new = multiscales.is_some_and(|m| m.get("coordinateSystems").is_some())
            || self.ome.contains_key("scene");
        let later = version.split('.').nth(1).and_then(|minor| {
            let digits: String = minor.chars().take_while(char::is_ascii_digit).collect();
            digits.parse::<u32>().ok()
        });
        let is_later = version.split('.').next() == Some("0") && later.is_some_and(|minor| minor > 5);
        if new
            || is_later
            || version.split('.').next().is_some_and(|major| major.parse::<u32>().is_ok_and(|n| n > 0))
        {
            let shown = if version.is_empty() { "0.6 or later".into() } else { version };
            return Err(DataError::Unusable {
                path: self.place.path(),
                found: format!("is OME-Zarr {shown:.20}"),
                expected: "OME-Zarr 0.4 or 0.5".into(),
                hint:
                    "other versions place axes and scales elsewhere; write it as 0.5 (ngff-zarr converts it)"
                        .into(),
            });
        }
        Ok(())
    }

    /// Returns the image of the group; `None` where it has none.
    pub(super) fn image(&self) -> Result<Option<Image>, DataError> {
        let Some(multiscales) = self.ome.get("multiscales") else { return Ok(None) };
        self.check_version()?;
        let wrong = |field: &str, found: &str| wrong(&self.file, field, found.to_owned());
        let first = multiscales.get(0).ok_or_else(|| wrong("multiscales", "is empty"))?;
        let level =
            first.get("datasets").and_then(|d| d.get(0)).ok_or_else(|| wrong("datasets", "is empty"))?;
        let array =
            level.get("path").and_then(Value::as_str).ok_or_else(|| wrong("datasets.path", "is no text"))?;
        if !is_below(array) {
            return Err(wrong("datasets.path", "leads out of the group"));
        }
        let (axes, units) = axes(first).map_err(|found| wrong("axes", &found))?;
        let mut scale = vec![1.0; axes.len()];
        for transformations in
            [level.get("coordinateTransformations"), first.get("coordinateTransformations")]
        {
            let all = transformations.and_then(Value::as_array).into_iter().flatten();
            for step in all.filter_map(|t| t.get("scale").and_then(Value::as_array)) {
                if step.len() != axes.len() {
                    return Err(wrong("scale", "has another number of values than there are axes"));
                }
                for (all, one) in scale.iter_mut().zip(step) {
                    *all *= one.as_f64().ok_or_else(|| wrong("scale", "holds what is no number"))?;
                }
            }
        }
        let size = |axis: Axis, per: fn(&str) -> Option<f64>| {
            let index = axes.iter().position(|a| *a == axis)?;
            positive(scale[index] * per(units[index].as_deref()?)?)
        };
        let (width, height) = (size(Axis::X, micrometres), size(Axis::Y, micrometres));
        let frame_interval_s = size(Axis::T, seconds);
        let omero = self.ome.get("omero").and_then(|o| o.get("channels")).and_then(Value::as_array);
        let omero = omero.map(Vec::as_slice).unwrap_or_default();
        let label = |channel: &Value| match channel.get("label") {
            Some(Value::String(name)) if !name.trim().is_empty() => Some(name.trim().to_owned()),
            Some(Value::Number(n)) => Some(format!("channel-{n}")),
            _ => None,
        };
        let color = |channel: &Value| {
            let text = channel.get("color")?.as_str()?.trim_start_matches('#');
            let number = u32::from_str_radix(text.get(..6)?, 16).ok()?;
            let [_, r, g, b] = number.to_be_bytes();
            Some([r, g, b])
        };
        Ok(Some(Image {
            axes,
            array: array.to_owned(),
            scale: Scale { pixel_size_um: width.or(height), frame_interval_s },
            pixel_height_um: height.filter(|h| width.is_some_and(|w| (w - h).abs() > 1e-3 * w)),
            channels: omero.iter().map(label).collect(),
            colors: omero.iter().map(color).collect(),
            version: self.version().unwrap_or_else(|| "of no stated version".into()),
        }))
    }

    /// Returns the paths in a list of objects, such as the wells of a plate; none leads out of the group.
    pub(super) fn paths(&self, list: &Value, field: &str) -> Result<Vec<String>, DataError> {
        let all = list.as_array().into_iter().flatten();
        all.map(|entry| match entry.get("path").and_then(Value::as_str) {
            Some(path) if is_below(path) => Ok(path.to_owned()),
            Some(_) => Err(wrong(&self.file, field, "leads out of the group".into())),
            None => Err(wrong(&self.file, field, "is no text".into())),
        })
        .collect()
    }
}

fn wrong(file: &Path, field: &str, found: String) -> DataError {
    DataError::Unusable {
        path: file.to_owned(),
        found: format!("{field} {found}"),
        expected: "the metadata of OME-Zarr 0.4 or 0.5".into(),
        hint: "write the image anew with the program it came from; ome-zarr-py and yaozarrs say what is wrong with it"
            .into(),
    }
}

/// Returns whether a path of a store stays below the group it is told in.
pub(super) fn is_below(path: &str) -> bool {
    !path.is_empty() && path.split('/').all(|part| !part.is_empty() && part != "." && part != "..")
}

/// Returns the axes of an image with their units: by their type, then by their name; those of old versions by order.
fn axes(multiscale: &Value) -> Result<(Vec<Axis>, Vec<Option<String>>), String> {
    let Some(list) = multiscale.get("axes").and_then(Value::as_array) else {
        // Versions before 0.3 have five axes and say nothing of them.
        return Ok((vec![Axis::T, Axis::C, Axis::Z, Axis::Y, Axis::X], vec![None; 5]));
    };
    let mut axes = Vec::new();
    let mut units = Vec::new();
    for axis in list {
        let name = axis.as_str().or_else(|| axis.get("name")?.as_str()).unwrap_or_default().to_lowercase();
        let kind = axis.get("type").and_then(Value::as_str).unwrap_or_default();
        axes.push(match (kind, name.as_str()) {
            ("time", _) | (_, "t" | "time") => Axis::T,
            ("channel", _) | (_, "c" | "channel") => Axis::C,
            (_, "z") => Axis::Z,
            (_, "y") => Axis::Y,
            (_, "x") => Axis::X,
            _ => return Err(format!("hold `{name:.20}`, which is none of t, c, z, y and x")),
        });
        units.push(axis.get("unit").and_then(Value::as_str).map(str::to_owned));
    }
    let twice = axes.iter().enumerate().any(|(i, axis)| axes[..i].contains(axis));
    if twice || !axes.contains(&Axis::Y) || !axes.contains(&Axis::X) {
        return Err("must hold y and x, and each axis once".into());
    }
    Ok((axes, units))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::error::Advice;

    fn group(ome: Value) -> Group {
        let Value::Object(ome) = ome else { panic!("no object") };
        Group {
            place: Place::Folder("a.ome.zarr".into()),
            attributes: ome.clone(),
            ome,
            file: "a.ome.zarr/zarr.json".into(),
        }
    }

    fn image(axes: Value, level: Value) -> Result<Option<Image>, DataError> {
        group(json!({ "version": "0.5", "multiscales": [{ "axes": axes, "datasets": [level] }],
                      "omero": { "channels": [{ "label": "BF", "color": "#FF8000" }, { "label": 1 }, {}] } }))
        .image()
    }

    #[test]
    fn axes_scales_and_channels_are_read_as_programs_write_them() {
        let axes = json!([{ "name": "T", "type": "time", "unit": "minute" }, { "name": "C", "type": "channel" },
                          { "name": "Y", "type": "space", "unit": "nanometer" },
                          { "name": "X", "type": "space", "unit": "micrometer" }]);
        let level = json!({ "path": "scale0/image",
                            "coordinateTransformations": [{ "type": "scale", "scale": [5, 1, 110, 0.11] },
                                                          { "type": "translation", "translation": [0, 0, 1, 1] }] });
        let image = image(axes, level).unwrap().unwrap();
        assert_eq!(image.axes, [Axis::T, Axis::C, Axis::Y, Axis::X]);
        assert_eq!(image.array, "scale0/image");
        assert_eq!(image.scale, Scale { pixel_size_um: Some(0.11), frame_interval_s: Some(300.0) });
        assert_eq!(image.channels, [Some("BF".into()), Some("channel-1".into()), None]);
        assert_eq!(image.colors, [Some([255, 128, 0]), None, None]);
    }

    #[test]
    fn a_size_without_unit_is_not_known_and_old_versions_have_five_axes() {
        let plain = image(json!(["y", "x"]), json!({ "path": "0" })).unwrap().unwrap();
        assert_eq!((plain.scale, plain.axes.len()), (Scale::default(), 2));
        let old = group(json!({ "multiscales": [{ "version": "0.1", "datasets": [{ "path": "0" }] }] }));
        assert_eq!(old.image().unwrap().unwrap().axes.len(), 5);
        assert_eq!(group(json!({})).image().unwrap(), None);
    }

    #[test]
    fn other_versions_and_what_makes_no_sense_are_refused_by_name() {
        for (ome, part) in [
            (
                json!({ "version": "0.6", "multiscales": [{}] }),
                "is OME-Zarr 0.6, expected OME-Zarr 0.4 or 0.5",
            ),
            (json!({ "multiscales": [{ "coordinateSystems": [] }] }), "is OME-Zarr 0.6 or later"),
            (json!({ "version": "1.0", "multiscales": [{}] }), "is OME-Zarr 1.0"),
            (json!({ "multiscales": [] }), "multiscales is empty"),
            (json!({ "multiscales": [{ "datasets": [] }] }), "datasets is empty"),
            (json!({ "multiscales": [{ "datasets": [{ "path": "../x" }] }] }), "leads out of the group"),
            (json!({ "multiscales": [{ "axes": ["q"], "datasets": [{ "path": "0" }] }] }), "hold `q`"),
            (
                json!({ "multiscales": [{ "axes": ["y", "y"], "datasets": [{ "path": "0" }] }] }),
                "each axis once",
            ),
        ] {
            let error = group(ome).image().unwrap_err();
            assert!(error.to_string().contains(part) && error.hint().is_some(), "{part}: {error}");
        }
        assert!(group(json!({ "multiscales": [{ "version": "0.5-dev-spatialdata", "datasets": [{ "path": "0" }] }] })).image().is_ok());
    }
}
