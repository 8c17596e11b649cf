//! The residual block of the discriminator.

use tch::Tensor;
use tch::nn::Path;

use super::equalized::{BiasActivation, Conv};
use super::fused;
use super::resample::append_minibatch_std;

/// What keeps the variance of a sum of two.
pub(super) const HALF_POWER: f64 = std::f64::consts::FRAC_1_SQRT_2;

/// Two 3x3 convolutions beside a shortcut, their sum divided by sqrt 2.
#[derive(Debug)]
pub struct ResidualBlock {
    minibatch_std: Option<i64>,
    main: [(Conv, BiasActivation); 2],
    shortcut: Option<Conv>,
}

impl ResidualBlock {
    /// `minibatch_std` is the group of [`append_minibatch_std`], where the block sees that statistic.
    ///
    /// Makes `main_mapping.{0..3}` and, where the widths differ, `residual_mapping`.
    pub fn new(vs: &Path, inputs: i64, outputs: i64, minibatch_std: Option<i64>) -> Self {
        let main = vs / "main_mapping";
        let layer = |index: usize, inputs: i64| {
            (
                Conv::new(&(&main / index), inputs, outputs, 3, 1, 1, false),
                BiasActivation::new(&(&main / (index + 1)), outputs),
            )
        };
        Self {
            minibatch_std,
            main: [layer(0, inputs + i64::from(minibatch_std.is_some())), layer(2, outputs)],
            shortcut: shortcut(vs, inputs, outputs),
        }
    }

    /// `[N, I, H, W] -> [N, O, H, W]`
    pub fn forward(&self, x: &Tensor) -> Tensor {
        let (x, beside) = fused::fork(x);
        let input = match self.minibatch_std {
            Some(group) => append_minibatch_std(&x, group),
            None => x,
        };
        let [(first, first_activation), (last, last_activation)] = &self.main;
        let main = first.forward_activated(&input, first_activation, 1.0);
        // The common factor 1 / sqrt 2 rides on the weights.
        let main = last.forward_activated(&main, last_activation, HALF_POWER);
        fused::add(&main, &through(self.shortcut.as_ref(), &beside, HALF_POWER))
    }
}

/// Makes `residual_mapping`, a 1x1 convolution, where the widths differ.
pub(super) fn shortcut(vs: &Path, inputs: i64, outputs: i64) -> Option<Conv> {
    (inputs != outputs).then(|| Conv::new(&(vs / "residual_mapping"), inputs, outputs, 1, 1, 0, false))
}

/// Returns `gain` times the shortcut's output, or times the input where there is none.
pub(super) fn through(shortcut: Option<&Conv>, x: &Tensor, gain: f64) -> Tensor {
    shortcut.map_or_else(|| x * gain, |conv| conv.forward_scaled(x, gain))
}
