//! For tests: recorded work on a CPU, as exact as a graph of a GPU about what it keeps.
//!
//! Every operation below automatic differentiation is kept with its arguments, and done again at a replay, into the memory
//! that held its result. A number that was read while recording stays what it was, a tensor that was replaced is not seen.
#![allow(unsafe_code)]

use std::ffi::c_void;

use super::{Graph, Recorder};
use crate::transfer::without_transfers;

unsafe extern "C" {
    fn lapsegan_emulated_begin();
    fn lapsegan_emulated_end() -> *mut c_void;
    fn lapsegan_emulated_replay(graph: *mut c_void) -> bool;
    fn lapsegan_emulated_operations(graph: *const c_void) -> i64;
    fn lapsegan_emulated_free(graph: *mut c_void);
}

/// Records what this thread does in operations of libtorch; while recording, the work is executed.
#[derive(Debug)]
pub struct EmulatedRecorder;

impl Recorder for EmulatedRecorder {
    fn record(&self, work: &mut dyn FnMut()) -> Result<Box<dyn Graph>, String> {
        // SAFETY: begins a list of this thread.
        unsafe { lapsegan_emulated_begin() };
        without_transfers(work);
        // SAFETY: ends it; the graph is ours.
        Ok(Box::new(Recorded(unsafe { lapsegan_emulated_end() })))
    }
}

#[derive(Debug)]
struct Recorded(*mut c_void);

impl Graph for Recorded {
    fn replay(&self) -> Result<(), String> {
        // SAFETY: the graph lives, with all tensors that it works on.
        let replayed = unsafe { lapsegan_emulated_replay(self.0) };
        // SAFETY: as above.
        let operations = unsafe { lapsegan_emulated_operations(self.0) };
        match (replayed, operations) {
            (_, 0) => Err("nothing was recorded".into()),
            (true, _) => Ok(()),
            (false, _) => Err("an operation cannot be done again".into()),
        }
    }
}

impl Drop for Recorded {
    fn drop(&mut self) {
        // SAFETY: made by `end`, and freed once.
        unsafe { lapsegan_emulated_free(self.0) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::{Device, Kind, Tensor};

    #[test]
    fn a_replay_reads_new_inputs_and_writes_the_same_memory() {
        let options = (Kind::Float, Device::Cpu);
        let weight = Tensor::from_slice(&[2.0_f32, 3.0]).set_requires_grad(true);
        let mut input = Tensor::ones([2], options);
        let mut state = Tensor::zeros([], options);
        let mut left = None;
        let graph = EmulatedRecorder
            .record(&mut || {
                let y = (&input * &weight).square().sum(Kind::Float);
                let gradient = Tensor::run_backward(&[&y], &[&weight], false, false);
                let _ = tch::no_grad(|| state.g_add_(&y.detach()));
                left = Some(gradient[0].shallow_clone());
            })
            .unwrap();
        let gradient = left.unwrap();
        input.copy_(&Tensor::from_slice(&[10.0_f32, 0.0]));
        graph.replay().unwrap();
        assert_eq!(Vec::<f32>::try_from(&gradient).unwrap(), [400.0, 0.0]);
        // 4 + 9 while recording, then 400.
        assert_eq!(state.double_value(&[]), 413.0);
        let empty = EmulatedRecorder.record(&mut || ()).unwrap();
        assert!(empty.replay().is_err());
    }
}
