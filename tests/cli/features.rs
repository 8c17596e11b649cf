//! `evaluate features` from the outside: figures of files, and files that are none.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Output;

use safetensors::tensor::{Dtype, TensorView, serialize};

use crate::support::programs::{check_refused, names, program, result};

/// Writes tensors of 32-bit numbers.
fn write(path: &Path, tensors: &[(&str, &[usize], Vec<f32>)]) {
    let bytes: Vec<Vec<u8>> =
        tensors.iter().map(|(_, _, values)| values.iter().flat_map(|v| v.to_le_bytes()).collect()).collect();
    let views = tensors.iter().zip(&bytes).map(|((name, shape, _), bytes)| {
        (name.to_string(), TensorView::new(Dtype::F32, shape.to_vec(), bytes).unwrap())
    });
    fs::write(path, serialize(views.collect::<BTreeMap<_, _>>(), &None).unwrap()).unwrap();
}

/// Vectors on a circle in three dimensions, moved along the third one.
fn circle(n: usize, away: f32) -> Vec<f32> {
    (0..n).flat_map(|i| [(i as f32).sin(), (i as f32).cos(), away]).collect()
}

fn features(dir: &Path, synthetic: &str, more: &[&str]) -> Output {
    let mut command = program("evaluate");
    command.current_dir(dir).args(["features", "--real", "real.safetensors", "--synthetic", synthetic]);
    command.args(more).output().unwrap()
}

#[test]
fn figures_come_with_what_they_were_taken_of() {
    let dir = tempfile::tempdir().unwrap();
    write(&dir.path().join("real.safetensors"), &[("features", &[60, 3], circle(60, 0.0))]);
    let logits = (0..60 * 4).map(|i| if i % 4 == i / 4 % 4 { 40.0 } else { 0.0 }).collect();
    let tensors: [(&str, &[usize], Vec<f32>); 2] =
        [("features", &[60, 3], circle(60, 2.0)), ("logits", &[60, 4], logits)];
    write(&dir.path().join("moved.safetensors"), &tensors);
    let found = result(&features(dir.path(), "moved.safetensors", &["--inception-splits", "1"]));
    let number = |pointer: &str| found.pointer(pointer).and_then(serde_json::Value::as_f64).unwrap();
    // Only the means differ, by 2.
    assert!((number("/channels/0/frechet_distance") - 4.0).abs() < 1e-9, "{found}");
    assert!((number("/channels/0/inception_score/mean") - 4.0).abs() < 1e-9, "{found}");
    assert_eq!((number("/channels/0/manifold/precision"), number("/inputs/real/vectors")), (0.0, 60.0));
    // Sets are smaller than the subsets of the protocol, which is said.
    assert_eq!(found["channels"][0]["warnings"].as_array().unwrap().len(), 1, "{found}");
    let same = result(&features(dir.path(), "real.safetensors", &["--output", "same.json"]));
    assert!(same["channels"][0]["frechet_distance"].as_f64().unwrap().abs() < 1e-9, "{same}");
    assert_eq!(same["channels"][0]["manifold"]["recall"], 1.0);
    assert!(dir.path().join("same.json").is_file());
    // An output that is there is not overwritten.
    check_refused(&features(dir.path(), "real.safetensors", &["--output", "same.json"]), 73, &["same.json"]);
}

#[test]
fn files_that_hold_no_vectors_are_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    write(&path("real.safetensors"), &[("features", &[60, 3], circle(60, 0.0))]);
    write(&path("other.safetensors"), &[("pool3", &[60, 3], circle(60, 0.0))]);
    write(&path("nan.safetensors"), &[("features", &[2, 3], vec![0.0, 0.0, 0.0, 0.0, f32::NAN, 0.0])]);
    write(&path("flat.safetensors"), &[("features", &[6], vec![0.0; 6])]);
    write(&path("wide.safetensors"), &[("features", &[60, 1], vec![0.0; 60])]);
    write(&path("one.safetensors"), &[("features", &[1, 3], vec![0.0; 3])]);
    let whole = fs::read(path("real.safetensors")).unwrap();
    fs::write(path("cut.safetensors"), &whole[..whole.len() / 2]).unwrap();
    fs::write(path("empty.safetensors"), "").unwrap();
    fs::write(path("long.safetensors"), [0xFF; 64]).unwrap();
    let before = names(dir.path());
    for (file, code, words) in [
        ("other.safetensors", 65, "no tensor `features`, only [\"pool3\"]"),
        ("nan.safetensors", 65, "no number in row 1"),
        ("flat.safetensors", 65, "the shape [6]"),
        ("wide.safetensors", 65, "vectors of 1 dimensions, expected 3"),
        ("one.safetensors", 65, "one vector"),
        ("cut.safetensors", 65, "no whole safetensors file"),
        ("empty.safetensors", 65, "no whole safetensors file"),
        ("long.safetensors", 65, "no whole safetensors file"),
        ("gone.safetensors", 66, "gone.safetensors"),
    ] {
        check_refused(&features(dir.path(), file, &["--output", "out.json"]), code, &[file, words]);
    }
    check_refused(&features(dir.path(), "real.safetensors", &["--neighbours", "0"]), 2, &["--neighbours"]);
    assert_eq!(names(dir.path()), before);
}
