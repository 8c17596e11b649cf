//! R1: keeps the discriminator flat around real data (Mescheder et al., ICML 2018).

use tch::{Kind, Tensor};

/// Returns `0.5 mean over samples of || d (sum of logits) / d x ||^2`. `-> []`, with graph
///
/// `logits_sum` is a scalar computed from `images [N, ...]`, which must require a gradient. Reference: the sum runs
/// over the scalar and all pixel logits, so the size of the term depends on the resolution.
///
/// `units` returns the gradient in the units in which it is to be flat.
pub fn r1(logits_sum: &Tensor, images: &Tensor, units: impl Fn(&Tensor) -> Tensor) -> Tensor {
    let gradient = Tensor::run_backward(&[logits_sum], &[images], true, true).remove(0);
    units(&gradient)
        .square()
        .flatten(1, -1)
        .sum_dim_intlist(Some([1_i64].as_slice()), false, Kind::Float)
        .mean(Kind::Float)
        * 0.5
}
