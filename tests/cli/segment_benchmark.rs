//! `segment-benchmark` on drawn discs.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use lapsegan::data::plate::{
    Calibration, Channel, Labels, Origin, PlateMeta, PlateWriter, Sequence, SequenceMeta, Split,
};
use ndarray::{Array2, Array3, Array4};
use serde_json::Value;

const SIZE: usize = 32;

fn call(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_segment-benchmark")).args(arguments).output().unwrap()
}

fn stdout(output: &Output) -> Value {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Checks that a call fails with a code, words in its message, and a hint.
fn refused(output: &Output, code: i32, words: &str) {
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{text}");
    assert!(text.contains("error: ") && text.contains(words), "{text}");
    assert!(output.stdout.is_empty());
}

/// A drawn plate: which label it has, what it was trained on, and one `(split, group)` per sequence.
struct Drawn {
    seed: usize,
    origin: Origin,
    labels: Vec<String>,
    trained_on: Vec<String>,
    sequences: Vec<(Split, String)>,
}

impl Drawn {
    fn real() -> Self {
        let group = |i: usize| format!("position {}", i % 4);
        let train = (0..8).map(|i| (Split::Train, group(i)));
        let test = (0..8).map(|i| (Split::Test, format!("held-out {}", group(i))));
        let sequences = train.chain(test).collect();
        let labels = vec!["cells".into()];
        Self { seed: 1, origin: Origin::Phantom, labels, trained_on: Vec::new(), sequences }
    }

    fn synthetic() -> Self {
        let trained_on = (0..4).map(|i| format!("position {i}")).collect();
        let sequences = (0..8).map(|_| (Split::Train, "synthetic".to_owned())).collect();
        Self { seed: 9, origin: Origin::Synthetic, labels: vec!["cells".into()], trained_on, sequences }
    }

    fn write(&self, path: &Path) {
        let calibration = Calibration { lo: 0.0, hi: 4000.0, clipped_low: 0.0, clipped_high: 0.0 };
        let meta = PlateMeta {
            tool: "tests".into(),
            version: "0".into(),
            origin: self.origin,
            seed: 0,
            frames: 2,
            height: SIZE,
            width: SIZE,
            channels: vec![Channel { name: "phase".into(), color: [255; 3], calibration }],
            labels: self.labels.clone(),
            label_route: Some("phantom_truth".into()),
            pixel_size_um: None,
            frame_interval_s: None,
            single_movie: false,
            normalise: "percentile".into(),
            trained_on: self.trained_on.clone(),
            notes: Vec::new(),
        };
        let writer = PlateWriter::create(path, &meta, self.sequences.len(), false).unwrap();
        for (i, (split, split_group)) in self.sequences.iter().enumerate() {
            let ids = discs(self.seed * 100 + i);
            let image = Array4::from_shape_fn((2, 1, SIZE, SIZE), |(t, _, y, x)| {
                let grain = (7 * y + 13 * x + 5 * t + i) % 11 * 40;
                (if ids[[t, y, x]] > 0 { 2200 } else { 900 } + grain) as u16
            });
            let labels = self
                .labels
                .iter()
                .map(|name| (name.clone(), Labels { ids: ids.clone(), parents: BTreeMap::new() }));
            let meta = SequenceMeta {
                source: "drawn".into(),
                first_frame: 2 * i,
                split: *split,
                split_group: split_group.clone(),
                frame_ranges: None,
            };
            writer.write(i, &Sequence { meta, image, labels: labels.collect() }).unwrap();
        }
        writer.finish().unwrap();
    }
}

/// Three discs whose places follow from a number.
fn discs(number: usize) -> Array3<u32> {
    let place = |k: usize| 5.0 + ((number * 37 + k * 11) % 23) as f64;
    Array3::from_shape_fn((2, SIZE, SIZE), |(t, y, x)| {
        let inside =
            |k: usize| (y as f64 - place(2 * k)).hypot(x as f64 - place(2 * k + 1) - t as f64) <= 4.0;
        (0..3).find(|&k| inside(k)).map_or(0, |k| k as u32 + 1)
    })
}

/// Writes both plates and returns their paths.
fn plates(folder: &Path) -> [String; 2] {
    let paths = ["real.ome.zarr", "synthetic.ome.zarr"].map(|name| folder.join(name));
    Drawn::real().write(&paths[0]);
    Drawn::synthetic().write(&paths[1]);
    paths.map(text)
}

fn text(path: PathBuf) -> String {
    path.to_str().unwrap().to_owned()
}

#[test]
fn help_ends_with_examples_and_version_is_one_line() {
    for arguments in [&["--help"][..], &["run", "--help"], &["score", "--help"]] {
        let output = call(arguments);
        assert!(output.status.success());
        let help = String::from_utf8(output.stdout).unwrap();
        let examples = help.split("Examples:").nth(1).expect("examples at the end");
        assert_eq!(examples.matches("segment-benchmark ").count(), 2, "{help}");
    }
    let version = call(&["--version"]);
    assert_eq!(String::from_utf8(version.stdout).unwrap().lines().count(), 1);
}

#[test]
fn a_run_tells_whether_synthetic_sequences_help_and_repeats_byte_by_byte() {
    let folder = tempfile::tempdir().unwrap();
    let [real, synthetic] = plates(folder.path());
    let run = |name: &str, threads: &str| {
        let output = text(folder.path().join(name));
        let steps = [
            "--steps",
            "60",
            "--batch",
            "8",
            "--real-sequences",
            "2",
            "--device",
            "cpu",
            "--threads",
            threads,
        ];
        let inputs = ["run", "--real", &real, "--synthetic", &synthetic, "--output", &output];
        let result = stdout(&call(&[&inputs[..], &steps[..]].concat()));
        (result, folder.path().join(name))
    };
    let (result, output) = run("a", "2");
    assert!(result["verdict"]["text"][0].as_str().unwrap().contains("AP 0.50:0.95"));
    let scores: Value = serde_json::from_slice(&std::fs::read(output.join("scores.json")).unwrap()).unwrap();
    for arm in ["real", "synthetic", "both"] {
        assert_eq!(scores["arms"][arm]["seeds"].as_array().unwrap().len(), 3);
        let ap50 = &scores["arms"][arm]["estimates"]["ap50"];
        // Two sequences are few; whoever sees ten finds a good part of the discs in 60 steps.
        assert!(ap50["value"].as_f64().unwrap() > if arm == "both" { 0.3 } else { 0.0 }, "{arm}: {ap50}");
        assert_eq!(ap50["interval"].as_array().unwrap().len(), 2);
    }
    assert_eq!(scores["interval"]["groups"], 4);
    assert_eq!(scores["data"]["synthetic_label_route"], "phantom_truth");
    let record: Value = serde_json::from_slice(&std::fs::read(output.join("run.json")).unwrap()).unwrap();
    assert_eq!(record["inputs"]["real"]["sha256"].as_str().unwrap().len(), 64);
    let html = std::fs::read_to_string(output.join("report.html")).unwrap();
    assert!(html.contains("data:image/png;base64,") && html.contains("<svg"));

    let (_, again) = run("b", "1");
    for file in ["scores.json", "report.html"] {
        assert!(
            std::fs::read(output.join(file)).unwrap() == std::fs::read(again.join(file)).unwrap(),
            "{file}"
        );
    }
}

#[test]
fn test_groups_that_the_generator_has_seen_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let [real, _] = plates(folder.path());
    let leaky = text(folder.path().join("leaky.ome.zarr"));
    let trained_on = vec!["held-out position 2".into()];
    Drawn { trained_on, ..Drawn::synthetic() }.write(Path::new(&leaky));
    let output = text(folder.path().join("out"));
    let call_with = |more: &[&str]| {
        let inputs = ["run", "--real", &real, "--synthetic", &leaky, "--output", &output];
        call(&[&inputs[..], more].concat())
    };
    let error = call_with(&[]);
    refused(&error, 65, "held-out position 2 were seen by the generator");
    assert!(String::from_utf8_lossy(&error.stderr).contains("hint: "));
    let plan = stdout(&call_with(&["--allow-leakage", "--dry-run"]));
    assert_eq!(plan["data"]["leaked_groups"][0], "held-out position 2");
    assert!(!Path::new(&output).exists());
}

#[test]
fn unusable_inputs_are_named_before_anything_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let [real, synthetic] = plates(folder.path());
    let bare = text(folder.path().join("bare.ome.zarr"));
    Drawn { labels: Vec::new(), ..Drawn::synthetic() }.write(Path::new(&bare));
    let output = text(folder.path().join("out"));
    let run = |synthetic: &str, more: &[&str]| {
        let inputs = ["run", "--real", &real, "--synthetic", synthetic, "--output", &output];
        call(&[&inputs[..], more].concat())
    };
    refused(&run(&bare, &[]), 65, "no labels named cells");
    refused(&run(&synthetic, &["--channel", "gfp"]), 65, "no channel gfp, it has phase");
    refused(&run("nowhere.ome.zarr", &[]), 66, "nowhere.ome.zarr");
    refused(&run(&synthetic, &["--seeds", "2"]), 2, "seeds is 2, expected at least 3");
    refused(&run(&synthetic, &["--set", "train.stepz=1"]), 2, "stepz");
    assert!(!Path::new(&output).exists());
    std::fs::write(&output, "kept").unwrap();
    refused(&run(&synthetic, &[]), 73, "already exists");
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
    let scores = stdout(&call(&["score", "--truth", &real, "--prediction", &real, "--split", "test"]));
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
    let scores = stdout(&call(&[&inputs[..], &["--output", &file]].concat()));
    assert_eq!((&scores["pooled"]["tp"][2], &scores["pooled"]["tp"][3]), (&2.into(), &1.into()));
    let written: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    assert_eq!(written["pooled"], scores["pooled"]);
    assert_eq!(written["pairs"][0]["name"], "a.png");

    write_labels(&Path::new(&prediction).join("a.png"), &Array2::zeros((2, 10)));
    refused(&call(&inputs), 65, "a.png: truth is [1, 1, 10], prediction [1, 2, 10]");
    write_labels(&Path::new(&prediction).join("b.png"), &row([0; 10]));
    refused(&call(&inputs), 65, "holds 1 label images");
    refused(
        &call(&["score", "--truth", &truth, "--prediction", &real]),
        65,
        "give two plates, or two folders",
    );
    refused(&call(&["score", "--truth", "nowhere", "--prediction", &real]), 66, "nowhere");
}
