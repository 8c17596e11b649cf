//! Machine code on a GPU, and its launch: NVIDIA's driver, on the stream that libtorch works on.
#![allow(unsafe_code)]

use std::ffi::{CStr, c_char, c_int, c_uint, c_void};
use std::ptr;
use std::sync::OnceLock;

use libloading::os::unix::{Library, RTLD_NOW};

use super::nvrtc::get;

/// The driver's functions are looked up by name; these are their documented signatures.
type Handle = *mut c_void;
type Init = unsafe extern "C" fn(c_uint) -> c_int;
type GetDevice = unsafe extern "C" fn(*mut c_int, c_int) -> c_int;
type Retain = unsafe extern "C" fn(*mut Handle, c_int) -> c_int;
type Current = unsafe extern "C" fn(*mut Handle) -> c_int;
type Push = unsafe extern "C" fn(Handle) -> c_int;
type LoadData = unsafe extern "C" fn(*mut Handle, *const c_void) -> c_int;
type GetFunction = unsafe extern "C" fn(*mut Handle, Handle, *const c_char) -> c_int;
type LoadFunction = unsafe extern "C" fn(Handle) -> c_int;
type LaunchKernel = unsafe extern "C" fn(
    Handle,
    c_uint,
    c_uint,
    c_uint,
    c_uint,
    c_uint,
    c_uint,
    c_uint,
    Handle,
    *mut *mut c_void,
    *mut *mut c_void,
) -> c_int;
/// Of libtorch.
type Stream = unsafe extern "C" fn(i32, *mut Handle) -> i32;

/// A launch as `launch.cpp` asks for it.
pub(super) type Launch =
    unsafe extern "C" fn(Handle, c_uint, c_uint, c_uint, c_uint, *mut *mut c_void) -> c_int;

unsafe extern "C" {
    fn lapsegan_kernel_name(index: c_int) -> *const c_char;
    fn lapsegan_kernels(launch: Launch, kernels: *const Handle, emulated: bool);
}

/// `CUDA_ERROR_NOT_INITIALIZED`
const NOT_INITIALIZED: c_int = 3;
/// `CUDA_ERROR_INVALID_HANDLE`
const INVALID_HANDLE: c_int = 400;

/// What a launch needs.
struct Gpu {
    index: i32,
    /// The context of the GPU that libtorch works in.
    context: usize,
    current: Current,
    push: Push,
    pop: Current,
    launch: LaunchKernel,
    stream: Stream,
}

static GPU: OnceLock<Gpu> = OnceLock::new();

/// Loads the kernels of a machine code on a GPU, and lets `launch.cpp` launch them.
pub(super) fn load(index: usize, code: &[u8]) -> Result<(), String> {
    let driver = open("libcuda.so.1")?;
    let libtorch = open("libtorch_cuda.so")?;
    let (mut device, mut context, mut popped) = (0, ptr::null_mut(), ptr::null_mut());
    // SAFETY: handles are written to places of ours; the context is held until the process ends, and this thread has the
    // one again that it had before.
    unsafe {
        told("cuInit", get::<Init>(&driver, "cuInit")?(0))?;
        told("cuDeviceGet", get::<GetDevice>(&driver, "cuDeviceGet")?(&raw mut device, index as c_int))?;
        let retain = get::<Retain>(&driver, "cuDevicePrimaryCtxRetain")?;
        told("cuDevicePrimaryCtxRetain", retain(&raw mut context, device))?;
        let gpu = Gpu {
            index: index as i32,
            context: context as usize,
            current: get(&driver, "cuCtxGetCurrent")?,
            push: get(&driver, "cuCtxPushCurrent_v2")?,
            pop: get(&driver, "cuCtxPopCurrent_v2")?,
            launch: get(&driver, "cuLaunchKernel")?,
            stream: get(&libtorch, "aoti_torch_get_current_cuda_stream")?,
        };
        told("cuCtxPushCurrent", (gpu.push)(context))?;
        let kernels = kernels(&driver, code);
        told("cuCtxPopCurrent", (gpu.pop)(&raw mut popped))?;
        let kernels = kernels?;
        GPU.set(gpu).map_err(|_| "another GPU's kernels are loaded")?;
        fill(&kernels, launch, false);
    }
    // They stay open, as libtorch uses them too.
    std::mem::forget((driver, libtorch));
    Ok(())
}

/// Fills a table of `launch.cpp`.
pub(super) fn fill(kernels: &[Handle], launch: Launch, emulated: bool) {
    assert_eq!(kernels.len(), names().count());
    // SAFETY: as many kernels as there are names.
    unsafe { lapsegan_kernels(launch, kernels.as_ptr(), emulated) };
}

/// Returns the names of the kernels in the order of the table.
pub(super) fn names() -> impl Iterator<Item = &'static CStr> {
    // SAFETY: constant strings, and null after the last.
    (0..)
        .map(|i| unsafe { lapsegan_kernel_name(i) })
        .take_while(|name| !name.is_null())
        .map(|name| unsafe { CStr::from_ptr(name) })
}

/// Returns the kernels of a machine code, all of them on the GPU in the current context.
unsafe fn kernels(driver: &Library, code: &[u8]) -> Result<Vec<Handle>, String> {
    let mut module = ptr::null_mut();
    // SAFETY: the code lives during the call; handles are written to places of ours.
    unsafe {
        let load = get::<LoadData>(driver, "cuModuleLoadData")?;
        told("cuModuleLoadData", load(&raw mut module, code.as_ptr().cast()))?;
        let find = get::<GetFunction>(driver, "cuModuleGetFunction")?;
        // A driver may load a kernel at its first launch, which could be while a graph is recorded.
        let now = get::<LoadFunction>(driver, "cuFuncLoad").ok();
        names()
            .map(|name| {
                let mut kernel = ptr::null_mut();
                told(&name.to_string_lossy(), find(&raw mut kernel, module, name.as_ptr()))?;
                now.map_or(Ok(()), |now| told("cuFuncLoad", now(kernel)))?;
                Ok(kernel)
            })
            .collect()
    }
}

unsafe extern "C" fn launch(
    kernel: Handle,
    x: c_uint,
    y: c_uint,
    z: c_uint,
    threads: c_uint,
    arguments: *mut *mut c_void,
) -> c_int {
    let Some(gpu) = GPU.get() else { return NOT_INITIALIZED };
    let (mut stream, mut current, mut popped) = (ptr::null_mut(), ptr::null_mut(), ptr::null_mut());
    // SAFETY: handles are written to places of ours; kernel, grid and arguments are those of `launch.cpp`.
    unsafe {
        // Asked for every time: a graph is recorded on another stream.
        if (gpu.stream)(gpu.index, &raw mut stream) != 0 {
            return INVALID_HANDLE;
        }
        // A thread that only launches may have no context yet, or that of another GPU.
        let context = gpu.context as Handle;
        let code = (gpu.current)(&raw mut current);
        let foreign = code == 0 && current != context;
        let code = if foreign { (gpu.push)(context) } else { code };
        if code != 0 {
            return code;
        }
        let code = (gpu.launch)(kernel, x, y, z, threads, 1, 1, 0, stream, arguments, ptr::null_mut());
        if foreign {
            (gpu.pop)(&raw mut popped);
        }
        code
    }
}

fn open(name: &str) -> Result<Library, String> {
    // SAFETY: a library that libtorch uses too.
    unsafe { Library::open(Some(name), RTLD_NOW) }.map_err(|error| error.to_string())
}

/// Returns whether a function of the driver succeeded.
fn told(name: &str, code: c_int) -> Result<(), String> {
    if code == 0 { Ok(()) } else { Err(format!("{name}: CUDA error {code}")) }
}
