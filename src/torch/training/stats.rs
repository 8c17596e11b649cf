//! `stats.jsonl`: one line per tick, with means over the tick.

use std::fs;
use std::io::Write;
use std::path::Path;

use serde_json::{Map, Value, json};
use tch::{Device, Kind, Tensor};

use super::phases::Values;
use crate::transfer::upload;
use lapsegan_core::error::DataError;
use lapsegan_core::output::write_file;

/// Sums of named values since the last tick; they stay on the device until they are read.
#[derive(Debug, Default)]
pub struct Accumulator {
    sums: Vec<(&'static str, Tensor, u32)>,
}

impl Accumulator {
    /// Adds the values of a step.
    pub fn add(&mut self, values: Values) {
        for (name, value) in values {
            // Copied: the memory of a recorded step is written again.
            let value = value.to_dtype(Kind::Double, false, true);
            match self.sums.iter_mut().find(|(known, _, _)| *known == name) {
                Some((_, sum, count)) => {
                    *sum += value;
                    *count += 1;
                }
                None => self.sums.push((name, value, 1)),
            }
        }
    }

    /// Returns the sums for a checkpoint, so that the tick of a resumed run has the mean of all its steps: the name with
    /// its place, and sum and count. `[2]`, f64
    pub fn to_tensors(&self) -> Vec<(String, Tensor)> {
        let tensor = |(place, (name, sum, count)): (usize, &(&str, Tensor, u32))| {
            (format!("{place:02}.{name}"), Tensor::from_slice(&[sum.double_value(&[]), f64::from(*count)]))
        };
        self.sums.iter().enumerate().map(tensor).collect()
    }

    /// Puts back what [`Accumulator::to_tensors`] returned, in any order.
    pub fn from_tensors(mut tensors: Vec<(String, Tensor)>, device: Device) -> Self {
        tensors.sort_by(|a, b| a.0.cmp(&b.0));
        let sum = |(name, pair): (String, Tensor)| {
            // The leak is small: a dozen names, once per program.
            let name: &'static str = name.split_once('.').map_or("", |(_, name)| name).to_owned().leak();
            (name, upload(&pair.get(0), device), pair.double_value(&[1]) as u32)
        };
        Self { sums: tensors.into_iter().map(sum).collect() }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_come_back_from_a_checkpoint_bit_by_bit_and_in_their_order() {
        let mut whole = Accumulator::default();
        let step = |x: f64| vec![("zeta", Tensor::from(0.1 + x)), ("alpha", Tensor::from(x / 3.0))];
        (0..3).for_each(|i| whole.add(step(f64::from(i))));
        let mut tensors = whole.to_tensors();
        tensors.reverse();
        let mut resumed = Accumulator::from_tensors(tensors, Device::Cpu);
        for part in [&mut whole, &mut resumed] {
            part.add(step(7.0));
        }
        assert_eq!(whole.take(), resumed.take());
        assert!(whole.take().is_empty());
    }
}
