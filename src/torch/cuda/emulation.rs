//! For tests: the kernels of a GPU, run on the CPU by `emulate.cpp`.
#![allow(unsafe_code)]

use std::cell::Cell;
use std::ffi::{c_char, c_int, c_uint, c_void};
use std::sync::Once;

use super::module::{fill, names};

unsafe extern "C" {
    fn lapsegan_emulated(name: *const c_char) -> *mut c_void;
    fn lapsegan_emulate(
        kernel: *mut c_void,
        x: c_uint,
        y: c_uint,
        z: c_uint,
        threads: c_uint,
        arguments: *mut *mut c_void,
    ) -> c_int;
    fn lapsegan_emulating(now: bool);
}

thread_local! {
    static NOW: Cell<bool> = const { Cell::new(false) };
}

/// Returns whether this thread emulates.
pub(crate) fn is_on() -> bool {
    NOW.get()
}

/// Runs `work` with the kernels of a GPU for tensors on the CPU.
pub(crate) fn emulated<T>(work: impl FnOnce() -> T) -> T {
    static FILLED: Once = Once::new();
    FILLED.call_once(|| {
        // SAFETY: a name that ends in 0.
        let kernels: Vec<_> = names().map(|name| unsafe { lapsegan_emulated(name.as_ptr()) }).collect();
        assert!(kernels.iter().all(|kernel| !kernel.is_null()));
        fill(&kernels, lapsegan_emulate, true);
    });
    let set = |now| {
        NOW.set(now);
        // SAFETY: a switch of this thread.
        unsafe { lapsegan_emulating(now) };
    };
    set(true);
    let result = work();
    set(false);
    result
}
