//! `prepare` on recordings as labs bring them: names, folders, files and stores, and what must be said about them.

use std::fs;
use std::path::PathBuf;

use lapsegan_core::input::{png, tiff};
use lapsegan_core::plate::Plate;
use ndarray::{Array2, Axis};
use serde_json::Value;

use crate::support::programs::{check_refused, expect_nothing_left, result, run_in};

struct Bench {
    dir: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Writes a frame whose first pixel is 1000 and a mark.
    fn frame(&self, file: &str, mark: usize) {
        let plane = Array2::from_shape_fn((16, 16), |(y, x)| {
            if y + x == 0 { 1000 + mark as u16 } else { (500 + 37 * ((y * 16 + x + mark) % 61)) as u16 }
        });
        tiff::write(&self.path(file), plane.view()).unwrap();
    }

    /// Writes a label image with one object.
    fn label(&self, file: &str, id: u16) {
        let plane = Array2::from_shape_fn((16, 16), |(y, x)| if y < 8 && x < 8 { id } else { 0 });
        png::write(&self.path(file), plane.view()).unwrap();
    }

    fn prepare(&self, arguments: &[&str]) -> Value {
        let all = [arguments, &["--output", "p.ome.zarr", "--overwrite"]].concat();
        result(&run_in(self.dir.path(), "prepare", &all))
    }

    fn refused(&self, arguments: &[&str], words: &[&str]) {
        let all = [arguments, &["--output", "no.ome.zarr"]].concat();
        check_refused(&run_in(self.dir.path(), "prepare", &all), 65, words);
        expect_nothing_left(&self.path("no.ome.zarr"));
    }

    /// Returns the marks of all windows of the plate, by channel 0.
    fn windows(&self) -> Vec<Vec<u16>> {
        let plate = Plate::open(&self.path("p.ome.zarr")).unwrap();
        let marks =
            |i| plate.read(i).unwrap().image.slice(ndarray::s![.., 0, 0, 0]).mapv(|v| v - 1000).to_vec();
        let mut all: Vec<Vec<u16>> = (0..plate.wells.len()).map(marks).collect();
        all.sort();
        all
    }
}

#[test]
fn a_night_is_not_turned_around_and_its_interval_is_read() {
    let bench = Bench::new();
    for t in 0..12 {
        let (day, minute) = if t < 6 { (15, 23 * 60 + 10 * t) } else { (16, 10 * (t - 6)) };
        bench.frame(&format!("bf/movie_202301{day}_{:02}{:02}00.tif", minute / 60, minute % 60), t);
    }
    let made = bench.prepare(&["--channel", "bf=bf", "--block", "12"]);
    assert_eq!(made["frame_interval_s"], 600.0);
    assert_eq!(bench.windows(), (0..10).map(|t| vec![t, t + 1, t + 2]).collect::<Vec<_>>());
    let made = bench.prepare(&["--channel", "bf=bf", "--block", "12", "--frame-interval", "60"]);
    assert!(
        made["warnings"].to_string().contains("the files tell 600 s, and --frame-interval 60 s"),
        "{made}"
    );
}

#[test]
fn no_window_crosses_a_pause_however_long() {
    let bench = Bench::new();
    for t in (0..5).chain(20..25) {
        bench.frame(&format!("bf/t{t:03}.tif"), t);
    }
    let made = bench.prepare(&["--channel", "bf=bf", "--block", "40"]);
    assert!(made["warnings"].to_string().contains("15 frame(s) are missing in all channels, the first is 5"));
    assert_eq!(bench.windows().len(), 6);
    assert!(bench.windows().iter().all(|w| w[2] == w[0] + 2), "{:?}", bench.windows());
}

#[test]
fn channels_of_one_folder_are_told_apart() {
    let bench = Bench::new();
    for t in 0..9 {
        bench.frame(&format!("all/t{t:03}_BF.tif"), t);
        bench.frame(&format!("all/t{t:03}_GFP.tif"), 100 + t);
    }
    bench.refused(
        &["--channel", "bf=all"],
        &["holds 2 channels (BF, GFP)", "--channel bf='all@BF'", "prepare all"],
    );
    let made = bench.prepare(&["all", "--block", "9"]);
    assert_eq!((&made["channels"][0]["name"], &made["channels"][1]["name"]), (&"BF".into(), &"GFP".into()));
    assert_eq!(made["names"][0]["pattern"], "t{time:d}_{channel}.tif");
    for channel in ["g=all@GFP", "g=all/*_GFP.tif"] {
        bench.prepare(&["--channel", channel, "--block", "9"]);
        assert_eq!(bench.windows()[0], [100, 101, 102], "{channel}");
    }
    let made =
        bench.prepare(&["--channel", "x=all@GFP", "--pattern", "t{time:d}_{channel}.tif", "--block", "9"]);
    assert_eq!(made["sequences"], 7);
    bench.refused(&["--channel", "g=all@RFP"], &["has no channel RFP, but BF, GFP"]);
}

#[test]
fn focal_planes_are_chosen() {
    let bench = Bench::new();
    for (t, z) in (0..9).flat_map(|t| (0..3).map(move |z| (t, z))) {
        bench.frame(&format!("bf/t{t}_z{z}.tif"), 10 * t + z);
    }
    bench.refused(&["--channel", "bf=bf"], &["bf has 3 focal planes (z), expected one", "--z 1", "--z max"]);
    for (z, first) in [("0", [0, 10, 20]), ("2", [2, 12, 22]), ("max", [2, 12, 22]), ("mean", [1, 11, 21])] {
        bench.prepare(&["--channel", "bf=bf", "--z", z, "--block", "9"]);
        assert_eq!(bench.windows()[0], first, "{z}");
    }
    let all = ["--channel", "bf=bf", "--output", "no.ome.zarr", "--z"];
    for (z, words) in [("3", "expected 0 to 2"), ("top", "max or mean")] {
        check_refused(&run_in(bench.dir.path(), "prepare", &[&all[..], &[z]].concat()), 2, &["--z", words]);
    }
}

#[test]
fn names_that_tell_no_time_are_refused_with_the_pattern_that_reads_them() {
    let bench = Bench::new();
    for p in 0..8 {
        bench.frame(&format!("all/exp_MMStack_Pos{p}.tif"), p);
    }
    bench.refused(
        &["--channel", "bf=all"],
        &["names differ in position, not in time", "--pattern 'exp_MMStack_Pos{time:d}.tif'"],
    );
    bench.prepare(&["--channel", "bf=all", "--pattern", "exp_MMStack_Pos{time:d}.tif", "--block", "8"]);
    assert_eq!(bench.windows()[0], [0, 1, 2]);
}

#[test]
fn sparse_labels_are_an_option_that_says_what_it_keeps() {
    let bench = Bench::new();
    for t in 0..36 {
        bench.frame(&format!("01/t{t:03}.tif"), t);
        if t % 4 == 0 {
            bench.label(&format!("01_GT/SEG/man_seg{t:03}.png"), 1);
        }
    }
    let input =
        ["--channel", "bf=01", "--labels", "cells=01_GT/SEG", "--frame-interval", "60", "--block", "36"];
    bench.refused(&input, &["cells: frame 1 is missing, expected one beside t001.tif of bf"]);
    let made = bench.prepare(&[&input[..], &["--missing", "skip"]].concat());
    assert_eq!(bench.windows()[0], [0, 4, 8]);
    assert_eq!((&made["frame_interval_s"], &made["sequences"]), (&240.0.into(), &7.into()));
    let notes = made["notes"].to_string();
    assert!(
        notes.contains("9 of 36 frames are in all channels and labels")
            && notes.contains("one of 4 frames was kept"),
        "{notes}"
    );
    let made = bench.prepare(&[&input[..], &["--missing", "empty"]].concat());
    assert_eq!((bench.windows().len(), &made["frame_interval_s"]), (34, &60.0.into()));
    assert!(made["notes"].to_string().contains("27 frame(s) have no image of labels cells"));
}

#[test]
fn divisions_of_the_challenge_become_parents() {
    let bench = Bench::new();
    for t in 0..9 {
        bench.frame(&format!("DS/01/t{t:03}.tif"), t);
        let plane = Array2::from_shape_fn((16, 16), |(_, x)| match (t < 4, x < 8) {
            (true, _) => 1_u16,
            (false, left) => {
                if left {
                    2
                } else {
                    3
                }
            }
        });
        let mut tracked = plane;
        tracked.row_mut(0).fill(0);
        tiff::write(&bench.path(&format!("DS/01_GT/TRA/man_track{t:03}.tif")), tracked.view()).unwrap();
    }
    fs::write(bench.path("DS/01_GT/TRA/man_track.txt"), "1 0 3 0\n2 4 8 1\n3 4 8 1\n").unwrap();
    for input in [&["DS"][..], &["--channel", "bf=DS/01", "--labels", "cells=DS/01_GT/TRA"]] {
        bench.prepare(&[input, &["--block", "9"]].concat());
        let plate = Plate::open(&bench.path("p.ome.zarr")).unwrap();
        let found = (0..plate.wells.len()).map(|i| plate.read(i).unwrap().labels["cells"].parents.clone());
        let all: Vec<_> = found.flatten().collect();
        assert!(all.contains(&(2, 1)) && all.contains(&(3, 1)), "{input:?}: {all:?}");
    }
    fs::write(bench.path("DS/01_GT/TRA/man_track.txt"), "1 0 3\n").unwrap();
    bench.refused(&["DS"], &["man_track.txt: line 1", "four numbers"]);
}

#[test]
fn floating_point_images_are_brought_to_counts_by_a_rule_that_is_told() {
    use ::tiff::encoder::{TiffEncoder, colortype};
    let bench = Bench::new();
    fs::create_dir(bench.path("f")).unwrap();
    for t in 0..9_u16 {
        let pixels: Vec<f32> = (0..256)
            .map(|i| if i == 0 { f32::from(t) / 8.0 } else { 0.25 + (i % 7) as f32 / 20.0 })
            .collect();
        let mut bytes = std::io::Cursor::new(Vec::new());
        TiffEncoder::new(&mut bytes).unwrap().write_image::<colortype::Gray32Float>(16, 16, &pixels).unwrap();
        fs::write(bench.path(&format!("f/t{t}.tif")), bytes.into_inner()).unwrap();
    }
    let made = bench.prepare(&["--channel", "phase=f", "--block", "9"]);
    assert!(
        made["notes"]
            .to_string()
            .contains("channel phase holds floating point numbers: count = value x 65535"),
        "{made}"
    );
    let plate = Plate::open(&bench.path("p.ome.zarr")).unwrap();
    let all: Vec<u16> = (0..plate.wells.len())
        .map(|i| plate.read(i).unwrap().image.index_axis(Axis(0), 0)[[0, 0, 0]])
        .collect();
    assert!(all.contains(&0) && all.contains(&8192), "{all:?}");
}

#[test]
fn positions_are_the_same_whatever_their_case_and_zeros() {
    let bench = Bench::new();
    for p in 1..4 {
        for t in 0..4 {
            bench.frame(&format!("A/pos{p}/t{t}.tif"), 10 * p + t);
            bench.frame(&format!("B/Pos0{p}/t{t}.tif"), 10 * p + t);
        }
    }
    bench.prepare(&["--channel", "bf=A", "--channel", "gfp=B"]);
    assert_eq!(bench.windows().len(), 6);
    fs::remove_dir_all(bench.path("B/Pos03")).unwrap();
    bench.refused(&["--channel", "bf=A", "--channel", "gfp=B"], &["has no position pos3"]);
    let made = bench.prepare(&["--channel", "bf=A", "--channel", "gfp=B", "--missing", "skip"]);
    assert!(made["warnings"].to_string().contains("1 position(s) are not in all channels"), "{made}");
}
