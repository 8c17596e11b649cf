//! `stats.jsonl`: one line per tick, with means over the tick.

use std::fs;
use std::io::Write;
use std::path::Path;

use serde_json::{Map, Value, json};
use tch::{Kind, Tensor};

use super::phases::Values;
use crate::data::DataError;
use crate::data::output::write_file;

/// Sums of named values since the last tick; they stay on the device until they are read.
#[derive(Debug, Default)]
pub struct Accumulator {
    sums: Vec<(&'static str, Tensor, u32)>,
}

impl Accumulator {
    /// Adds the values of a step.
    pub fn add(&mut self, values: Values) {
        for (name, value) in values {
            let value = value.to_kind(Kind::Double);
            match self.sums.iter_mut().find(|(known, _, _)| *known == name) {
                Some((_, sum, count)) => {
                    *sum += value;
                    *count += 1;
                }
                None => self.sums.push((name, value, 1)),
            }
        }
    }

    /// Returns the means so far, in the order of first appearance.
    pub fn peek(&self) -> Vec<(&'static str, f64)> {
        self.sums
            .iter()
            .map(|(name, sum, count)| (*name, sum.double_value(&[]) / f64::from(*count)))
            .collect()
    }

    /// Returns the means and starts anew.
    pub fn take(&mut self) -> Vec<(&'static str, f64)> {
        let means = self.peek();
        self.sums.clear();
        means
    }
}

/// Appends a tick to `stats.jsonl`.
pub fn append(
    run: &Path,
    kimg: f64,
    seconds_per_kimg: f64,
    means: &[(&'static str, f64)],
) -> Result<(), DataError> {
    let mut line =
        Map::from_iter([("kimg".into(), json!(kimg)), ("s_per_kimg".into(), json!(seconds_per_kimg))]);
    line.extend(means.iter().map(|(name, value)| ((*name).to_owned(), json!(value))));
    let path = run.join("stats.jsonl");
    let mut file =
        fs::OpenOptions::new().create(true).append(true).open(&path).map_err(DataError::io(&path))?;
    writeln!(file, "{}", Value::Object(line)).map_err(DataError::io(&path))
}

/// Drops the lines that a resumed run will write again: those after its checkpoint.
pub fn truncate(run: &Path, kimg: f64) -> Result<(), DataError> {
    let path = run.join("stats.jsonl");
    let Ok(text) = fs::read_to_string(&path) else { return Ok(()) };
    let before = |line: &&str| {
        serde_json::from_str::<Value>(line)
            .ok()
            .and_then(|v| v["kimg"].as_f64())
            .is_some_and(|k| k <= kimg + 1e-9)
    };
    let kept: String = text.lines().filter(before).flat_map(|line| [line, "\n"]).collect();
    write_file(&path, kept.as_bytes())
}
