//! Instance scores against golden cases made with StarDist, Cellpose, py-ctcmetrics and others.

use lapsegan_core::scores::counts::{Counts, Report, Scores, mean_over_defined_images};
use lapsegan_core::scores::matching::thresholds;
use ndarray::{ArrayD, Axis, Ix2};
use serde_json::Value;

use super::{entries, fixture};

/// Tolerance of ratios that come from counts, in f64.
const RATIO: f64 = 1e-9;

const PER_THRESHOLD: [&str; 7] =
    ["ap", "precision", "recall", "f1", "mean_matched_score", "mean_true_score", "pq"];

fn close(name: &str, got: &Value, expected: &Value) {
    match (got.as_f64(), expected.as_f64()) {
        (Some(g), Some(e)) => assert!((g - e).abs() <= RATIO, "{name}: {g}, expected {e}"),
        _ => assert_eq!(got, expected, "{name}"),
    }
}

fn check_ratios(name: &str, scores: &Scores, expected: &Value) {
    let got = serde_json::to_value(scores).unwrap();
    for key in PER_THRESHOLD {
        for (at, e) in entries(&expected[key]).iter().enumerate() {
            close(&format!("{name} {key}[{at}]"), &got[key][at], e);
        }
    }
    for key in ["aji", "aji_plus", "dice"] {
        if let Some(e) = expected.get(key) {
            close(&format!("{name} {key}"), &got[key], e);
        }
    }
}

fn check(name: &str, counts: &Counts, expected: &Value) {
    let report: Report = counts.report();
    let got = serde_json::to_value(report).unwrap();
    for key in ["n_true", "n_pred", "tp", "fp", "fn"] {
        assert_eq!(got[key], expected[key], "{name} {key}");
    }
    for (at, e) in entries(&expected["sum_matched_iou"]).iter().enumerate() {
        close(&format!("{name} sum_matched_iou[{at}]"), &got["sum_matched_iou"][at], e);
    }
    check_ratios(name, &report.scores, expected);
    let ctc = &expected["ctc"];
    close(&format!("{name} SEG"), &got["seg"], &ctc["SEG"]);
    close(&format!("{name} DET"), &got["det"], &ctc["DET"]);
    let parts = [
        ("FN", counts.detected.missed),
        ("FP", counts.detected.wrong),
        ("NS", counts.detected.splits),
        ("n_gt", counts.detected.n_true),
    ];
    for (key, got) in parts {
        assert_eq!(Some(got), ctc[key].as_u64(), "{name} {key}");
    }
}

fn labels(tensor: &ArrayD<f64>) -> ArrayD<u32> {
    tensor.mapv(|v| v as u32)
}

#[test]
fn every_pair_of_label_images_scores_as_expected() {
    let (json, tensors) = fixture("instance_pairs");
    let listed: Vec<f64> = entries(&json["thresholds"]).iter().map(|t| t.as_f64().unwrap()).collect();
    assert!(listed.iter().zip(thresholds()).all(|(a, b)| (a - b).abs() < 1e-12));
    let (truth, prediction) = (labels(&tensors.get("gt")), labels(&tensors.get("pred")));
    let mut all = Vec::new();
    for (index, case) in entries(&json["cases"]).iter().enumerate() {
        let at = |images: &ArrayD<u32>| {
            images.index_axis(Axis(0), index).to_owned().into_dimensionality::<Ix2>().unwrap()
        };
        let counts = Counts::of(at(&truth).view(), at(&prediction).view()).unwrap();
        check(case["name"].as_str().unwrap(), &counts, &case["expected"]);
        all.push(counts);
    }
    let pooled: Counts = all.iter().copied().sum();
    check("pooled", &pooled, &json["pooled"]);
    let mean = &json["mean_over_defined_images"];
    assert_eq!(Some(pooled.n_undefined), mean["n_undefined"].as_u64());
    let scores: Vec<Scores> = all.iter().map(Counts::scores).collect();
    check_ratios("mean over defined images", &mean_over_defined_images(&scores), mean);
}

#[test]
fn labels_above_65535_score_as_expected() {
    let (json, tensors) = fixture("instance_large_labels");
    let (truth, prediction) = (labels(&tensors.get("gt")), labels(&tensors.get("pred")));
    let counts = Counts::of(truth.view(), prediction.view()).unwrap();
    check("large labels", &counts, &json["expected"]);
}
