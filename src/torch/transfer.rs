//! Between host and device, the only way there and back.
//!
//! A copy to a GPU from ordinary memory stops the host until the GPU has caught up with it, and cannot be recorded in a
//! CUDA graph. So all of them are here, from pinned memory and without waiting, and a test can forbid them.

#![allow(unsafe_code)]

use std::cell::Cell;

use tch::{Device, Tensor};

use crate::handle::{RawTensor, adopt, raw};

unsafe extern "C" {
    fn lapsegan_upload(x: RawTensor, index: i64) -> RawTensor;
    fn lapsegan_download(x: RawTensor) -> RawTensor;
}

thread_local! {
    static FORBIDDEN: Cell<bool> = const { Cell::new(false) };
}

/// Returns a tensor of the host on a device.
///
/// # Panics
/// Inside [`without_transfers`].
pub fn upload(x: &Tensor, device: Device) -> Tensor {
    expect_allowed("upload");
    match device {
        Device::Cpu => x.shallow_clone(),
        // SAFETY: see `handle`.
        Device::Cuda(index) => adopt(unsafe { lapsegan_upload(raw(x), index as i64) }),
        device => x.to_device(device),
    }
}

/// Returns a tensor on the host, when everything that it depends on is computed.
///
/// # Panics
/// Inside [`without_transfers`].
pub fn download(x: &Tensor) -> Tensor {
    expect_allowed("download");
    x.to_device(Device::Cpu)
}

/// Returns the same for one of many tensors of one size: memory that the GPU copies to at full speed is kept for them.
///
/// # Panics
/// Inside [`without_transfers`].
pub fn download_batch(x: &Tensor) -> Tensor {
    match x.device() {
        // SAFETY: see `handle`.
        Device::Cuda(_) => {
            expect_allowed("download");
            adopt(unsafe { lapsegan_download(raw(x)) })
        }
        _ => download(x),
    }
}

/// Returns the value of a tensor of one element, when it is computed.
///
/// # Panics
/// Inside [`without_transfers`].
pub fn number(x: &Tensor) -> f64 {
    expect_allowed("reading a number");
    x.double_value(&[])
}

/// Runs what must not copy between host and device: the steps of an iteration, whose inputs are there before.
pub fn without_transfers<T>(work: impl FnOnce() -> T) -> T {
    /// Allows again what was allowed before, even where the work panics.
    struct Before(bool);
    impl Drop for Before {
        fn drop(&mut self) {
            FORBIDDEN.set(self.0);
        }
    }
    let _before = Before(FORBIDDEN.replace(true));
    work()
}

fn expect_allowed(what: &str) {
    assert!(
        !FORBIDDEN.get(),
        "{what} inside a step, which a GPU would wait for: make it an input of the step"
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_may_not_copy() {
        let x = Tensor::from_slice(&[1.0_f32]);
        assert_eq!(upload(&x, Device::Cpu), x);
        let caught =
            std::panic::catch_unwind(|| without_transfers(|| upload(&Tensor::from(1.0_f32), Device::Cpu)));
        assert!(caught.is_err());
        assert_eq!(upload(&x, Device::Cpu), x);
        assert_eq!(without_transfers(|| 3), 3);
        assert_eq!(download(&x), x);
    }
}
