//! The modulated convolution of StyleGAN2, by scaling activations instead of weights.

use tch::nn::{Init, Path};
use tch::{Kind, Tensor};

use super::convolution::{conv_transpose2d, conv2d};
use super::equalized::{Linear, weight_scale};
use super::fused;
use super::resample::{Blur, filter_buffer};

/// What a modulated convolution does besides convolving.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// 3x3, demodulated.
    Plain,
    /// 2x2 transposed with stride 2, demodulated, then blurred: doubles the resolution.
    Up,
    /// 1x1 to image maps, not demodulated.
    Output,
}

/// Where the style of a convolution comes from.
#[derive(Debug)]
pub enum Style<'a> {
    /// A latent slot `[N, Z]`, through this layer's own affine map (first domain).
    Latent(&'a Tensor),
    /// The first domain's style `[N, I]` (other domains).
    Shared(&'a Tensor),
}

/// Modulated convolution.
///
/// Scaling the input by the style and the output by the demodulation factor equals convolving every sample with its
/// own weights (StyleGAN2, section 2.2), needs no weight copy per sample, and is several times faster.
#[derive(Debug)]
pub struct ModulatedConv {
    weight: Tensor, // [1, O, I, k, k]
    modulation_mapping: Option<Linear>,
    blur: Option<Blur>,
    mode: Mode,
}

impl ModulatedConv {
    /// Makes `weight`, `modulation_mapping` in the first domain (where `latent` is given), and `blur.kernel` for
    /// [`Mode::Up`].
    pub fn new(vs: &Path, inputs: i64, outputs: i64, latent: Option<i64>, mode: Mode) -> Self {
        let kernel = match mode {
            Mode::Plain => 3,
            Mode::Up => 2,
            Mode::Output => 1,
        };
        let shape = [1, outputs, inputs, kernel, kernel];
        Self {
            weight: vs.var("weight", &shape, Init::Randn { mean: 0.0, stdev: 1.0 }),
            modulation_mapping: latent
                .map(|latent| Linear::new(&(vs / "modulation_mapping"), latent, inputs, Some(1.0))),
            blur: (mode == Mode::Up).then(|| {
                filter_buffer(&(vs / "blur"), 4.0);
                Blur::new(4.0, (2, 1))
            }),
            mode,
        }
    }

    /// Returns the features and the style that was used.
    ///
    /// With `finish`, noise `[N or 1, 1, H', W']` and bias `[O]`, a demodulated output also gets both and its leaky ReLU, in
    /// the same pass over memory.
    ///
    /// # Shapes
    /// `x [N, I, H, W]` -> `[N, O, H, W]` (`2H, 2W` for [`Mode::Up`]) and the style `[N, I]`.
    pub fn forward(&self, x: &Tensor, style: &Style, finish: Option<(&Tensor, &Tensor)>) -> (Tensor, Tensor) {
        let style = match (style, &self.modulation_mapping) {
            (Style::Shared(style), _) => style.shallow_clone(),
            (Style::Latent(latent), affine) => {
                affine.as_ref().expect("the first domain owns the affine map").forward(latent)
            }
        };
        let weight = self.weight.squeeze_dim(0); // [1, O, I, k, k] -> [O, I, k, k]
        let gain = weight_scale(&weight.size());
        if self.mode == Mode::Output {
            // 1x1 to a few maps: style and weight make one small matrix per sample. [N, 1, I] [O, I] -> [N, O, I]
            let per_sample = style.unsqueeze(1) * (weight.flatten(1, 3) * gain);
            return (fused::project(x, &per_sample), style);
        }
        let kernel = fused::prepare(&weight, gain, x.kind());
        let scaled = fused::scale(x, &style);
        let y = if self.mode == Mode::Up {
            conv_transpose2d(&scaled, &kernel.transpose(0, 1), 2)
        } else {
            conv2d(&scaled, &kernel, None, 1, 1)
        };
        // sum over I, k, k of (weight style)^2, as a product of sums: [N, I] x [I, O] -> [N, O].
        let energy =
            weight.square().sum_dim_intlist(Some([2_i64, 3].as_slice()), false, Kind::Float) * (gain * gain);
        // 1e-8 keeps rsqrt finite for dead channels.
        let demodulation = (style.square().matmul(&energy.transpose(0, 1)) + 1e-8).rsqrt();
        // The blur acts on every channel alike, so it may come before the demodulation.
        let y = match &self.blur {
            Some(blur) => blur.forward(&y),
            None => y,
        };
        let y = match finish {
            Some((noise, bias)) => fused::epilogue(y, &demodulation, noise, bias),
            None => fused::scale(&y, &demodulation),
        };
        (y, style)
    }
}
