//! `prepare` looks at label images: what they hold, what makes one doubt them, and masks or untracked ids as tracks.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use lapsegan_core::input::{png, tiff};
use lapsegan_core::plate::Plate;
use lapsegan_core::plate::digest::Digest;
use ndarray::Array2;
use serde_json::Value;
use tempfile::TempDir;

use crate::support::programs::{check_refused, names, result, run_in, stderr};

const SIDE: usize = 32;
const FRAMES: usize = 12;

/// A recording of one channel, and labels as a test draws them.
struct Recording {
    dir: TempDir,
}

impl Recording {
    fn new(draw: impl Fn(usize) -> Array2<u16>) -> Self {
        let recording = Self { dir: tempfile::tempdir().unwrap() };
        for t in 0..FRAMES {
            tiff::write(&recording.path(&format!("phase/t{t:02}.tif")), image(t).view()).unwrap();
        }
        recording.draw("cells", draw);
        recording
    }

    fn draw(&self, name: &str, draw: impl Fn(usize) -> Array2<u16>) {
        for t in 0..FRAMES {
            png::write(&self.path(&format!("{name}/t{t:02}.png")), draw(t).view()).unwrap();
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn run(&self, more: &[&str]) -> std::process::Output {
        let mut args = vec!["--channel", "phase=phase", "--labels", "cells=cells", "--output", "p.ome.zarr"];
        args.extend(["--overwrite", "--block", "12"]);
        args.extend(more);
        run_in(self.dir.path(), "prepare", &args)
    }

    /// Prepares, and returns the warnings on labels; each is on stderr as well.
    fn doubts(&self, more: &[&str]) -> Vec<String> {
        let output = self.run(more);
        doubts(&result(&output), &stderr(&output))
    }

    fn plate(&self) -> Plate {
        Plate::open(&self.path("p.ome.zarr")).unwrap()
    }
}

fn doubts(printed: &Value, stderr: &str) -> Vec<String> {
    let all = printed["warnings"].as_array().unwrap().iter().map(|w| w.as_str().unwrap().to_owned());
    let doubts: Vec<String> = all.filter(|w| w.starts_with("labels ")).collect();
    for doubt in &doubts {
        assert!(stderr.contains(doubt), "not on stderr: {doubt}");
    }
    doubts
}

fn image(t: usize) -> Array2<u16> {
    Array2::from_shape_fn((SIDE, SIDE), |(y, x)| (400 + 37 * t + (y * 131 + x * 57) % 811) as u16)
}

/// Returns which of three discs, which move by a pixel a frame, covers a pixel: 1, 2, 3 or none.
fn disc(t: usize, y: usize, x: usize) -> u16 {
    let centres = [(7, 6 + t / 2), (8, 25 - t / 3), (24, 9 + t / 2)];
    let inside = |&(cy, cx): &(usize, usize)| y.abs_diff(cy).pow(2) + x.abs_diff(cx).pow(2) <= 16;
    centres.iter().position(inside).map_or(0, |i| i as u16 + 1)
}

/// Draws the discs, each with the number that `id` gives it.
fn discs(t: usize, id: impl Fn(u16) -> u16) -> Array2<u16> {
    Array2::from_shape_fn((SIDE, SIDE), |(y, x)| match disc(t, y, x) {
        0 => 0,
        n => id(n),
    })
}

/// Numbers that change in every frame.
fn shuffled(t: usize, n: u16) -> u16 {
    (n + t as u16) % 3 + 1
}

fn expect_one(doubts: &[String], parts: &[&str]) {
    assert_eq!(doubts.len(), 1, "{doubts:?}");
    for part in parts {
        assert!(doubts[0].contains(part), "`{part}` not in {doubts:?}");
    }
}

#[test]
fn what_labels_hold_is_told_on_both_streams_and_in_the_plate() {
    let recording = Recording::new(|t| discs(t, |n| if t < 10 { n } else { 0 }));
    let output = recording.run(&[]);
    let (printed, text) = (result(&output), stderr(&output));
    assert_eq!(doubts(&printed, &text), Vec::<String>::new());
    let survey = &printed["label_survey"][0];
    assert_eq!(survey["objects_per_frame"], serde_json::json!({ "min": 0, "median": 3, "max": 3 }));
    assert_eq!(survey["object_px"], serde_json::json!({ "p5": 49, "median": 49, "p95": 49 }));
    assert_eq!(
        (&survey["ids"], &survey["tracks"], &survey["frames_without_objects"]),
        (&3.into(), &3.into(), &2.into())
    );
    assert!((survey["coverage"].as_f64().unwrap() - 30.0 * 49.0 / (12.0 * 1024.0)).abs() < 1e-9);
    assert!(text.contains("labels cells: 0 to 3 objects a frame, median 3; 49 to 49 px"), "{text}");
    let quality = fs::read_to_string(recording.path("p.ome.zarr/quality.json")).unwrap();
    let quality: Value = serde_json::from_str(&quality).unwrap();
    assert_eq!(quality["labels"], printed["label_survey"]);
}

#[test]
fn good_labels_are_not_doubted() {
    let dir = tempfile::tempdir().unwrap();
    let root = crate::support::root().join("test-data/recording");
    let folder = |name: &str| format!("{name}={}", root.join(name).display());
    let recording = ["--channel", &folder("brightfield"), "--labels", &folder("cells"), "--output", "r"];
    let phantom = ["phantom", "--positions", "6", "--frames-per-position", "12", "--output", "p"];
    for args in [&recording[..], &phantom] {
        let output = run_in(dir.path(), "prepare", args);
        assert_eq!(doubts(&result(&output), &stderr(&output)), Vec::<String>::new());
    }
}

#[test]
fn a_binary_mask_is_noticed_and_its_pieces_become_tracks() {
    let recording = Recording::new(|t| discs(t, |_| 255));
    expect_one(&recording.doubts(&[]), &["a binary mask?", "hint: --labels-are binary"]);

    let output = recording.run(&["--labels-are", "binary"]);
    let (printed, text) = (result(&output), stderr(&output));
    assert_eq!(doubts(&printed, &text), Vec::<String>::new());
    let note = "labels cells were given as binary: the pieces of each frame's foreground became objects";
    assert!(text.contains(note) && printed["notes"][0].as_str().unwrap().starts_with(note), "{text}");
    let plate = recording.plate();
    assert!(
        plate.meta.notes[0].contains("linked from frame to frame to 3 tracks with 0 divisions"),
        "{:?}",
        plate.meta.notes
    );
    expect_discs_as_tracks(&plate);
    let settings: Value =
        serde_json::from_str(&fs::read_to_string(recording.path("p.ome.zarr/run.json")).unwrap()).unwrap();
    assert_eq!(settings["config"]["labels_are"], serde_json::json!(["binary"]));
}

#[test]
fn numbers_that_are_no_tracks_are_noticed_and_linked() {
    let recording = Recording::new(|t| discs(t, |n| shuffled(t, n)));
    expect_one(&recording.doubts(&[]), &["0 of them have its id", "hint: --labels-are untracked"]);
    assert_eq!(recording.doubts(&["--labels-are", "untracked"]), Vec::<String>::new());
    expect_discs_as_tracks(&recording.plate());
}

#[test]
fn numbers_given_anew_in_every_frame_are_noticed_where_few_objects_come_and_go() {
    // The first disc is away for three frames. Numbered by rows, the others take its number; as tracks they keep theirs.
    let away = |t: usize| (6..9).contains(&t);
    let drawn = |t, id: fn(u16, bool) -> u16| discs(t, |n| id(n, away(t)));
    let by_row = Recording::new(|t| drawn(t, |n, away| if away { n - 1 } else { n }));
    expect_one(
        &by_row.doubts(&[]),
        &["29 objects lie on one of the frame before, and 25 of them have its id"],
    );
    let tracks = Recording::new(|t| drawn(t, |n, away| if away && n == 1 { 0 } else { n }));
    assert_eq!(tracks.doubts(&[]), Vec::<String>::new());
}

/// Checks that every disc has one id in all windows of the movie.
fn expect_discs_as_tracks(plate: &Plate) {
    let mut ids: [BTreeSet<u32>; 3] = Default::default();
    for i in 0..plate.wells.len() {
        let sequence = plate.read(i).unwrap();
        for ((t, y, x), &id) in sequence.labels["cells"].ids.indexed_iter() {
            match disc(sequence.meta.first_frame + t, y, x) {
                0 => assert_eq!(id, 0),
                n => _ = ids[n as usize - 1].insert(id),
            }
        }
    }
    let all: BTreeSet<u32> = ids.iter().flatten().copied().collect();
    assert!(ids.iter().all(|of_one| of_one.len() == 1) && all.len() == 3, "{ids:?}");
}

#[test]
fn a_split_object_is_a_division_in_every_window_that_shows_it() {
    // A bar that falls into two pieces after half of the movie.
    let bar = |t: usize| {
        Array2::from_shape_fn((SIDE, SIDE), |(y, x)| {
            u16::from((10..18).contains(&y) && (4..28).contains(&x) && !(t >= 6 && (17..19).contains(&x)))
        })
    };
    let recording = Recording::new(bar);
    result(&recording.run(&["--labels-are", "binary"]));
    let plate = recording.plate();
    for i in 0..plate.wells.len() {
        let sequence = plate.read(i).unwrap();
        let late = sequence.meta.first_frame + 3 > 6;
        let expected = if late { vec![(2, 1)] } else { Vec::new() };
        assert_eq!(sequence.labels["cells"].parents.clone().into_iter().collect::<Vec<_>>(), expected);
    }
}

#[test]
fn linked_labels_are_the_same_bytes_for_any_number_of_threads() {
    let recording = Recording::new(|t| discs(t, |_| 1));
    let digest = |threads: &str| {
        result(&recording.run(&["--labels-are", "binary", "--threads", threads]));
        Digest::of(&recording.path("p.ome.zarr")).unwrap()
    };
    assert_eq!(digest("1"), digest("3"));
}

#[test]
fn masks_are_split_before_they_are_downscaled() {
    // Two squares with a gap of two pixels, which blocks of four pixels do not show.
    let squares = |_| {
        Array2::from_shape_fn((SIDE, SIDE), |(y, x)| {
            u16::from((8..16).contains(&y) && (4..24).contains(&x) && !(13..15).contains(&x))
        })
    };
    let recording = Recording::new(squares);
    result(&recording.run(&["--labels-are", "binary", "--downscale", "4"]));
    let ids: BTreeSet<u32> = recording.plate().read(0).unwrap().labels["cells"].ids.iter().copied().collect();
    assert_eq!(ids, [0, 1, 2].into());
}

#[test]
fn several_labels_may_have_several_forms() {
    let recording = Recording::new(|t| discs(t, |_| 9));
    recording.draw("nuclei", |t| discs(t, |n| n + 40));
    recording.draw("traps", |_| Array2::from_shape_fn((SIDE, SIDE), |(y, _)| u16::from(y < 2)));
    let more = ["--labels", "nuclei=nuclei", "--structure", "traps=traps"];
    expect_one(&recording.doubts(&more), &["labels cells", "--labels-are cells=binary"]);
    let with = |form: &str| recording.doubts(&[&more[..], &["--labels-are", form]].concat());
    assert_eq!(with("cells=binary"), Vec::<String>::new());
    let sequence = recording.plate().read(0).unwrap();
    let ids = |name: &str| sequence.labels[name].ids.iter().copied().collect::<BTreeSet<u32>>();
    assert_eq!(ids("cells"), [0, 1, 2, 3].into());
    assert_eq!(ids("nuclei"), [0, 41, 42, 43].into());
    assert_eq!(ids("traps"), [0, 1].into());
    for (form, part) in
        [("traps=binary", "traps is structure"), ("buds=binary", "cells, nuclei"), ("masks", "no form")]
    {
        check_refused(
            &recording.run(&[&more[..], &["--labels-are", form]].concat()),
            2,
            &[part, "tracked, binary"],
        );
    }
}

#[test]
fn images_given_as_labels_are_noticed() {
    expect_one(
        &Recording::new(image).doubts(&[]),
        &["look like intensities", "hint: is it the folder of an image?"],
    );
    let eight_bit = |t| image(t).mapv(|counts| counts / 8);
    expect_one(&Recording::new(eight_bit).doubts(&[]), &["look like intensities"]);
}

#[test]
fn a_background_that_is_not_0_is_noticed() {
    let background = |t| discs(t, |n| n).mapv(|id| if id == 0 { 65535 } else { id });
    expect_one(
        &Recording::new(background).doubts(&[]),
        &["object 65535 covers more than half of the pixels in 12 of 12 frames", "must be 0"],
    );
    let inverted = |t| discs(t, |_| 1).mapv(|id| if id == 0 { 255 } else { 0 });
    expect_one(&Recording::new(inverted).doubts(&[]), &["object 255 covers", "must be 0"]);
}

#[test]
fn labels_without_an_object_are_refused_unless_others_have_some() {
    let recording = Recording::new(|_| Array2::zeros((SIDE, SIDE)));
    check_refused(
        &recording.run(&[]),
        65,
        &["labels cells: no object in any of 12 frames", "leave --labels out"],
    );
    assert_eq!(names(recording.dir.path()), ["cells", "phase"]);
    recording.draw("nuclei", |t| discs(t, |n| n));
    let doubts = recording.doubts(&["--labels", "nuclei=nuclei"]);
    expect_one(&doubts, &["labels cells: no object in any of 12 frames", "hint: check the folder"]);
}

#[test]
fn an_empty_movie_among_others_is_fine() {
    let recording = Recording::new(|t| discs(t, |n| n));
    let folder = |name: &str, position: &str| recording.path(&format!("{name}/{position}"));
    for (name, end) in [("phase", "tif"), ("cells", "png")] {
        for position in ["p1", "p2"] {
            fs::create_dir(folder(name, position)).unwrap();
        }
        for t in 0..FRAMES {
            let from = recording.path(&format!("{name}/t{t:02}.{end}"));
            fs::copy(&from, folder(name, "p1").join(format!("t{t:02}.{end}"))).unwrap();
            fs::rename(&from, folder(name, "p2").join(format!("t{t:02}.{end}"))).unwrap();
        }
    }
    for t in 0..FRAMES {
        let empty = Array2::zeros((SIDE, SIDE));
        png::write(&folder("cells", "p2").join(format!("t{t:02}.png")), empty.view()).unwrap();
    }
    assert_eq!(recording.doubts(&[]), Vec::<String>::new());
}

#[test]
fn objects_that_downscaling_loses_are_counted() {
    // Dots of 2 x 2 pixels beside the discs.
    let dots = |t| {
        let mut frame = discs(t, |n| n);
        for i in 0..5_usize {
            frame.slice_mut(ndarray::s![29..31, 1 + 6 * i..3 + 6 * i]).fill(10 + i as u16);
        }
        frame
    };
    let recording = Recording::new(dots);
    assert_eq!(recording.doubts(&[]), Vec::<String>::new());
    expect_one(
        &recording.doubts(&["--downscale", "4"]),
        &["60 of 96 objects", "--downscale 4", "hint: leave --downscale out"],
    );
    let only_dots = |t| dots(t).mapv(|id| if id < 10 { 0 } else { id });
    let recording = Recording::new(only_dots);
    check_refused(
        &recording.run(&["--downscale", "4"]),
        65,
        &[
            "no object in any of 12 frames, as all 60 are too small for --downscale 4",
            "hint: leave --downscale out",
        ],
    );
}

#[test]
fn labels_are_named_before_anything_is_read() {
    let args = ["--channel", "phase=phase", "--labels-are", "binary", "--output", "p.ome.zarr"];
    let dir = tempfile::tempdir().unwrap();
    check_refused(&run_in(dir.path(), "prepare", &args), 2, &["there are no labels of objects"]);
}
