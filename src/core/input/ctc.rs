//! Data sets of the Cell Tracking Challenge: `01/t000.tif`, `01_GT/TRA/man_track000.tif` with `man_track.txt`.
//!
//! A line of `man_track.txt` is a track: its id, its first and last frame, and its parent's id, or 0.
//! <https://public.celltrackingchallenge.net/documents/Naming%20and%20file%20content%20conventions.pdf>

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::file_names::{list_folders, name};
use super::folder::{Reading, list_folder};
use super::listing::Listing;
use crate::error::DataError;
use crate::side_file;

/// Name of the label that the tracks of a data set become.
const LABEL: &str = "cells";
/// Channel names by the beginning of a data set's name.
const CHANNELS: [(&str, &str); 4] =
    [("Fluo-", "fluorescence"), ("PhC-", "phase"), ("DIC-", "dic"), ("BF-", "brightfield")];

/// Lists a whole data set, its sequences as positions, its tracks as labels; `None` for other folders.
///
/// # Errors
/// [`DataError`] naming the file that is wrong.
pub(super) fn dataset(folder: &Path, reading: &Reading) -> Result<Option<Listing>, DataError> {
    let sequences: Vec<PathBuf> = list_folders(folder)?
        .into_iter()
        .filter(|sub| {
            let name = name(sub);
            name.len() == 2 && name.bytes().all(|b| b.is_ascii_digit())
        })
        .filter(|sub| ["GT", "ST", "RES"].iter().any(|end| beside(sub, end).is_dir()))
        .collect();
    if sequences.is_empty() {
        return Ok(None);
    }
    let mut listing =
        Listing::new(format!("Cell Tracking Challenge data set of {} sequence(s)", sequences.len()));
    let around = folder.canonicalize().map_or_else(|_| name(folder), |path| name(&path));
    let channel =
        CHANNELS.iter().find(|(start, _)| around.starts_with(start)).map_or("image", |(_, name)| name);
    listing.channels.push(channel.to_owned());
    let mut tracks = Listing::new("tracks of the Cell Tracking Challenge");
    let mut without = Vec::new();
    for sequence in &sequences {
        let position = Some(name(sequence));
        let frames = list_folder(sequence, reading)?;
        listing.scale = frames.scale;
        listing.unit = frames.unit;
        listing.warnings.extend(frames.warnings);
        for mut plane in frames.planes {
            (plane.position, plane.channel) = (position.clone(), Some(channel.to_owned()));
            listing.planes.push(plane);
        }
        let found = [beside(sequence, "GT").join("TRA"), beside(sequence, "RES")]
            .into_iter()
            .find(|tra| tra.is_dir());
        let Some(folder) = found else {
            without.push(name(sequence));
            continue;
        };
        let labels = list_folder(&folder, &Reading::default())?;
        tracks.unit = labels.unit;
        tracks.parents.insert(position.clone(), labels.parents.into_values().flatten().collect());
        for mut plane in labels.planes {
            plane.position.clone_from(&position);
            tracks.planes.push(plane);
        }
    }
    if tracks.planes.is_empty() {
        listing.notes.push(format!("{}: no tracks (TRA); give labels with --labels", folder.display()));
    } else {
        if !without.is_empty() {
            listing.warnings.push(format!(
                "{}: sequence(s) {} have no tracks (TRA)",
                folder.display(),
                without.join(", ")
            ));
        }
        listing.notes.push(format!(
            "{}: labels {LABEL} are the tracks (TRA); --labels {LABEL}={}/01_GT/SEG takes the outlines, which mostly are \
             sparse (--missing skip)",
            folder.display(),
            folder.display()
        ));
        listing.labels.insert(LABEL.to_owned(), tracks);
    }
    Ok(Some(listing))
}

/// Returns `01_GT` of `01`.
fn beside(sequence: &Path, end: &str) -> PathBuf {
    sequence.with_file_name(format!("{}_{end}", name(sequence)))
}

/// Returns child and parent ids by position, where a list of tracks lies beside label images.
pub(super) fn parents(
    folder: &Path,
    listing: &Listing,
) -> Result<BTreeMap<Option<String>, BTreeMap<u32, u32>>, DataError> {
    let Some(parents) = parents_in(folder)? else { return Ok(BTreeMap::new()) };
    let positions = listing.planes.iter().map(|p| p.position.clone());
    Ok(positions.map(|position| (position, parents.clone())).collect())
}

/// Returns child and parent ids of the list of tracks in a folder of label images; `None` where there is none.
///
/// # Errors
/// [`DataError`] naming the line that cannot be used.
pub fn parents_in(folder: &Path) -> Result<Option<BTreeMap<u32, u32>>, DataError> {
    let files = ["man_track.txt", "res_track.txt"].map(|n| folder.join(n));
    files.into_iter().find(|file| file.is_file()).map(|file| read_tracks(&file)).transpose()
}

/// Reads a list of tracks.
fn read_tracks(file: &Path) -> Result<BTreeMap<u32, u32>, DataError> {
    let bytes = side_file::read(file, side_file::SHEET)?;
    let text = String::from_utf8_lossy(&bytes);
    let wrong = |line: usize, found: String| {
        DataError::Unusable {
        path: file.to_owned(),
        found: format!("line {line}: {found}"),
        expected: "four numbers: id, first frame, last frame, parent's id or 0".into(),
        hint: "see the naming conventions of the Cell Tracking Challenge; without the file, ids are read all the same"
            .into(),
    }
    };
    let mut tracks: BTreeMap<u32, [u32; 3]> = BTreeMap::new();
    let mut lines: BTreeMap<u32, usize> = BTreeMap::new();
    for (i, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let numbers: Vec<Option<u32>> = line.split_whitespace().map(|n| n.parse().ok()).collect();
        let [Some(id), Some(begin), Some(end), Some(parent)] = numbers[..] else {
            return Err(wrong(i + 1, format!("`{:.60}`", line.trim())));
        };
        if id == 0 || begin > end {
            return Err(wrong(
                i + 1,
                format!("`{line:.60}`, with an id of 0 or an end before the beginning"),
            ));
        }
        if let Some(other) = lines.insert(id, i + 1) {
            return Err(wrong(i + 1, format!("track {id} is there already, in line {other}")));
        }
        tracks.insert(id, [begin, end, parent]);
    }
    let mut parents = BTreeMap::new();
    for (id, [begin, _, parent]) in &tracks {
        if *parent == 0 {
            continue;
        }
        match tracks.get(parent) {
            Some([_, end, _]) if end < begin => {
                parents.insert(*id, *parent);
            }
            Some(_) => {
                return Err(wrong(lines[id], format!("track {id} begins before its parent {parent} ends")));
            }
            None => return Err(wrong(lines[id], format!("the parent {parent} of track {id} is no track"))),
        }
    }
    Ok(parents)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::{Advice, Exit};

    #[test]
    fn tracks_tell_parents() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("man_track.txt");
        let read = |text: &str| {
            std::fs::write(&file, text).unwrap();
            read_tracks(&file)
        };
        assert_eq!(read("1 0 3 0\r\n2 4 8 1\n\n3 4 8 1\n").unwrap(), BTreeMap::from([(2, 1), (3, 1)]));
        assert_eq!(read("").unwrap(), BTreeMap::new());
        for (text, part) in [
            ("1 0 3\n", "line 1: `1 0 3`, expected four numbers"),
            ("1 0 x 0\n", "line 1"),
            ("1 3 0 0\n", "an end before the beginning"),
            ("1 0 3 0\n1 4 5 0\n", "line 2: track 1 is there already, in line 1"),
            ("1 0 3 7\n", "the parent 7 of track 1 is no track"),
            ("1 0 3 0\n2 2 4 1\n", "line 2: track 2 begins before its parent 1 ends"),
            ("99999999999 0 1 0\n", "line 1"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.to_string().contains(part) && error.hint().is_some(), "{text}: {error}");
            assert_eq!(error.exit(), Exit::BadInput);
        }
    }
}
