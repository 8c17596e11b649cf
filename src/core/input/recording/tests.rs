//! Recordings of small files, opened and loaded.

use std::path::Path;

use super::*;
use crate::input::{png, tiff};

fn folder(name: &str, path: PathBuf) -> Input {
    Input { name: name.into(), path, part: None }
}

fn frames(dir: &Path, numbers: &[usize], size: (usize, usize)) -> PathBuf {
    for &n in numbers {
        let plane = Array2::from_shape_fn(size, |(y, x)| (1000 * n + 10 * y + x) as u16);
        tiff::write(&dir.join(format!("t{n:03}.tif")), plane.view()).unwrap();
    }
    dir.to_owned()
}

#[test]
fn binned_channels_come_to_one_grid() {
    let dir = tempfile::tempdir().unwrap();
    let phase = folder("phase", frames(&dir.path().join("phase"), &[9, 10, 11], (8, 8)));
    let gfp = folder("gfp", frames(&dir.path().join("gfp"), &[9, 10, 11], (4, 4)));
    let cells = dir.path().join("cells");
    for n in 9..12 {
        png::write(&cells.join(format!("m{n}.png")), Array2::from_elem((8, 8), n as u16).view()).unwrap();
    }
    let recording = Recording::open(
        &[phase, gfp],
        &[folder("cells", cells)],
        &Options { downscale: 2, ..Options::default() },
    )
    .unwrap();
    assert_eq!(recording.extent().size, (4, 4));
    let loaded = recording.load(0, 0..3, None).unwrap();
    assert_eq!(loaded.image[[1, 1, 2, 3]], 10_023);
    assert_eq!(loaded.image[[1, 0, 2, 3]], 10_052); // 10,051.5 rounded
    assert_eq!(loaded.labels["cells"][[2, 0, 0]], 11);
    assert_eq!(recording.notes.len(), 2);
    assert!(recording.describe(0, 0..3).ends_with("/t009.tif..t011.tif"));
}

#[test]
fn the_first_missing_frame_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let a = folder("phase", frames(&dir.path().join("a"), &[1, 2, 3, 4], (4, 4)));
    let b = folder("gfp", frames(&dir.path().join("b"), &[1, 2, 4], (4, 4)));
    let error = Recording::open(&[a.clone(), b.clone()], &[], &Options::default()).unwrap_err().to_string();
    assert!(error.contains("gfp: frame 3 is missing, expected one beside t003.tif of phase"), "{error}");
    let error = Recording::open(&[b, a], &[], &Options::default()).unwrap_err().to_string();
    assert!(error.contains("gfp: frame 3 is missing"), "{error}");
}

#[test]
fn a_folder_given_under_two_names_is_pointed_out() {
    let dir = tempfile::tempdir().unwrap();
    let a = frames(&dir.path().join("a"), &[1, 2], (4, 4));
    let [bf, gfp, cells] = ["bf", "gfp", "cells"].map(|name| folder(name, a.clone()));
    let b = folder("rfp", frames(&dir.path().join("b"), &[1, 2], (4, 4)));
    let recording =
        Recording::open(&[bf.clone(), gfp], std::slice::from_ref(&cells), &Options::default()).unwrap();
    let expected =
        ["channel bf and channel gfp are the same folder", "channel bf and labels cells are the same folder"];
    assert_eq!(recording.warnings, expected);
    assert_eq!(Recording::open(&[bf, b], &[], &Options::default()).unwrap().warnings, [""; 0]);
}

#[test]
fn a_frame_missing_everywhere_splits_the_run() {
    let dir = tempfile::tempdir().unwrap();
    let a = folder("phase", frames(&dir.path().join("a"), &[10, 20, 40, 50], (4, 4)));
    let recording = Recording::open(&[a], &[], &Options::default()).unwrap();
    assert_eq!(recording.extent().positions[0].1, [0..2, 3..5]);
    assert!(recording.warnings[0].contains("the first is 30"), "{:?}", recording.warnings);
}

#[test]
fn positions_are_sub_folders_and_must_be_in_every_channel() {
    let dir = tempfile::tempdir().unwrap();
    for (channel, positions) in [("bf", &["p1", "p2", "p10"][..]), ("gfp", &["p1", "p2"])] {
        for p in positions {
            frames(&dir.path().join(channel).join(p), &[1, 2], (4, 4));
        }
    }
    let (bf, gfp) = (folder("bf", dir.path().join("bf")), folder("gfp", dir.path().join("gfp")));
    let recording = Recording::open(std::slice::from_ref(&bf), &[], &Options::default()).unwrap();
    let names: Vec<String> = recording.extent().positions.into_iter().map(|p| p.0).collect();
    assert_eq!(names, ["p1", "p2", "p10"]);
    let error = Recording::open(&[bf, gfp], &[], &Options::default()).unwrap_err().to_string();
    assert!(error.contains("has no position p10"), "{error}");
}

#[test]
fn sizes_that_do_not_go_together_name_both() {
    let dir = tempfile::tempdir().unwrap();
    let a = folder("phase", frames(&dir.path().join("a"), &[1], (9, 9)));
    let b = folder("gfp", frames(&dir.path().join("b"), &[1], (4, 4)));
    let error = Recording::open(&[a.clone(), b.clone()], &[], &Options::default()).unwrap_err().to_string();
    assert!(error.contains("4 x 4") && error.contains("9 x 9"), "{error}");
    let error = Recording::open(&[a], &[b], &Options::default()).unwrap_err().to_string();
    assert!(error.contains("4 x 4") && error.contains("9 x 9"), "{error}");
}
