//! Scores of tracked sequences against golden cases made with py-ctcmetrics.

use std::collections::BTreeMap;

use lapsegan_core::scores::counts::Counts;
use lapsegan_core::scores::overlap::OverlapTable;
use lapsegan_core::scores::tracking::linked;
use ndarray::{Array3, Axis, Ix3};
use serde_json::Value;

use super::{entries, fixture};

/// Tolerance of ratios that come from counts, in f64.
const RATIO: f64 = 1e-9;

fn close(name: &str, got: Option<f64>, expected: &Value) {
    match (got, expected.as_f64()) {
        (Some(g), Some(e)) => assert!((g - e).abs() <= RATIO, "{name}: {g}, expected {e}"),
        (got, expected) => assert_eq!(got, expected, "{name}"),
    }
}

/// Returns child and parent of the tracks that have one; rows are label, first, last, parent.
fn parents(tracks: &Value) -> BTreeMap<u32, u32> {
    let pair = |row: &Value| Some((row[0].as_u64()? as u32, row[3].as_u64()? as u32));
    entries(tracks).iter().filter_map(pair).filter(|(_, parent)| *parent > 0).collect()
}

#[test]
fn every_sequence_scores_as_expected() {
    let (json, tensors) = fixture("sequences");
    let mut compared = 0;
    for case in entries(&json["sequences"]) {
        let (name, key) = (case["name"].as_str().unwrap(), case["key"].as_str().unwrap());
        let labels = |side: &str| -> Array3<u32> {
            tensors.get(&format!("{key}.{side}")).mapv(|v| v as u32).into_dimensionality::<Ix3>().unwrap()
        };
        let (truth, prediction) = (labels("gt"), labels("pred"));
        let counts = Counts::of_frames(truth.view(), prediction.view()).unwrap();
        let expected = &case["expected"];
        close(&format!("{name} SEG"), counts.scores().seg, &expected["SEG"]);
        close(&format!("{name} DET"), counts.scores().det, &expected["DET"]);
        let frames = truth.axis_iter(Axis(0)).zip(prediction.axis_iter(Axis(0)));
        let tables: Vec<OverlapTable> = frames.map(|(t, p)| OverlapTable::new(t, p).unwrap()).collect();
        // A sequence without any prediction has no tracks either.
        let of_prediction = &case["pred_tracks"];
        let of_prediction = match of_prediction.as_array() {
            Some(rows) if !rows.is_empty() => parents(of_prediction),
            _ => BTreeMap::new(),
        };
        let links =
            linked(&tables.iter().collect::<Vec<_>>(), [&parents(&case["gt_tracks"]), &of_prediction]);
        let reference = &case["reference_py_ctcmetrics"];
        for (key, got) in
            [("AOGM_ED", links.redundant), ("AOGM_EA", links.lacking), ("AOGM_EC", links.changed)]
        {
            if let Some(expected) = reference[key].as_u64() {
                assert_eq!(got, expected, "{name} {key}");
                compared += 1;
            }
        }
        match &expected["TRA"] {
            // The reference has no value where nothing was found.
            Value::Null => assert_eq!(links.tra(&counts.detected), Some(0.0), "{name} TRA"),
            expected => close(&format!("{name} TRA"), links.tra(&counts.detected), expected),
        }
    }
    assert!(compared > 0, "no case has links to compare");
}
