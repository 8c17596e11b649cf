//! Distances of feature vectors against pytorch-fid, clean-fid, torch-fidelity, scikit-learn and prdc.

use lapsegan_core::features::compare::spread;
use lapsegan_core::features::{frechet, inception, kernel, manifold};
use ndarray::{Array2, Axis, Ix2, s};
use serde_json::Value;

use super::{entries, fixture};
use crate::support::safetensors::Tensors;

fn matrix(tensors: &Tensors, name: &str) -> Array2<f64> {
    tensors.get(name).into_dimensionality::<Ix2>().expect("a matrix")
}

fn close(what: &str, got: f64, expected: &Value, tolerance: f64) {
    let expected = expected.as_f64().unwrap_or_else(|| panic!("{what}: nothing is expected"));
    assert!((got - expected).abs() <= tolerance, "{what}: {got}, expected {expected} within {tolerance:e}");
}

fn close_9(what: &str, got: f64, expected: &Value) {
    close(what, got, expected, 1e-9 * expected.as_f64().unwrap_or(0.0).abs().max(1.0));
}

#[test]
fn frechet_distances_equal_the_references() {
    let (json, tensors) = fixture("distribution");
    for case in entries(&json["frechet"]) {
        let name = case["name"].as_str().unwrap();
        let set = |side: &str| matrix(&tensors, &format!("frechet.{name}.{side}"));
        let (x, y) = (set("x"), set("y"));
        let expected = &case["expected"];
        let found = frechet::frechet(x.view(), y.view()).unwrap();
        let tolerance = 2e-6 * (expected["trace1"].as_f64().unwrap() + expected["trace2"].as_f64().unwrap());
        close(&format!("{name} fd"), found.distance, &expected["fd"], tolerance);
        close(&format!("{name} trace_sqrt"), found.trace_sqrt, &expected["trace_sqrt"], tolerance);
        close_9(&format!("{name} mean_sq"), found.mean_sq, &expected["mean_sq"]);
        close_9(&format!("{name} trace1"), found.trace1, &expected["trace1"]);
        close_9(&format!("{name} trace2"), found.trace2, &expected["trace2"]);
    }
}

#[test]
fn kernel_distances_equal_the_references() {
    let (json, tensors) = fixture("distribution");
    let kid = &json["kid"];
    let (x, y) = (matrix(&tensors, "kid.x"), matrix(&tensors, "kid.y"));
    close_9("all rows", kernel::mmd2(x.view(), y.view()).unwrap(), &kid["full_mmd2"]);
    close_9("identical", kernel::mmd2(x.view(), x.view()).unwrap(), &kid["identical_mmd2"]);
    let rows = |key: &str| kid["unequal"][key].as_u64().unwrap() as usize;
    let unequal = kernel::mmd2(x.slice(s![..rows("x_rows"), ..]), y.slice(s![..rows("y_rows"), ..])).unwrap();
    close_9("unequal", unequal, &kid["unequal"]["mmd2"]);
    let (index_x, index_y) = (matrix(&tensors, "kid.subset_index_x"), matrix(&tensors, "kid.subset_index_y"));
    let mut subsets = Vec::new();
    for (i, expected) in entries(&kid["subset_mmd2"]).iter().enumerate() {
        let take = |set: &Array2<f64>, index: &Array2<f64>| {
            set.select(Axis(0), &index.row(i).iter().map(|&v| v as usize).collect::<Vec<_>>())
        };
        let found = kernel::mmd2(take(&x, &index_x).view(), take(&y, &index_y).view()).unwrap();
        close_9(&format!("subset {i}"), found, expected);
        subsets.push(found);
    }
    let found = spread(&subsets).unwrap();
    close_9("mean", found.mean, &kid["subset_mean"]);
    close_9("std", found.std, &kid["subset_std"]);
}

#[test]
fn precision_recall_density_and_coverage_equal_the_references() {
    let (json, tensors) = fixture("distribution");
    for case in entries(&json["prdc"]) {
        let name = case["name"].as_str().unwrap();
        let set = |side: &str| matrix(&tensors, &format!("prdc.{name}.{side}"));
        let k = case["k"].as_u64().unwrap() as usize;
        let found = manifold::manifold(set("real").view(), set("fake").view(), k).unwrap();
        for (what, got) in [
            ("precision", found.precision),
            ("recall", found.recall),
            ("density", found.density),
            ("coverage", found.coverage),
        ] {
            close_9(&format!("{name} k {k} {what}"), got, &case["expected"][what]);
        }
    }
}

#[test]
fn inception_scores_equal_the_references() {
    let (json, tensors) = fixture("distribution");
    let expected = &json["inception_score"];
    let logits = matrix(&tensors, "is.logits");
    let order: Vec<usize> = tensors.get("is.permutation").iter().map(|&v| v as usize).collect();
    let permuted = logits.select(Axis(0), &order);
    for (name, logits, splits) in
        [("splits_1", &logits, 1), ("splits_10", &logits, 10), ("splits_10_permuted", &permuted, 10)]
    {
        let found = spread(&inception::inception_score(logits.view(), splits).unwrap()).unwrap();
        close_9(name, found.mean, &expected[name]["mean"]);
        close_9(name, found.std, &expected[name]["std"]);
    }
    let one = |logits: Array2<f64>| inception::inception_score(logits.view(), 1).unwrap()[0];
    close_9("uniform", one(Array2::zeros((64, 8))), &expected["uniform_logits"]["mean"]);
    let one_hot = Array2::from_shape_fn((64, 8), |(i, j)| if j == i % 8 { 40.0 } else { 0.0 });
    close_9("one hot", one(one_hot), &expected["one_hot_x40_8_classes_64_rows"]["mean"]);
}
