//! Layers with equalized learning rate: raw weights from N(0, 1), scaled in every forward pass.

use tch::Tensor;
use tch::nn::{Init, Path};

use super::convolution::conv2d;
use super::fused::{self, leaky_relu};

/// Slope of every leaky ReLU here.
pub(super) const SLOPE: f64 = 0.2;

/// What weights start from.
pub(super) const STANDARD_NORMAL: Init = Init::Randn { mean: 0.0, stdev: 1.0 };

/// Returns `x / sqrt(mean(x^2) + 1e-8)` over axis 1. `[N, Z] -> [N, Z]`
pub fn pixel_norm(x: &Tensor) -> Tensor {
    // 1e-8 keeps rsqrt finite for an all-zero row.
    let mean = x.square().mean_dim(Some([1_i64].as_slice()), true, x.kind());
    x * (mean + 1e-8).rsqrt()
}

/// Bias per channel, then leaky ReLU.
///
/// Reference: gain 1, not sqrt 2; the sqrt 2 sits in the weight scale of the layer before.
#[derive(Debug)]
pub struct BiasActivation {
    bias: Tensor, // [C]
}

impl BiasActivation {
    /// Makes `bias`, zeros of `[channels]`.
    pub fn new(vs: &Path, channels: i64) -> Self {
        Self { bias: vs.zeros("bias", &[channels]) }
    }

    /// Returns the bias. `[C]`
    pub(super) fn bias(&self) -> &Tensor {
        &self.bias
    }

    /// Returns the activation of `[N, C]` or `[N, C, H, W]`.
    pub fn forward(&self, x: &Tensor) -> Tensor {
        if x.dim() == 4 {
            fused::bias_leaky_relu(x, &self.bias)
        } else {
            leaky_relu(x + self.bias.to_kind(x.kind()))
        }
    }
}

/// Equalized linear layer.
#[derive(Debug)]
pub struct Linear {
    weight: Tensor, // [O, I]
    bias: Option<Tensor>,
}

impl Linear {
    /// Makes `weight`, and `bias` filled with a value where one is given.
    pub fn new(vs: &Path, inputs: i64, outputs: i64, bias: Option<f64>) -> Self {
        Self {
            weight: vs.var("weight", &[outputs, inputs], STANDARD_NORMAL),
            bias: bias.map(|value| vs.var("bias", &[outputs], Init::Const(value))),
        }
    }

    /// `[N, I] -> [N, O]`
    pub fn forward(&self, x: &Tensor) -> Tensor {
        let size = self.weight.size();
        let weight = &self.weight * (2.0 / size[1] as f64).sqrt();
        let bias = self.bias.as_ref().map(|b| b * (2.0 / size[0] as f64).sqrt());
        x.linear(&weight, bias.as_ref())
    }
}

/// Equalized 2-d convolution.
#[derive(Debug)]
pub struct Conv {
    weight: Tensor, // [O, I, k, k]
    bias: Option<Tensor>,
    stride: i64,
    padding: i64,
}

impl Conv {
    /// Makes `weight`, and a zero `bias` where asked for.
    pub fn new(
        vs: &Path,
        inputs: i64,
        outputs: i64,
        kernel: i64,
        stride: i64,
        padding: i64,
        bias: bool,
    ) -> Self {
        Self {
            weight: vs.var("weight", &[outputs, inputs, kernel, kernel], STANDARD_NORMAL),
            bias: bias.then(|| vs.zeros("bias", &[outputs])),
            stride,
            padding,
        }
    }

    /// `[N, I, H, W] -> [N, O, H', W']`
    pub fn forward(&self, x: &Tensor) -> Tensor {
        self.forward_scaled(x, 1.0)
    }

    /// Returns `gain` times the output, at no cost.
    pub fn forward_scaled(&self, x: &Tensor, gain: f64) -> Tensor {
        let bias = self.bias.as_ref().map(|b| b * (gain * (2.0 / self.weight.size()[0] as f64).sqrt()));
        self.convolve(x, bias, gain)
    }

    /// Returns `gain` times what an activation makes of the output of this convolution, which must have no bias of its own.
    ///
    /// The activation's bias rides on the convolution, and a leaky ReLU lets a positive factor through.
    pub fn forward_activated(&self, x: &Tensor, activation: &BiasActivation, gain: f64) -> Tensor {
        let bias = if gain == 1.0 { activation.bias.shallow_clone() } else { &activation.bias * gain };
        leaky_relu(self.convolve(x, Some(bias), gain))
    }

    fn convolve(&self, x: &Tensor, bias: Option<Tensor>, gain: f64) -> Tensor {
        let weight = fused::prepare(&self.weight, gain * weight_scale(&self.weight.size()), x.kind());
        let bias = bias.map(|b| b.to_kind(x.kind()));
        conv2d(x, &weight, bias.as_ref(), self.stride, self.padding)
    }
}

/// Returns `sqrt(2 / (I k k))` of a weight `[O, I, k, k]`.
pub fn weight_scale(size: &[i64]) -> f64 {
    (2.0 / size[1..].iter().product::<i64>() as f64).sqrt()
}

/// Returns `x` with the channels last in memory; the axes keep their order.
///
/// Depthwise and pointwise operations are several times faster so; everything after inherits the layout.
pub fn channels_last(x: &Tensor) -> Tensor {
    x.permute([0, 2, 3, 1]).contiguous().permute([0, 3, 1, 2])
}
