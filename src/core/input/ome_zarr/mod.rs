//! OME-Zarr 0.4 and 0.5, as other programs write it: images, plates, and collections of bioformats2raw, with labels.

mod blocks;
mod level;
mod metadata;
mod place;
#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::Arc;

use serde_json::Value;

pub(super) use level::Level;
use metadata::{Axis, Group, Image};
use place::Place;
pub use place::unpack;

use super::file_names::natural;
use super::listing::{Listing, Plane, PlaneRef, channel_names};
use crate::error::DataError;

/// Returns whether a folder is a Zarr store, or a part of one.
pub fn is_store(folder: &Path) -> bool {
    ["zarr.json", ".zattrs", ".zgroup", ".zarray"].iter().any(|n| folder.join(n).is_file())
}

/// Reads what a store holds; `series` names one of several images.
///
/// # Errors
/// [`DataError`] naming the part of the store that cannot be read, or the images there are where one is to be chosen.
pub(super) fn list(store: &Path, series: Option<&str>) -> Result<Listing, DataError> {
    let not_ome = || DataError::Unusable {
        path: store.to_owned(),
        found: "is a Zarr array or group without the metadata of an image".into(),
        expected: "an OME-Zarr image, plate or collection".into(),
        hint: "give the folder that holds `multiscales` in its zarr.json or .zattrs, often one further up"
            .into(),
    };
    let root = Group::read(&Place::open(store)?)?.ok_or_else(not_ome)?;
    root.check_version()?;
    if root.attributes.contains_key("lapsegan") && root.ome.contains_key("plate") {
        return Err(DataError::Unusable {
            path: store.to_owned(),
            found: "is a plate of LapseGAN already".into(),
            expected: "a recording".into(),
            hint: "train and generate take it as it is; merge joins plates".into(),
        });
    }
    if let Some(plate) = root.ome.get("plate") {
        return of_plate(&root, plate, series);
    }
    if root.ome.contains_key("multiscales") {
        let mut listing = Listing::new("OME-Zarr image");
        add(&root, None, &mut listing)?;
        return Ok(listing);
    }
    if root.ome.get("bioformats2raw.layout").is_some()
        || root.attributes.contains_key("bioformats2raw.layout")
    {
        return of_collection(&root, series);
    }
    if root.ome.contains_key("well") {
        let mut listing = Listing::new("well of an OME-Zarr plate");
        for (position, group) in of_well(&root, "")? {
            add(&group, Some(&position), &mut listing)?;
        }
        return Ok(listing);
    }
    Err(not_ome())
}

fn of_plate(root: &Group, plate: &Value, series: Option<&str>) -> Result<Listing, DataError> {
    let mut listing = Listing::new("OME-Zarr plate");
    let mut there = Vec::new();
    for well in root.paths(plate.get("wells").unwrap_or(&Value::Null), "plate.wells.path")? {
        let place = root.place.join(&well);
        let group = Group::read(&place)?.ok_or_else(|| gone(&place, "a well of the plate"))?;
        there.extend(of_well(&group, &well.replace('/', "_"))?);
    }
    if there.is_empty() {
        return Err(gone(&root.place.join("A/1"), "a well with an image"));
    }
    if let Some(wanted) = series {
        let names: Vec<String> = there.iter().map(|(name, _)| name.clone()).collect();
        there.retain(|(name, _)| name == wanted || name.replace('_', "/") == wanted);
        if there.is_empty() {
            return Err(choose(&root.place.path(), &names, Some(wanted)));
        }
    }
    for (position, group) in there {
        add(&group, Some(&position), &mut listing)?;
    }
    Ok(listing)
}

/// Returns the images of a well with the names of their positions.
fn of_well(well: &Group, prefix: &str) -> Result<Vec<(String, Group)>, DataError> {
    let images = well.ome.get("well").and_then(|w| w.get("images")).unwrap_or(&Value::Null);
    let paths = well.paths(images, "well.images.path")?;
    let alone = paths.len() == 1 && !prefix.is_empty();
    let group = |path: &String| {
        let place = well.place.join(path);
        let group = Group::read(&place)?.ok_or_else(|| gone(&place, "an image of the well"))?;
        let position = if alone { prefix.to_owned() } else { format!("{prefix}_{path}") };
        Ok((position.trim_start_matches('_').to_owned(), group))
    };
    paths.iter().map(group).collect()
}

/// Reads a collection that bioformats2raw wrote: one of its images, or all as positions.
fn of_collection(root: &Group, series: Option<&str>) -> Result<Listing, DataError> {
    let is_image = |name: &String| {
        let group = Group::read(&root.place.join(name)).ok().flatten();
        group.is_some_and(|group| group.ome.contains_key("multiscales"))
    };
    let mut names: Vec<String> = root.place.folders()?.into_iter().filter(is_image).collect();
    names.sort_by(|a, b| natural(a, b));
    let chosen = match series {
        Some("all") => names.clone(),
        Some(wanted) if names.iter().any(|n| n == wanted) => vec![wanted.to_owned()],
        None if names.len() == 1 => names.clone(),
        wanted => return Err(choose(&root.place.path(), &names, wanted)),
    };
    let mut listing = Listing::new("OME-Zarr collection of bioformats2raw");
    for image in &chosen {
        let place = root.place.join(image);
        let group = Group::read(&place)?.ok_or_else(|| gone(&place, "an image"))?;
        let position = (chosen.len() > 1).then(|| format!("series-{image}"));
        add(&group, position.as_deref(), &mut listing)?;
    }
    Ok(listing)
}

/// Adds the image of a group, and the labels that belong to it.
fn add(group: &Group, position: Option<&str>, listing: &mut Listing) -> Result<(), DataError> {
    let image = group.image()?.ok_or_else(|| gone(&group.place, "an image (multiscales)"))?;
    if listing.planes.is_empty() {
        listing.what = listing.what.replacen("OME-Zarr", &format!("OME-Zarr {}", image.version), 1);
    }
    add_planes(group, &image, position, listing)?;
    let labels = group.place.join("labels");
    let Some(names) = Group::read(&labels)?.and_then(|g| g.ome.get("labels").cloned()) else { return Ok(()) };
    for label in names.as_array().into_iter().flatten().filter_map(Value::as_str) {
        if !metadata::is_below(label) {
            continue;
        }
        let place = labels.join(label);
        let of_label = Group::read(&place)?.ok_or_else(|| gone(&place, "a label image"))?;
        let image = of_label.image()?.ok_or_else(|| gone(&place, "a label image (multiscales)"))?;
        let mut own = listing.labels.remove(label).unwrap_or_else(|| Listing::new("OME-Zarr label image"));
        add_planes(&of_label, &image, position, &mut own)?;
        own.channels.clear();
        for plane in &mut own.planes {
            plane.channel = None;
        }
        own.parents.entry(position.map(str::to_owned)).or_default().extend(parents(&of_label));
        listing.labels.insert(label.to_owned(), own);
    }
    Ok(())
}

fn add_planes(
    group: &Group,
    image: &Image,
    position: Option<&str>,
    listing: &mut Listing,
) -> Result<(), DataError> {
    let level = Arc::new(Level::open(&group.place.join(&image.array), &image.axes)?);
    let [times, channels, depths] = [Axis::T, Axis::C, Axis::Z].map(|axis| level.size(axis));
    let names = channel_names((0..channels as usize).map(|c| image.channels.get(c).cloned().flatten()));
    if listing.channels.is_empty() {
        listing.scale = image.scale;
        if let (Some(width), Some(height)) = (image.scale.pixel_size_um, image.pixel_height_um) {
            listing.warnings.push(format!(
                "{}: pixels are {width} µm wide and {height} µm high; {width} µm is taken for both",
                group.place.path().display()
            ));
        }
        listing.channels.clone_from(&names);
        let colors =
            names.iter().zip(&image.colors).filter_map(|(name, color)| Some((name.clone(), (*color)?)));
        listing.colors.extend(colors);
    }
    let named = image.channels.iter().any(Option::is_some);
    for t in 0..times {
        for c in 0..channels {
            for z in 0..depths {
                listing.planes.push(Plane {
                    position: position.map(str::to_owned),
                    channel: (channels > 1 || named).then(|| names[c as usize].clone()),
                    z: (depths > 1).then_some(z as i64),
                    // In thousandths, as other times are.
                    time: (times > 1).then_some(1000 * t as i64),
                    clock_ms: None,
                    at: PlaneRef::array(&level, level.indices(t, c, z)),
                });
            }
        }
    }
    Ok(())
}

/// Returns child and parent ids, as plates of this package and others write them into the properties of labels.
fn parents(label: &Group) -> Vec<(u32, u32)> {
    let properties = label.ome.get("image-label").and_then(|l| l.get("properties")).and_then(Value::as_array);
    let pair = |entry: &Value| {
        let id = |field: &str| entry.get(field)?.as_u64().and_then(|id| u32::try_from(id).ok());
        Some((id("label-value")?, id("parent").filter(|p| *p > 0)?))
    };
    properties.into_iter().flatten().filter_map(pair).collect()
}

fn gone(place: &Place, expected: &str) -> DataError {
    DataError::Missing { path: place.path(), expected: expected.into() }
}

fn choose(store: &Path, names: &[String], wanted: Option<&str>) -> DataError {
    let shown: Vec<&str> = names.iter().take(10).map(String::as_str).collect();
    let more = if names.len() > shown.len() { ", ..." } else { "" };
    DataError::Unusable {
        path: store.to_owned(),
        found: match wanted {
            Some(wanted) => format!("has no image {wanted:.40}, but {}{more}", shown.join(", ")),
            None => format!("holds {} images ({}{more})", names.len(), shown.join(", ")),
        },
        expected: "one that is chosen".into(),
        hint: format!(
            "pass --series {} for one of them, or --series all to take all as positions",
            shown.first().unwrap_or(&"0")
        ),
    }
}
