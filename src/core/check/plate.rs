//! A plate: its wells, and for plates of this package the split groups.

use std::collections::BTreeMap;

use rayon::prelude::*;
use serde_json::Value;

use super::group::Group;
use super::{Log, image};
use crate::error::DataError;
use crate::plate::PlateMeta;

/// Looks at a plate and all of its images.
pub(super) fn check(root: &Group, log: &Log, on_image: &(dyn Fn() + Sync)) -> Result<(), DataError> {
    let plate = root.ome.get("plate").cloned().unwrap_or_default();
    let error = |found: String| log.error("", "metadata", found);
    let names = |key: &str| -> Vec<String> {
        let list = plate.get(key).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        list.iter()
            .map(|entry| entry.get("name").and_then(Value::as_str).unwrap_or_default().to_owned())
            .collect()
    };
    let (rows, columns) = (names("rows"), names("columns"));
    if rows.is_empty() || columns.is_empty() {
        error("its plate lists no rows or columns".into());
    }
    let plain = |name: &String| !name.is_empty() && name.chars().all(char::is_alphanumeric);
    if let Some(name) = rows.iter().chain(&columns).find(|name| !plain(name)) {
        error(format!("has the row or column `{name:.20}`: letters and digits"));
    }
    let wells = plate.get("wells").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    if wells.is_empty() {
        error("its plate lists no wells".into());
    }
    let check_well = |well: &Value| -> Result<(), DataError> {
        let path = well.get("path").and_then(Value::as_str).unwrap_or_default();
        let index = |key: &str| well.get(key).and_then(Value::as_u64).map(|n| n as usize);
        let by_index = index("rowIndex")
            .and_then(|r| rows.get(r))
            .zip(index("columnIndex").and_then(|c| columns.get(c)));
        if by_index.map(|(row, column)| format!("{row}/{column}")).as_deref() != Some(path) {
            error(format!("the well `{path:.40}` is not the one of its row and column index"));
        }
        let Some(group) = root.sub(path, log)? else {
            log.error(path, "metadata", "is a well that is listed, and is not there");
            return Ok(());
        };
        let images = group.ome.get("well").and_then(|w| w.get("images")).and_then(Value::as_array);
        let images = images.map(Vec::as_slice).unwrap_or_default();
        if images.is_empty() {
            log.error(path, "metadata", "is a well without images");
        }
        for image in images.iter().filter_map(|image| image.get("path").and_then(Value::as_str)) {
            match group.sub(image, log)? {
                Some(image) => image::check(&image, log)?,
                None => log.error(
                    &group.path_of(image),
                    "metadata",
                    "is an image that is listed, and is not there",
                ),
            }
            on_image();
        }
        Ok(())
    };
    wells.par_iter().try_for_each(check_well)?;
    if let Some(ours) = root.attributes.get("lapsegan") {
        splits(root, ours, wells, log)?;
    }
    Ok(())
}

/// Looks whether split groups of different splits share frames.
fn splits(root: &Group, ours: &Value, wells: &[Value], log: &Log) -> Result<(), DataError> {
    let Ok(meta) = PlateMeta::from_json(ours.clone()) else {
        log.error("", "metadata", "attributes.lapsegan cannot be read");
        return Ok(());
    };
    let mut split_of: BTreeMap<String, String> = BTreeMap::new();
    for path in wells.iter().filter_map(|well| well.get("path").and_then(Value::as_str)) {
        let Some(image) = root.sub(&format!("{path}/0"), log)? else { continue };
        let text = |key: &str| image.attributes.get("lapsegan")?.get(key)?.as_str().map(str::to_owned);
        let (Some(group), Some(split)) = (text("split_group"), text("split")) else {
            log.error(&image.path, "split", "tells no split and split group");
            continue;
        };
        if let Some(other) = split_of.insert(group.clone(), split.clone()).filter(|other| *other != split) {
            log.error(
                &image.path,
                "split",
                format!("is of group {group}, which is in {other} as well as in {split}"),
            );
        }
    }
    let known: Vec<_> = meta.groups.iter().filter(|group| group.is_known()).collect();
    for (i, a) in known.iter().enumerate() {
        for b in &known[i + 1..] {
            let splits = split_of.get(&a.name).zip(split_of.get(&b.name));
            if let Some((of_a, of_b)) = splits.filter(|(x, y)| x != y)
                && a.shares_frame(b)
            {
                log.error("", "split", format!("{} ({of_a}) and {} ({of_b}) share frames", a.name, b.name));
            }
        }
    }
    Ok(())
}
