//! Which operators libtorch runs, for tests and benches: how many a step needs, and how large their tensors are.
#![allow(unsafe_code)]

use std::ffi::{CStr, c_char};

unsafe extern "C" {
    fn lapsegan_operators_begin();
    fn lapsegan_operators_end() -> *const c_char;
}

/// One call of an operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operator {
    /// Name, such as `convolution`.
    pub name: String,
    /// Sizes of the tensors that it was given.
    pub sizes: Vec<Vec<i64>>,
    /// How many others it runs inside of.
    pub depth: usize,
}

/// Operators that make a view or take memory, and compute nothing.
const NO_WORK: [&str; 27] = [
    "_reshape_alias",
    "_unsafe_view",
    "alias",
    "as_strided",
    "chunk",
    "detach",
    "detach_",
    "empty",
    "empty_like",
    "empty_strided",
    "expand",
    "narrow",
    "new_empty",
    "permute",
    "resize_",
    "resolve_conj",
    "result_type",
    "select",
    "slice",
    "split",
    "squeeze",
    "t",
    "to", // into what it is already
    "transpose",
    "unsqueeze",
    "unfold",
    "view",
];

/// Operators that a GPU does at one go, whatever they are made of on the CPU.
const WHOLE: [&str; 12] = [
    "_foreach_",
    "_fused_",
    "_softmax",
    "add",
    "bmm",
    "convolution",
    "linalg_vector_norm",
    "mean",
    "mm",
    "mul",
    "norm",
    "sum",
];

impl Operator {
    fn is_whole(&self) -> bool {
        WHOLE.iter().any(|name| {
            if name.ends_with('_') {
                self.name.starts_with(name)
            } else {
                self.name.trim_end_matches('_') == *name
            }
        }) || self.name == "convolution_backward"
    }
}

/// Returns the operators among `all` that compute or copy, which a GPU has to be asked for one by one.
pub fn work(all: &[Operator]) -> Vec<&Operator> {
    let mut found = Vec::new();
    let mut inside: Option<usize> = None;
    for (i, operator) in all.iter().enumerate() {
        if inside.is_some_and(|depth| operator.depth > depth) {
            continue;
        }
        inside = operator.is_whole().then_some(operator.depth);
        let is_innermost = all.get(i + 1).is_none_or(|next| next.depth <= operator.depth);
        let is_mark = operator.name.contains("::");
        if operator.is_whole() || (is_innermost && !is_mark && !NO_WORK.contains(&operator.name.as_str())) {
            found.push(operator);
        }
    }
    found
}

/// Returns the operators that `work` runs on this thread, backward passes on the CPU included, in their order.
pub fn record<T>(work: impl FnOnce() -> T) -> (T, Vec<Operator>) {
    // SAFETY: begins to fill a list of this thread.
    unsafe { lapsegan_operators_begin() };
    let result = work();
    // SAFETY: a string that ends in 0 and lives until the next call on this thread.
    let lines = unsafe { CStr::from_ptr(lapsegan_operators_end()) }.to_string_lossy();
    (result, lines.lines().filter_map(parse).collect())
}

fn parse(line: &str) -> Option<Operator> {
    let mut fields = line.split('\t');
    let (depth, name, sizes) = (fields.next()?, fields.next()?, fields.next()?);
    let size = |text: &str| text.split(',').filter_map(|n| n.parse().ok()).collect();
    Some(Operator {
        name: name.trim_start_matches("aten::").to_owned(),
        sizes: sizes.split_terminator(']').map(|text| size(text.trim_start_matches('['))).collect(),
        depth: depth.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::{Device, Kind, Tensor};

    #[test]
    fn operators_of_both_passes_are_listed_with_their_sizes() {
        let x = Tensor::ones([2, 3], (Kind::Float, Device::Cpu)).set_requires_grad(true);
        let (_, operators) = record(|| {
            let y = (&x * 2.0).exp().sum(Kind::Float);
            Tensor::run_backward(&[y], &[&x], false, false)
        });
        let work = work(&operators);
        let count = |name: &str| work.iter().filter(|o| o.name == name).count();
        assert_eq!((count("exp"), count("sum")), (1, 1));
        // The derivative of exp is a product.
        assert_eq!(count("mul"), 3);
        assert_eq!(work.iter().find(|o| o.name == "exp").map(|o| o.sizes.clone()), Some(vec![vec![2, 3]]));
        assert!(record(|| ()).1.is_empty());
    }
}
