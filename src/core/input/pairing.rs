//! Which files of several folders show the same position and moment.
//!
//! Frames belong together by the number at the end of their names, or by order where a name has none; positions by the
//! name of their sub-folder.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use super::file_names::{list, name, natural, trailing_number};
use super::found::no_frames;
use crate::error::DataError;

/// A named folder of frames, `NAME=DIR`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Folder {
    /// Channel or label name.
    pub name: String,
    /// Folder of frames, or of one sub-folder per position.
    pub path: PathBuf,
}

/// Image files, one list per channel or label folder.
type FilesByFolder = Vec<Vec<PathBuf>>;

/// Returns the image files of every position, one list per folder.
pub(super) fn pair_positions(folders: &[&Folder]) -> Result<Vec<(String, FilesByFolder)>, DataError> {
    let mut all: Vec<BTreeMap<String, Vec<PathBuf>>> = Vec::new();
    let mut order: Vec<String> = Vec::new();
    for (i, folder) in folders.iter().enumerate() {
        let listing = list(&folder.path)?;
        if !listing.images.is_empty() && !listing.folders.is_empty() {
            return Err(DataError::Frames {
                path: folder.path.clone(),
                found: "holds frames as well as sub-folders".into(),
                expected: "either frames of one position, or one sub-folder per position".into(),
            });
        }
        let mut positions = BTreeMap::new();
        if listing.folders.is_empty() {
            // One position, named after the folder around the channels.
            let around = folders[0].path.canonicalize().ok().and_then(|p| p.parent().map(name));
            let around = around.filter(|n| !n.is_empty()).unwrap_or_else(|| "recording".into());
            positions.insert(around, listing.images);
        }
        for sub in listing.folders {
            positions.insert(name(&sub), list(&sub)?.images);
        }
        if let Some((position, _)) = positions.iter().find(|(_, images)| images.is_empty()) {
            let sub = folder.path.join(position);
            return Err(no_frames(if sub.is_dir() { &sub } else { &folder.path }));
        }
        if i == 0 {
            order = positions.keys().cloned().collect();
            order.sort_by(|a, b| natural(a, b));
        } else {
            let lacking = all[0].keys().find(|p| !positions.contains_key(*p));
            let extra = positions.keys().find(|p| !all[0].contains_key(*p));
            if let Some(position) = lacking.or(extra) {
                let verb = if lacking.is_some() { "has no" } else { "has a" };
                return Err(DataError::Frames {
                    path: folder.path.clone(),
                    found: format!("{verb} position {position}"),
                    expected: format!("the positions of {}", folders[0].name),
                });
            }
        }
        all.push(positions);
    }
    Ok(order
        .into_iter()
        .map(|position| {
            let files = all.iter_mut().map(|p| p.remove(&position).unwrap_or_default()).collect();
            (position, files)
        })
        .collect())
}

/// Returns the files of every folder by time index.
pub(super) fn pair_frames(
    folders: &[&Folder],
    files: &[Vec<PathBuf>],
    position: &str,
    warnings: &mut Vec<String>,
) -> Result<BTreeMap<usize, Vec<PathBuf>>, DataError> {
    let numbered: Option<Vec<BTreeMap<u64, &PathBuf>>> = files.iter().map(|list| numbers(list)).collect();
    let Some(numbered) = numbered else {
        return pair_by_order(folders, files);
    };
    for (folder, (list, by_number)) in folders.iter().zip(files.iter().zip(&numbered)) {
        if list.len() != by_number.len() {
            let double =
                list.iter().find(|p| trailing_number(p).is_some_and(|n| by_number.get(&n) != Some(p)));
            return Err(DataError::Frames {
                path: folder.path.clone(),
                found: format!(
                    "two files of one frame, such as {}",
                    double.map_or_else(String::new, |p| name(p))
                ),
                expected: "one file per frame, positions in sub-folders".into(),
            });
        }
    }
    let union: BTreeSet<u64> = numbered.iter().flat_map(BTreeMap::keys).copied().collect();
    for &number in &union {
        if let Some(i) = numbered.iter().position(|by_number| !by_number.contains_key(&number)) {
            let other = numbered.iter().position(|by_number| by_number.contains_key(&number)).unwrap_or(0);
            let file = numbered[other].get(&number).map_or_else(String::new, |p| name(p));
            return Err(DataError::Frames {
                path: files[i].first().and_then(|p| p.parent()).unwrap_or(&folders[i].path).to_owned(),
                found: format!("{}: frame {number} is missing", folders[i].name),
                expected: format!("one beside {file} of {}", folders[other].name),
            });
        }
    }
    let first = union.first().copied().unwrap_or(0);
    let step = union.iter().fold(0, |step, n| gcd(step, n - first)).max(1);
    let slots = union.last().map_or(0, |last| (last - first) / step + 1) as usize;
    // Numbers with wide gaps, such as time stamps, give the order of frames but do not show missing ones.
    let regular = slots <= 2 * union.len();
    if regular && slots > union.len() {
        let missing = (0..slots as u64).map(|i| first + i * step).find(|n| !union.contains(n)).unwrap_or(0);
        warnings.push(format!(
            "{position}: {} frame(s) are missing in all channels, the first is {missing}; no window crosses them",
            slots - union.len()
        ));
    }
    Ok(union
        .iter()
        .enumerate()
        .map(|(i, number)| {
            let index = if regular { ((number - first) / step) as usize } else { i };
            (index, numbered.iter().map(|by_number| by_number[number].clone()).collect())
        })
        .collect())
}

/// Pairs files whose names do not all end with a number.
fn pair_by_order(
    folders: &[&Folder],
    files: &[Vec<PathBuf>],
) -> Result<BTreeMap<usize, Vec<PathBuf>>, DataError> {
    let count = files[0].len();
    if let Some(i) = files.iter().position(|list| list.len() != count) {
        let (n, short) = (files[i].len(), count.min(files[i].len()));
        let (longer, shorter) = if n > count { (i, 0) } else { (0, i) };
        return Err(DataError::Frames {
            path: folders[shorter].path.clone(),
            found: format!(
                "{} has {short} frames, so frame {short} (from 0) is missing",
                folders[shorter].name
            ),
            expected: format!("one beside {} of {}", name(&files[longer][short]), folders[longer].name),
        });
    }
    Ok((0..count).map(|t| (t, files.iter().map(|list| list[t].clone()).collect())).collect())
}

/// Returns files by the number their names end with, or `None` where one has no number.
fn numbers(files: &[PathBuf]) -> Option<BTreeMap<u64, &PathBuf>> {
    files.iter().map(|path| Some((trailing_number(path)?, path))).collect()
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}
