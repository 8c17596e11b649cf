//! What stands where a folder of frames was expected: said as it is, since "not there" sends people looking for a path.

use std::collections::BTreeMap;
use std::path::Path;

use super::file_names::{list, name};
use crate::error::DataError;

/// What a channel or label is read from.
const FRAMES: &str = "a folder of TIFF or PNG frames, a TIFF stack or an OME-Zarr";

/// Returns the error of a path that is nothing that can be read.
pub(super) fn no_folder(path: &Path) -> DataError {
    if !path.exists() {
        return DataError::Missing { path: path.to_owned(), expected: FRAMES.into() };
    }
    let ending = path.extension().map_or_else(String::new, |e| format!(" .{}", e.to_string_lossy()));
    DataError::Unusable {
        path: path.to_owned(),
        found: format!("is a{ending} file"),
        expected: FRAMES.into(),
        hint: "save the recording as OME-TIFF or as an image sequence in the program it comes from, or convert it with \
               bioformats2raw, whose OME-Zarr is read"
            .into(),
    }
}

/// Returns the error of a folder without an image.
pub(super) fn no_frames(folder: &Path) -> DataError {
    let expected = "frames as TIFF or PNG files".to_owned();
    let listed = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let names: Vec<String> = listed.map(|e| name(&e.path())).filter(|n| !n.starts_with('.')).collect();
    if names.is_empty() {
        return DataError::Missing { path: folder.join("*.tif"), expected };
    }
    let mut endings: BTreeMap<String, usize> = BTreeMap::new();
    for file in names.iter().filter(|n| folder.join(n).is_file()) {
        let ending =
            Path::new(file).extension().map_or_else(String::new, |e| format!(".{}", e.to_string_lossy()));
        *endings.entry(ending).or_default() += 1;
    }
    // Frames that lie deeper are the usual reason.
    let below = names.iter().map(|n| folder.join(n)).filter(|sub| sub.is_dir());
    let mut below =
        below.filter(|sub| list(sub).is_ok_and(|l| !l.images.is_empty() || !l.folders.is_empty()));
    if let Some(sub) = below.next() {
        return DataError::Unusable {
            path: folder.to_owned(),
            found: format!("holds no TIFF or PNG file itself, but the folder {}", name(&sub)),
            expected,
            hint: format!("give the folders that hold the frames, as in --channel NAME={}", sub.display()),
        };
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
        hint: "export the frames as 16-bit TIFF or the recording as OME-TIFF, or convert it with bioformats2raw, whose \
               OME-Zarr is read; other files are not"
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
            [("movie.nd2", "x"), ("czi/a.czi", "x"), ("czi/b.czi", "x"), ("czi/notes.txt", "x")]
        {
            fs::create_dir_all(at(file).parent().unwrap()).unwrap();
            fs::write(at(file), text).unwrap();
        }
        fs::create_dir(at("empty")).unwrap();
        for (error, exit, part) in [
            (no_folder(&at("gone")), Exit::InputMissing, "gone is not there"),
            (
                no_folder(&at("movie.nd2")),
                Exit::BadInput,
                "movie.nd2: is a .nd2 file, expected a folder of TIFF",
            ),
            (no_frames(&at("czi")), Exit::BadInput, "czi: holds no TIFF or PNG file, but 2 .czi file(s)"),
            (no_frames(&at("empty")), Exit::InputMissing, "empty/*.tif is not there"),
        ] {
            assert_eq!(error.exit(), exit, "{error}");
            assert!(error.to_string().contains(part) && error.hint().is_some(), "{error}");
        }
        assert!(no_folder(&at("movie.nd2")).hint().unwrap().contains("bioformats2raw"));
    }
}
