//! Networks that make feature vectors, against pytorch-fid, torch-fidelity, torchvision and the I3D port: wiring, resizing,
//! and how weights are read. The weights are a formula, see `formula.rs`.

mod files;
mod formula;
mod wiring;

use std::path::PathBuf;
use std::sync::OnceLock;

use serde_json::Value;
use tch::Tensor;

use crate::support::safetensors::Tensors;

/// Returns the folder of the metric fixtures.
fn folder() -> PathBuf {
    std::env::var_os("LAPSEGAN_METRICS_DIR")
        .map_or_else(|| crate::support::root().join("tests/fixtures/metrics"), PathBuf::from)
}

fn json(name: &str) -> Value {
    let path = folder().join(name);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    serde_json::from_str(&text).unwrap()
}

/// Returns description and tensors of the fixture.
fn fixture() -> &'static (Value, Tensors) {
    static FIXTURE: OnceLock<(Value, Tensors)> = OnceLock::new();
    FIXTURE.get_or_init(|| (json("networks.json"), Tensors::read(&folder().join("networks.safetensors"))))
}

/// Returns the entries of a list in a description; without any, nothing would be tested.
fn entries(list: &Value) -> &[Value] {
    let entries = list.as_array().expect("a list");
    assert!(!entries.is_empty(), "a fixture without cases");
    entries
}

/// Returns names and tensors of a network, without the counters that no layer needs.
fn tensors(keys: &str) -> Vec<(String, Tensor)> {
    let salt = fixture().0["salt"].as_str().unwrap();
    let keys = json(keys);
    entries(&keys)
        .iter()
        .filter(|entry| entry["dtype"] == "F32")
        .map(|entry| {
            let (name, shape) = (entry["key"].as_str().unwrap(), entry["shape"].as_array().unwrap());
            let shape: Vec<i64> = shape.iter().map(|n| n.as_i64().unwrap()).collect();
            (name.to_owned(), formula::tensor(salt, name, &shape))
        })
        .collect()
}

/// Checks values against a tensor of the fixture: at most 5e-5 of its largest value away.
fn close(what: &str, found: &Tensor, expected: &str, row: Option<usize>) {
    let all = fixture().1.get(expected);
    let expected: Vec<f64> = match row {
        Some(row) => all.index_axis(ndarray::Axis(0), row).iter().copied().collect(),
        None => all.iter().copied().collect(),
    };
    let found = formula::values(found);
    assert_eq!(found.len(), expected.len(), "{what}");
    let most = expected.iter().fold(0.0_f64, |most, v| most.max(v.abs()));
    let off = found.iter().zip(&expected).fold(0.0_f64, |off, (a, b)| off.max((a - b).abs()));
    assert!(off <= 5e-5 * most, "{what}: {:.2e} of the largest value away", off / most);
}
