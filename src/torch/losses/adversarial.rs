//! The non-saturating logistic loss, on the scalar and on the pixel head alike.
//!
//! All means run over all elements. A weight map `[H, W]` (say, of the trap) multiplies inside the mean and is not
//! normalised, as in the published code.

use tch::{Kind, Tensor};

/// Returns `mean(softplus(-logits) weight)`: small where real sequences are called real. `-> []`
///
/// The generator minimises the same expression over the logits of its own images.
pub fn call_real(logits: &Tensor, weight: Option<&Tensor>) -> Tensor {
    weighted_mean(&(-logits).softplus(), weight)
}

/// Returns `mean(softplus(logits) weight)`: small where generated sequences are called generated. `-> []`
pub fn call_fake(logits: &Tensor, weight: Option<&Tensor>) -> Tensor {
    weighted_mean(&logits.softplus(), weight)
}

fn weighted_mean(values: &Tensor, weight: Option<&Tensor>) -> Tensor {
    weight.map_or_else(|| values.mean(Kind::Float), |w| (values * w).mean(Kind::Float))
}
