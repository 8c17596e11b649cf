//! Clipping of the global gradient norm.

use tch::{Kind, Tensor};

/// Scales gradients so that their global 2-norm is at most `max_norm`, and returns the norm before. `-> []`
///
/// The factor is `min(1, max_norm / (norm + 1e-6))` and stays on the device: no synchronisation.
pub fn clip_gradient_norm(gradients: &mut [Option<Tensor>], max_norm: f64) -> Tensor {
    let norms: Vec<Tensor> = gradients.iter().flatten().map(Tensor::norm).collect();
    if norms.is_empty() {
        return Tensor::from(0.0_f32);
    }
    let norm = Tensor::stack(&norms, 0).to_kind(Kind::Float).norm();
    let factor = ((&norm + 1e-6).reciprocal() * max_norm).clamp_max(1.0);
    for gradient in gradients.iter_mut().flatten() {
        *gradient *= &factor;
    }
    norm
}
