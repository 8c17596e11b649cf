//! The residual block of the discriminator.

use tch::Tensor;
use tch::nn::Path;

use super::equalized::{BiasActivation, Conv};
use super::resample::append_minibatch_std;

/// Two 3x3 convolutions beside a shortcut, their sum divided by sqrt 2.
#[derive(Debug)]
pub struct ResidualBlock {
    minibatch_std: bool,
    main: [(Conv, BiasActivation); 2],
    shortcut: Option<Conv>,
}

impl ResidualBlock {
    /// Makes `main_mapping.{0..3}` and, where the widths differ, `residual_mapping`.
    pub fn new(vs: &Path, inputs: i64, outputs: i64, minibatch_std: bool) -> Self {
        let main = vs / "main_mapping";
        let layer = |index: usize, inputs: i64| {
            (
                Conv::new(&(&main / index), inputs, outputs, 3, 1, 1, false),
                BiasActivation::new(&(&main / (index + 1)), outputs),
            )
        };
        Self {
            minibatch_std,
            main: [layer(0, inputs + i64::from(minibatch_std)), layer(2, outputs)],
            shortcut: shortcut(vs, inputs, outputs),
        }
    }

    /// `[N, I, H, W] -> [N, O, H, W]`
    pub fn forward(&self, x: &Tensor) -> Tensor {
        let input = if self.minibatch_std { append_minibatch_std(x) } else { x.shallow_clone() };
        let main =
            self.main.iter().fold(input, |x, (conv, activation)| activation.forward(&conv.forward(&x)));
        (main + through(self.shortcut.as_ref(), x)) * std::f64::consts::FRAC_1_SQRT_2
    }
}

/// Makes `residual_mapping`, a 1x1 convolution, where the widths differ.
pub(super) fn shortcut(vs: &Path, inputs: i64, outputs: i64) -> Option<Conv> {
    (inputs != outputs).then(|| Conv::new(&(vs / "residual_mapping"), inputs, outputs, 1, 1, 0, false))
}

/// Returns the shortcut's output, the input itself where there is none.
pub(super) fn through(shortcut: Option<&Conv>, x: &Tensor) -> Tensor {
    shortcut.map_or_else(|| x.shallow_clone(), |conv| conv.forward(x))
}
