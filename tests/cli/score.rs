//! `evaluate score`: what may be compared, and what makes one doubt a comparison.

use std::path::Path;

use lapsegan_core::input::png;
use ndarray::Array2;

use crate::support::programs::{fail, result, run, stderr, succeed};

fn strs(all: &[String]) -> Vec<&str> {
    all.iter().map(String::as_str).collect()
}

fn phantom(dir: &Path, name: &str, seed: &str, more: &[&str]) -> String {
    let path = dir.join(name).to_str().unwrap().to_owned();
    let size = ["--positions", "3", "--frames-per-position", "4", "--seed", seed];
    succeed("prepare", &[&["phantom", "--output", &path], &size[..], more].concat());
    path
}

#[test]
fn plates_of_other_frames_are_no_pairs() {
    let dir = tempfile::tempdir().unwrap();
    let tiff = dir.path().join("frames");
    let tiff = tiff.to_str().unwrap();
    let truth = phantom(dir.path(), "truth.ome.zarr", "1", &["--tiff", tiff]);
    let other = phantom(dir.path(), "other.ome.zarr", "2", &[]);
    // Wells and positions have the same names in both.
    let score =
        |prediction: &str| ["score", "--truth", &truth, "--prediction", prediction].map(str::to_owned);
    let of_other = score(&other);
    let of_other = of_other.each_ref().map(String::as_str);
    fail(
        "evaluate",
        &of_other,
        65,
        &["other.ome.zarr", "shows other frames", "hint: predict labels for the frames"],
    );
    let same = phantom(dir.path(), "same.ome.zarr", "1", &[]);
    let same = score(&same);
    let scores = succeed("evaluate", &same.each_ref().map(String::as_str));
    assert_eq!(scores["pooled"]["ap"][9], 1.0);

    // The same recording with labels of other software.
    let predicted = dir.path().join("predicted.ome.zarr");
    let predicted = predicted.to_str().unwrap();
    let [brightfield, gfp, cells] =
        ["brightfield", "gfp", "cells"].map(|name| format!("{name}={tiff}/{name}"));
    let input = ["--channel", &brightfield, "--channel", &gfp, "--labels", &cells, "--frames", "3"];
    let prepare = |stride: &str| {
        succeed(
            "prepare",
            &[&input[..], &["--stride", stride, "--output", predicted, "--overwrite"]].concat(),
        );
    };
    prepare("3");
    let again = score(predicted);
    let scores = succeed("evaluate", &again.each_ref().map(String::as_str));
    assert_eq!(scores["pooled"]["ap"][9], 1.0, "{}", scores["pooled"]);
    // Cut otherwise, a well of the same name shows other frames.
    prepare("1");
    fail("evaluate", &again.each_ref().map(String::as_str), 65, &["A/2 shows other frames"]);

    // Other tiles of the same frames.
    let [centre, grid] = ["centre", "grid"].map(|tiles| {
        let path = dir.path().join(format!("{tiles}.ome.zarr")).to_str().unwrap().to_owned();
        let more = ["--size", "16", "--tiles", tiles, "--output", &path];
        succeed("prepare", &[&input[..], &more].concat());
        path
    });
    let tiles = ["score", "--truth", &centre, "--prediction", &grid];
    fail("evaluate", &tiles, 65, &["A/1 shows other frames", "y=8 x=8", "y=0 x=0"]);
}

#[test]
fn a_binary_mask_on_either_side_is_pointed_out() {
    let dir = tempfile::tempdir().unwrap();
    let nine = Array2::from_shape_fn((30, 30), |(y, x)| {
        let inside = y % 10 < 6 && x % 10 < 6;
        if inside { (y / 10 * 3 + x / 10 + 1) as u16 } else { 0 }
    });
    let folder = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    for t in 0..2 {
        png::write(&dir.path().join(format!("cells/t{t}.png")), nine.view()).unwrap();
        let mask = nine.mapv(|id| if id == 0 { 0 } else { 255 });
        png::write(&dir.path().join(format!("mask/t{t}.png")), mask.view()).unwrap();
    }
    let (cells, mask) = (folder("cells"), folder("mask"));
    for (truth, prediction, warned) in [
        (&cells, &mask, &["--prediction"][..]),
        (&mask, &mask, &["--truth", "--prediction"]),
        (&cells, &cells, &[]),
    ] {
        let output = run("evaluate", &["score", "--truth", truth, "--prediction", prediction]);
        let warnings = result(&output)["warnings"].clone();
        assert_eq!(warnings.as_array().unwrap().len(), warned.len(), "{warnings}");
        for side in warned {
            let words = format!("{side}: no frame has more than one object");
            assert!(stderr(&output).contains(&words), "{}", stderr(&output));
            assert!(stderr(&output).contains("hint: give every object a number of its own"));
        }
    }
}

#[test]
fn files_meet_by_name_and_one_sided_ones_are_an_error_unless_it_is_said() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    for t in 1..13_usize {
        let plane = Array2::from_shape_fn((64, 64), |(y, x)| u16::from(y / 8 == t / 2 && x / 5 == t));
        png::write(&at("truth").join(format!("t{t}.png")), plane.view()).unwrap();
        png::write(&at("pred").join(format!("T{t:02}_cp_masks.png")), plane.view()).unwrap();
    }
    let (truth, pred) = (at("truth"), at("pred"));
    let score = ["score", "--truth", truth.to_str().unwrap(), "--prediction", pred.to_str().unwrap()];
    let scores = succeed("evaluate", &score);
    assert_eq!((&scores["pooled"]["mean_ap"], &scores["inputs"]["pairs"]), (&1.0.into(), &12.into()));
    let pair = &scores["pairs"][9];
    assert_eq!((&pair["name"], &pair["prediction"]), (&"t10.png".into(), &"T10_cp_masks.png".into()));

    std::fs::remove_file(at("pred/T03_cp_masks.png")).unwrap();
    fail("evaluate", &score, 65, &["1 of its images have no partner", "t3.png", "--missing skip"]);
    let skipped = run("evaluate", &[&score[..], &["--missing", "skip"]].concat());
    assert!(stderr(&skipped).contains("1 image(s) of the truth have no partner and are left out: t3.png"));
    let skipped = result(&skipped);
    assert_eq!(
        (&skipped["pooled"]["mean_ap"], &skipped["inputs"]["left_out"]["truth"][0]),
        (&1.0.into(), &"t3.png".into())
    );
    let empty = succeed("evaluate", &[&score[..], &["--missing", "empty"]].concat());
    assert_eq!((&empty["pooled"]["n_true"], &empty["pooled"]["n_pred"]), (&12.into(), &11.into()));
    let other = at("other");
    png::write(&other.join("apple.png"), Array2::zeros((8, 8)).view()).unwrap();
    png::write(&other.join("pear.png"), Array2::zeros((8, 8)).view()).unwrap();
    let score = ["score", "--truth", truth.to_str().unwrap(), "--prediction", other.to_str().unwrap()];
    fail("evaluate", &score, 65, &["have the same name or number", "apple.png, pear.png"]);
}

#[test]
fn edges_merges_sizes_and_a_row_per_image_stand_beside_the_scores() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let text = |name: &str| at(name).to_str().unwrap().to_owned();
    // Two cells side by side, which the second prediction merges.
    let cells = |merged: bool| {
        Array2::from_shape_fn((16, 16), |(y, x)| match x {
            2..6 if (4..12).contains(&y) => 1_u16,
            6..10 if (4..12).contains(&y) => {
                if merged {
                    1
                } else {
                    2
                }
            }
            _ => 0,
        })
    };
    for t in 0..2 {
        png::write(&at("truth").join(format!("t{t}.png")), cells(false).view()).unwrap();
        png::write(&at("pred").join(format!("t{t}.png")), cells(t == 1).view()).unwrap();
    }
    let (truth, pred, csv) = (text("truth"), text("pred"), text("scores.csv"));
    let score = ["score", "--truth", &truth, "--prediction", &pred];
    let found = succeed("segment-benchmark", &[&score[..], &["--csv", &csv]].concat());
    assert_eq!((&found["merges"], &found["splits"]), (&1.into(), &0.into()));
    assert_eq!(found["inputs"]["boundary_tolerance"], serde_json::json!({ "um": null, "px": 2.0 }));
    let boundary = found["boundary_f"].as_f64().unwrap();
    assert!((0.8..1.0).contains(&boundary) && found["pairs"][0]["boundary_f"] == 1.0, "{boundary}");
    assert_eq!(found["by_size"][0]["n_true"], 4);
    assert!(found["tracking"].is_null());
    let rows = std::fs::read_to_string(&csv).unwrap();
    let lines: Vec<&str> = rows.lines().collect();
    assert_eq!(lines.len(), 3, "{rows}");
    assert!(lines[0].starts_with("name,frame,n_true") && lines[1].starts_with("t0.png,0,2,2,2,0,0,1.000000"));
    assert!(lines[2].ends_with(",1,0"), "{rows}");

    fail("segment-benchmark", &[&score[..], &["--csv", &csv]].concat(), 73, &["scores.csv", "--overwrite"]);
    succeed("segment-benchmark", &[&score[..], &["--csv", &csv, "--overwrite"]].concat());
    let with = |more: &[&'static str]| {
        [&score.map(str::to_owned)[..], &more.iter().map(|&m| m.to_owned()).collect::<Vec<_>>()].concat()
    };
    fail("segment-benchmark", &strs(&with(&["--boundary-tolerance", "1"])), 65, &["--pixel-size"]);
    fail("segment-benchmark", &strs(&with(&["--pixel-size", "0"])), 2, &["micrometres above 0"]);
    let small = ["--boundary-tolerance", "0.01", "--pixel-size", "0.1"];
    fail("segment-benchmark", &strs(&with(&small)), 65, &["0.100 pixels"]);
    let um = succeed("segment-benchmark", &strs(&with(&["--pixel-size", "0.1"])));
    assert_eq!(um["inputs"]["boundary_tolerance"], serde_json::json!({ "um": 0.5, "px": 5.0 }));
}

#[test]
fn links_are_scored_of_plates_and_of_folders_with_lists_of_tracks() {
    let dir = tempfile::tempdir().unwrap();
    let truth = phantom(dir.path(), "truth.ome.zarr", "1", &[]);
    let scores = succeed("evaluate", &["score", "--truth", &truth, "--prediction", &truth]);
    assert_eq!((&scores["tracking"]["tra"], &scores["tracking"]["lnk"]), (&1.0.into(), &1.0.into()));
    assert!(scores["tracking"]["n_links"].as_u64().unwrap() > 0);

    let at = |name: &str| dir.path().join(name);
    let frame = |ids: [u16; 2]| {
        Array2::from_shape_fn((8, 16), |(_, x)| match x {
            1..6 => ids[0],
            9..14 => ids[1],
            _ => 0,
        })
    };
    for (folder, list, ids) in [("gt", "man_track.txt", [1, 2]), ("res", "res_track.txt", [2, 1])] {
        png::write(&at(folder).join("t0.png"), frame([1, 2]).view()).unwrap();
        png::write(&at(folder).join("t1.png"), frame(ids).view()).unwrap();
        std::fs::write(at(folder).join(list), "1 0 1 0\n2 0 1 0\n").unwrap();
    }
    let paths = ["gt", "res"].map(|name| at(name).to_str().unwrap().to_owned());
    let score = ["score", "--truth", &paths[0], "--prediction", &paths[1]];
    let scores = succeed("evaluate", &score);
    // All cells are found, and both exchange their names.
    assert_eq!((&scores["pooled"]["det"], &scores["tracking"]["lnk"]), (&1.0.into(), &0.0.into()));
    assert_eq!(scores["tracking"]["redundant"], 2);
    // A list that cannot be used costs the links, and nothing else.
    std::fs::write(at("res/res_track.txt"), "1 0 1 7\n").unwrap();
    let doubted = succeed("evaluate", &score);
    assert!(doubted["tracking"].is_null() && doubted["pooled"] == scores["pooled"]);
    let warning = doubted["warnings"][0].as_str().unwrap();
    assert!(
        warning.contains("not scored") && warning.contains("the parent 7 of track 1 is no track"),
        "{warning}"
    );
    std::fs::remove_file(at("res/res_track.txt")).unwrap();
    assert!(
        succeed("evaluate", &score)["warnings"][0].as_str().unwrap().contains("res has no list of tracks")
    );
}
