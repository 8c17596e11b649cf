//! Blur and up-sampling with the [1, 3, 3, 1] filter.
//!
//! [`upfirdn2d`] is the definition; [`Blur`] and [`Upsample`] are the fast forms that the networks use.

use std::cell::RefCell;

use tch::nn::Path;
use tch::{Device, Kind, Tensor};

use super::fused;
use crate::transfer::upload;

/// Returns the outer product of [1, 3, 3, 1] with itself, scaled to sum to `gain`. `[4, 4]`
pub fn filter_1331(gain: f64, device: Device) -> Tensor {
    let row = Tensor::from_slice(&[1.0_f32, 3.0, 3.0, 1.0]);
    upload(&(row.outer(&row) * (gain / 64.0)), device)
}

/// Registers the filter as a buffer called `kernel`, so that checkpoints carry it as the published ones do. The networks
/// have it from [`filter_1331`].
pub fn filter_buffer(vs: &Path, gain: f64) {
    let _ = vs.add(FILTER, filter_1331(gain, vs.device()), false);
}

/// Last part of the names of filters.
pub(super) const FILTER: &str = "kernel";

/// The filter as the weight of a depthwise convolution. It is made once, since a GPU waits for every upload.
#[derive(Debug)]
struct Depthwise {
    gain: f64,
    /// Rows and columns of zeros at the end.
    zeros: i64,
    made: RefCell<Option<Tensor>>,
}

impl Depthwise {
    fn new(gain: f64, zeros: i64) -> Self {
        Self { gain, zeros, made: RefCell::new(None) }
    }

    /// Returns the weight for features like `x [N, C, H, W]`. `[C, 1, k, k]`
    fn weight(&self, x: &Tensor) -> Tensor {
        let mut made = self.made.borrow_mut();
        let fits = |w: &Tensor| (w.kind(), w.device(), w.size()[0]) == (x.kind(), x.device(), x.size()[1]);
        if !made.as_ref().is_some_and(fits) {
            let kernel = filter_1331(self.gain, x.device()).constant_pad_nd([0, self.zeros, 0, self.zeros]);
            *made = Some(kernel.to_kind(x.kind()).unsqueeze(0).unsqueeze(0).repeat([x.size()[1], 1, 1, 1]));
        }
        made.as_ref().map(Tensor::shallow_clone).expect("made above")
    }
}

/// Zero-insertion by `up`, padding (negative crops), true convolution with `kernel`, decimation by `down`.
///
/// # Shapes
/// `x [N, C, H, W]`, `kernel [kh, kw]` -> `[N, C, H', W']` with `H' = (H up + p0 + p1 - kh) / down + 1`.
pub fn upfirdn2d(x: &Tensor, kernel: &Tensor, up: i64, down: i64, pad: (i64, i64)) -> Tensor {
    let (n, c, h, w) = x.size4().expect("x has four axes");
    // [N, C, H, W] -> [N, C, H up, W up], the trailing zeros stay.
    let spread = x.reshape([n, c, h, 1, w, 1]).constant_pad_nd([0, up - 1, 0, 0, 0, up - 1]);
    let padded = spread.reshape([n, c, h * up, w * up]).constant_pad_nd([pad.0, pad.1, pad.0, pad.1]);
    // conv2d correlates; a convolution sees the flipped kernel.
    let flipped = kernel.flip([0, 1]);
    let weight = flipped.unsqueeze(0).unsqueeze(0).repeat([c, 1, 1, 1]);
    padded.conv2d(&weight, None::<Tensor>, down, 0, 1, c)
}

/// Blurs every channel with the [1, 3, 3, 1] filter: `upfirdn2d` without resampling.
#[derive(Debug)]
pub struct Blur(Depthwise);

impl Blur {
    /// Makes a blur of sum `gain`; `pad` is (2, 1), which keeps the size, or (2, 2), which adds a row and a column.
    pub fn new(gain: f64, pad: (i64, i64)) -> Self {
        // Zero-extending the kernel to 5x5 turns the uneven padding into an even one, which a convolution has inside.
        Self(Depthwise::new(gain, i64::from(pad == (2, 1))))
    }

    /// `[N, C, H, W] -> [N, C, H, W]`, or a row and a column more
    pub fn forward(&self, x: &Tensor) -> Tensor {
        fused::blur(x, &self.0.weight(x), self.0.gain)
    }
}

/// Doubles rows and columns: `upfirdn2d` with `up = 2`, `pad = (2, 1)` and the [1, 3, 3, 1] filter.
///
/// Equal to bilinear up-sampling of the image in a frame of zeros.
///
/// Reference: the sum of the filter, `gain`, is 1 in the published code, so a constant image comes out at a quarter of
/// its value.
#[derive(Debug)]
pub struct Upsample(Depthwise);

impl Upsample {
    /// Makes it with a filter of sum `gain`.
    pub fn new(gain: f64) -> Self {
        Self(Depthwise::new(gain, 0))
    }

    /// `[N, C, H, W] -> [N, C, 2H, 2W]`
    pub fn forward(&self, x: &Tensor) -> Tensor {
        fused::double(x, || self.0.weight(x), self.0.gain / 4.0)
    }
}

/// Returns standard deviation over groups of the batch, averaged to one number each, as one more channel at the end.
///
/// `[N, C, H, W] -> [N, C + 1, H, W]`. A `group` of 0, or one that does not divide the batch, is the whole batch, as in the
/// published code on one device.
pub fn append_minibatch_std(x: &Tensor, group: i64) -> Tensor {
    let (n, c, h, w) = x.size4().expect("x has four axes");
    let group = if group > 0 && n % group == 0 { group } else { n };
    let grouped = x.reshape([n / group, group, c, h, w]);
    let centred = &grouped - grouped.mean_dim(Some([1_i64].as_slice()), true, Kind::Float);
    let variance = centred.square().mean_dim(Some([1_i64].as_slice()), false, Kind::Float);
    // 1e-8 keeps the derivative of the square root finite where all samples agree.
    let std = variance.clamp_min(1e-8).sqrt().mean_dim(Some([1_i64, 2, 3].as_slice()), false, Kind::Float);
    let std = std.to_kind(x.kind()).view([-1, 1, 1, 1, 1]).expand([n / group, group, 1, h, w], false);
    // Joined where the channels are last in memory, so that they stay there.
    let planes = [x.permute([0, 2, 3, 1]), std.reshape([n, h, w, 1])];
    Tensor::cat(&planes, 3).permute([0, 3, 1, 2])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn minibatch_statistics_are_taken_per_group() {
        let x = Tensor::randn([6, 3, 4, 4], (Kind::Float, Device::Cpu));
        let halves: Vec<Tensor> = x.split(3, 0).iter().map(|half| append_minibatch_std(half, 0)).collect();
        assert!((append_minibatch_std(&x, 3) - Tensor::cat(&halves, 0)).abs().max().double_value(&[]) < 1e-6);
        // A group that does not divide the batch is the whole batch.
        assert_eq!(append_minibatch_std(&x, 4), append_minibatch_std(&x, 0));
    }
}
