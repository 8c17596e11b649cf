//! Path length regularisation: equal steps in latent space should change the image by equal amounts (Karras et al.,
//! CVPR 2020), in the form of the published code.

use tch::{Kind, Tensor};

/// What one evaluation gives.
#[derive(Debug)]
pub struct PathLength {
    /// `(length - running mean)^2`, unweighted. `[]`, with graph
    pub penalty: Tensor,
    /// Mean path length of the batch. `[]`
    pub length: Tensor,
    /// The running mean after this batch. `[]`, without graph
    pub mean: Tensor,
}

/// Returns the gradient of a randomly weighted image sum with respect to the latents. `[N, L, Z]`, with graph
///
/// `images [N, C, T, H, W]` must depend on `ws [N, L, Z]`; `noise` has the shape of the images and unit variance, and is
/// divided by `sqrt(T H W)`.
pub fn latent_gradient(images: &Tensor, ws: &Tensor, noise: &Tensor) -> Tensor {
    let size: f64 = images.size()[2..].iter().map(|&n| n as f64).product();
    let sum = (images * noise).sum(Kind::Float) / size.sqrt();
    Tensor::run_backward(&[sum], &[ws], true, true).remove(0)
}

/// Returns the penalty on `gradient [N, L, Z]` and moves the running `mean []` towards the batch by `decay`.
///
/// Reference: the batch mean is taken before the penalty, and the penalty is differentiated through the new running mean,
/// which makes it `(1 - decay)^2 (length - old mean)^2`.
pub fn path_length(gradient: &Tensor, mean: &Tensor, decay: f64) -> PathLength {
    let per_slot = gradient.square().sum_dim_intlist(Some([-1_i64].as_slice()), false, Kind::Float);
    let per_sample = per_slot.mean_dim(Some([-1_i64].as_slice()), false, Kind::Float);
    // 1e-8 keeps the derivative of the root finite for an image that ignores its latent.
    let length = (per_sample + 1e-8).sqrt().mean(Kind::Float);
    let old = mean.detach();
    let new = &old + (&length - &old) * decay;
    PathLength { penalty: (&length - &new).square(), length: length.detach(), mean: new.detach() }
}
