//! Optimisation of named parameters: Adam, gradient clipping, exponential moving average.
//!
//! Used by the GAN and by the segmenter; depends on no other module of this package.

pub mod adam;
pub mod clip;
pub mod ema;
mod lists;

pub use adam::{Adam, AdamConfig};

use tch::Tensor;

/// Returns the gradients of a scalar with respect to parameters; `None` where it does not depend on one.
///
/// Only what leads to these parameters is computed: other networks in the graph cost nothing.
pub fn gradients(loss: &Tensor, parameters: &[Tensor]) -> Vec<Option<Tensor>> {
    Tensor::run_backward(&[loss], parameters, false, false)
        .into_iter()
        .map(|gradient| gradient.defined().then_some(gradient))
        .collect()
}
