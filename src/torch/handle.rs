//! Tensors across the border to our C++.
//!
//! SAFETY of every call there: each pointer comes from a live tensor; the other side only reads the handles, checks nothing
//! more than libtorch does, catches its exceptions, and gives a new handle or null.
#![allow(unsafe_code)]

use std::ffi::{CStr, c_char, c_void};

use tch::Tensor;

/// A pointer to libtorch's `at::Tensor`.
pub(crate) type RawTensor = *const c_void;

unsafe extern "C" {
    fn lapsegan_problem() -> *const c_char;
}

/// Returns the handle of a tensor, for the time of a call.
pub(crate) fn raw(x: &Tensor) -> RawTensor {
    x.as_ptr().cast()
}

/// Takes over a tensor that the compiled side made.
///
/// # Panics
/// Where it made none: libtorch refused the operation, a bug of the caller.
pub(crate) fn adopt(tensor: RawTensor) -> Tensor {
    if tensor.is_null() {
        // SAFETY: a string that ends in 0 and lives until this thread's next failure.
        let problem = unsafe { CStr::from_ptr(lapsegan_problem()) };
        panic!("libtorch refused a compiled operation: {}", problem.to_string_lossy());
    }
    // SAFETY: not null, and nobody else has this handle.
    unsafe { Tensor::from_ptr(tensor.cast_mut().cast()) }
}
