//! The evaluation as a table for MultiQC: a `*_mqc.json` file, which MultiQC finds by its name.

use serde_json::{Map, Value, json};

use super::result::Evaluation;

/// Returns MultiQC custom content: one row per synthetic plate and channel, one column per metric, `NAME floor` beside it.
pub fn custom_content(evaluation: &Evaluation) -> Value {
    let sample = evaluation.synthetic.trim_end_matches(".zarr").trim_end_matches(".ome");
    let (mut rows, mut headers) = (Map::new(), Map::new());
    for channel in &evaluation.channels {
        let mut row = Map::new();
        for metric in &channel.metrics {
            let definition = evaluation.definitions.get(&metric.key).map_or("", String::as_str);
            let column = |title: String, description: String| json!({ "title": title, "description": description, "min": 0, "scale": "OrRd", "format": "{:,.4f}" });
            let floor = format!("{}_floor", metric.key);
            headers.insert(metric.key.clone(), column(metric.label.clone(), definition.to_owned()));
            let of_floor = format!("The same for real training sequences. {definition}");
            headers.insert(floor.clone(), column(format!("{}, floor", metric.label), of_floor));
            row.insert(metric.key.clone(), json!(metric.value));
            row.insert(floor, json!(metric.floor));
        }
        rows.insert(format!("{sample} | {}", channel.name), Value::Object(row));
    }
    json!({
        "id": "lapsegan_evaluate",
        "section_name": "LapseGAN: realism of synthetic sequences",
        "description": format!(
            "Distances between {} synthetic and {} held-out real sequences; smaller is better, the floor is what real training sequences reach.",
            evaluation.protocol.plan.n, evaluation.protocol.plan.n
        ),
        "plot_type": "table",
        "pconfig": { "id": "lapsegan_evaluate_table", "title": "LapseGAN: realism", "namespace": "LapseGAN" },
        "headers": headers,
        "data": rows,
    })
}
