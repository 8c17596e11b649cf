//! Reading and writing the tensors of networks by name.

use std::collections::HashMap;
use std::path::Path;

use tch::nn::VarStore;
use tch::{Kind, Tensor};

use super::ModelError;
use super::resample::FILTER;
use crate::transfer::download;

/// Named tensors of a safetensors file.
pub type Tensors = HashMap<String, Tensor>;

/// Reads all tensors of a safetensors file.
pub fn read(path: &Path) -> Result<Tensors, ModelError> {
    let unreadable = |problem: String| ModelError::Unreadable { file: path.display().to_string(), problem };
    let tensors = Tensor::read_safetensors(path).map_err(|e| unreadable(e.to_string()))?;
    Ok(tensors.into_iter().collect())
}

/// Returns the first tensor by name that holds infinite values or NaN; `None` where all values are numbers.
pub fn not_a_number(tensors: &Tensors) -> Option<&str> {
    let bad = |tensor: &Tensor| tensor.is_floating_point() && tensor.isfinite().all().int64_value(&[]) == 0;
    tensors.iter().filter(|(_, tensor)| bad(tensor)).map(|(name, _)| name.as_str()).min()
}

/// Returns the variables of a store, sorted by name, so that files and updates have one order.
pub fn sorted(vs: &VarStore) -> Vec<(String, Tensor)> {
    let mut all: Vec<_> = vs.variables().into_iter().collect();
    all.sort_by(|a, b| a.0.cmp(&b.0));
    all
}

/// Copies `{prefix}{name}` into every variable of a store.
///
/// Everything is checked before the first variable changes.
///
/// # Errors
/// [`ModelError::Weights`] naming the first tensor that is missing or of another shape.
pub fn load(vs: &VarStore, tensors: &Tensors, prefix: &str, file: &str) -> Result<(), ModelError> {
    let wrong =
        |name: &str, problem: String| ModelError::Weights { file: file.into(), name: name.into(), problem };
    let mut copies = Vec::new();
    for (name, variable) in sorted(vs) {
        let key = format!("{prefix}{name}");
        let Some(tensor) = tensors.get(&key) else {
            return Err(wrong(&key, "missing".into()));
        };
        if tensor.size() != variable.size() {
            return Err(wrong(
                &key,
                format!("has shape {:?}, expected {:?}", tensor.size(), variable.size()),
            ));
        }
        if is_other_filter(&name, tensor, &variable) {
            return Err(wrong(
                &key,
                "another filter than [1, 3, 3, 1], which is the only one there is here".into(),
            ));
        }
        copies.push((variable, tensor));
    }
    tch::no_grad(|| {
        for (mut variable, tensor) in copies {
            variable.copy_(&tensor.to_kind(Kind::Float));
        }
    });
    Ok(())
}

/// Returns whether a tensor is a filter that is not the one of the networks, which they have without a checkpoint.
fn is_other_filter(name: &str, tensor: &Tensor, own: &Tensor) -> bool {
    name.rsplit('.').next() == Some(FILTER)
        && !tensor.to_kind(Kind::Float).allclose(&download(own), 1e-4, 1e-6, false)
}

/// Copies what fits and returns the names of the variables that found no tensor of their shape.
pub fn load_fitting(vs: &VarStore, tensors: &Tensors, prefix: &str) -> Vec<String> {
    let mut left_out = Vec::new();
    for (name, mut variable) in sorted(vs) {
        match tensors.get(&format!("{prefix}{name}")) {
            Some(tensor)
                if tensor.size() == variable.size() && !is_other_filter(&name, tensor, &variable) =>
            {
                tch::no_grad(|| variable.copy_(&tensor.to_kind(Kind::Float)));
            }
            _ => left_out.push(name),
        }
    }
    left_out
}
