//! For tests: the kernels of a GPU, run on the CPU by `emulate.cpp`.
#![allow(unsafe_code)]

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::ffi::{CStr, c_char, c_int, c_uint, c_void};
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
    static LAUNCHED: RefCell<BTreeSet<usize>> = const { RefCell::new(BTreeSet::new()) };
}

/// Returns whether this thread emulates.
pub(crate) fn is_on() -> bool {
    NOW.get()
}

unsafe extern "C" fn launch(
    kernel: *mut c_void,
    x: c_uint,
    y: c_uint,
    z: c_uint,
    threads: c_uint,
    arguments: *mut *mut c_void,
) -> c_int {
    LAUNCHED.with_borrow_mut(|kernels| kernels.insert(kernel as usize));
    // SAFETY: as `launch.cpp` gives them.
    unsafe { lapsegan_emulate(kernel, x, y, z, threads, arguments) }
}

/// Returns the kernels with this ending that no work of this thread has launched.
pub(crate) fn not_launched(ending: &str) -> Vec<String> {
    // SAFETY: a name that ends in 0.
    let is_new = |name: &&CStr| unsafe {
        LAUNCHED.with_borrow(|kernels| !kernels.contains(&(lapsegan_emulated(name.as_ptr()) as usize)))
    };
    let names = names().filter(is_new).map(|name| name.to_string_lossy().into_owned());
    names.filter(|name| name.ends_with(ending)).collect()
}

/// Runs `work` with the kernels of a GPU for tensors on the CPU.
pub(crate) fn emulated<T>(work: impl FnOnce() -> T) -> T {
    static FILLED: Once = Once::new();
    FILLED.call_once(|| {
        // SAFETY: a name that ends in 0.
        let kernels: Vec<_> = names().map(|name| unsafe { lapsegan_emulated(name.as_ptr()) }).collect();
        assert!(kernels.iter().all(|kernel| !kernel.is_null()));
        fill(&kernels, launch, true);
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
