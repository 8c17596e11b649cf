//! Choosing the device, and the allocator behind tensors on the CPU.
//!
//! Unsafe code: opening the CUDA half of libtorch, an option of the allocator.

use lapsegan_core::cli::Failure;
use lapsegan_core::cli::args::DeviceFlag;
use lapsegan_core::error::{Advice, Exit};
use serde_json::{Value, json};
use tch::Device;

use crate::model::check_kernels;
use crate::training::checkpoint::FORMAT;

/// Serves libtorch as well.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// `mi_option_purge_delay`, which the bindings do not name.
const PURGE_DELAY: i32 = 15;

/// Lets freed memory stay with the process.
///
/// Every iteration takes the same tensors again; giving pages back between two costs a tenth of it in page faults.
#[allow(unsafe_code)]
fn keep_memory() {
    // SAFETY: sets a number, before other threads work.
    unsafe { libmimalloc_sys::mi_option_set(PURGE_DELAY, -1) };
}

/// A GPU that was asked for and is not there.
#[derive(Debug, thiserror::Error)]
#[error("--device {asked}: not available: {reason}")]
pub struct DeviceError {
    /// What was asked for.
    asked: String,
    /// Why it is not available.
    reason: String,
}

impl Advice for DeviceError {
    fn exit(&self) -> Exit {
        Exit::NoDevice
    }

    fn hint(&self) -> Option<String> {
        Some(
            "use --device cpu, or a CUDA libtorch (LAPSEGAN_CUDA=1 make setup, or LD_LIBRARY_PATH) on a machine with \
             a driver"
                .into(),
        )
    }
}

/// Prepares libtorch for work on the CPU with this number of threads.
pub fn use_cpu(threads: usize) {
    keep_memory();
    tch::set_num_threads(threads as i32);
    // Where there is a pool already, in tests, its number of threads stays.
    let _ = rayon::ThreadPoolBuilder::new().num_threads(threads).build_global();
}

/// Returns the device that `--device` asks for and sets the number of CPU threads.
///
/// # Errors
/// Wrong usage for an unknown name, [`DeviceError`] for a GPU that is not there; `auto` falls back to the CPU.
pub fn select(flag: &str, threads: usize) -> Result<Device, Failure> {
    let wanted = DeviceFlag::parse(flag)?;
    use_cpu(threads);
    let index = match wanted {
        DeviceFlag::Cpu => return Ok(Device::Cpu),
        DeviceFlag::Auto => 0,
        DeviceFlag::Cuda(index) => index,
    };
    let opened = open_cuda();
    let count = if opened.is_ok() { tch::Cuda::device_count() } else { 0 };
    if (index as i64) < count {
        tch::Cuda::cudnn_set_benchmark(false);
        let device = Device::Cuda(index);
        crate::cuda::start(index, || check_kernels(device));
        return Ok(device);
    }
    if wanted == DeviceFlag::Auto {
        return Ok(Device::Cpu);
    }
    let reason = match opened {
        Err(reason) => reason,
        Ok(()) => format!("libtorch sees {count} GPU(s)"),
    };
    Err(DeviceError { asked: flag.to_owned(), reason }.into())
}

/// Returns a device as `--device` takes it.
pub fn name(device: Device) -> String {
    match device {
        Device::Cuda(n) => format!("cuda:{n}"),
        _ => "cpu".to_owned(),
    }
}

/// Returns the memory of the run's GPU in use; `None` on a CPU.
pub fn gpu_memory_mib(device: Device) -> Option<u64> {
    let Device::Cuda(index) = device else { return None };
    crate::driver::used_mib(index)
}

/// Returns the versions of libtorch and of checkpoints for `--version --json`, without touching a GPU.
pub fn libraries() -> Value {
    json!({ "libtorch": "2.11.0", "tch": "0.24", "checkpoint_format": FORMAT })
}

/// Opens `libtorch_cuda.so`. Must come before any CUDA query: libtorch remembers the first answer.
///
/// # Errors
/// What the loader says.
#[allow(unsafe_code)]
pub fn open_cuda() -> Result<(), String> {
    use libloading::os::unix::{Library, RTLD_GLOBAL, RTLD_NOW};
    // SAFETY: a libtorch library, opened for its registrations only; it stays open until the process ends.
    match unsafe { Library::open(Some("libtorch_cuda.so"), RTLD_NOW | RTLD_GLOBAL) } {
        Ok(library) => {
            std::mem::forget(library);
            Ok(())
        }
        Err(error) => Err(format!("no CUDA libtorch on the library path ({error})")),
    }
}
