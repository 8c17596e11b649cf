//! `prepare`: one good call of each route, and bad input of every kind.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use lapsegan_core::input::png;
use lapsegan_core::input::tiff;
use lapsegan_core::plate::digest::Digest;
use lapsegan_core::plate::{Plate, Split};
use ndarray::Array2;
use tempfile::TempDir;
use tiff_crate::encoder::{TiffEncoder, colortype};

use crate::support::programs::{check_refused, names, result, run_in};
use crate::support::small_disk::SmallDisk;

// The crate, which `lapsegan_core::input::tiff` hides here.
use ::tiff as tiff_crate;

/// A recording of two channels with labels, ten frames of 16 x 16 pixels, and a place for the output.
struct Recording {
    dir: TempDir,
}

impl Recording {
    fn new() -> Self {
        let recording = Self { dir: tempfile::tempdir().unwrap() };
        for t in 1..=10_u16 {
            let plane = Array2::from_shape_fn((16, 16), |(y, x)| 500 + 40 * t + (y * 16 + x) as u16);
            tiff::write(&recording.file("in/phase", t, "tif"), plane.view()).unwrap();
            tiff::write(&recording.file("in/gfp", t, "tif"), plane.view()).unwrap();
            let ids = Array2::from_shape_fn((16, 16), |(y, x)| u16::from(y > 4 && x > 4));
            png::write(&recording.file("in/cells", t, "png"), ids.view()).unwrap();
        }
        fs::create_dir(recording.path("out")).unwrap();
        recording
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn file(&self, folder: &str, t: u16, end: &str) -> PathBuf {
        self.path(folder).join(format!("t{t:03}.{end}"))
    }

    fn prepare(&self, more: &[&str]) -> Output {
        let mut args =
            vec!["--channel", "phase=in/phase", "--channel", "gfp=in/gfp", "--labels", "cells=in/cells"];
        args.extend(["--output", "out/p.ome.zarr"]);
        args.extend(more);
        prepare(self.dir.path(), &args)
    }

    /// Checks that the call is refused and that nothing is left, not even a hidden sibling.
    fn refused(&self, code: i32, parts: &[&str]) {
        check_refused(&self.prepare(&[]), code, parts);
        assert!(names(&self.path("out")).is_empty(), "{:?}", names(&self.path("out")));
    }
}

fn prepare(folder: &Path, args: &[&str]) -> Output {
    run_in(folder, "prepare", args)
}

#[test]
fn a_folder_of_frames_becomes_a_plate() {
    let recording = Recording::new();
    let printed = result(&recording.prepare(&["--frame-interval", "180", "--pixel-size", "0.1"]));
    let plate = Plate::open(&recording.path("out/p.ome.zarr")).unwrap();
    assert_eq!(printed["sequences"], plate.wells.len());
    assert_eq!(printed["single_movie"], true);
    assert_eq!(plate.meta.frame_interval_s, Some(180.0));
    assert!(!plate.indices(Split::Train).is_empty() && !plate.indices(Split::Test).is_empty());
    let sequence = plate.read(0).unwrap();
    assert_eq!(sequence.image[[1, 0, 0, 3]], 500 + 80 + 3);
    assert_eq!(sequence.labels["cells"].ids[[0, 9, 9]], 1);
    for side_file in ["run.json", "quality.json", "preview.png"] {
        assert!(recording.path("out/p.ome.zarr").join(side_file).is_file());
    }
    assert_eq!(printed["preview"], "out/p.ome.zarr/preview.png");
    assert_eq!(names(&recording.path("out")), ["p.ome.zarr"]);
}

#[test]
fn a_phantom_plate_is_the_same_bytes_for_the_same_seed() {
    let dir = tempfile::tempdir().unwrap();
    let phantom = |seed: &str, threads: &str, output: &str| {
        let args = [
            "phantom",
            "--positions",
            "3",
            "--frames-per-position",
            "5",
            "--seed",
            seed,
            "--threads",
            threads,
        ];
        result(&prepare(dir.path(), &[&args[..], &["--output", output]].concat()));
        Digest::of(&dir.path().join(output)).unwrap()
    };
    let (a, b, other) = (phantom("4", "1", "a/p"), phantom("4", "2", "b/p"), phantom("5", "1", "c/p"));
    assert_eq!(a, b);
    assert_ne!(a, other);
    let plate = Plate::open(&dir.path().join("a/p")).unwrap();
    assert_eq!(plate.meta.label_route(), Some("phantom_truth"));
    assert!(!plate.meta.single_movie);
}

#[test]
fn an_exported_phantom_comes_back_through_the_folder_route() {
    let dir = tempfile::tempdir().unwrap();
    let args = [
        "phantom",
        "--positions",
        "3",
        "--frames-per-position",
        "4",
        "--output",
        "p.ome.zarr",
        "--tiff",
        "raw",
        "--stride",
        "1",
    ];
    result(&prepare(dir.path(), &args));
    let mut import = vec!["--channel", "brightfield=raw/brightfield", "--channel", "gfp=raw/gfp"];
    import.extend([
        "--labels",
        "cells=raw/cells",
        "--labels",
        "structure=raw/structure",
        "--output",
        "q.ome.zarr",
    ]);
    result(&prepare(dir.path(), &import));
    let (p, q) = (
        Plate::open(&dir.path().join("p.ome.zarr")).unwrap(),
        Plate::open(&dir.path().join("q.ome.zarr")).unwrap(),
    );
    assert_eq!(p.wells.len(), q.wells.len());
    assert_eq!(p.meta.channels, q.meta.channels);
    for i in 0..p.wells.len() {
        let (a, b) = (p.read(i).unwrap(), q.read(i).unwrap());
        assert_eq!(
            (&a.image, a.meta.split, &a.meta.split_group),
            (&b.image, b.meta.split, &b.meta.split_group)
        );
        assert_eq!(a.labels["cells"].ids, b.labels["cells"].ids);
    }
}

#[test]
fn the_original_normalisation_stores_a_range_per_frame() {
    let recording = Recording::new();
    result(&recording.prepare(&["--normalise", "original"]));
    let plate = Plate::open(&recording.path("out/p.ome.zarr")).unwrap();
    let sequence = plate.read(0).unwrap();
    assert_eq!(sequence.meta.frame_ranges.as_ref().unwrap()[1], [[580.0, 835.0], [150.0, 2350.0]]);
    let normalised = sequence.normalised(&plate.meta);
    assert_eq!((normalised[[1, 0, 0, 0]], normalised[[1, 0, 15, 15]]), (0.0, 1.0));
}

#[test]
fn a_dry_run_writes_nothing() {
    let recording = Recording::new();
    let printed = result(&recording.prepare(&["--dry-run", "--set", "stride=2"]));
    assert_eq!(printed["settings"]["stride"], 2);
    assert_eq!(printed["settings"]["size"], 16);
    assert!(names(&recording.path("out")).is_empty());
}

#[test]
fn the_examples_of_the_help_page_work() {
    let help = prepare(Path::new("."), &["--help"]);
    let help = String::from_utf8(help.stdout).unwrap().replace("\\\n", " ");
    let examples: Vec<&str> = help.lines().rev().map(str::trim).take_while(|l| *l != "Examples:").collect();
    assert_eq!(examples.len(), 2);
    for example in examples {
        let dir = tempfile::tempdir().unwrap();
        let mut words: Vec<String> = example.split_whitespace().skip(1).map(str::to_owned).collect();
        let output = words.last_mut().unwrap();
        *output = dir.path().join(&*output).display().to_string();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        result(&prepare(&crate::support::root(), &words));
    }
}

#[test]
fn an_empty_or_missing_folder_is_named() {
    let recording = Recording::new();
    fs::remove_dir_all(recording.path("in/gfp")).unwrap();
    recording.refused(66, &["in/gfp is not there"]);
    fs::create_dir(recording.path("in/gfp")).unwrap();
    fs::write(recording.path("in/gfp/._t001.tif"), "").unwrap();
    recording.refused(66, &["in/gfp", "TIFF or PNG"]);
}

#[test]
fn the_first_frame_that_a_channel_lacks_is_named() {
    let recording = Recording::new();
    fs::remove_file(recording.file("in/gfp", 7, "tif")).unwrap();
    recording.refused(65, &["in/gfp", "gfp: frame 7 is missing", "t007.tif of phase"]);
}

#[test]
fn colour_images_are_refused_by_their_type() {
    let recording = Recording::new();
    let mut bytes = std::io::Cursor::new(Vec::new());
    TiffEncoder::new(&mut bytes).unwrap().write_image::<colortype::RGB8>(16, 16, &[9; 768]).unwrap();
    fs::write(recording.file("in/phase", 3, "tif"), bytes.into_inner()).unwrap();
    recording.refused(65, &["in/phase/t003.tif", "RGB colour", "unsigned grey"]);
}

#[test]
fn palette_images_are_refused_by_their_type() {
    let recording = Recording::new();
    let mut bytes = Vec::new();
    let mut encoder = ::png::Encoder::new(&mut bytes, 16, 16);
    encoder.set_color(::png::ColorType::Indexed);
    encoder.set_palette(vec![0; 9]);
    encoder.write_header().unwrap().write_image_data(&[1; 256]).unwrap();
    fs::write(recording.file("in/cells", 4, "png"), bytes).unwrap();
    recording.refused(65, &["in/cells/t004.png", "palette", "object ids"]);
}

#[test]
fn a_cut_file_is_named() {
    let recording = Recording::new();
    let path = recording.file("in/phase", 9, "tif");
    let good = fs::read(&path).unwrap();
    fs::write(&path, &good[..good.len() / 2]).unwrap();
    recording.refused(65, &["in/phase/t009.tif", "cannot be decoded"]);
}

#[test]
fn labels_of_another_size_name_both_sizes() {
    let recording = Recording::new();
    png::write(&recording.file("in/cells", 5, "png"), Array2::zeros((8, 12)).view()).unwrap();
    recording.refused(65, &["in/cells/t005.png", "12 x 8", "16 x 16"]);
}

#[test]
fn float_labels_are_refused_with_the_way_out() {
    let recording = Recording::new();
    fs::remove_dir_all(recording.path("in/cells")).unwrap();
    fs::create_dir(recording.path("in/cells")).unwrap();
    for t in 1..=10 {
        let mut bytes = std::io::Cursor::new(Vec::new());
        TiffEncoder::new(&mut bytes)
            .unwrap()
            .write_image::<colortype::Gray32Float>(16, 16, &[1.5; 256])
            .unwrap();
        fs::write(recording.file("in/cells", t, "tif"), bytes.into_inner()).unwrap();
    }
    recording.refused(65, &["in/cells/t001.tif", "floating point", "save label images as 16-bit integers"]);
}

#[test]
fn an_existing_output_is_kept_unless_told_and_somebody_elses_always() {
    let recording = Recording::new();
    let output = recording.path("out/p.ome.zarr");
    fs::create_dir(&output).unwrap();
    fs::write(output.join("mine"), "kept").unwrap();
    check_refused(&recording.prepare(&[]), 73, &["out/p.ome.zarr already exists", "--overwrite"]);
    let words = ["out/p.ome.zarr was not written by this command", "remove it yourself"];
    check_refused(&recording.prepare(&["--overwrite"]), 73, &words);
    assert_eq!(fs::read_to_string(output.join("mine")).unwrap(), "kept");
    fs::remove_dir_all(&output).unwrap();
    result(&recording.prepare(&[]));
    let before = Digest::of(&output).unwrap();
    // A run that fails changes nothing, also with --overwrite.
    let cut = recording.file("in/phase", 9, "tif");
    let good = fs::read(&cut).unwrap();
    fs::write(&cut, "II*").unwrap();
    check_refused(&recording.prepare(&["--overwrite"]), 65, &["t009.tif"]);
    assert_eq!(names(&recording.path("out")), ["p.ome.zarr"]);
    assert_eq!(Digest::of(&output).unwrap(), before);
    fs::write(&cut, good).unwrap();
    result(&recording.prepare(&["--overwrite", "--normalise", "original"]));
    assert_ne!(Digest::of(&output).unwrap(), before);
    assert_eq!(names(&recording.path("out")), ["p.ome.zarr"]);
}

#[test]
fn settings_that_make_no_sense_are_usage_errors() {
    let recording = Recording::new();
    for (args, part) in [
        (&["--size", "12"][..], "--size: is 12, expected a power of two"),
        (&["--size", "64"], "--size: is 64, expected at most 16"),
        (&["--frames", "30"], "--frames: is 30"),
        (&["--set", "stride=often"], "stride"),
        (&["--downscale", "0"], "--downscale: is 0"),
        (&["--pixel-size=-1"], "--pixel-size: is -1"),
        (&["--channel", "gfp"], "expected NAME=DIR"),
        (&["--channel", "gfp=in/gfp"], "given twice"),
    ] {
        check_refused(&recording.prepare(args), 2, &[part]);
    }
    check_refused(
        &prepare(recording.dir.path(), &["--output", "x"]),
        2,
        &["the recording is missing", "--channel phase=movie/phase"],
    );
    assert!(names(&recording.path("out")).is_empty());
}

#[test]
fn a_full_disk_leaves_nothing() {
    let Some(disk) = SmallDisk::mount(256) else { return };
    let output = disk.path().join("p.ome.zarr");
    let args = ["phantom", "--positions", "12", "--output", output.to_str().unwrap()];
    check_refused(&prepare(disk.path(), &args), 1, &["No space left", "free space"]);
    assert!(names(disk.path()).is_empty(), "{:?}", names(disk.path()));
}
