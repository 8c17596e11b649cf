//! Questions to NVIDIA's driver, which libtorch has no function for.
#![allow(unsafe_code)]

use libloading::os::unix::Library;

/// `CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR`
const MAJOR: i32 = 75;

type Init = unsafe extern "C" fn(u32) -> i32;
type Attribute = unsafe extern "C" fn(*mut i32, i32, i32) -> i32;
type MemoryInfo = unsafe extern "C" fn(*mut usize, *mut usize) -> i32;

/// Returns the major compute capability of a GPU; `None` where the driver does not tell.
pub fn compute_capability(index: usize) -> Option<i32> {
    let mut major = 0;
    // SAFETY: the documented signatures; a device's handle is its number, and the number read is ours.
    let ready = with_driver(|driver| {
        unsafe {
            driver.get::<Init>(b"cuInit\0").ok()?(0) == 0
                && driver.get::<Attribute>(b"cuDeviceGetAttribute\0").ok()?(
                    &raw mut major,
                    MAJOR,
                    index as i32,
                ) == 0
        }
        .then_some(())
    });
    ready.map(|()| major)
}

/// Returns the free and all bytes of the GPU that this thread works on; `None` where there is none, or it does no work
/// yet. Libtorch keeps what it once took, so that what is not free is the most that was in use.
pub fn memory() -> Option<[u64; 2]> {
    let (mut free, mut all) = (0, 0);
    // SAFETY: the documented signature; it reads the context of this thread and fails where there is none.
    let told = with_driver(|driver| unsafe {
        (driver.get::<MemoryInfo>(b"cuMemGetInfo_v2\0").ok()?(&raw mut free, &raw mut all) == 0).then_some(())
    });
    told.map(|()| [free as u64, all as u64])
}

/// Returns the memory of the GPU in use, in MiB; `None` where there is none.
pub fn used_mib() -> Option<u64> {
    memory().map(|[free, all]| (all - free) >> 20)
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
            assert_eq!((compute_capability(0), memory(), used_mib()), (None, None, None));
        }
    }
}
