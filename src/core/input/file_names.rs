//! Images and sub-folders of a folder in natural order (`t2` before `t10`), without files of the operating system.

use std::cmp::Ordering;
use std::path::{Path, PathBuf};

use crate::error::DataError;
use crate::input::found::no_folder;
use crate::input::image_file::is_image;

/// What a folder holds, each in natural order.
#[derive(Clone, Debug, Default)]
pub(super) struct Listing {
    /// Image files.
    pub(super) images: Vec<PathBuf>,
    /// Sub-folders.
    pub(super) folders: Vec<PathBuf>,
}

/// Lists images and sub-folders; hidden files, macOS resource forks and thumbnail caches are passed over.
pub(super) fn list(folder: &Path) -> Result<Listing, DataError> {
    if !folder.is_dir() {
        return Err(no_folder(folder));
    }
    let mut listing = Listing::default();
    for entry in std::fs::read_dir(folder).map_err(DataError::read(folder))? {
        let path = entry.map_err(DataError::read(folder))?.path();
        if name(&path).starts_with('.') {
            continue;
        }
        if path.is_dir() {
            listing.folders.push(path);
        } else if is_image(&path) && !is_thumbnail(&path) {
            listing.images.push(path);
        }
    }
    listing.images.sort_by(|a, b| natural(&name(a), &name(b)));
    listing.folders.sort_by(|a, b| natural(&name(a), &name(b)));
    Ok(listing)
}

/// Returns whether a file is the small copy that MetaMorph puts beside an image.
fn is_thumbnail(path: &Path) -> bool {
    path.file_stem().is_some_and(|stem| stem.to_string_lossy().to_lowercase().ends_with("_thumb"))
}

/// Returns the sub-folders of a folder in natural order, hidden ones passed over.
pub(crate) fn list_folders(folder: &Path) -> Result<Vec<PathBuf>, DataError> {
    Ok(list(folder)?.folders)
}

/// Returns the last part of a path as text.
pub(crate) fn name(path: &Path) -> String {
    path.file_name().map_or_else(String::new, |n| n.to_string_lossy().into_owned())
}

/// Compares names with runs of digits as numbers.
pub(super) fn natural(a: &str, b: &str) -> Ordering {
    let (mut a_rest, mut b_rest) = (a, b);
    loop {
        let (a_head, a_tail) = chunk(a_rest);
        let (b_head, b_tail) = chunk(b_rest);
        if a_head.is_empty() || b_head.is_empty() {
            // Equal up to leading zeros: the plain order makes it unique.
            return a_head.len().cmp(&b_head.len()).then_with(|| a.cmp(b));
        }
        let digits = |s: &str| s.starts_with(|c: char| c.is_ascii_digit());
        let order = if digits(a_head) && digits(b_head) {
            let (x, y) = (a_head.trim_start_matches('0'), b_head.trim_start_matches('0'));
            x.len().cmp(&y.len()).then_with(|| x.cmp(y))
        } else {
            a_head.cmp(b_head)
        };
        if order != Ordering::Equal {
            return order;
        }
        (a_rest, b_rest) = (a_tail, b_tail);
    }
}

/// Splits off the first run of digits or of other characters.
fn chunk(text: &str) -> (&str, &str) {
    let digits = text.starts_with(|c: char| c.is_ascii_digit());
    let end = text.find(|c: char| c.is_ascii_digit() != digits).unwrap_or(text.len());
    text.split_at(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_in_names_are_compared_as_numbers() {
        let mut names = vec!["t10.tif", "t2.tif", "T1.tif", "t02.tif", "t2b.tif", "t1.tif", "a"];
        names.sort_by(|a, b| natural(a, b));
        assert_eq!(names, ["T1.tif", "a", "t1.tif", "t02.tif", "t2.tif", "t2b.tif", "t10.tif"]);
    }

    #[test]
    fn what_the_system_put_there_is_passed_over() {
        let dir = tempfile::tempdir().unwrap();
        for file in [
            "t1.tif",
            "t2.TIFF",
            "._t1.tif",
            ".DS_Store",
            "Thumbs.db",
            "notes.txt",
            "t1_thumb.TIF",
            "with space 3.png",
        ] {
            std::fs::write(dir.path().join(file), "").unwrap();
        }
        std::fs::create_dir(dir.path().join(".git")).unwrap();
        let listing = list(dir.path()).unwrap();
        let names: Vec<String> = listing.images.iter().map(|p| name(p)).collect();
        assert_eq!(names, ["t1.tif", "t2.TIFF", "with space 3.png"]);
        assert!(listing.folders.is_empty());
    }
}
