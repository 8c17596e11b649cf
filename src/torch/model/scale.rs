//! The discriminator's steps between resolutions.

use tch::Tensor;
use tch::nn::Path;

use super::equalized::Conv;
use super::resample::{Blur, Upsample, filter_buffer};

/// 3x3 convolution with stride 2, then blur: halves rows and columns.
///
/// Reference: the blur comes after the strided convolution, so it does not prevent aliasing.
#[derive(Debug)]
pub struct Downscale {
    conv: Conv,
    blur: Blur,
}

impl Downscale {
    /// Makes `0.weight`, `0.bias` and the buffer `1.kernel`.
    pub fn new(vs: &Path, channels: i64) -> Self {
        let conv = Conv::new(&(vs / 0), channels, channels, 3, 2, 0, true);
        filter_buffer(&(vs / 1), 1.0);
        Self { conv, blur: Blur::new(1.0, (2, 2)) }
    }

    /// `[N, C, H, W] -> [N, C, H/2, W/2]` for even sizes of at least 4.
    pub fn forward(&self, x: &Tensor) -> Tensor {
        self.blur.forward(&self.conv.forward(x))
    }
}

/// Up-sampling with a 1x1 convolution: doubles rows and columns.
#[derive(Debug)]
pub struct Upscale {
    conv: Conv,
    upsample: Upsample,
}

impl Upscale {
    /// Makes the buffer `0.kernel` and `1.weight`. Published `gain`: 1.
    pub fn new(vs: &Path, inputs: i64, outputs: i64, gain: f64) -> Self {
        filter_buffer(&(vs / 0), 1.0);
        let conv = Conv::new(&(vs / 1), inputs, outputs, 1, 1, 0, false);
        Self { conv, upsample: Upsample::new(gain) }
    }

    /// `[N, I, H, W] -> [N, O, 2H, 2W]`
    ///
    /// A 1x1 convolution commutes with the up-sampling and is four times cheaper before it.
    pub fn forward(&self, x: &Tensor) -> Tensor {
        self.upsample.forward(&self.conv.forward(x))
    }
}
