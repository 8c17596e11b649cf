//! Questions to NVIDIA's driver, which libtorch has no function for.
#![allow(unsafe_code)]

use std::ffi::c_void;
use std::ptr;

use libloading::os::unix::Library;

/// `CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR` and `_MINOR`
const CAPABILITY: [i32; 2] = [75, 76];

/// The driver's functions are looked up by name; these are their documented signatures.
type Init = unsafe extern "C" fn(u32) -> i32;
type Attribute = unsafe extern "C" fn(*mut i32, i32, i32) -> i32;
type Device = unsafe extern "C" fn(*mut i32, i32) -> i32;
type Context = *mut c_void;
type Retain = unsafe extern "C" fn(*mut Context, i32) -> i32;
type Release = unsafe extern "C" fn(i32) -> i32;
type Push = unsafe extern "C" fn(Context) -> i32;
type Pop = unsafe extern "C" fn(*mut Context) -> i32;
type MemoryInfo = unsafe extern "C" fn(*mut usize, *mut usize) -> i32;

/// Returns the major compute capability of a GPU; `None` where the driver does not tell.
pub fn compute_capability(index: usize) -> Option<i32> {
    capability(index).map(|[major, _]| major)
}

/// Returns the compute capability of a GPU, major and minor; `None` where the driver does not tell.
pub fn capability(index: usize) -> Option<[i32; 2]> {
    let mut numbers = [0; 2];
    // SAFETY: the numbers read are ours.
    with_driver(|driver| unsafe {
        let device = device(driver, index)?;
        let ask = driver.get::<Attribute>(b"cuDeviceGetAttribute\0").ok()?;
        CAPABILITY.iter().zip(&mut numbers).try_for_each(|(what, number)| told(ask(number, *what, device)))
    })?;
    Some(numbers)
}

/// Returns the free and all bytes of a GPU; `None` where there is none. Libtorch keeps what it once took, so that what is
/// not free is the most that was in use, by all programs together.
pub fn memory(index: usize) -> Option<[u64; 2]> {
    let (mut free, mut all) = (0, 0);
    let (mut context, mut popped): (Context, Context) = (ptr::null_mut(), ptr::null_mut());
    // SAFETY: the numbers read are ours. The context is the one that libtorch works in, held while it is asked, and this
    // thread has the context again that it had before.
    with_driver(|driver| unsafe {
        let device = device(driver, index)?;
        let push = driver.get::<Push>(b"cuCtxPushCurrent_v2\0").ok()?;
        let pop = driver.get::<Pop>(b"cuCtxPopCurrent_v2\0").ok()?;
        let ask = driver.get::<MemoryInfo>(b"cuMemGetInfo_v2\0").ok()?;
        let release = driver.get::<Release>(b"cuDevicePrimaryCtxRelease_v2\0").ok()?;
        told(driver.get::<Retain>(b"cuDevicePrimaryCtxRetain\0").ok()?(&raw mut context, device))?;
        let answer = told(push(context)).and_then(|()| {
            let answer = told(ask(&raw mut free, &raw mut all));
            told(pop(&raw mut popped)).and(answer)
        });
        told(release(device)).and(answer)
    })?;
    Some([free as u64, all as u64])
}

/// Returns the memory of a GPU in use, in MiB; `None` where there is none.
pub fn used_mib(index: usize) -> Option<u64> {
    memory(index).map(|[free, all]| (all - free) >> 20)
}

/// Returns the driver's handle of a GPU.
unsafe fn device(driver: &Library, index: usize) -> Option<i32> {
    let mut device = 0;
    // SAFETY: the handle read is ours.
    unsafe {
        told(driver.get::<Init>(b"cuInit\0").ok()?(0))?;
        told(driver.get::<Device>(b"cuDeviceGet\0").ok()?(&raw mut device, index as i32))?;
    }
    Some(device)
}

/// Returns whether a function of the driver succeeded.
fn told(code: i32) -> Option<()> {
    (code == 0).then_some(())
}

fn with_driver<T>(ask: impl FnOnce(&Library) -> Option<T>) -> Option<T> {
    // SAFETY: the driver's library, which libtorch uses too.
    let driver = unsafe { Library::new("libcuda.so.1") }.ok()?;
    let answer = ask(&driver);
    // It stays open: libtorch is using it.
    std::mem::forget(driver);
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_driver_there_is_no_answer() {
        if with_driver(|_| Some(())).is_none() {
            assert_eq!((compute_capability(0), memory(0), used_mib(0)), (None, None, None));
        }
    }
}
