//! Memory that ran out in libtorch, of the GPU or of the machine, and a GPU that is lost, as errors with a hint and an exit
//! code that pipelines retry (137, as a process has that the kernel ended for its memory; 143, as one that was ended).
//!
//! Operations of libtorch that fail panic in its bindings. Only those panics that say so become errors here; any other
//! one is a mistake of ours and ends the program as such.

use std::panic::{self, AssertUnwindSafe, PanicHookInfo};

use crate::panics;
use lapsegan_core::cli::{Failure, Outcome};
use lapsegan_core::error::Exit;

/// Runs the work of a program; `hint` says what takes less memory.
pub fn guard(hint: &str, work: impl FnOnce() -> Outcome) -> Outcome {
    let before = panic::take_hook();
    panic::set_hook(Box::new(move |info: &PanicHookInfo<'_>| {
        if panics::message(info.payload()).and_then(ran_out).is_none() {
            before(info);
        }
    }));
    match panic::catch_unwind(AssertUnwindSafe(work)) {
        Ok(Err(failure)) => Err(ran_out(&failure.message).map_or_else(|| failure, |what| what.failure(hint))),
        Ok(done) => done,
        Err(payload) => match panics::message(payload.as_ref()).and_then(ran_out) {
            Some(what) => Err(what.failure(hint)),
            None => panic::resume_unwind(payload),
        },
    }
}

/// What libtorch and the libraries under it say where the memory of a GPU is used up.
const GPU_WORDS: [&str; 6] = [
    "CUDA out of memory",
    "CUDA error: out of memory",
    "CUDA driver error: out of memory",
    "cudaErrorMemoryAllocation",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_ALLOC_FAILED",
];

/// The same of the machine.
const HOST_WORDS: [&str; 3] = [
    "DefaultCPUAllocator: can't allocate memory",
    "DefaultCPUAllocator: not enough memory",
    "std::bad_alloc",
];

/// What the driver says, in libtorch's words, where a GPU answers no more.
const LOST_WORDS: [&str; 10] = [
    "CUDA error: unspecified launch failure",
    "CUDA error: the launch timed out",
    "CUDA error: uncorrectable ECC error",
    "CUDA error: device not ready",
    "CUDA error: driver shutting down",
    "CUDA error: hardware stack error",
    "CUDA-capable device(s) is/are busy or unavailable",
    // In the words of our own launch.
    "CUDA error 702",
    "CUDA error 719",
    "CUDA error 214",
];

/// What it says where a kernel reads or writes what is not there.
const KERNEL_WORDS: [&str; 4] = [
    "CUDA error: an illegal memory access was encountered",
    "CUDA error: misaligned address",
    "CUDA error 700",
    "CUDA error 716",
];

/// What ran out, or is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum RanOut {
    Gpu,
    Host,
    Lost,
    Kernel,
}

impl RanOut {
    fn failure(self, hint: &str) -> Failure {
        let (message, hint, exit) = match self {
            Self::Gpu => ("the memory of the GPU is used up", hint, Exit::GpuMemory),
            Self::Host => ("the memory of this machine is used up", hint, Exit::GpuMemory),
            Self::Lost => (
                "the GPU answers no more; what was written before stays",
                "run the same command again (train goes on with --resume), on another GPU where it happens again",
                Exit::Terminated,
            ),
            Self::Kernel => (
                "a kernel failed on this GPU; what was written before stays",
                "run the same command again with LAPSEGAN_FUSED=off in the environment, which does without kernels of \
                 ours, and report it",
                Exit::Failed,
            ),
        };
        Failure { message: message.into(), hint: Some(hint.into()), exit, findings: None }
    }
}

/// Recognises what libtorch says where memory runs out or a GPU is lost.
fn ran_out(message: &str) -> Option<RanOut> {
    let has = |words: &str| message.contains(words);
    if GPU_WORDS.into_iter().any(has) {
        Some(RanOut::Gpu)
    } else if HOST_WORDS.into_iter().any(has) {
        Some(RanOut::Host)
    } else if LOST_WORDS.into_iter().any(has) {
        Some(RanOut::Lost)
    } else if KERNEL_WORDS.into_iter().any(has) {
        Some(RanOut::Kernel)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use tch::{Device, Kind, TchError, Tensor};

    /// As libtorch 2.11 words it.
    const GPU: &str =
        "CUDA out of memory. Tried to allocate 20.00 GiB. GPU 0 has a total capacity of 79.11 GiB";

    #[test]
    fn a_full_gpu_ends_with_its_own_code_and_the_hint() {
        let full = || -> Outcome {
            // As `unwrap` does in the bindings.
            panic!("called `Result::unwrap()` on an `Err` value: {:?}", TchError::Torch(GPU.into()))
        };
        let failure = guard("lower training.micro_batch", full).unwrap_err();
        assert_eq!((failure.exit as i32, failure.hint.as_deref()), (137, Some("lower training.micro_batch")));
        let said = || {
            Err(Failure { message: format!("step: {GPU}"), hint: None, exit: Exit::Failed, findings: None })
        };
        assert_eq!(guard("x", said).unwrap_err().exit, Exit::GpuMemory);
    }

    #[test]
    fn a_lost_gpu_is_one_to_try_again_on() {
        let says = |words: &'static str| move || -> Outcome { panic!("{}", TchError::Torch(words.into())) };
        let lost = guard("x", says("CUDA error: unspecified launch failure\nCUDA kernel errors might be"))
            .unwrap_err();
        assert_eq!(lost.exit as i32, 143);
        let kernel = guard("x", says("CUDA error: an illegal memory access was encountered")).unwrap_err();
        assert!(
            kernel.exit == Exit::Failed
                && kernel.hint.is_some_and(|hint| hint.contains("LAPSEGAN_FUSED=off"))
        );
    }

    #[test]
    fn memory_that_the_machine_has_not_is_an_error_too() {
        let all = || -> Outcome {
            let _ = Tensor::zeros([1 << 50], (Kind::Float, Device::Cpu));
            Ok(json!({}))
        };
        let failure = guard("x", all).unwrap_err();
        assert!(failure.message.contains("this machine"), "{}", failure.message);
    }

    #[test]
    fn other_failures_stay_what_they_are() {
        let wrong = || Err(Failure::usage("a", "b"));
        assert_eq!(guard("x", wrong).unwrap_err().exit, Exit::Usage);
        let mistake = panic::catch_unwind(|| guard("x", || panic!("index out of bounds")));
        assert_eq!(panics::message(mistake.unwrap_err().as_ref()), Some("index out of bounds"));
        assert_eq!(guard("x", || Ok(json!(1))).unwrap(), json!(1));
    }
}
