//! Choosing the device, and the allocator behind tensors on the CPU.
//!
//! Unsafe code: opening the CUDA half of libtorch, an option of the allocator.

use crate::error::{Advice, Exit};
use serde_json::{Value, json};
use tch::Device;

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

/// A device that was asked for and is not there.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DeviceError {
    /// No such device name.
    #[error("--device {0}: unknown device, expected auto, cpu, cuda or cuda:N")]
    Unknown(String),
    /// CUDA was asked for.
    #[error("--device {asked}: not available: {reason}")]
    NotAvailable {
        /// What was asked for.
        asked: String,
        /// Why not.
        reason: String,
    },
}

impl Advice for DeviceError {
    fn exit(&self) -> Exit {
        match self {
            Self::Unknown(_) => Exit::Usage,
            Self::NotAvailable { .. } => Exit::NoDevice,
        }
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Unknown(_) => "--device auto takes a GPU where there is one".into(),
            Self::NotAvailable { .. } => {
                "use --device cpu, or a CUDA libtorch (LAPSEGAN_CUDA=1 make setup, or LD_LIBRARY_PATH) on a machine \
                 with a driver"
                    .into()
            }
        })
    }
}

/// Returns the device of a `--device` flag and sets the number of CPU threads.
///
/// # Errors
/// [`DeviceError`] for an unknown name or a GPU that is not there; `auto` falls back to the CPU.
pub fn select(flag: &str, threads: usize) -> Result<Device, DeviceError> {
    let index = match flag {
        "cpu" => None,
        "auto" | "cuda" => Some(0),
        other => match other.strip_prefix("cuda:").and_then(|n| n.parse::<usize>().ok()) {
            Some(n) => Some(n),
            None => return Err(DeviceError::Unknown(flag.to_owned())),
        },
    };
    keep_memory();
    tch::set_num_threads(threads as i32);
    let Some(index) = index else { return Ok(Device::Cpu) };
    let opened = open_cuda();
    let count = if opened.is_ok() { tch::Cuda::device_count() } else { 0 };
    if (index as i64) < count {
        tch::Cuda::cudnn_set_benchmark(false);
        return Ok(Device::Cuda(index));
    }
    if flag == "auto" {
        return Ok(Device::Cpu);
    }
    let reason = match opened {
        Err(reason) => reason,
        Ok(()) => format!("libtorch sees {count} GPU(s)"),
    };
    Err(DeviceError::NotAvailable { asked: flag.to_owned(), reason })
}

/// Returns a device as `--device` takes it.
pub fn name(device: Device) -> String {
    match device {
        Device::Cuda(n) => format!("cuda:{n}"),
        _ => "cpu".to_owned(),
    }
}

/// Returns the versions of libtorch for `--version --json`, without touching a GPU.
pub fn libraries() -> Value {
    json!({ "libtorch": "2.11.0", "tch": "0.24" })
}

/// Opens `libtorch_cuda.so`. Must come before any CUDA query: libtorch remembers the first answer.
#[allow(unsafe_code)]
fn open_cuda() -> Result<(), String> {
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
