//! An image: its axes, levels and channels.

use serde_json::Value;

use super::array::{self, About};
use super::group::Group;
use super::{Log, labels};
use crate::error::DataError;

/// Units of length and time that OME-Zarr lists and programs know.
const UNITS: [&str; 17] = [
    "angstrom",
    "nanometer",
    "micrometer",
    "millimeter",
    "centimeter",
    "meter",
    "picometer",
    "inch",
    "foot",
    "nanosecond",
    "microsecond",
    "millisecond",
    "second",
    "minute",
    "hour",
    "day",
    "kilometer",
];
/// Share by which a scale may differ from what shapes tell.
const TOLERANCE: f64 = 0.05;

/// Looks at an image and its labels.
pub(super) fn check(group: &Group, log: &Log) -> Result<(), DataError> {
    log.with(|f| f.images += 1);
    let ours = group.attributes.contains_key("lapsegan");
    let Some(levels) = levels(group, ours, false, log)? else { return Ok(()) };
    omero(group, &levels, log);
    labels::check(group, &levels, ours, log)
}

/// The levels of an image or label image, and its axes.
pub(super) struct Levels {
    pub(super) axes: Vec<String>,
    pub(super) arrays: Vec<About>,
}

impl Levels {
    /// Returns the size along an axis of full resolution.
    pub(super) fn size(&self, axis: &str) -> Option<u64> {
        let index = self.axes.iter().position(|name| name == axis)?;
        self.arrays.first()?.shape.get(index).copied()
    }
}

/// Looks at axes and levels.
pub(super) fn levels(group: &Group, ours: bool, ids: bool, log: &Log) -> Result<Option<Levels>, DataError> {
    let at = group.path.as_str();
    let error = |found: String| log.error(at, "metadata", found);
    let Some(multiscale) = group.ome.get("multiscales").and_then(|m| m.get(0)) else {
        error("has no multiscales".into());
        return Ok(None);
    };
    if group.version().is_none() {
        error("names no version".into());
    }
    let Some(axes) = axes(multiscale, at, log) else { return Ok(None) };
    let datasets =
        multiscale.get("datasets").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    if datasets.is_empty() {
        error("lists no datasets".into());
    }
    let mut levels = Levels { axes, arrays: Vec::new() };
    let mut scales: Vec<Vec<f64>> = Vec::new();
    for dataset in datasets {
        let Some(path) = dataset.get("path").and_then(Value::as_str) else {
            error("has a dataset without a path".into());
            continue;
        };
        if path.split('/').any(|part| part.is_empty() || part == "." || part == "..") {
            error(format!("names the dataset `{path:.60}`, which leads out of the group"));
            continue;
        }
        let inner = group.path_of(path);
        scales.push(scale(dataset, levels.axes.len(), &inner, log));
        let folder = group.folder.join(path);
        if !folder.is_dir() {
            log.error(&inner, "metadata", "is listed, and is not there");
            continue;
        }
        let Some(about) = array::check(&folder, &inner, ours, ids && levels.arrays.is_empty(), log)? else {
            continue;
        };
        if about.shape.len() != levels.axes.len() {
            let found = format!("has {} axes, and its image {}", about.shape.len(), levels.axes.len());
            log.error(&inner, "shape", found);
        }
        let named: Vec<Option<String>> = levels.axes.iter().cloned().map(Some).collect();
        if group.zarr == 3 && about.axes.as_ref() != Some(&named) {
            log.error(&inner, "metadata", "has dimension_names that are not the names of the axes");
        }
        levels.arrays.push(about);
    }
    compare(&levels, &scales, at, log);
    Ok(Some(levels))
}

fn axes(multiscale: &Value, at: &str, log: &Log) -> Option<Vec<String>> {
    let list = multiscale.get("axes").and_then(Value::as_array);
    let Some(list) = list.filter(|list| !list.is_empty()) else {
        log.error(at, "metadata", "has no axes");
        return None;
    };
    let text = |axis: &Value, key: &str| axis.get(key).and_then(Value::as_str).map(str::to_owned);
    let names: Vec<String> = list.iter().map(|axis| text(axis, "name").unwrap_or_default()).collect();
    let kinds: Vec<u8> = list
        .iter()
        .map(|axis| match text(axis, "type").as_deref() {
            Some("time") => 0,
            Some("space") => 2,
            _ => 1,
        })
        .collect();
    if names.iter().any(String::is_empty)
        || names.iter().enumerate().any(|(i, name)| names[..i].contains(name))
    {
        log.error(at, "metadata", "has axes without a name, or two of one name");
    }
    if kinds.windows(2).any(|pair| pair[0] > pair[1]) {
        log.error(at, "metadata", "has axes out of order: time, then channel, then space");
    }
    let space = list.iter().filter(|axis| text(axis, "type").as_deref() == Some("space")).count();
    if !(2..=3).contains(&space) || list.len() > 5 {
        log.error(
            at,
            "metadata",
            format!("has {} axes, {space} of them in space: 2 to 5, with 2 or 3", list.len()),
        );
    }
    for axis in list {
        if let Some(unit) = text(axis, "unit").filter(|unit| !UNITS.contains(&unit.as_str())) {
            log.warning(
                at,
                "metadata",
                format!("has the unit `{unit:.20}`, which is none of UDUNITS-2's names"),
            );
        }
    }
    Some(names)
}

/// Returns the scale of a level; a wrong one is logged and ones are returned.
fn scale(dataset: &Value, axes: usize, at: &str, log: &Log) -> Vec<f64> {
    let steps = dataset.get("coordinateTransformations").and_then(Value::as_array);
    let steps = steps.map(Vec::as_slice).unwrap_or_default();
    let kind = |step: &Value| step.get("type").and_then(Value::as_str).map(str::to_owned).unwrap_or_default();
    let kinds: Vec<String> = steps.iter().map(kind).collect();
    let kinds: Vec<&str> = kinds.iter().map(String::as_str).collect();
    if !matches!(kinds[..], ["scale"] | ["scale", "translation"]) {
        log.error(
            at,
            "scale",
            format!("has the transformations {kinds:?}: one scale, and at most a translation behind it"),
        );
    }
    let numbers = |step: &Value, key: &str| -> Option<Vec<f64>> {
        step.get(key)?
            .as_array()?
            .iter()
            .map(Value::as_f64)
            .collect::<Option<Vec<f64>>>()
            .filter(|n| n.len() == axes)
    };
    for step in steps.iter().filter(|step| kind(step) == "translation") {
        if numbers(step, "translation").is_none() {
            log.error(at, "scale", format!("has a translation that is not {axes} numbers"));
        }
    }
    let found = steps.iter().find(|step| kind(step) == "scale").and_then(|step| numbers(step, "scale"));
    match found {
        Some(scale) if scale.iter().all(|s| s.is_finite() && *s > 0.0) => scale,
        Some(_) => {
            log.error(at, "scale", "has a scale that is not above 0");
            vec![1.0; axes]
        }
        None if kinds.contains(&"scale") => {
            log.error(at, "scale", format!("has a scale that is not {axes} numbers"));
            vec![1.0; axes]
        }
        None => vec![1.0; axes],
    }
}

/// Compares the levels with the first.
pub(super) fn compare(levels: &Levels, scales: &[Vec<f64>], at: &str, log: &Log) {
    let Some(first) = levels.arrays.first() else { return };
    for (n, level) in levels.arrays.iter().enumerate().skip(1) {
        if level.kind != first.kind {
            log.error(at, "type", format!("level {n} holds {}, and level 0 {}", level.kind, first.kind));
        }
        let larger = level.shape.iter().zip(&first.shape).any(|(a, b)| a > b);
        if level.shape.len() != first.shape.len() || larger {
            log.error(at, "shape", format!("level {n} is {:?}, and level 0 {:?}", level.shape, first.shape));
            continue;
        }
        let (Some(of_level), Some(of_first)) = (scales.get(n), scales.first()) else { continue };
        for (axis, name) in levels.axes.iter().enumerate() {
            let (large, small) = (first.shape[axis] as f64, level.shape[axis] as f64);
            let by_scale = of_level[axis] / of_first[axis];
            // A rest at the edge is cut or kept: the level may be one pixel longer or shorter.
            let (least, most) = (large / (small + 1.0), large / (small - 1.0).max(0.5));
            if by_scale < least * (1.0 - TOLERANCE) || by_scale > most * (1.0 + TOLERANCE) {
                let by_shape = large / small;
                let found = format!(
                    "level {n} is {by_shape:.3} times smaller along {name}, and its scale says {by_scale:.3}"
                );
                log.error(at, "scale", found);
            }
        }
    }
}

/// Looks at names, colours and ranges of channels.
fn omero(group: &Group, levels: &Levels, log: &Log) {
    let at = group.path.as_str();
    let Some(channels) = group.ome.get("omero").and_then(|o| o.get("channels")).and_then(Value::as_array)
    else {
        return;
    };
    let size = levels.size("c").unwrap_or(1);
    if channels.len() as u64 != size {
        log.error(at, "metadata", format!("describes {} channels (omero), and has {size}", channels.len()));
    }
    for (c, channel) in channels.iter().enumerate() {
        let color = channel.get("color").and_then(Value::as_str).unwrap_or_default();
        if color.len() != 6 || !color.bytes().all(|b| b.is_ascii_hexdigit()) {
            log.error(
                at,
                "metadata",
                format!("channel {c} has the colour `{color:.20}`: six hexadecimal digits"),
            );
        }
        let window = channel.get("window");
        let numbers =
            ["min", "max", "start", "end"].map(|key| window.and_then(|w| w.get(key)).and_then(Value::as_f64));
        if numbers.iter().any(Option::is_none) {
            log.error(at, "metadata", format!("channel {c} has no window of min, max, start and end"));
        }
    }
}
