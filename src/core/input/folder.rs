//! Files of one folder, with one level of sub-folders or none: their names and their pages say what they show.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use rayon::prelude::*;

use super::ctc;
use super::file_names::{Listing as Files, list, name};
use super::found::no_frames;
use super::image_file::is_tiff;
use super::listing::{Listing, Plane, PlaneRef, Scale};
use super::names::{self, Entry, Named, Pattern, TimeUnit};
use super::stacks::{self, InFile, Layout, Pages};
use crate::error::DataError;

/// How files are to be read that can be read in several ways.
#[derive(Clone, Debug, Default)]
pub struct Reading {
    /// What names mean.
    pub pattern: Option<Pattern>,
    /// What pages are.
    pub pages: Option<Pages>,
    /// Which image of a store.
    pub series: Option<String>,
}

/// Lists a folder of frames, or of one sub-folder of them per position or channel.
///
/// # Errors
/// [`DataError`] naming the folder where it holds no frames, or where they cannot be told apart.
pub(super) fn list_folder(folder: &Path, reading: &Reading) -> Result<Listing, DataError> {
    let Files { images, folders } = list(folder)?;
    if !images.is_empty() && !folders.is_empty() {
        let (image, sub) = (name(&images[0]), folders[0].display());
        let ending = images[0].extension().map_or_else(String::new, |e| e.to_string_lossy().into_owned());
        return Err(DataError::Unusable {
            path: folder.to_owned(),
            found: format!("holds frames as well as sub-folders ({image}, {})", name(&folders[0])),
            expected: "either frames of one position, or one sub-folder per position".into(),
            hint: format!(
                "say which are meant: --channel NAME={sub} takes a sub-folder, --channel NAME='{}/*.{ending}' the frames beside",
                folder.display()
            ),
        });
    }
    let plain = |path| Entry { path, folder: None };
    let mut entries: Vec<Entry> = images.into_iter().map(plain).collect();
    for sub in folders {
        let images = list(&sub)?.images;
        if images.is_empty() {
            return Err(no_frames(&sub));
        }
        let within = name(&sub);
        entries.extend(images.into_iter().map(|path| Entry { path, folder: Some(within.clone()) }));
    }
    if entries.is_empty() {
        return Err(no_frames(folder));
    }
    let mut listing = list_files(folder, entries, reading)?;
    listing.parents = ctc::parents(folder, &listing)?;
    Ok(listing)
}

/// Lists files, one of which may hold all there is.
///
/// # Errors
/// As [`list_folder`].
pub(super) fn list_files(input: &Path, entries: Vec<Entry>, reading: &Reading) -> Result<Listing, DataError> {
    let layouts = layouts(&entries, reading.pages)?;
    let (entries, layouts): (Vec<Entry>, Vec<Layout>) =
        entries.into_iter().zip(layouts).filter_map(|(entry, layout)| Some((entry, layout?))).unzip();
    let mut listing = Listing::new(words(&layouts, entries.len()));
    let mut warnings = Vec::new();
    // The only file needs no name, but its name tells which frame it is.
    let alone = entries.len() == 1 && layouts[0].planes.len() > 1;
    let named = if alone {
        None
    } else {
        Some(names::read(input, &entries, reading.pattern.as_ref(), &mut warnings)?)
    };
    if let Some(named) = &named {
        listing.unit = named.unit;
        // One file has nothing that differs.
        listing.table = (entries.len() > 1).then(|| named.table.clone());
    }
    let mut places = named.map(|named| named.files).unwrap_or_default().into_iter().peekable();
    for (entry, layout) in entries.iter().zip(layouts) {
        let named = places.next_if(|named| named.path == entry.path);
        if named.is_none() && !alone {
            // It is not as the pattern says.
            continue;
        }
        add(input, named.as_ref(), entry, layout, &mut listing)?;
    }
    listing.warnings.splice(0..0, warnings);
    Ok(listing)
}

/// Reads what the pages of all files show; `None` for files of a set that another one described.
fn layouts(entries: &[Entry], pages: Option<Pages>) -> Result<Vec<Option<Layout>>, DataError> {
    let read = |entry: &Entry| {
        if is_tiff(&entry.path) {
            stacks::layout(&entry.path, pages, None)
        } else {
            Ok(Some(single(&entry.path)))
        }
    };
    let quick: Vec<Result<Option<Layout>, DataError>> = entries.par_iter().map(read).collect();
    // Sets of files are followed one after the other.
    let mut files = stacks::Files::default();
    entries
        .iter()
        .zip(quick)
        .map(|(entry, layout)| match layout? {
            Some(layout) => Ok(Some(layout)),
            None if files.used(&entry.path) => Ok(None),
            None => stacks::layout(&entry.path, pages, Some(&mut files)),
        })
        .collect()
}

/// Returns the layout of a file with one image that says nothing of itself.
fn single(path: &Path) -> Layout {
    let plane = InFile {
        file: Arc::from(path),
        page: super::tiff::Page::Only,
        number: 0,
        pages: 1,
        series: None,
        channel: None,
        z: None,
        t: None,
        clock_ms: None,
    };
    Layout { what: "PNG image", planes: vec![plane], ..Layout::default() }
}

/// Adds the planes of a file, where its name and its pages tell where they are.
fn add(
    input: &Path,
    named: Option<&Named>,
    entry: &Entry,
    layout: Layout,
    listing: &mut Listing,
) -> Result<(), DataError> {
    let twice = |axis: &str, of_name: bool, in_file: bool, flag: &str| {
        if !(of_name && in_file) {
            return Ok(());
        }
        Err(DataError::Unusable {
            path: input.to_owned(),
            found: format!(
                "has {axis} in the names of its files as well as in their pages, such as {}",
                name(&entry.path)
            ),
            expected: "one or the other".into(),
            hint: format!("say what pages and names are{flag}, or give one file at a time"),
        })
    };
    let several = |of: fn(&InFile) -> bool| layout.planes.len() > 1 && layout.planes.iter().any(of);
    let of_name = |of: fn(&Named) -> bool| named.is_some_and(of);
    twice(
        "times",
        of_name(|n| n.time.is_some()) && listing.table.is_some(),
        several(|p| p.t.is_some()),
        ", with --pages z or --pattern",
    )?;
    twice(
        "focal planes",
        of_name(|n| n.z.is_some()),
        several(|p| p.z.is_some()),
        ", with --pages t or --pattern",
    )?;
    let channels: BTreeSet<&String> = layout.planes.iter().filter_map(|p| p.channel.as_ref()).collect();
    twice("channels", of_name(|n| n.channel.is_some()), channels.len() > 1, ", with --pattern")?;
    let in_file_time = several(|p| p.t.is_some());
    for plane in &layout.planes {
        let position = match (named.and_then(|n| n.position.clone()), plane.series.clone()) {
            (Some(of_name), Some(series)) => Some(format!("{of_name}_{series}")),
            (of_name, series) => of_name.or(series),
        };
        let at = match plane.page {
            page if plane.pages > 1 => PlaneRef::page(plane.file.clone(), page, plane.number),
            _ => PlaneRef::file(&plane.file),
        };
        listing.planes.push(Plane {
            position,
            channel: named.and_then(|n| n.channel.clone()).or_else(|| plane.channel.clone()),
            z: named.and_then(|n| n.z).or(plane.z),
            time: if in_file_time { plane.t.map(|t| 1000 * t) } else { named.and_then(|n| n.time) },
            clock_ms: named.and_then(|n| n.clock_ms).or(plane.clock_ms),
            at,
        });
    }
    if in_file_time {
        listing.unit = TimeUnit::Frames;
    }
    let Layout { channels, colors, scale, notes, warnings, .. } = layout;
    for channel in channels {
        if !listing.channels.contains(&channel) {
            listing.channels.push(channel);
        }
    }
    listing.colors.extend(colors);
    merge_scale(entry, scale, listing);
    // What holds of every file is said once.
    if listing.notes.is_empty() {
        listing.notes.extend(notes);
    }
    listing.warnings.extend(warnings);
    Ok(())
}

/// Takes the sizes that a file tells; what contradicts the first file is said once.
fn merge_scale(entry: &Entry, scale: Scale, listing: &mut Listing) {
    for (what, mine, theirs) in [
        ("pixel size", &mut listing.scale.pixel_size_um, scale.pixel_size_um),
        ("time between frames", &mut listing.scale.frame_interval_s, scale.frame_interval_s),
    ] {
        match (*mine, theirs) {
            (None, _) => *mine = theirs,
            (Some(a), Some(b)) if (a - b).abs() > 1e-3 * a => {
                let said = |w: &String| w.contains("than the files before");
                if !listing.warnings.iter().any(said) {
                    listing.warnings.push(format!(
                        "{} tells another {what} ({b}) than the files before it ({a})",
                        entry.path.display()
                    ));
                }
            }
            _ => {}
        }
    }
}

/// Returns what the files are in words.
fn words(layouts: &[Layout], files: usize) -> String {
    let kinds: BTreeSet<&str> = layouts.iter().map(|l| l.what).collect();
    let kind = kinds.into_iter().collect::<Vec<_>>().join(" and ");
    let planes: usize = layouts.iter().map(|l| l.planes.len()).sum();
    match (files, planes) {
        (1, 1) => kind,
        (1, n) => format!("{kind} of {n} planes"),
        (files, planes) if files == planes => format!("{files} files ({kind})"),
        (files, planes) => format!("{files} files ({kind}) of {planes} planes"),
    }
}
