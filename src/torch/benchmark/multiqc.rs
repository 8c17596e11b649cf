//! The benchmark as a table for MultiQC: a `*_mqc.json` file, which MultiQC finds by its name.

use serde_json::{Map, Value, json};

use super::curve::Curve;
use super::endpoints::{ENDPOINTS, Estimates, PRIMARY};

/// Returns MultiQC custom content: one row per arm, named after the synthetic plate, with scores, the interval of the
/// primary one, and its difference to arm `real`.
pub fn custom_content(curve: &Curve, synthetic: &str) -> Value {
    let sample = synthetic.trim_end_matches(".zarr").trim_end_matches(".ome");
    let mut headers = Map::new();
    let mut column = |key: &str, title: &str, description: &str, least: f64| {
        let scale = if least < 0.0 { "RdYlGn" } else { "Greens" };
        let form = if least < 0.0 { "{:+,.3f}" } else { "{:,.3f}" };
        headers.insert(
            key.to_owned(),
            json!({ "title": title, "description": description, "min": least, "max": 1, "scale": scale, "format": form }),
        );
    };
    for endpoint in &ENDPOINTS {
        let key = endpoint.key;
        column(key, endpoint.title, "Counts pooled over held-out real sequences, mean over seeds", 0.0);
        if key == PRIMARY.key {
            column(&format!("{key}_low"), "AP, from", "Lower end of the interval", 0.0);
            column(&format!("{key}_high"), "AP, to", "Upper end of the interval", 0.0);
            column("difference", "Change of AP", "Difference to training on real sequences alone", -1.0);
            column("difference_low", "Change, from", "Lower end of the interval", -1.0);
            column("difference_high", "Change, to", "Upper end of the interval", -1.0);
        }
    }
    let what = "Whether synthetic sequences help, from the interval of the change";
    headers.insert("verdict".into(), json!({ "title": "Verdict", "description": what }));
    let several = curve.points.len() > 1;
    let rows = curve.points.iter().flat_map(|summary| {
        summary.arms.iter().map(move |(arm, estimates)| {
            let mut row = row(estimates, summary.difference_of(*arm));
            if let Some(verdict) = summary.verdict_of(*arm) {
                row.insert("verdict".into(), json!(verdict.words()));
            }
            let beside = if several { format!(", {} real", summary.n_real) } else { String::new() };
            (format!("{sample} | {}{beside}", arm.name), Value::Object(row))
        })
    });
    let rows: Map<String, Value> = rows.collect();
    json!({
        "id": "lapsegan_segmentation",
        "section_name": "LapseGAN: does the synthetic data help a segmenter?",
        // Tables of several samples become one, under the text of one of them: what belongs to a sample is in its rows.
        "description": format!(
            "Scores on held-out real sequences after training on real sequences, synthetic ones, and both, with intervals. \
            The verdict is that on {}; report.html of each sample has it in words.",
            PRIMARY.title
        ),
        "plot_type": "table",
        "pconfig": { "id": "lapsegan_segmentation_table", "title": "LapseGAN: segmentation", "namespace": "LapseGAN" },
        "headers": headers,
        "data": rows,
    })
}

fn row(estimates: &Estimates, difference: Option<&Estimates>) -> Map<String, Value> {
    let mut row = Map::new();
    // What is not known has no cell.
    let mut cell = |key: &str, value: Option<f64>| value.map(|v| row.insert(key.to_owned(), json!(v)));
    for (endpoint, estimate) in estimates.iter() {
        cell(endpoint.key, estimate.value);
    }
    for (name, estimate) in
        [(PRIMARY.key, Some(estimates.primary())), ("difference", difference.map(Estimates::primary))]
    {
        let interval = estimate.and_then(|e| e.interval);
        if name == "difference" {
            cell(name, estimate.and_then(|e| e.value));
        }
        cell(&format!("{name}_low"), interval.map(|i| i[0]));
        cell(&format!("{name}_high"), interval.map(|i| i[1]));
    }
    row
}
