//! The two blocks of which a domain's stack consists: styled convolution and output block.

use tch::Tensor;
use tch::nn::Path;

use super::equalized::BiasActivation;
use super::modulated_conv::{Mode, ModulatedConv, Style};
use super::resample::{Upsample, filter_buffer};

/// Modulated convolution, noise, bias and leaky ReLU.
#[derive(Debug)]
pub struct StyledConv {
    conv: ModulatedConv,
    noise_strength: Tensor, // [1]
    noise_gain: f64,
    activation: BiasActivation,
}

impl StyledConv {
    /// Makes `modulated_convolution`, `noise_injection.weight` (0) and `activation.bias` (0).
    pub fn new(
        vs: &Path,
        inputs: i64,
        outputs: i64,
        latent: Option<i64>,
        mode: Mode,
        noise_gain: f64,
    ) -> Self {
        Self {
            conv: ModulatedConv::new(&(vs / "modulated_convolution"), inputs, outputs, latent, mode),
            noise_strength: (vs / "noise_injection").zeros("weight", &[1]),
            noise_gain,
            activation: BiasActivation::new(&(vs / "activation"), outputs),
        }
    }

    /// Returns features and style. `noise [N or 1, 1, H', W']` is the same for all feature maps.
    pub fn forward(&self, x: &Tensor, style: &Style, noise: &Tensor) -> (Tensor, Tensor) {
        let noise = noise * (&self.noise_strength * self.noise_gain);
        self.conv.forward(x, style, Some((&noise, self.activation.bias())))
    }
}

/// 1x1 modulated convolution to the T frames of a domain, added to the up-sampled image of the resolution below.
#[derive(Debug)]
pub struct OutputBlock {
    conv: ModulatedConv,
    bias: Tensor, // [1, 1, 1, 1]: one for all frames
    upsample: Upsample,
}

impl OutputBlock {
    /// Makes `modulated_convolution`, `bias` (0) and, unless it is the first block, the buffer `upsampling.kernel`.
    pub fn new(
        vs: &Path,
        inputs: i64,
        frames: i64,
        latent: Option<i64>,
        first: bool,
        skip_gain: f64,
    ) -> Self {
        if !first {
            filter_buffer(&(vs / "upsampling"), 1.0);
        }
        Self {
            conv: ModulatedConv::new(&(vs / "modulated_convolution"), inputs, frames, latent, Mode::Output),
            bias: vs.zeros("bias", &[1, 1, 1, 1]),
            upsample: Upsample::new(skip_gain),
        }
    }

    /// Returns the image `[N, T, H, W]` and the style. `skip` is `[N, T, H/2, W/2]`.
    pub fn forward(&self, x: &Tensor, style: &Style, skip: Option<&Tensor>) -> (Tensor, Tensor) {
        let (y, style) = self.conv.forward(x, style, None);
        let y = y + &self.bias;
        let image = skip.map_or_else(|| y.shallow_clone(), |skip| &y + self.upsample.forward(skip));
        (image, style)
    }
}
