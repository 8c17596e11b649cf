//! The non-local (self-attention) block of the discriminator.

use tch::nn::{Init, Path};
use tch::{Kind, Tensor};

use super::equalized::Conv;
use super::residual::{HALF_POWER, shortcut, through};

/// Attention over all positions beside a shortcut, their sum divided by sqrt 2.
#[derive(Debug)]
pub struct NonLocalBlock {
    theta: Conv,
    phi: Conv,
    g: Conv,
    o: Conv,
    gamma: Tensor, // []
    shortcut: Option<Conv>,
}

impl NonLocalBlock {
    /// Makes `theta`, `phi`, `g`, `o` (1x1, no bias), the gain `gamma` (0) and `residual_mapping` where widths differ.
    pub fn new(vs: &Path, inputs: i64, outputs: i64) -> Self {
        let conv =
            |name: &str, inputs: i64, outputs: i64| Conv::new(&(vs / name), inputs, outputs, 1, 1, 0, false);
        Self {
            theta: conv("theta", inputs, outputs / 8),
            phi: conv("phi", inputs, outputs / 8),
            g: conv("g", inputs, outputs / 2),
            o: conv("o", outputs / 2, outputs),
            gamma: vs.var("gamma", &[], Init::Const(0.0)),
            shortcut: shortcut(vs, inputs, outputs),
        }
    }

    /// `[N, I, H, W] -> [N, O, H, W]`
    pub fn forward(&self, x: &Tensor) -> Tensor {
        let (_, _, h, w) = x.size4().expect("x has four axes");
        let pooled = |y: Tensor| y.max_pool2d(2, 2, 0, 1, false).flatten(2, 3);
        let theta = self.theta.forward(x).flatten(2, 3); // [N, O/8, HW]
        let phi = pooled(self.phi.forward(x)); // [N, O/8, HW/4]
        let g = pooled(self.g.forward(x)); // [N, O/2, HW/4]
        // Reference: the scores are not divided by the square root of their width.
        let beta = theta.transpose(1, 2).matmul(&phi).softmax(-1, Kind::Float).to_kind(x.kind()); // [N, HW, HW/4]
        // The product this way around, so that the channels stay last in memory.
        let mixed = beta.matmul(&g.transpose(1, 2)).unflatten(1, [h, w]); // [N, HW, O/2] -> [N, H, W, O/2]
        let attention = self.o.forward(&mixed.permute([0, 3, 1, 2]));
        let gain = (&self.gamma * HALF_POWER).to_kind(x.kind());
        attention * gain + through(self.shortcut.as_ref(), x, HALF_POWER)
    }
}
