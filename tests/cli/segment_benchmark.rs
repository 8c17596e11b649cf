//! `segment-benchmark` on drawn discs.

use std::path::{Path, PathBuf};

use lapsegan::benchmark::plates as benchmark_plates;
use lapsegan::benchmark::settings::BenchmarkSettings;
use lapsegan_core::plate::compare::{Scope, compare};
use lapsegan_core::plate::groups::SplitGroup;
use lapsegan_core::plate::{Plate, Split};
use lapsegan_core::realism;
use lapsegan_core::realism::protocol::{self, Plates};
use ndarray::Array2;
use serde_json::Value;

use crate::support::drawings::Drawing;
use crate::support::programs::{expect_nothing_left, fail, result, run, stderr, succeed};

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
        run(PROGRAM, &[&inputs[..], &small, &["--device", "cpu", "--threads", threads]].concat())
    };
    let (first, output) = (benchmark("a", "2"), folder.path().join("a"));
    // A table for people ends the log: a heading, three arms, two differences.
    let log = stderr(&first);
    let lines: Vec<Vec<&str>> = log.lines().map(|line| line.split_whitespace().collect()).collect();
    let begins: Vec<&str> = lines[lines.len() - 6..].iter().map(|words| words[1]).collect();
    assert_eq!(begins, ["arm", "real", "synthetic", "both", "both", "synthetic"], "{log}");
    let result = result(&first);
    let value = result["differences"]["both - real"]["mean_ap"]["value"].as_f64().unwrap();
    assert_eq!(lines[lines.len() - 2][1..5], ["both", "-", "real", &format!("{value:+.3}")], "{log}");
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

    assert!(benchmark("b", "1").status.success());
    let again = folder.path().join("b");
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
        let output = run(PROGRAM, &[&inputs[..], &small, more].concat());
        assert_eq!(stderr(&output), "", "--quiet");
        result(&output)
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
        &["2 of 9 trainings are missing", "arm both with seed 0 and 2 real sequences (part 3 of 4)"],
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
        [("{", "["), ("\"format\":2", "\"format\":3"), ("\"counts\":[{", "\"counts\":[],\"x\":[{")]
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
fn several_arms_beside_several_numbers_of_real_sequences_are_a_curve_also_in_parts() {
    let folder = tempfile::tempdir().unwrap();
    let [real, synthetic] = plates(folder.path());
    let plan = text(folder.path().join("plan.toml"));
    let declared =
        "arms = [\"both\", \"pretrained\", \"real_strong\", \"self_training\"]\nreal_sequences = [4, 1]\n";
    std::fs::write(&plan, declared).unwrap();
    let path = |name: &str| text(folder.path().join(name));
    let benchmark = |name: &str, more: &[&str]| {
        let output = path(name);
        let inputs =
            ["run", "--real", &real, "--synthetic", &synthetic, "--output", &output, "--plan", &plan];
        let small = ["--steps", "4", "--batch", "4", "--device", "cpu"];
        run(PROGRAM, &[&inputs[..], &small, more].concat())
    };
    let one = benchmark("one", &[]);
    let (log, found) = (stderr(&one), result(&one));
    // Nothing is learned in four steps, so that nothing is worth anything.
    assert!(log.contains("nothing learnt") && !log.contains("are worth"), "{log}");
    let numbers: Vec<u64> =
        found["curve"].as_array().unwrap().iter().map(|p| p["n_real"].as_u64().unwrap()).collect();
    assert_eq!(numbers, [1, 4]);
    let against: Vec<&String> = found["curve"][1]["differences"].as_object().unwrap().keys().collect();
    for name in ["both - real", "both - real_strong", "both - self_training", "pretrained - real"] {
        assert!(against.iter().any(|other| *other == name), "{against:?}");
    }
    let parts = ["part-1", "part-2"];
    for (index, part) in parts.iter().enumerate() {
        assert!(benchmark(part, &["--shard", &format!("{}/2", index + 1)]).status.success());
    }
    succeed(PROGRAM, &["gather", "--output", &path("whole"), &path(parts[1]), &path(parts[0])]);
    for file in ["scores.json", "report.html", "segmentation_mqc.json"] {
        let read = |name: &str| std::fs::read(folder.path().join(name).join(file)).unwrap();
        assert!(read("whole") == read("one"), "{file} differs");
    }
    let with = |more: &[&str]| {
        let inputs = ["run", "--real", &real, "--synthetic", &synthetic, "--output", "x", "--dry-run"];
        run(PROGRAM, &[&inputs[..], more].concat())
    };
    let all = result(&with(&["--real-sequences", "2,0"]));
    assert_eq!(all["data"]["n_real"], serde_json::json!([2, 8]));
    for (more, code, words) in [
        (["--arms", "both,magic"], 2, "arms is magic, expected each once of real, real_strong"),
        (["--real-sequences", "2,2"], 2, "real_sequences is [2, 2]"),
        (["--arms", "pseudo_labels"], 65, "arm pseudo_labels needs fluorescence"),
    ] {
        let output = with(&more);
        assert_eq!(output.status.code(), Some(code));
        assert!(stderr(&output).contains(words), "{}", stderr(&output));
    }
}

#[test]
fn a_program_that_trains_ends_with_the_benchmark_and_leaves_no_folder() {
    use std::os::unix::fs::PermissionsExt;
    use std::time::{Duration, Instant};

    let folder = tempfile::tempdir().unwrap();
    let [real, synthetic] = plates(folder.path());
    let at = |name: &str| folder.path().join(name);
    std::fs::create_dir(at("scratch")).unwrap();
    // The number of a process that this program starts itself.
    let script = format!("#!/bin/sh\nsleep 600 &\necho $! > {}\nwait\n", text(at("pid")));
    std::fs::write(at("program.sh"), script).unwrap();
    std::fs::set_permissions(at("program.sh"), std::fs::Permissions::from_mode(0o755)).unwrap();
    let arguments = ["run", "--real", &real, "--synthetic", &synthetic, "--device", "cpu", "--segmenter"];
    let mut benchmark = std::process::Command::new(crate::support::programs::path(PROGRAM))
        .args(arguments)
        .args([at("program.sh"), "--output".into(), at("out")])
        .env("TMPDIR", at("scratch"))
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let began = Instant::now();
    let pid = loop {
        let found = std::fs::read_to_string(at("pid")).unwrap_or_default();
        if let Ok(pid) = found.trim().parse::<u32>() {
            break pid;
        }
        assert!(began.elapsed() < Duration::from_mins(2), "the program was not started");
        std::thread::sleep(Duration::from_millis(20));
    };
    let folders = || std::fs::read_dir(at("scratch")).unwrap().count();
    assert_eq!(folders(), 1);
    let sent = std::process::Command::new("kill").args(["-TERM", &benchmark.id().to_string()]).status();
    assert!(sent.unwrap().success());
    assert_eq!(benchmark.wait().unwrap().code(), Some(143));
    assert_eq!(folders(), 0);
    expect_nothing_left(&at("out"));
    // What is killed may be there as a zombie for a moment.
    let alive = || {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        status.lines().any(|line| line.starts_with("State:") && !line.contains('Z'))
    };
    while alive() {
        assert!(began.elapsed() < Duration::from_mins(3), "process {pid} goes on");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn test_groups_that_the_generator_has_seen_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let [real, _] = plates(folder.path());
    let leaky = text(folder.path().join("leaky.ome.zarr"));
    Drawing { trained_on: vec!["test-2"], ..synthetic_drawing() }.write(Path::new(&leaky));
    let output = text(folder.path().join("out"));
    let inputs = ["run", "--real", &real, "--synthetic", &leaky, "--output", &output];
    fail(
        PROGRAM,
        &inputs,
        65,
        &["leaky.ome.zarr", "names of 1 of the 4 held-out groups (test-2)", "--allow-leakage"],
    );
    let plan = succeed(PROGRAM, &[&inputs[..], &["--allow-leakage", "--dry-run"]].concat());
    assert_eq!(plan["data"]["leaked_groups"][0], "test-2");
    expect_nothing_left(Path::new(&output));
}

#[test]
fn the_benchmark_and_the_evaluation_say_the_same_about_the_same_plates() {
    let folder = tempfile::tempdir().unwrap();
    let [mut real, mut synthetic] = plates(folder.path()).map(|path| Plate::open(Path::new(&path)).unwrap());
    (real.meta.frame_interval_s, synthetic.meta.frame_interval_s) = (Some(600.0), Some(180.0));
    (real.meta.pixel_size_um, synthetic.meta.pixel_size_um) = (Some(0.1), Some(0.2));
    (real.meta.single_movie, real.meta.normalise) = (true, "original".into());
    synthetic.meta.channels[0].calibration.hi = 900.0;
    let seen = real.groups(&[Split::Test])[1].clone();
    synthetic.meta.trained_on = vec![seen, SplitGroup::named("test-0")];
    let settings =
        BenchmarkSettings { label: "cells".into(), allow_leakage: true, ..BenchmarkSettings::quick() };
    let notes = benchmark_plates::plan(&real, &synthetic, &settings).unwrap().notes;
    let both = Plates { real: &real, synthetic: &synthetic, untrained: None };
    let warnings = protocol::plan(&both, None, &realism::Settings::standard(), 0).unwrap().warnings;
    let scope = Scope { channels: None, held_out: &[Split::Test] };
    let sentences = compare(&real, &synthetic, scope).unless(|_| false).unwrap();
    assert_eq!(sentences.len(), 7, "{sentences:#?}");
    assert_eq!(notes[..7], sentences);
    // Before them stands what is about the numbers of sequences.
    assert_eq!(warnings[1..], sentences);
}

#[test]
fn flags_win_over_set_which_wins_over_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let [real, synthetic] = plates(folder.path());
    let file = text(folder.path().join("settings.toml"));
    std::fs::write(&file, "seeds = 4\nreal_sequences = 5\n[train]\nsteps = 10\nbatch = 6\n").unwrap();
    let inputs = ["run", "--real", &real, "--synthetic", &synthetic, "--output", "x", "--dry-run"];
    let layers = ["--config", &file, "--set", "train.batch=4", "--set", "seeds=5", "--seeds", "6"];
    let plan = succeed(PROGRAM, &[&inputs[..], &layers, &["--steps", "7", "--channel", "phase"]].concat());
    let settings = &plan["settings"];
    assert_eq!((&settings["seeds"], &settings["real_sequences"]), (&6.into(), &serde_json::json!([5])));
    assert_eq!((&settings["train"]["steps"], &settings["train"]["batch"]), (&7.into(), &4.into()));
    assert_eq!((&settings["channels"][0], &settings["allow_leakage"]), (&"phase".into(), &false.into()));
    assert_eq!(plan["cells"].as_array().unwrap().len(), 18);
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
    refused(&synthetic, &["--seeds", "2"], 2, "seeds is 2, expected 3 to 1000");
    refused(&synthetic, &["--batch", "100000000"], 2, "train.batch is 100000000");
    refused(&synthetic, &["--config", "/dev/zero"], 65, "/dev/zero");
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
    fail(PROGRAM, &inputs, 65, &["1 of its images have no partner", "b.png"]);
    let unknown = run(PROGRAM, &[&inputs[..], &["--split", "tests"]].concat());
    assert_eq!(unknown.status.code(), Some(2));
    assert!(stderr(&unknown).contains("[possible values: train, val, test]"), "{}", stderr(&unknown));
    fail(PROGRAM, &[&inputs[..], &["--split", "test"]].concat(), 65, &["has no splits"]);
    let other = |truth: &str| ["score", "--truth", truth, "--prediction", &real].map(str::to_owned);
    for (truth, code, words) in
        [(truth.as_str(), 65, "give two plates, or two folders"), ("nowhere", 66, "nowhere")]
    {
        let arguments = other(truth);
        fail(PROGRAM, &arguments.each_ref().map(String::as_str), code, &[words]);
    }
}

#[test]
fn the_ceiling_says_what_labels_lose_as_maps() {
    let dir = tempfile::tempdir().unwrap();
    let plate = text(dir.path().join("real.ome.zarr"));
    real_drawing().write(Path::new(&plate));
    let file = text(dir.path().join("ceiling.json"));
    let result = succeed(PROGRAM, &["ceiling", &plate, "--split", "test", "--output", &file, "-q"]);
    // Discs that do not touch come back as they were.
    assert_eq!(result["pooled"]["ap"][0], 1.0, "{result}");
    assert_eq!((&result["lost"]["objects"], &result["inputs"]["sequences"]), (&0.into(), &8.into()));
    let full: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    assert_eq!(full["sequences"].as_array().map(Vec::len), Some(8));
    // Larger than all discs: everything is lost, and the areas say so.
    let strict = ["ceiling", &plate, "--set", "decode.min_area_px=10000", "-q"];
    let result = succeed(PROGRAM, &strict);
    assert_eq!((&result["lost"]["share"], &result["pooled"]["n_pred"]), (&1.0.into(), &0.into()));
    assert!(result["lost"]["median_area_px"].as_u64().is_some_and(|area| area > 4));
    fail(PROGRAM, &["ceiling", &plate, "--label", "nuclei"], 65, &["nuclei", "cells"]);
    fail(PROGRAM, &["ceiling", &plate, "--set", "decode.rise=high"], 2, &["decode.rise"]);
    let unlabelled = text(dir.path().join("unlabelled.ome.zarr"));
    Drawing { labels: vec![], ..real_drawing() }.write(Path::new(&unlabelled));
    fail(PROGRAM, &["ceiling", &unlabelled], 65, &["unlabelled.ome.zarr"]);
}
