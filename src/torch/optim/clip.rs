//! Clipping of the global gradient norm.

use tch::Tensor;

use super::lists;

/// A bound that no gradient of a network that still learns reaches: from here on, nothing is scaled.
pub const NO_CLIP: f64 = 1e9;

/// Scales gradients so that their global 2-norm is at most `max_norm`, and returns the norm before. `-> []`
///
/// The factor is `min(1, max_norm / (norm + 1e-6))` and stays on the device: no synchronisation.
pub fn clip_gradient_norm(gradients: &mut [Option<Tensor>], max_norm: f64) -> Tensor {
    let there: Vec<&Tensor> = gradients.iter().flatten().collect();
    if there.is_empty() {
        return Tensor::from(0.0_f32);
    }
    let norm = lists::norm(&there);
    if max_norm < NO_CLIP {
        lists::scale(&there, &((&norm + 1e-6).reciprocal() * max_norm).clamp_max(1.0));
    }
    norm
}
