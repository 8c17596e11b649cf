//! The label images of an image.

use std::collections::BTreeSet;

use serde_json::Value;

use super::Log;
use super::group::Group;
use super::image::{Levels, levels};
use crate::error::DataError;

/// Looks at the labels of an image.
pub(super) fn check(image: &Group, of_image: &Levels, ours: bool, log: &Log) -> Result<(), DataError> {
    let folder = image.folder.join("labels");
    if !folder.is_dir() {
        return Ok(());
    }
    let at = image.path_of("labels");
    let Some(group) = image.sub("labels", log)? else {
        log.error(&at, "metadata", "is no group with attributes");
        return Ok(());
    };
    if group.zarr == 3 && group.version().is_none() {
        log.error(&at, "metadata", "names no version: some programs see no labels then");
    }
    let listed = group.ome.get("labels").and_then(Value::as_array).cloned().unwrap_or_default();
    let listed: Vec<&str> = listed.iter().filter_map(Value::as_str).collect();
    for name in group.sub_groups()?.iter().filter(|name| !listed.contains(&name.as_str())) {
        log.warning(&at, "label", format!("holds {name}, which is not listed: programs do not see it"));
    }
    for name in listed {
        match group.sub(name, log)? {
            Some(label) => check_label(&label, of_image, ours, log)?,
            None => log.error(&group.path_of(name), "label", "is listed, and is not there"),
        }
    }
    Ok(())
}

fn check_label(label: &Group, of_image: &Levels, ours: bool, log: &Log) -> Result<(), DataError> {
    log.with(|f| f.labels += 1);
    let at = label.path.as_str();
    let error = |found: String| log.error(at, "label", found);
    let Some(levels) = levels(label, ours, true, log)? else { return Ok(()) };
    for axis in ["t", "z", "y", "x"] {
        let (Some(mine), theirs) = (levels.size(axis), of_image.size(axis)) else { continue };
        match theirs {
            Some(theirs) if theirs == mine => {}
            Some(theirs) => log.error(at, "shape", format!("is {mine} along {axis}, and its image {theirs}")),
            None => log.error(at, "shape", format!("has an axis {axis}, and its image has none")),
        }
    }
    if levels.arrays.len() != of_image.arrays.len() {
        let found = format!("has {} level(s), and its image {}", levels.arrays.len(), of_image.arrays.len());
        log.warning(at, "label", found);
    }
    let integer = |kind: &str| kind.trim_start_matches('u').starts_with("int");
    if let Some(array) = levels.arrays.first().filter(|array| !integer(&array.kind)) {
        log.error(at, "type", format!("holds {}, expected integers", array.kind));
    }
    let Some(about) = label.ome.get("image-label") else {
        error("has no image-label".into());
        return Ok(());
    };
    let values = |key: &str| -> Option<Vec<u64>> {
        Some(
            about
                .get(key)?
                .as_array()?
                .iter()
                .filter_map(|entry| entry.get("label-value")?.as_u64())
                .collect(),
        )
    };
    match values("colors") {
        Some(colors) if colors.is_empty() => error("has an empty list of colours".into()),
        Some(colors) if colors.iter().collect::<BTreeSet<_>>().len() < colors.len() => {
            error("has two colours of one id".into());
        }
        None if about.get("colors").is_some() => error("has colours that are no list".into()),
        _ => {}
    }
    if let Some(source) = about.get("source").and_then(|s| s.get("image")).and_then(Value::as_str)
        && !label.folder.join(source).join(if label.zarr == 3 { "zarr.json" } else { ".zattrs" }).is_file()
    {
        error(format!("names the source `{source:.60}`, where no image is"));
    }
    let properties: BTreeSet<u64> = values("properties").unwrap_or_default().into_iter().collect();
    if let Some(ids) =
        levels.arrays.first().and_then(|array| array.ids.as_ref()).filter(|_| !properties.is_empty())
    {
        let without: Vec<u64> =
            ids.iter().copied().filter(|id| *id != 0 && !properties.contains(id)).collect();
        if let Some(first) = without.first() {
            error(format!("{} of its ids have no properties, the first is {first}", without.len()));
        }
    }
    Ok(())
}
