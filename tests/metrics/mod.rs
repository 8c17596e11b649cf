//! Metrics and classic operations against golden cases made with independent implementations.
//!
//! The folder is `tests/fixtures/metrics`, or what `LAPSEGAN_METRICS_DIR` names; a file that is not there fails the
//! test, and every case that a file holds is run.

mod classic;
mod distribution;
mod image_statistics;
mod instance;
mod one_dim;
mod sequences;

use std::path::PathBuf;

use serde_json::Value;

use crate::support::safetensors::Tensors;

/// Returns the description and the tensors of one fixture.
fn fixture(stem: &str) -> (Value, Tensors) {
    let folder = std::env::var_os("LAPSEGAN_METRICS_DIR")
        .map_or_else(|| crate::support::root().join("tests/fixtures/metrics"), PathBuf::from);
    let json = folder.join(format!("{stem}.json"));
    let text = std::fs::read_to_string(&json).unwrap_or_else(|e| panic!("{}: {e}", json.display()));
    (serde_json::from_str(&text).unwrap(), Tensors::read(&folder.join(format!("{stem}.safetensors"))))
}

/// Returns the entries of a list in a description; without any, nothing would be tested.
fn entries(list: &Value) -> &[Value] {
    let entries = list.as_array().expect("a list");
    assert!(!entries.is_empty(), "a fixture without cases");
    entries
}

#[test]
#[should_panic(expected = "a fixture without cases")]
fn a_fixture_without_cases_fails() {
    entries(&serde_json::json!([]));
}
