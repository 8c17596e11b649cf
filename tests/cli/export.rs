//! `prepare export`: what is written is read again with equal pixels, ids and sizes; what a layout cannot hold is an error.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use lapsegan_core::plate::Plate;

use crate::support::programs::{
    check_refused, expect_nothing_left, fail, names, program, result, run_in, succeed,
};

/// A plate of the phantom with sequences that share no frame, and the folder around it.
struct Bench {
    dir: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let plate = dir.path().join("p.ome.zarr");
        let size = ["--positions", "4", "--frames-per-position", "9", "--size", "32"];
        succeed("prepare", &[&["phantom", "--output", plate.to_str().unwrap()], &size[..]].concat());
        Self { dir }
    }

    fn export(&self, format: &str, more: &[&str]) -> serde_json::Value {
        let arguments = ["export", "p.ome.zarr", "--format", format, "--output", format];
        result(&run_in(self.dir.path(), "prepare", &[&arguments[..], more].concat()))
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.dir.path().join(name)
    }
}

/// Returns all sequences of a plate by their pixels: ids by label, whatever the wells are called.
fn sequences(path: &Path, channels: &[usize]) -> BTreeMap<Vec<u16>, BTreeMap<String, Vec<u32>>> {
    let plate = Plate::open(path).unwrap();
    (0..plate.wells.len())
        .map(|i| {
            let sequence = plate.read(i).unwrap();
            let image = sequence.image.select(ndarray::Axis(1), channels);
            let labels =
                sequence.labels.iter().map(|(name, l)| (name.clone(), l.ids.iter().copied().collect()));
            (image.iter().copied().collect(), labels.collect())
        })
        .collect()
}

fn parents(path: &Path) -> BTreeSet<Vec<(u32, u32)>> {
    let plate = Plate::open(path).unwrap();
    let of = |i| plate.read(i).unwrap().labels["cells"].parents.iter().map(|(c, p)| (*c, *p)).collect();
    (0..plate.wells.len()).map(of).collect()
}

#[test]
fn exports_are_read_again_with_equal_pixels_labels_and_sizes() {
    let bench = Bench::new();
    let original = Plate::open(&bench.path("p.ome.zarr")).unwrap().meta;
    for format in ["tiff", "png", "ome-tiff", "ome-zarr-0.4", "ozx"] {
        bench.export(format, &[]);
        let input = if format == "ozx" { "ozx/plate.ozx" } else { format };
        let again = format!("{format}.again.ome.zarr");
        // PNG tells no sizes.
        let um = original.pixel_size_um.unwrap().to_string();
        let sizes: &[&str] =
            if format == "png" { &["--pixel-size", &um, "--frame-interval", "600"] } else { &[] };
        let read = [&[input, "--output", &again, "--stride", "3"], sizes].concat();
        let read = result(&run_in(bench.dir.path(), "prepare", &read));
        assert_eq!(read["sequences"], 12, "{format}");
        let (before, after) = (bench.path("p.ome.zarr"), bench.path(&again));
        assert!(sequences(&before, &[0, 1]) == sequences(&after, &[0, 1]), "{format}");
        let meta = Plate::open(&after).unwrap().meta;
        assert_eq!(meta.pixel_size_um, original.pixel_size_um, "{format}");
        assert_eq!(meta.frame_interval_s, original.frame_interval_s, "{format}");
        assert_eq!(meta.channel_names(), ["brightfield", "gfp"], "{format}");
        assert_eq!(meta.label_names(), ["cells", "structure"], "{format}");
        assert!(names(&bench.path(format)).contains(&"sequences.json".to_owned()));
    }
    for kept in ["ome-zarr-0.4", "ozx"] {
        assert_eq!(
            parents(&bench.path("p.ome.zarr")),
            parents(&bench.path(&format!("{kept}.again.ome.zarr")))
        );
    }
    assert!(!names(&bench.path("ozx")).contains(&"tree".to_owned()));
    let scratch = tempfile::tempdir().unwrap();
    let check = || {
        let mut command = program("prepare");
        command.current_dir(bench.dir.path()).env("TMPDIR", scratch.path());
        command.args(["check", "ozx/plate.ozx"]).output().unwrap()
    };
    let found = result(&check());
    let images = Plate::open(&bench.path("p.ome.zarr")).unwrap().wells.len();
    assert_eq!((&found["store"], &found["findings"]["images"]), (&"ozx/plate.ozx".into(), &images.into()));
    // One byte of pixels, which the checksum of the file in the zip names.
    let file = bench.path("ozx/plate.ozx");
    let mut bytes = std::fs::read(&file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&file, bytes).unwrap();
    check_refused(&check(), 65, &["plate.ozx/"]);
    assert!(names(scratch.path()).is_empty());
}

#[test]
fn a_data_set_of_the_challenge_keeps_tracks_and_divisions() {
    let bench = Bench::new();
    bench.export("ctc", &["--channel", "gfp"]);
    let again = ["ctc", "--output", "again.ome.zarr", "--stride", "3"];
    let read = result(&run_in(bench.dir.path(), "prepare", &again));
    assert_eq!((&read["sequences"], &read["channels"][0]["name"]), (&12.into(), &"image".into()));
    let images = |path: &str, channels: &[usize]| {
        sequences(&bench.path(path), channels).into_keys().collect::<Vec<_>>()
    };
    assert_eq!(images("p.ome.zarr", &[1]), images("again.ome.zarr", &[0]));
    let text = std::fs::read_to_string(bench.path("ctc/01_GT/TRA/man_track.txt")).unwrap();
    assert!(text.lines().all(|line| line.split(' ').count() == 4) && !text.is_empty(), "{text}");
}

#[test]
fn layouts_of_tools_hold_what_they_should() {
    let bench = Bench::new();
    let frames = 36;
    let count = |folder: &str, end: &str| {
        let path = bench.path(folder);
        if path.is_dir() { names(&path).iter().filter(|n| n.ends_with(end)).count() } else { 0 }
    };
    let result = bench.export("cellpose", &["--channel", "brightfield"]);
    assert_eq!(result["frames"], frames);
    assert_eq!(count("cellpose/train", "_masks.tif") + count("cellpose/test", "_masks.tif"), frames);
    assert_eq!(count("cellpose/train", ".tif"), 2 * count("cellpose/train", "_masks.tif"));
    bench.export("stardist", &[]);
    assert_eq!(names(&bench.path("stardist/train/images")), names(&bench.path("stardist/train/masks")));
    bench.export("nnunet", &[]);
    let root = "nnunet/Dataset001_LapseGAN";
    let dataset = std::fs::read_to_string(bench.path(&format!("{root}/dataset.json"))).unwrap();
    let dataset: serde_json::Value = serde_json::from_str(&dataset).unwrap();
    assert_eq!(dataset["numTraining"], count(&format!("{root}/labelsTr"), ".tif"));
    assert_eq!(count(&format!("{root}/imagesTr"), "_0001.tif"), count(&format!("{root}/labelsTr"), ".tif"));
    bench.export("coco", &["--split", "train"]);
    let coco = std::fs::read_to_string(bench.path("coco/annotations/instances_train.json")).unwrap();
    let coco: serde_json::Value = serde_json::from_str(&coco).unwrap();
    assert_eq!(coco["images"].as_array().unwrap().len(), count("coco/train", ".png"));
    assert!(!bench.path("coco/annotations/instances_test.json").exists());
    // Exported again over itself, but not over what somebody put there.
    for format in ["cellpose", "stardist", "nnunet", "coco"] {
        bench.export(format, &["--overwrite"]);
    }
    std::fs::write(bench.path("coco/train/notes.txt"), "mine").unwrap();
    let over = ["export", "p.ome.zarr", "--format", "coco", "--output", "coco", "--overwrite"];
    let refused = run_in(bench.dir.path(), "prepare", &over);
    crate::support::programs::check_refused(&refused, 73, &["notes.txt"]);
}

#[test]
fn what_cannot_be_exported_is_said_and_nothing_is_left() {
    let bench = Bench::new();
    let plate = bench.path("p.ome.zarr");
    let plate = plate.to_str().unwrap();
    let out = bench.path("out");
    let to = ["--output", out.to_str().unwrap()];
    let refused = |more: &[&str], code: i32, words: &[&str]| {
        fail("prepare", &[&["export", plate], &to[..], more].concat(), code, words);
        expect_nothing_left(&out);
    };
    refused(&[], 2, &["--format is missing", "cellpose"]);
    refused(&["--format", "ctc", "--channel", "gfp", "--channel", "brightfield"], 2, &["takes one"]);
    refused(&["--format", "tiff", "--channel", "rfp"], 2, &["the channels are brightfield, gfp"]);
    refused(&["--format", "tiff", "--label", "buds"], 65, &["buds", "cells"]);
    fail(
        "prepare",
        &[&["export", "gone.ome.zarr", "--format", "tiff"], &to[..]].concat(),
        66,
        &["gone.ome.zarr"],
    );
    // An id of more than 16 bits fits into TIFF, but not into layouts of 16 bits.
    let wide = bench.path("wide");
    for t in 0..9_u32 {
        let plane = ndarray::Array2::from_shape_fn((16, 16), |(y, x)| (y * 16 + x) as u16 + t as u16);
        lapsegan_core::input::tiff::write(&wide.join(format!("bf/t{t}.tif")), plane.view()).unwrap();
        let mut bytes = std::io::Cursor::new(Vec::new());
        let pixels = vec![70_000_u32; 256];
        tiff_of(&mut bytes, &pixels);
        std::fs::create_dir_all(wide.join("cells")).unwrap();
        std::fs::write(wide.join(format!("cells/t{t}.tif")), bytes.into_inner()).unwrap();
    }
    let prepared = bench.path("wide.ome.zarr");
    succeed("prepare", &[wide.to_str().unwrap(), "--output", prepared.to_str().unwrap()]);
    let arguments = ["export", prepared.to_str().unwrap(), "--format"];
    for format in ["cellpose", "ctc", "png"] {
        fail(
            "prepare",
            &[&arguments[..], &[format], &to[..]].concat(),
            65,
            &["the object id 70000", "tiff or ome-tiff"],
        );
        expect_nothing_left(&out);
    }
    succeed("prepare", &[&arguments[..], &["ome-tiff"], &to[..]].concat());
}

/// Writes a page of 16 x 16 ids of 32 bits.
fn tiff_of(bytes: &mut std::io::Cursor<Vec<u8>>, pixels: &[u32]) {
    use tiff::encoder::{TiffEncoder, colortype};
    TiffEncoder::new(bytes).unwrap().write_image::<colortype::Gray32>(16, 16, pixels).unwrap();
}
