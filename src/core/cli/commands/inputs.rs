//! The inputs of `prepare`: `NAME=PATH@PART` by channel and label, or paths alone, of which it is found out what they hold.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::cli::Failure;
use crate::error::DataError;
use crate::input::folder::Reading;
use crate::input::listing::Listing;
use crate::input::recording::{Input, Listings};
use crate::input::{self, file_names, split_part};
use crate::plate::names::{PLAIN, is_plain};
use crate::plate::{LabelKind, Modality, modality};

/// Names of folders that hold label images.
const LABEL_FOLDERS: [&str; 12] = [
    "cells",
    "cell",
    "nuclei",
    "nucleus",
    "masks",
    "mask",
    "labels",
    "label",
    "segmentation",
    "objects",
    "cp_masks",
    "instances",
];

/// Names of folders that hold the images, of which no name tells more.
const IMAGE_FOLDERS: [&str; 6] = ["images", "image", "raw", "frames", "img", "imgs"];

/// Channels and labels as arguments.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// `NAME=PATH@PART` per channel, transmitted light first.
    pub channels: Vec<String>,
    /// The same per label.
    pub labels: Vec<String>,
    /// The same per label of structure.
    pub structure: Vec<String>,
    /// What each path is, for people.
    pub what: Vec<String>,
}

/// Returns the inputs of `NAME=PATH` and `NAME=PATH@PART` arguments.
pub fn inputs(flag: &str, pairs: &[String]) -> Result<Vec<Input>, Failure> {
    let mut inputs: Vec<Input> = Vec::new();
    for pair in pairs {
        let hint =
            format!("write {flag} NAME=PATH, as in {flag} gfp=movie/gfp or {flag} gfp=movie.ome.tif@GFP");
        let Some((name, path)) =
            pair.split_once('=').filter(|(name, path)| !name.is_empty() && !path.is_empty())
        else {
            return Err(Failure::usage(format!("{flag} {pair}: expected NAME=DIR"), hint));
        };
        if !is_plain(name) {
            let message = format!("{flag} {pair}: the name {name} is not made of {PLAIN}");
            return Err(Failure::usage(message, hint));
        }
        if inputs.iter().any(|i| i.name == name) {
            return Err(Failure::usage(format!("{flag} {pair}: the name {name} is given twice"), hint));
        }
        let (path, part) = if Path::new(path).exists() { (path, None) } else { split_part(path) };
        inputs.push(Input { name: name.into(), path: path.into(), part: part.map(str::to_owned) });
    }
    Ok(inputs)
}

/// Returns the path of an input that is there: for `movie/*_GFP.tif` the folder.
pub fn real(path: &Path) -> &Path {
    let mut real = path;
    while !real.exists() && real.to_string_lossy().contains(['*', '?']) {
        match real.parent().filter(|p| !p.as_os_str().is_empty()) {
            Some(above) => real = above,
            None => return Path::new("."),
        }
    }
    real
}

/// Finds out what paths hold: their channels and labels.
///
/// # Errors
/// [`DataError`] where a path holds nothing that can be read, and wrong usage where two channels have one name.
pub fn find(paths: &[PathBuf], reading: &Reading, listings: &mut Listings) -> Result<Found, Failure> {
    let mut found = Found::default();
    for path in paths {
        match parts(path)? {
            Some([channels, labels]) => {
                found.what.push(format!(
                    "{}: a folder of channels ({}){}",
                    path.display(),
                    names(&channels),
                    if labels.is_empty() {
                        String::new()
                    } else {
                        format!(" and labels ({})", names(&labels))
                    }
                ));
                for folder in channels {
                    add(&folder, reading, listings, &mut found)?;
                }
                for folder in labels {
                    let name = file_names::name(&folder);
                    let list = if LabelKind::of_name(&name) == LabelKind::Structure {
                        &mut found.structure
                    } else {
                        &mut found.labels
                    };
                    list.push(format!("{}={}", plain(&name), folder.display()));
                }
            }
            None => add(path, reading, listings, &mut found)?,
        }
    }
    // Transmitted light first: it is the anchor.
    found.channels.sort_by_key(|channel| {
        let name = channel.split_once('=').map_or("", |(name, _)| name);
        modality(name) != Some(Modality::Transmitted)
    });
    Ok(found)
}

/// Adds the channels and labels of one input.
fn add(path: &Path, reading: &Reading, listings: &mut Listings, found: &mut Found) -> Result<(), Failure> {
    if !listings.contains_key(path) {
        listings.insert(path.to_owned(), Arc::new(input::open(path, reading)?));
    }
    let listing: &Listing = &listings[path];
    let channels = listing.channel_names();
    let text = path.display();
    let shown = |names: &[String]| names.join(", ");
    let mut what = format!("{text}: {}", listing.what);
    if channels.is_empty() {
        let own = path.file_stem().map_or_else(String::new, |s| s.to_string_lossy().into_owned());
        let own = own.trim_end_matches(".ome").trim_end_matches(['*', '?', '_']);
        let name = if own.is_empty() { "image".to_owned() } else { plain(own) };
        found.channels.push(format!("{name}={text}"));
    } else {
        let _ = write!(what, "; channels {}", shown(&channels));
        found.channels.extend(channels.iter().map(|channel| format!("{}={text}@{channel}", plain(channel))));
    }
    let labels: Vec<String> = listing.label_names();
    if !labels.is_empty() {
        let _ = write!(what, "; labels {}", shown(&labels));
    }
    for label in labels {
        let list = if LabelKind::of_name(&label) == LabelKind::Structure {
            &mut found.structure
        } else {
            &mut found.labels
        };
        list.push(format!("{}={text}@{label}", plain(&label)));
    }
    found.what.push(what);
    Ok(())
}

/// Returns the sub-folders of a folder that are channels, and those that are labels; `None` for other folders.
fn parts(path: &Path) -> Result<Option<[Vec<PathBuf>; 2]>, DataError> {
    if !path.is_dir() || input::is_store(path) {
        return Ok(None);
    }
    let folders = file_names::list_folders(path)?;
    let is_label = |folder: &&PathBuf| {
        let name = file_names::name(folder);
        LABEL_FOLDERS.contains(&name.to_lowercase().as_str())
            || LabelKind::of_name(&name) == LabelKind::Structure
    };
    let (labels, others): (Vec<&PathBuf>, Vec<&PathBuf>) = folders.iter().partition(is_label);
    let is_channel = |folder: &&PathBuf| {
        let name = file_names::name(folder);
        modality(&name).is_some() || IMAGE_FOLDERS.contains(&name.to_lowercase().as_str())
    };
    let channels = !others.is_empty() && others.iter().all(is_channel);
    if !channels {
        return Ok(None);
    }
    let owned = |list: Vec<&PathBuf>| list.into_iter().cloned().collect();
    Ok(Some([owned(others), owned(labels)]))
}

fn names(folders: &[PathBuf]) -> String {
    folders.iter().map(|folder| file_names::name(folder)).collect::<Vec<_>>().join(", ")
}

/// Returns a name of plain characters.
fn plain(name: &str) -> String {
    let letter = |c: char| if c.is_ascii_alphanumeric() || c == '_' { c } else { '-' };
    let name: String = name.chars().map(letter).collect();
    let name = name.trim_matches('-').to_owned();
    if is_plain(&name) { name } else { format!("channel-{}", name.chars().take(40).collect::<String>()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_stands_behind_the_last_at_unless_the_path_is_there() {
        let dir = tempfile::tempdir().unwrap();
        let at = dir.path().join("a@b");
        std::fs::create_dir(&at).unwrap();
        let of = |text: String| inputs("--channel", &[text]).unwrap().remove(0);
        let input = of(format!("gfp={}", at.display()));
        assert_eq!((input.path, input.part), (at.clone(), None));
        let input = of(format!("gfp={}@GFP", at.display()));
        assert_eq!((input.path, input.part), (at, Some("GFP".into())));
        for wrong in ["gfp", "=x", "gfp=", "g/p=x"] {
            assert!(inputs("--channel", &[wrong.into()]).is_err(), "{wrong}");
        }
        assert!(inputs("--channel", &["a=x".into(), "a=y".into()]).is_err());
    }

    #[test]
    fn a_name_with_stars_stands_for_its_folder() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(real(&dir.path().join("*/c?.tif")), dir.path());
        assert_eq!(real(&dir.path().join("gone.tif")), dir.path().join("gone.tif"));
        assert_eq!(real(Path::new("*.tif")), Path::new("."));
    }

    #[test]
    fn names_become_plain() {
        assert_eq!([plain("GFP (488 nm)"), plain("Cy5"), plain("µ")], ["GFP--488-nm", "Cy5", "channel-"]);
    }
}
