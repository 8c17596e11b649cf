//! What stands where a folder of frames was expected: said as it is, since "not there" sends people looking for a path.

use std::collections::BTreeMap;
use std::path::Path;

use super::file_names::name;
use super::image_file::is_image;
use crate::error::DataError;

/// What a channel or label is read from.
const FRAMES: &str = "a folder of TIFF or PNG frames, or of one sub-folder of them per position";

/// Returns the error of a path that is no folder.
pub(super) fn no_folder(path: &Path) -> DataError {
    if !path.exists() {
        return DataError::Missing { path: path.to_owned(), expected: FRAMES.into() };
    }
    let hint = if is_image(path) {
        "give the folder around it; a stack of frames is to be saved as an image sequence first (Fiji: File > Save As > \
         Image Sequence), one file per frame"
    } else {
        "save the recording as TIFF or PNG files, one per frame and channel, and give their folder"
    };
    DataError::Unusable {
        path: path.to_owned(),
        found: "is a file".into(),
        expected: FRAMES.into(),
        hint: hint.into(),
    }
}

/// Returns the error of a folder without an image.
pub(super) fn no_frames(folder: &Path) -> DataError {
    let expected = "frames as TIFF or PNG files".to_owned();
    let listed = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let names: Vec<String> = listed.map(|e| name(&e.path())).filter(|n| !n.starts_with('.')).collect();
    let zarr = ["zarr.json", ".zattrs", ".zgroup", ".zarray"].iter().any(|n| folder.join(n).is_file());
    if zarr {
        return DataError::Unusable {
            path: folder.to_owned(),
            found: "is an OME-Zarr, or a part of one".into(),
            expected,
            hint: "OME-Zarr is not read yet; save its frames as TIFF files, one per frame and channel".into(),
        };
    }
    if names.is_empty() {
        return DataError::Missing { path: folder.join("*.tif"), expected };
    }
    let mut endings: BTreeMap<String, usize> = BTreeMap::new();
    for file in names.iter().filter(|n| folder.join(n).is_file()) {
        let ending =
            Path::new(file).extension().map_or_else(String::new, |e| format!(".{}", e.to_string_lossy()));
        *endings.entry(ending).or_default() += 1;
    }
    let most = endings.iter().max_by_key(|(_, n)| **n);
    let found = match most {
        Some((ending, n)) if ending.is_empty() => {
            format!("holds no image, but {n} file(s) without an ending")
        }
        Some((ending, n)) => format!("holds no TIFF or PNG file, but {n} {ending} file(s)"),
        None => format!("holds no image, but {} folder(s) within folders", names.len()),
    };
    DataError::Unusable {
        path: folder.to_owned(),
        found,
        expected,
        hint: "export the frames as 16-bit TIFF, one file per frame and channel; other files are not read"
            .into(),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::error::{Advice, Exit};

    #[test]
    fn it_is_said_what_was_found() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        for (file, text) in
            [("movie.tif", "x"), ("czi/a.czi", "x"), ("czi/b.czi", "x"), ("czi/notes.txt", "x")]
        {
            fs::create_dir_all(at(file).parent().unwrap()).unwrap();
            fs::write(at(file), text).unwrap();
        }
        fs::create_dir_all(at("img.ome.zarr/s0")).unwrap();
        fs::write(at("img.ome.zarr/zarr.json"), "{}").unwrap();
        fs::create_dir(at("empty")).unwrap();
        for (error, exit, part) in [
            (no_folder(&at("gone")), Exit::InputMissing, "gone is not there"),
            (no_folder(&at("movie.tif")), Exit::BadInput, "movie.tif: is a file, expected a folder of TIFF"),
            (no_frames(&at("czi")), Exit::BadInput, "czi: holds no TIFF or PNG file, but 2 .czi file(s)"),
            (no_frames(&at("img.ome.zarr")), Exit::BadInput, "img.ome.zarr: is an OME-Zarr"),
            (no_frames(&at("empty")), Exit::InputMissing, "empty/*.tif is not there"),
        ] {
            assert_eq!(error.exit(), exit, "{error}");
            assert!(error.to_string().contains(part) && error.hint().is_some(), "{error}");
        }
        assert!(no_folder(&at("movie.tif")).hint().unwrap().contains("image sequence"));
    }
}
