//! Labels that some sequences have: learned from these, told by plates and checkpoints, judged and filtered.

use std::fs;
use std::path::{Path, PathBuf};

use lapsegan_core::plate::Plate;

use crate::support::drawings::Drawing;
use crate::support::programs::{fail, succeed};

/// Networks that train in seconds.
const SMALL: [&str; 8] = [
    "training.tick_kimg=0.02",
    "training.kimg=0.04",
    "training.batch=4",
    "model.generator.channels=[16,16,16]",
    "model.generator.latent=16",
    "model.discriminator.encoder=[8,16,16]",
    "model.discriminator.decoder=[[24,16],[16,8]]",
    "training.r1_interval=2",
];

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn arguments<'a>(data: &'a Path, output: &'a Path, more: &[&'a str]) -> Vec<&'a str> {
    let fixed = ["--threads", "1", "--device", "cpu", "-q", "--data", text(data), "--output", text(output)];
    let sets = SMALL.iter().flat_map(|set| ["--set", *set]);
    fixed.into_iter().chain(sets).chain(more.iter().copied()).collect()
}

fn discs(dir: &Path) -> PathBuf {
    let data = dir.join("discs.ome.zarr");
    Drawing { splits: [12, 4, 4], side: 16, ..Drawing::real() }.write(&data);
    data
}

#[test]
fn a_run_learns_from_some_labels_goes_on_and_its_plate_says_from_which() {
    let dir = tempfile::tempdir().unwrap();
    let data = discs(dir.path());
    let [run, parts, plate] = ["run", "parts", "synthetic.ome.zarr"].map(|name| dir.path().join(name));
    let few = ["--labelled", "train-1", "--preset", "auto"];
    succeed("train", &arguments(&data, &run, &few));
    succeed("train", &arguments(&data, &parts, &[&few[..], &["--kimg", "0.02"]].concat()));
    succeed("train", &arguments(&data, &parts, &[&few[..], &["--resume"]].concat()));
    let checkpoint = "checkpoints/kimg_000000.040.safetensors";
    assert_eq!(fs::read(run.join(checkpoint)).unwrap(), fs::read(parts.join(checkpoint)).unwrap());

    let generate =
        ["--checkpoint", text(&run), "--output", text(&plate), "--count", "6", "-q", "--threads", "1"];
    assert_eq!(succeed("generate", &generate)["label_route"], "joint");
    let synthetic = Plate::open(&plate).unwrap();
    assert_eq!(synthetic.meta.labelled.len(), 3);
    assert!(synthetic.meta.labelled.iter().all(|sequence| sequence.split_group == "train-1"));
    assert!(
        synthetic.wells.iter().all(|(_, meta)| meta.label_margin.is_some_and(|m| (0.0..=1.0).contains(&m)))
    );

    // The same run cannot go on with other labels.
    let other = ["--labelled", "train-2", "--preset", "auto", "--resume"];
    fail("train", &arguments(&data, &run, &other), 65, &["train-1", "train-2"]);
}

#[test]
fn labels_that_are_not_there_are_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let data = discs(dir.path());
    let output = dir.path().join("run");
    for (wish, code, words) in [
        ("0", 2, ["--labelled 0", "1 to 12"]),
        ("13", 2, ["--labelled 13", "1 to 12"]),
        ("A/1,Z/99", 2, ["Z/99", "no such well or split group"]),
        ("test-0", 2, ["test-0", "held out"]),
        (",", 2, ["--labelled 0", "1 to 12"]),
    ] {
        fail("train", &arguments(&data, &output, &["--labelled", wish]), code, &words);
    }
    let empty = dir.path().join("empty.ome.zarr");
    Drawing { splits: [12, 4, 4], side: 16, discs: 0, ..Drawing::real() }.write(&empty);
    for (wish, looked_at) in [("2", 12), ("train-0", 3)] {
        let words = [&format!("no object in any of the {looked_at} sequences"), "--labelled"];
        fail("train", &arguments(&empty, &output, &["--labelled", wish]), 65, &words);
    }
    let none = dir.path().join("none.ome.zarr");
    Drawing { splits: [12, 4, 4], side: 16, labels: Vec::new(), ..Drawing::real() }.write(&none);
    fail("train", &arguments(&none, &output, &["--labelled", "2"]), 65, &["no labels of objects"]);
    assert!(!output.exists());
}

#[test]
fn labels_are_judged_and_a_plate_of_the_good_ones_says_how_many_were_dropped() {
    let dir = tempfile::tempdir().unwrap();
    let [real, synthetic, figures, kept] =
        ["real.ome.zarr", "synthetic.ome.zarr", "quality.json", "kept.ome.zarr"].map(|n| dir.path().join(n));
    Drawing::real().write(&real);
    Drawing::synthetic().write(&synthetic);
    let base = ["quality", text(&synthetic), "--real", text(&real), "--output", text(&figures), "-q"];
    let quick = ["--threads", "1", "--device", "cpu", "--set", "train.steps=300", "--set", "train.batch=8"];
    let line = |more: &[&'static str]| -> Vec<String> {
        base.iter().chain(&quick).chain(more).map(|word| (*word).to_owned()).collect()
    };
    let words = |line: &[String]| line.to_vec();
    let all = words(&line(&[]));
    let printed = succeed("segment-benchmark", &all.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!([&printed["kept"], &printed["dropped"]], [&serde_json::json!(10), &serde_json::json!(0)]);
    assert!(printed["average_precision_on_learned"].as_f64().is_some_and(|ap| ap > 0.4), "{printed}");
    let found: serde_json::Value = serde_json::from_str(&fs::read_to_string(&figures).unwrap()).unwrap();
    let sequences = found["sequences"].as_array().unwrap();
    let ap: Vec<f64> = sequences.iter().filter_map(|s| s["average_precision"].as_f64()).collect();
    assert_eq!(ap.len(), 10);
    assert!(ap.iter().sum::<f64>() / 10.0 > 0.4, "{sequences:?}");
    assert!(sequences.iter().all(|s| s["brighter"].as_f64().is_some_and(|p| p > 0.9)), "{sequences:?}");

    // A figure in the middle drops some.
    let mut sorted = ap.clone();
    sorted.sort_by(f64::total_cmp);
    let least = sorted[4].to_string();
    let mut filter = words(&line(&["--overwrite", "--least-ap"]));
    filter.extend([least.clone(), "--kept".into(), text(&kept).into()]);
    let filter: Vec<&str> = filter.iter().map(String::as_str).collect();
    let printed = succeed("segment-benchmark", &filter);
    let dropped = ap.iter().filter(|ap| **ap < sorted[4]).count();
    assert_eq!(printed["dropped"], dropped);
    let plate = Plate::open(&kept).unwrap();
    assert_eq!(plate.wells.len(), 10 - dropped);
    let note = format!("{dropped} of 10 sequences dropped");
    assert!(plate.meta.notes.iter().any(|n| n.contains(&note)), "{:?}", plate.meta.notes);

    for (more, code, words) in [
        (vec!["--kept", text(&kept), "--overwrite"], 2, ["--kept", "--least-ap"]),
        (vec!["--overwrite", "--least-margin", "2"], 2, ["--least-margin 2", "0 to 1"]),
        (
            // Two steps train nothing.
            vec!["--overwrite", "--set", "train.steps=2", "--least-ap", "0.9", "--kept", text(&kept)],
            65,
            ["none of 10", "ask for less"],
        ),
        (vec!["--overwrite", "--channel", "rfp"], 65, ["no channel rfp", "phase, gfp"]),
        (vec!["--overwrite", "--least-margin", "0.5"], 65, ["--least-margin", "no sequence"]),
    ] {
        let line: Vec<&str> = base.iter().chain(&quick).copied().chain(more).collect();
        fail("segment-benchmark", &line, code, &words);
    }
    assert_eq!(Plate::open(&kept).unwrap().wells.len(), 10 - dropped);
}
