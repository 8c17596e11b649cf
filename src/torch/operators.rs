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
    /// Name, such as `aten::convolution`.
    pub name: String,
    /// Sizes of the tensors that it was given.
    pub sizes: Vec<Vec<i64>>,
    /// Whether it is made of no other operators.
    pub is_innermost: bool,
}

/// Operators that make a view or take memory, and compute nothing.
const NO_WORK: [&str; 26] = [
    "_reshape_alias",
    "alias",
    "as_strided",
    "chunk",
    "contiguous",
    "detach",
    "detach_",
    "empty",
    "empty_like",
    "empty_strided",
    "expand",
    "flatten",
    "narrow",
    "new_empty",
    "permute",
    "reshape",
    "resize_",
    "select",
    "slice",
    "split",
    "squeeze",
    "t",
    "transpose",
    "unfold",
    "unsqueeze",
    "view",
];

impl Operator {
    /// Returns whether it is one that computes or copies, which a GPU would be asked to do.
    pub fn is_work(&self) -> bool {
        let name = self.name.rsplit(':').next().unwrap_or(&self.name);
        self.is_innermost && !NO_WORK.contains(&name)
    }
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
    let (mark, name, sizes) = (fields.next()?, fields.next()?, fields.next()?);
    let size = |text: &str| text.split(',').filter_map(|n| n.parse().ok()).collect();
    Some(Operator {
        name: name.to_owned(),
        sizes: sizes.split_terminator(']').map(|text| size(text.trim_start_matches('['))).collect(),
        is_innermost: mark == "*",
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
        let exps: Vec<&Operator> = operators.iter().filter(|o| o.name == "aten::exp").collect();
        assert_eq!(exps.len(), 1);
        assert!(exps[0].is_work() && exps[0].sizes == [[2, 3]]);
        // The derivative of exp is a product.
        assert!(operators.iter().filter(|o| o.name == "aten::mul").count() >= 2);
        assert!(record(|| ()).1.is_empty());
    }
}
