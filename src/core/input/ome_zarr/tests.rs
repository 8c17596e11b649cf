//! Stores that zarrs writes, read plane by plane: in folders and zipped, with chunks of one plane and of several.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ndarray::Array4;
use rayon::prelude::*;
use serde_json::json;
use zarrs::array::{ArrayBuilder, data_type};
use zarrs::filesystem::FilesystemStore;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use super::*;
use crate::error::{Advice, Exit};
use crate::input::listing::Plane;

/// Writes an image `[t, z, y, x]` in chunks of a shape.
fn store(folder: &Path, chunks: [u64; 4]) -> Array4<u16> {
    let data = Array4::from_shape_fn((5, 3, 8, 12), |(t, z, y, x)| (1000 * t + 100 * z + 12 * y + x) as u16);
    fs::create_dir_all(folder).unwrap();
    let axes: Vec<_> = ["t", "z", "y", "x"].map(|name| json!({ "name": name })).into();
    let image = json!({ "version": "0.5", "multiscales": [{ "axes": axes, "datasets": [{ "path": "0" }] }] });
    let group = json!({ "zarr_format": 3, "node_type": "group", "attributes": { "ome": image } });
    fs::write(folder.join("zarr.json"), group.to_string()).unwrap();
    let array = ArrayBuilder::new(vec![5, 3, 8, 12], chunks, data_type::uint16(), 0_u16)
        .build(Arc::new(FilesystemStore::new(folder.join("0")).unwrap()), "/")
        .unwrap();
    array.store_metadata().unwrap();
    array.store_array_subset(&array.subset_all(), data.iter().copied().collect::<Vec<u16>>()).unwrap();
    data
}

fn expect_equal(planes: &[Plane], data: &Array4<u16>) {
    assert_eq!(planes.len(), 15);
    // As frames are read: several at once.
    planes.par_iter().for_each(|plane| {
        let (t, z) = (plane.time.unwrap() as usize / 1000, plane.z.unwrap() as usize);
        let read = plane.at.read().unwrap().counts(Path::new("a"), None).unwrap();
        assert_eq!(read, data.slice(ndarray::s![t, z, .., ..]), "{t} {z}");
    });
}

fn files(folder: &Path, below: &str, found: &mut Vec<String>) {
    for entry in fs::read_dir(folder.join(below)).unwrap().map(Result::unwrap) {
        let path = format!("{below}{}", entry.file_name().to_string_lossy());
        if entry.path().is_dir() { files(folder, &format!("{path}/"), found) } else { found.push(path) }
    }
}

/// Zips a folder, with a path before all names.
fn zipped(folder: &Path, prefix: &str, method: CompressionMethod) -> PathBuf {
    let mut names = Vec::new();
    files(folder, "", &mut names);
    let path = folder.with_extension("ozx");
    let mut zip = ZipWriter::new(File::create(&path).unwrap());
    for name in names {
        let options = SimpleFileOptions::default().compression_method(method);
        zip.start_file(format!("{prefix}{name}"), options).unwrap();
        zip.write_all(&fs::read(folder.join(&name)).unwrap()).unwrap();
    }
    zip.finish().unwrap();
    path
}

#[test]
fn chunks_of_any_shape_give_the_same_planes() {
    for chunks in [[1, 1, 8, 12], [5, 3, 8, 12], [2, 2, 5, 7], [1, 3, 8, 12], [4, 1, 8, 6]] {
        let dir = tempfile::tempdir().unwrap();
        let data = store(dir.path(), chunks);
        expect_equal(&list(dir.path(), None).unwrap().planes, &data);
    }
}

#[test]
fn a_zipped_store_is_read_as_the_folder_is() {
    for (prefix, method) in [
        ("", CompressionMethod::Stored),
        ("movie.zarr/", CompressionMethod::Stored),
        ("", CompressionMethod::Deflated),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("movie.ome.zarr");
        let data = store(&folder, [2, 1, 8, 12]);
        let zip = zipped(&folder, prefix, method);
        assert!(crate::plate::is_zipped(&zip));
        expect_equal(&list(&zip, None).unwrap().planes, &data);
    }
}

#[test]
fn a_damaged_zip_is_an_error_that_names_it() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("movie.ome.zarr");
    let data = store(&folder, [1, 1, 8, 12]);
    let zip = zipped(&folder, "", CompressionMethod::Deflated);
    let good = fs::read(&zip).unwrap();
    for cut in [0, 1, 30, good.len() / 2, good.len() - 1] {
        fs::write(&zip, &good[..cut]).unwrap();
        let error = list(&zip, None).unwrap_err();
        assert_eq!(error.exit(), Exit::BadInput);
        assert!(error.to_string().contains("movie.ome.ozx") && error.hint().is_some(), "{error}");
    }
    // A flipped byte anywhere is an error, or changes nothing that is read.
    let mut refused = 0;
    for at in (0..good.len()).step_by(7) {
        let mut bad = good.clone();
        bad[at] ^= 0x10;
        fs::write(&zip, &bad).unwrap();
        let Ok(listing) = list(&zip, None) else {
            refused += 1;
            continue;
        };
        for plane in &listing.planes {
            let (t, z) = (plane.time.unwrap() as usize / 1000, plane.z.unwrap() as usize);
            let Ok(read) = plane.at.read() else {
                refused += 1;
                continue;
            };
            let read = read.counts(&zip, None).unwrap();
            // The fill value stands where a chunk is not found under its name.
            assert!(
                read == data.slice(ndarray::s![t, z, .., ..]) || read.iter().all(|v| *v == 0),
                "byte {at}"
            );
        }
    }
    assert!(refused > 20, "{refused}");
    let other = dir.path().join("other.zip");
    let mut writer = ZipWriter::new(File::create(&other).unwrap());
    writer.start_file("a/readme.txt", SimpleFileOptions::default()).unwrap();
    writer.finish().unwrap();
    assert!(list(&other, None).unwrap_err().to_string().contains("without an OME-Zarr at its root"));
}
