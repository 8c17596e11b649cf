//! Operators on lists of tensors: `lists.cpp` behind safe functions.
//!
//! Libtorch has one kernel for all parameters of a network; one call per parameter costs a GPU's host more than the
//! arithmetic takes.
#![allow(unsafe_code)]

use tch::Tensor;

use crate::handle::{RawTensor, adopt, raw};

unsafe extern "C" {
    fn lapsegan_list_norm(tensors: *const RawTensor, n: usize) -> RawTensor;
    fn lapsegan_list_scale(tensors: *const RawTensor, n: usize, factor: RawTensor) -> RawTensor;
    fn lapsegan_list_lerp(
        average: *const RawTensor,
        current: *const RawTensor,
        n: usize,
        weight: f64,
    ) -> RawTensor;
    fn lapsegan_list_adam(
        parameters: *const RawTensor,
        gradients: *const RawTensor,
        exp_avgs: *const RawTensor,
        exp_avg_sqs: *const RawTensor,
        steps: *const RawTensor,
        n: usize,
        lr: f64,
        beta1: f64,
        beta2: f64,
        eps: f64,
    ) -> RawTensor;
}

/// What one call of [`adam`] steps: lists of one entry per parameter, all tensors of an entry of one shape but `steps`.
#[derive(Debug)]
pub(super) struct AdamLists<'a> {
    pub(super) parameters: &'a [Tensor],
    pub(super) gradients: &'a [Tensor],
    pub(super) exp_avgs: &'a [Tensor],
    pub(super) exp_avg_sqs: &'a [Tensor],
    /// Steps taken, this one included. `[]` each, float32
    pub(super) steps: &'a [Tensor],
}

/// Returns the 2-norm of all tensors together, on their device. `-> []`
pub(super) fn norm(tensors: &[&Tensor]) -> Tensor {
    let all: Vec<RawTensor> = tensors.iter().map(|x| raw(x)).collect();
    // SAFETY: see `handle`; the list lives through the call.
    adopt(unsafe { lapsegan_list_norm(all.as_ptr(), all.len()) })
}

/// Multiplies all tensors by `factor []`, in place.
pub(super) fn scale(tensors: &[&Tensor], factor: &Tensor) {
    let all: Vec<RawTensor> = tensors.iter().map(|x| raw(x)).collect();
    // SAFETY: see `handle`; the list lives through the call.
    drop(adopt(unsafe { lapsegan_list_scale(all.as_ptr(), all.len(), raw(factor)) }));
}

/// Moves every tensor of the first list by `weight` of the way to that of the second, in place.
pub(super) fn lerp(average: &[Tensor], current: &[Tensor], weight: f64) {
    assert_eq!(average.len(), current.len(), "one average per parameter");
    let [a, b] = [average, current].map(handles);
    // SAFETY: see `handle`; the lists live through the call and are equally long.
    drop(adopt(unsafe { lapsegan_list_lerp(a.as_ptr(), b.as_ptr(), a.len(), weight) }));
}

/// Takes one step of Adam without weight decay, in place.
///
/// # Panics
/// Where libtorch refuses: entries of different shapes, kinds or devices, a bug of the caller.
pub(super) fn adam(lists: &AdamLists, lr: f64, [beta1, beta2]: [f64; 2], eps: f64) {
    let n = lists.parameters.len();
    let all =
        [lists.parameters, lists.gradients, lists.exp_avgs, lists.exp_avg_sqs, lists.steps].map(handles);
    assert!(all.iter().all(|list| list.len() == n), "one entry per parameter in every list");
    let [p, g, m, v, t] = all.each_ref().map(Vec::as_ptr);
    // SAFETY: see `handle`; the lists live through the call and are equally long.
    drop(adopt(unsafe { lapsegan_list_adam(p, g, m, v, t, n, lr, beta1, beta2, eps) }));
}

fn handles(tensors: &[Tensor]) -> Vec<RawTensor> {
    tensors.iter().map(raw).collect()
}
