//! What a path is, found out: a folder of frames, a stack, a store, or a data set of the Cell Tracking Challenge.

use std::path::{Path, PathBuf};

use super::file_names::list;
use super::folder::{Reading, list_files, list_folder};
use super::found::no_folder;
use super::image_file::is_image;
use super::listing::Listing;
use super::names::{Entry, pattern::glob};
use super::{ctc, ome_zarr};
use crate::error::DataError;
use crate::plate::is_zipped;

/// Lists what a file, a folder, a store, or `folder/*_GFP.tif` holds.
///
/// # Errors
/// [`DataError`] saying what it is instead.
pub fn open(path: &Path, reading: &Reading) -> Result<Listing, DataError> {
    if path.is_dir() {
        if ome_zarr::is_store(path) {
            return ome_zarr::list(path, reading.series.as_deref());
        }
        if let Some(listing) = ctc::dataset(path, reading)? {
            return Ok(listing);
        }
        return list_folder(path, reading);
    }
    if is_zipped(path) {
        return ome_zarr::list(path, reading.series.as_deref());
    }
    if path.is_file() && is_image(path) {
        return list_files(path, vec![Entry { path: path.to_owned(), folder: None }], reading);
    }
    if let Some(files) = matching(path)? {
        return list_files(path, files, reading);
    }
    Err(no_folder(path))
}

/// Splits `PATH@PART` at the last `@`: the path, and the channel or label that is meant of what it holds.
pub fn split_part(text: &str) -> (&str, Option<&str>) {
    match text.rsplit_once('@') {
        Some((path, part)) if !path.is_empty() && !part.is_empty() => (path, Some(part)),
        _ => (text, None),
    }
}

/// Returns the files that a name with `*` or `?` fits, of the folder it stands in or of its sub-folders (`movie/*/c1_*`);
/// `None` where it is no such name.
fn matching(path: &Path) -> Result<Option<Vec<Entry>>, DataError> {
    let text = path.to_string_lossy().into_owned();
    if path.exists() || !text.contains(['*', '?']) {
        return Ok(None);
    }
    let (folder, file) = text.rsplit_once('/').unwrap_or((".", &text));
    let Some(fits) = glob(file) else { return Ok(None) };
    let fitting = |folder: &Path, within: Option<String>| -> Result<Vec<Entry>, DataError> {
        let images = list(folder)?.images;
        let name = |p: &PathBuf| p.file_name().is_some_and(|n| fits.is_match(&n.to_string_lossy()));
        Ok(images.into_iter().filter(name).map(|path| Entry { path, folder: within.clone() }).collect())
    };
    let mut entries = Vec::new();
    match folder.rsplit_once('/').or(if folder.contains(['*', '?']) { Some((".", folder)) } else { None }) {
        Some((above, middle)) if middle.contains(['*', '?']) => {
            let Some(fits) = glob(middle) else { return Ok(None) };
            for sub in list(Path::new(above))?.folders {
                let name = super::file_names::name(&sub);
                if fits.is_match(&name) {
                    entries.extend(fitting(&sub, Some(name))?);
                }
            }
        }
        _ => entries = fitting(Path::new(folder), None)?,
    }
    if entries.is_empty() {
        let expected = "at least one TIFF or PNG file of such a name".into();
        return Err(DataError::Missing { path: path.to_owned(), expected });
    }
    Ok(Some(entries))
}
