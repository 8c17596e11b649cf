//! A plain reader of safetensors files, for types that libtorch's own reader does not take (U16).
//!
//! The format: 8 bytes length of the header, the header as JSON, the raw little-endian data.

use std::path::Path;

use ndarray::{ArrayD, IxDyn};
use serde_json::Value;

/// An opened file.
pub(crate) struct Tensors {
    header: Value,
    data: Vec<u8>,
}

impl Tensors {
    /// Reads a file whole.
    pub(crate) fn read(path: &Path) -> Self {
        let bytes = std::fs::read(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
        let header = serde_json::from_slice(&bytes[8..8 + length]).unwrap();
        Self { header, data: bytes[8 + length..].to_vec() }
    }

    /// Returns whether a tensor of that name is there.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.header.get(name).is_some()
    }

    /// Returns a tensor with its values as `f64`, which holds all types stored here exactly (but for huge I64).
    pub(crate) fn get(&self, name: &str) -> ArrayD<f64> {
        let entry = &self.header[name];
        assert!(entry.is_object(), "no tensor named {name}");
        let numbers = |key: &str| -> Vec<usize> {
            entry[key].as_array().unwrap().iter().map(|n| n.as_u64().unwrap() as usize).collect()
        };
        let (shape, range) = (numbers("shape"), numbers("data_offsets"));
        let bytes = &self.data[range[0]..range[1]];
        let values: Vec<f64> = match entry["dtype"].as_str().unwrap() {
            "U8" | "BOOL" => bytes.iter().map(|&b| f64::from(b)).collect(),
            "U16" => chunks(bytes, |b| f64::from(u16::from_le_bytes(b))),
            "I32" => chunks(bytes, |b| f64::from(i32::from_le_bytes(b))),
            "I64" => chunks(bytes, |b| i64::from_le_bytes(b) as f64),
            "F32" => chunks(bytes, |b| f64::from(f32::from_le_bytes(b))),
            "F64" => chunks(bytes, f64::from_le_bytes),
            other => panic!("{name}: type {other} is not read here"),
        };
        ArrayD::from_shape_vec(IxDyn(&shape), values).unwrap()
    }
}

fn chunks<const N: usize>(bytes: &[u8], value: impl Fn([u8; N]) -> f64) -> Vec<f64> {
    bytes.chunks_exact(N).map(|chunk| value(chunk.try_into().unwrap())).collect()
}
