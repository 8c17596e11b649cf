//! Feature vectors out of a safetensors file.

use std::path::Path;

use ndarray::Array2;
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};
use sha2::{Digest as _, Sha256};

use crate::error::DataError;
use crate::side_file;

/// Name of the tensor of features.
pub const FEATURES: &str = "features";
/// Name of the tensor of class logits.
pub const LOGITS: &str = "logits";
/// Longest file: a million vectors of 2,048 dimensions.
const LONGEST: u64 = 16 << 30;

/// The vectors of one set of images or sequences.
#[derive(Clone, Debug, PartialEq)]
pub struct Vectors {
    /// One row per image or sequence. `[N, D]`
    pub features: Array2<f64>,
    /// Class logits before the softmax, where the file has them. `[N, K]`
    pub logits: Option<Array2<f64>>,
    /// SHA-256 of the file, hexadecimal.
    pub sha256: String,
}

impl Vectors {
    /// Reads the tensors `features` `[N, D]` and, where it is there, `logits` `[N, K]` of 16-, 32- or 64-bit floating point
    /// numbers.
    ///
    /// # Errors
    /// [`DataError`] of a file that is missing, cut, or without such a tensor, and of values that are no numbers.
    pub fn read(path: &Path) -> Result<Self, DataError> {
        let bytes = side_file::read(path, LONGEST)?;
        let unusable = |found: String| {
            DataError::Unusable {
            path: path.to_owned(),
            found,
            expected: format!("safetensors with a tensor `{FEATURES}` [N, D] of floating point numbers"),
            hint: "write it in Python with safetensors.numpy.save_file({'features': array}, 'features.safetensors')".into(),
        }
        };
        let file = SafeTensors::deserialize(&bytes)
            .map_err(|e| unusable(format!("is no whole safetensors file ({e:?})")))?;
        let read = |name: &str| -> Result<Array2<f64>, DataError> {
            let tensor = file.tensor(name).map_err(|_| {
                let mut names: Vec<&String> = file.names();
                names.sort();
                unusable(format!("has no tensor `{name}`, only {names:.200?}"))
            })?;
            let values = matrix(&tensor).map_err(|found| unusable(format!("tensor `{name}` {found}")))?;
            let row_of = |at: usize| at / values.ncols().max(1);
            match values.iter().position(|v| !v.is_finite()) {
                Some(at) => Err(unusable(format!("tensor `{name}` holds no number in row {}", row_of(at)))),
                None => Ok(values),
            }
        };
        let features = read(FEATURES)?;
        let logits = if file.names().iter().any(|name| *name == LOGITS) { Some(read(LOGITS)?) } else { None };
        if let Some(logits) = logits.as_ref().filter(|logits| logits.nrows() != features.nrows()) {
            return Err(unusable(format!(
                "has {} rows of `{LOGITS}` and {} of `{FEATURES}`",
                logits.nrows(),
                features.nrows()
            )));
        }
        Ok(Self { features, logits, sha256: format!("{:x}", Sha256::digest(&bytes)) })
    }
}

/// Returns the values of a tensor, or what is wrong with it.
fn matrix(tensor: &TensorView<'_>) -> Result<Array2<f64>, String> {
    let &[rows, columns] = tensor.shape() else {
        return Err(format!("has the shape {:?}", tensor.shape()));
    };
    if rows == 0 || columns == 0 {
        return Err(format!("is empty ({rows} x {columns})"));
    }
    let data = tensor.data();
    let values: Vec<f64> = match tensor.dtype() {
        Dtype::F16 => numbers(data, |b| half::f16::from_le_bytes(b).to_f64()),
        Dtype::BF16 => numbers(data, |b| half::bf16::from_le_bytes(b).to_f64()),
        Dtype::F32 => numbers(data, |b| f64::from(f32::from_le_bytes(b))),
        Dtype::F64 => numbers(data, f64::from_le_bytes),
        other => return Err(format!("holds {other:?}")),
    };
    Array2::from_shape_vec((rows, columns), values).map_err(|e| e.to_string())
}

fn numbers<const N: usize>(bytes: &[u8], value: impl Fn([u8; N]) -> f64) -> Vec<f64> {
    bytes.as_chunks::<N>().0.iter().map(|&chunk| value(chunk)).collect()
}
