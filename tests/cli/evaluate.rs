//! `evaluate` from the outside.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use serde_json::Value;

use crate::support::drawings::Drawing;
use crate::support::programs::{check_refused, names, program, result};

/// Runs `evaluate` with the two plates `real` and `synthetic` in `dir`, the output `out` and further arguments.
fn evaluate(dir: &Path, more: &[&str]) -> Output {
    let mut command = program("evaluate");
    command.current_dir(dir).args([
        "--real",
        "real.ome.zarr",
        "--synthetic",
        "synthetic.ome.zarr",
        "--output",
        "out",
    ]);
    command
        .args([
            "--set",
            "swd_directions=16",
            "--set",
            "swd_patches=16",
            "--set",
            "draws=2",
            "--set",
            "half_draws=2",
        ])
        .args(more);
    command.output().unwrap()
}

fn plates(real: &Drawing, synthetic: &Drawing) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    real.write(&dir.path().join("real.ome.zarr"));
    synthetic.write(&dir.path().join("synthetic.ome.zarr"));
    dir
}

fn json(path: PathBuf) -> Value {
    serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap()
}

/// Checks a refusal, and that nothing was left behind.
fn refused(dir: &Path, more: &[&str], code: i32, words: &[&str]) {
    check_refused(&evaluate(dir, more), code, words);
    assert!(names(dir).iter().all(|name| name.ends_with(".ome.zarr")), "{:?}", names(dir));
}

#[test]
fn a_good_call_writes_numbers_report_and_record() {
    let dir = plates(&Drawing::real(), &Drawing::synthetic());
    Drawing { noise: 200, seed: 9, ..Drawing::synthetic() }.write(&dir.path().join("untrained.ome.zarr"));
    let printed = result(&evaluate(dir.path(), &["--untrained", "untrained.ome.zarr", "-q"]));
    assert_eq!(printed["n"], 8);

    let metrics = json(dir.path().join("out/metrics.json"));
    assert_eq!(metrics["format"], 1);
    let channels: Vec<&str> =
        metrics["channels"].as_array().unwrap().iter().map(|c| c["name"].as_str().unwrap()).collect();
    assert_eq!(channels, ["phase", "gfp", "all channels", "objects"]);
    let typical = &metrics["channels"][3]["typical"][0];
    assert_eq!((&typical["key"], &typical["reference"][1]), (&"objects".into(), &3.0.into()));
    for metric in metrics["channels"][1]["metrics"].as_array().unwrap() {
        let number = |key: &str| metric[key].as_f64().unwrap();
        // The untrained plate differs by its noise, the baseline by having no cells.
        let seen = ["intensity_w1", "spectrum_rms_db", "noise_w1", "sharpness_w1"].map(Into::into);
        if seen.contains(&metric["key"]) {
            assert!(
                number("value") < number("baseline") && number("value") < number("untrained"),
                "{metric}"
            );
        }
        assert!((number("excess") - number("value") + number("floor")).abs() < 1e-12, "{metric}");
        assert!(metrics["definitions"][metric["key"].as_str().unwrap()].is_string(), "{metric}");
    }
    let page = fs::read_to_string(dir.path().join("out/report.html")).unwrap();
    assert!(
        page.contains("data:image/png;base64,") && page.contains("<svg") && page.contains("Only 8 sequences")
    );
    let table = json(dir.path().join("out/lapsegan_mqc.json"));
    assert!(table["data"]["synthetic | gfp"]["swd_x1e3"].is_number());
    assert_eq!(json(dir.path().join("out/run.json"))["program"], "evaluate");
}

#[test]
fn the_same_seed_gives_the_same_bytes() {
    let dir = plates(&Drawing::real(), &Drawing::synthetic());
    let read = |name: &str| fs::read(dir.path().join("out").join(name)).unwrap();
    let files = ["metrics.json", "report.html", "lapsegan_mqc.json"];
    assert!(evaluate(dir.path(), &["--threads", "1"]).status.success());
    let first = files.map(read);
    assert!(evaluate(dir.path(), &["--threads", "1", "--overwrite"]).status.success());
    assert!(first == files.map(read));
}

#[test]
fn a_dry_run_says_what_it_would_do_and_writes_nothing() {
    let dir = plates(&Drawing::real(), &Drawing::synthetic());
    let plan = result(&evaluate(dir.path(), &["--dry-run", "--count", "6"]));
    assert_eq!((&plan["plan"]["n"], &plan["settings"]["draws"]), (&6.into(), &2.into()));
    assert!(!dir.path().join("out").exists());
}

#[test]
fn plates_that_cannot_be_compared_are_refused() {
    let cases = [
        (Drawing { channels: vec!["phase", "rfp"], ..Drawing::synthetic() }, 65, "phase, rfp"),
        (Drawing { side: 40, ..Drawing::synthetic() }, 65, "3 frames of 40x40 pixels"),
        (
            Drawing { splits: [3, 0, 0], ..Drawing::synthetic() },
            65,
            "3 synthetic sequences, expected at least 4",
        ),
    ];
    for (synthetic, code, words) in cases {
        let dir = plates(&Drawing::real(), &synthetic);
        refused(dir.path(), &[], code, &[words]);
    }
    let dir = plates(&Drawing { splits: [12, 0, 0], ..Drawing::real() }, &Drawing::synthetic());
    refused(dir.path(), &[], 65, &["no held-out sequences"]);
}

#[test]
fn missing_and_damaged_plates_are_named_and_nothing_is_left() {
    let dir = plates(&Drawing::real(), &Drawing::synthetic());
    let shard = first_shard(&dir.path().join("synthetic.ome.zarr"));
    fs::remove_file(&shard).unwrap();
    refused(dir.path(), &[], 65, &["synthetic.ome.zarr", "error:"]);

    fs::remove_dir_all(dir.path().join("synthetic.ome.zarr")).unwrap();
    refused(dir.path(), &[], 66, &["synthetic.ome.zarr"]);
}

#[test]
fn an_output_that_exists_is_kept() {
    let dir = plates(&Drawing::real(), &Drawing::synthetic());
    fs::create_dir(dir.path().join("out")).unwrap();
    fs::write(dir.path().join("out/old"), "old").unwrap();
    check_refused(&evaluate(dir.path(), &[]), 73, &["--overwrite"]);
    assert_eq!(fs::read_to_string(dir.path().join("out/old")).unwrap(), "old");
}

#[test]
fn wrong_settings_are_usage_errors() {
    let dir = plates(&Drawing::real(), &Drawing::synthetic());
    for (more, word) in [
        (["--count", "2"], "--count = 2"),
        (["--set", "draws=0"], "draws = 0"),
        (["--set", "drows=3"], "drows"),
    ] {
        refused(dir.path(), &more, 2, &[word]);
    }
}

/// Returns the pixel data of one image.
fn first_shard(plate: &Path) -> PathBuf {
    let mut folders = vec![plate.to_owned()];
    while let Some(folder) = folders.pop() {
        let mut entries: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
        entries.sort();
        for entry in entries {
            if entry.is_dir() {
                folders.push(entry);
            } else if entry.file_name().unwrap() != "zarr.json" {
                return entry;
            }
        }
    }
    panic!("no shard in {}", plate.display());
}
