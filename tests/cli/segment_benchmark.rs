//! `segment-benchmark` on drawn discs.

use std::path::{Path, PathBuf};

use ndarray::Array2;
use serde_json::Value;

use crate::support::drawings::Drawing;
use crate::support::programs::{expect_nothing_left, fail, run, succeed};

const PROGRAM: &str = "segment-benchmark";

/// 8 training and 8 test sequences of 2 frames and one channel.
fn real_drawing() -> Drawing {
    Drawing { splits: [8, 0, 8], frames: 2, channels: vec!["phase"], ..Drawing::real() }
}

/// 8 sequences like the real ones, said to be synthetic.
fn synthetic_drawing() -> Drawing {
    Drawing { splits: [8, 0, 0], frames: 2, channels: vec!["phase"], ..Drawing::synthetic() }
}

/// Writes both plates and returns their paths.
fn plates(folder: &Path) -> [String; 2] {
    let paths = ["real.ome.zarr", "synthetic.ome.zarr"].map(|name| folder.join(name));
    real_drawing().write(&paths[0]);
    synthetic_drawing().write(&paths[1]);
    paths.map(text)
}

fn text(path: PathBuf) -> String {
    path.to_str().unwrap().to_owned()
}

#[test]
fn help_ends_with_examples_and_version_is_one_line() {
    for arguments in [&["--help"][..], &["run", "--help"], &["gather", "--help"], &["score", "--help"]] {
        let output = run(PROGRAM, arguments);
        assert!(output.status.success());
        let help = String::from_utf8(output.stdout).unwrap();
        let examples = help.split("Examples:").nth(1).expect("examples at the end");
        assert_eq!(examples.matches("segment-benchmark ").count(), 2, "{help}");
    }
    let version = run(PROGRAM, &["--version"]);
    assert_eq!(String::from_utf8(version.stdout).unwrap().lines().count(), 1);
}

#[test]
fn a_run_tells_whether_synthetic_sequences_help_and_repeats_byte_by_byte() {
    let folder = tempfile::tempdir().unwrap();
    let [real, synthetic] = plates(folder.path());
    let benchmark = |name: &str, threads: &str| {
        let output = text(folder.path().join(name));
        let inputs = ["run", "--real", &real, "--synthetic", &synthetic, "--output", &output];
        let small = ["--steps", "60", "--batch", "8", "--real-sequences", "2"];
        let result =
            succeed(PROGRAM, &[&inputs[..], &small, &["--device", "cpu", "--threads", threads]].concat());
        (result, folder.path().join(name))
    };
    let (result, output) = benchmark("a", "2");
    assert!(result["verdict"]["text"][0].as_str().unwrap().contains("AP 0.50:0.95"));
    let scores: Value = serde_json::from_slice(&std::fs::read(output.join("scores.json")).unwrap()).unwrap();
    for arm in ["real", "synthetic", "both"] {
        assert_eq!(scores["arms"][arm]["seeds"].as_array().unwrap().len(), 3);
        let ap50 = &scores["arms"][arm]["estimates"]["ap50"];
        // Two sequences are few; whoever sees ten finds most discs in 60 steps.
        assert!(ap50["value"].as_f64().unwrap() > if arm == "both" { 0.5 } else { 0.0 }, "{arm}: {ap50}");
        assert_eq!(ap50["interval"].as_array().unwrap().len(), 2);
    }
    assert_eq!(scores["interval"]["groups"], 4);
    assert_eq!(scores["data"]["synthetic_label_route"], "phantom_truth");
    let record: Value = serde_json::from_slice(&std::fs::read(output.join("run.json")).unwrap()).unwrap();
    assert_eq!(record["inputs"]["real"]["sha256"].as_str().unwrap().len(), 64);
    let html = std::fs::read_to_string(output.join("report.html")).unwrap();
    assert!(html.contains("data:image/png;base64,") && html.contains("<svg"));

    let (_, again) = benchmark("b", "1");
    for file in ["scores.json", "report.html"] {
        assert!(
            std::fs::read(output.join(file)).unwrap() == std::fs::read(again.join(file)).unwrap(),
            "{file}"
        );
    }
}

#[test]
fn parts_gathered_are_one_run_and_parts_that_make_no_whole_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let [real, synthetic] = plates(folder.path());
    let path = |name: &str| text(folder.path().join(name));
    let benchmark = |name: &str, more: &[&str]| {
        let output = path(name);
        let inputs = ["run", "--real", &real, "--synthetic", &synthetic, "--output", &output, "-q"];
        let small = ["--steps", "20", "--batch", "8", "--real-sequences", "2", "--device", "cpu"];
        succeed(PROGRAM, &[&inputs[..], &small, more].concat())
    };
    benchmark("one", &[]);
    for index in 1..=4 {
        let result = benchmark(&format!("part-{index}"), &["--shard", &format!("{index}/4")]);
        assert_eq!(result["cells"].as_array().unwrap().len(), if index == 1 { 3 } else { 2 });
    }
    let [one, two, three, four, output] = ["part-1", "part-2", "part-3", "part-4", "gathered"].map(path);
    let gather = |parts: &[&str]| {
        [&["gather", "--output", &output, "-q"], parts]
            .concat()
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
    };
    let refused = |parts: &[&str], code: i32, words: &[&str]| {
        let arguments = gather(parts);
        fail(PROGRAM, &arguments.iter().map(String::as_str).collect::<Vec<_>>(), code, words);
        expect_nothing_left(Path::new(&output));
    };
    refused(
        &[&one, &two, &four],
        65,
        &["2 of 9 trainings are missing", "arm both with seed 0 (part 3 of 4)"],
    );
    refused(&[&one, &two, &three, &four, &two], 65, &["there twice", "part-2 and"]);
    benchmark("other", &["--shard", "3/4", "--seed", "7"]);
    refused(&[&one, &two, &path("other"), &four], 65, &["different benchmarks", "seed: "]);
    refused(&[&one, "nowhere"], 66, &["nowhere"]);
    refused(&[&path("one")], 66, &["cells.json is not there"]);
    let damaged = folder.path().join("damaged");
    std::fs::create_dir(&damaged).unwrap();
    let cells = std::fs::read_to_string(Path::new(&three).join("cells.json")).unwrap();
    for (from, to) in
        [("{", "["), ("\"format\":1", "\"format\":2"), ("\"counts\":[{", "\"counts\":[],\"x\":[{")]
    {
        std::fs::write(damaged.join("cells.json"), cells.replacen(from, to, 1)).unwrap();
        refused(&[&one, &two, &text(damaged.clone()), &four], 65, &["damaged", "cells.json"]);
    }

    // In any order, and with what an engine leaves in a folder.
    std::fs::write(Path::new(&three).join(".snakemake_timestamp"), "").unwrap();
    let arguments = gather(&[&four, &two, &one, &three]);
    succeed(PROGRAM, &arguments.iter().map(String::as_str).collect::<Vec<_>>());
    for file in ["scores.json", "report.html", "segmentation_mqc.json"] {
        let read = |name: &str| std::fs::read(folder.path().join(name).join(file)).unwrap();
        assert!(read("gathered") == read("one"), "{file} differs");
    }
    let table = std::fs::read(folder.path().join("one/segmentation_mqc.json")).unwrap();
    let table: Value = serde_json::from_slice(&table).unwrap();
    assert!(table["data"]["synthetic | both"]["difference"].is_f64(), "{table:#}");
    assert!(
        table["data"]["synthetic | both"]["verdict"].is_string() && table["headers"]["verdict"].is_object()
    );
    let shard = ["run", "--real", &real, "--synthetic", &synthetic, "--output", "x", "--shard"];
    fail(PROGRAM, &[&shard[..], &["10/10"]].concat(), 2, &["there are 9 cells"]);
    let bad = run(PROGRAM, &[&shard[..], &["0/4"]].concat());
    assert_eq!(bad.status.code(), Some(2));
}

#[test]
fn test_groups_that_the_generator_has_seen_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let [real, _] = plates(folder.path());
    let leaky = text(folder.path().join("leaky.ome.zarr"));
    Drawing { trained_on: vec!["test-2"], ..synthetic_drawing() }.write(Path::new(&leaky));
    let output = text(folder.path().join("out"));
    let inputs = ["run", "--real", &real, "--synthetic", &leaky, "--output", &output];
    fail(PROGRAM, &inputs, 65, &["test-2 were seen by the generator", "--allow-leakage"]);
    let plan = succeed(PROGRAM, &[&inputs[..], &["--allow-leakage", "--dry-run"]].concat());
    assert_eq!(plan["data"]["leaked_groups"][0], "test-2");
    expect_nothing_left(Path::new(&output));
}

#[test]
fn unusable_inputs_are_named_before_anything_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let [real, synthetic] = plates(folder.path());
    let bare = text(folder.path().join("bare.ome.zarr"));
    Drawing { labels: Vec::new(), ..synthetic_drawing() }.write(Path::new(&bare));
    let empty = text(folder.path().join("empty.ome.zarr"));
    Drawing { discs: 0, ..synthetic_drawing() }.write(Path::new(&empty));
    let output = text(folder.path().join("out"));
    let refused = |synthetic: &str, more: &[&str], code: i32, words: &str| {
        let inputs = ["run", "--real", &real, "--synthetic", synthetic, "--output", &output];
        fail(PROGRAM, &[&inputs[..], more].concat(), code, &[words]);
    };
    refused(&bare, &[], 65, "no labels named cells");
    refused(&empty, &[], 65, "no object in any of the 8 synthetic sequences");
    refused(&synthetic, &["--channel", "gfp"], 65, "no channel gfp, it has phase");
    refused("nowhere.ome.zarr", &[], 66, "nowhere.ome.zarr");
    refused(&synthetic, &["--seeds", "2"], 2, "seeds is 2, expected at least 3");
    refused(&synthetic, &["--set", "train.stepz=1"], 2, "stepz");
    expect_nothing_left(Path::new(&output));
    std::fs::write(&output, "kept").unwrap();
    refused(&synthetic, &[], 73, "already exists");
    assert_eq!(std::fs::read_to_string(&output).unwrap(), "kept");
}

/// Writes an 8-bit label image.
fn write_labels(path: &Path, ids: &Array2<u8>) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let (height, width) = ids.dim();
    let mut encoder = png::Encoder::new(std::fs::File::create(path).unwrap(), width as u32, height as u32);
    encoder.set_color(png::ColorType::Grayscale);
    encoder.set_depth(png::BitDepth::Eight);
    let pixels: Vec<u8> = ids.iter().copied().collect();
    encoder.write_header().unwrap().write_image_data(&pixels).unwrap();
}

#[test]
fn plates_and_folders_are_scored_against_the_truth() {
    let folder = tempfile::tempdir().unwrap();
    let [real, _] = plates(folder.path());
    let scores = succeed(PROGRAM, &["score", "--truth", &real, "--prediction", &real, "--split", "test"]);
    assert_eq!(scores["pooled"]["ap"][9], 1.0);
    assert_eq!((&scores["pooled"]["n_images"], scores["pairs"].as_array().unwrap().len()), (&16.into(), 8));

    let (truth, prediction) = (folder.path().join("truth"), folder.path().join("prediction"));
    // Two objects; one is found whole, of the other 3 of 5 pixels (IoU 0.6).
    let row = |values: [u8; 10]| Array2::from_shape_vec((1, 10), values.to_vec()).unwrap();
    write_labels(&truth.join("a.png"), &row([1, 1, 0, 2, 2, 2, 2, 2, 0, 0]));
    write_labels(&prediction.join("a.png"), &row([4, 4, 0, 9, 9, 9, 0, 0, 0, 0]));
    let (truth, prediction) = (text(truth), text(prediction));
    let file = text(folder.path().join("scores.json"));
    let inputs = ["score", "--truth", &truth, "--prediction", &prediction];
    let scores = succeed(PROGRAM, &[&inputs[..], &["--output", &file]].concat());
    assert_eq!((&scores["pooled"]["tp"][2], &scores["pooled"]["tp"][3]), (&2.into(), &1.into()));
    let written: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    assert_eq!(written["pooled"], scores["pooled"]);
    assert_eq!(written["pairs"][0]["name"], "a.png");

    write_labels(&Path::new(&prediction).join("a.png"), &Array2::zeros((2, 10)));
    fail(PROGRAM, &inputs, 65, &["a.png: truth is [1, 1, 10], prediction [1, 2, 10]"]);
    write_labels(&Path::new(&prediction).join("b.png"), &row([0; 10]));
    fail(PROGRAM, &inputs, 65, &["holds 1 label images"]);
    let other = |truth: &str| ["score", "--truth", truth, "--prediction", &real].map(str::to_owned);
    for (truth, code, words) in
        [(truth.as_str(), 65, "give two plates, or two folders"), ("nowhere", 66, "nowhere")]
    {
        let arguments = other(truth);
        fail(PROGRAM, &arguments.each_ref().map(String::as_str), code, &[words]);
    }
}
