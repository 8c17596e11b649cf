//! Steps of fixed shape, recorded once and replayed.
//!
//! A GPU finishes the small kernels of a step faster than a host can ask for them. A CUDA graph asks for all of them at
//! once. What is recorded works on the same memory at every replay: its inputs are copied into the tensors that it was
//! recorded with, its results and its state are found where they were. [`replayed`] decides when to record and checks what
//! comes of it, [`cuda`] is the recorder of a GPU, [`emulated`] that of tests on a CPU.

pub mod cuda;
pub mod emulated;
pub mod replayed;

use serde::{Deserialize, Serialize};
use tch::Device;

/// Whether steps are recorded as graphs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Graphs {
    /// On a GPU, as far as it goes.
    #[default]
    Auto,
    /// It is an error where it does not go.
    On,
    /// Never.
    Off,
}

/// Returns what records on a device as it is wished; none where nothing is recorded. Make it before anything is put on the
/// device, on the thread that works with it.
///
/// # Errors
/// Why there are no graphs, where they are wished for.
pub fn recorder(device: Device, wish: Graphs) -> Result<Option<Box<dyn Recorder>>, String> {
    let made = match (wish, device) {
        (Graphs::Auto | Graphs::On, Device::Cuda(index)) => cuda::CudaRecorder::new(index),
        (Graphs::On, _) => Err("the device is no GPU".to_owned()),
        _ => return Ok(None),
    };
    match made {
        Ok(recorder) => Ok(Some(Box::new(recorder))),
        Err(problem) if wish == Graphs::On => Err(problem),
        Err(problem) => {
            tracing::warn!("no CUDA graphs: {problem}");
            Ok(None)
        }
    }
}

/// Records work on a device.
pub trait Recorder: std::fmt::Debug {
    /// Records what `work` asks of the device, whether or not it is executed meanwhile.
    ///
    /// # Errors
    /// What cannot be recorded, and why.
    fn record(&self, work: &mut dyn FnMut()) -> Result<Box<dyn Graph>, String>;
}

/// Recorded work.
pub trait Graph: std::fmt::Debug {
    /// Does the work again, on the same memory.
    ///
    /// # Errors
    /// What the device says.
    fn replay(&self) -> Result<(), String>;
}
