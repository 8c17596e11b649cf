//! Adam's step as libtorch's fused kernel: one pass over parameters and state instead of eight.
//!
//! The bindings leave operators on tensor lists out, so this one is called through libtorch's stable C interface
//! (`torch/csrc/stable/c/shim.h`, since 2.10). With `cli/device.rs` and `model/fused.rs` the only unsafe code of the package.
#![allow(unsafe_code)]

use std::ffi::{c_char, c_void};
use std::ptr;

use tch::{Kind, Tensor};

unsafe extern "C" {
    fn aoti_torch_abi_version() -> u64;
    fn aoti_torch_new_tensor_handle(tensor: *const c_void, handle: *mut *mut c_void) -> i32;
    fn torch_new_list_reserve_size(size: usize, list: *mut *mut c_void) -> i32;
    fn torch_list_push_back(list: *mut c_void, element: u64) -> i32;
    fn torch_call_dispatcher(
        name: *const c_char,
        overload: *const c_char,
        stack: *mut u64,
        version: u64,
    ) -> i32;
}

/// What one call steps; all lists have one entry per parameter, all tensors of an entry the same shape.
#[derive(Debug, Default)]
pub(super) struct Group {
    pub(super) parameters: Vec<Tensor>,
    pub(super) gradients: Vec<Tensor>,
    pub(super) exp_avgs: Vec<Tensor>,
    pub(super) exp_avg_sqs: Vec<Tensor>,
    /// Steps taken, this one included.
    pub(super) steps: Vec<f32>,
}

/// Takes one step of Adam without weight decay, in place.
///
/// # Panics
/// Where libtorch refuses: entries of different shapes, kinds or devices, a bug of the caller.
pub(super) fn step(group: &Group, lr: f64, beta1: f64, beta2: f64, eps: f64) {
    let Some(device) = group.parameters.first().map(Tensor::device) else { return };
    let steps = Tensor::from_slice(&group.steps).to_kind(Kind::Float).to_device(device);
    let steps: Vec<Tensor> = (0..group.steps.len() as i64).map(|i| steps.get(i)).collect();
    let detached: Vec<Tensor> = group.parameters.iter().map(Tensor::detach).collect();
    // _fused_adam_(self, grads, exp_avgs, exp_avg_sqs, max_exp_avg_sqs, state_steps, *, lr, beta1, beta2, weight_decay,
    // eps, amsgrad, maximize, grad_scale, found_inf): floats by their bits, false and None as 0.
    let mut stack = [
        list(&detached),
        list(&group.gradients),
        list(&group.exp_avgs),
        list(&group.exp_avg_sqs),
        list(&[]),
        list(&steps),
        lr.to_bits(),
        beta1.to_bits(),
        beta2.to_bits(),
        0.0_f64.to_bits(),
        eps.to_bits(),
        0,
        0,
        0,
        0,
    ];
    // SAFETY: the stack holds the 15 arguments of the operator's schema in order; the call takes the lists over. It
    // returns nothing on the stack.
    let code = tch::no_grad(|| unsafe {
        torch_call_dispatcher(
            c"aten::_fused_adam_".as_ptr(),
            c"".as_ptr(),
            stack.as_mut_ptr(),
            aoti_torch_abi_version(),
        )
    });
    assert_eq!(code, 0, "libtorch refused a step of Adam");
}

/// Returns a new list of new handles, which the dispatcher takes over.
fn list(tensors: &[Tensor]) -> u64 {
    let mut list = ptr::null_mut();
    // SAFETY: a tensor's pointer is a valid tensor handle; every handle made here goes into the list, and the list to the
    // dispatcher, which frees both.
    unsafe {
        assert_eq!(torch_new_list_reserve_size(tensors.len(), &raw mut list), 0, "out of memory");
        for tensor in tensors {
            let mut handle = ptr::null_mut();
            assert_eq!(
                aoti_torch_new_tensor_handle(tensor.as_ptr().cast(), &raw mut handle),
                0,
                "out of memory"
            );
            assert_eq!(torch_list_push_back(list, handle as u64), 0, "out of memory");
        }
    }
    list as u64
}
