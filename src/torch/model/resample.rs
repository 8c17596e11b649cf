//! Blur and up-sampling with the [1, 3, 3, 1] filter.
//!
//! [`upfirdn2d`] is the definition; [`blur`] and [`upsample`] are the fast forms that the networks use.

use tch::nn::Path;
use tch::{Device, Kind, Tensor};

use super::fused;

/// Returns the outer product of [1, 3, 3, 1] with itself, scaled to sum to `gain`. `[4, 4]`
pub fn filter_1331(gain: f64, device: Device) -> Tensor {
    let row = Tensor::from_slice(&[1.0_f32, 3.0, 3.0, 1.0]).to_device(device);
    row.outer(&row) * (gain / 64.0)
}

/// Registers the filter as a buffer called `kernel`, so that checkpoints carry it as the published ones do.
pub fn filter_buffer(vs: &Path, gain: f64) -> Tensor {
    vs.add("kernel", filter_1331(gain, vs.device()), false)
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

/// Blurs every channel with a symmetric 4x4 kernel.
///
/// `pad` is (2, 1), which keeps the size, or (2, 2), which adds a row and a column. Depthwise, with the padding inside
/// the convolution: zero-extending the kernel to 5x5 turns the uneven padding into an even one.
pub fn blur(x: &Tensor, kernel: &Tensor, pad: (i64, i64)) -> Tensor {
    let channels = x.size()[1];
    let kernel = if pad == (2, 1) { kernel.constant_pad_nd([0, 1, 0, 1]) } else { kernel.shallow_clone() };
    let weight = kernel.to_kind(x.kind()).unsqueeze(0).unsqueeze(0).repeat([channels, 1, 1, 1]); // [k, k] -> [C, 1, k, k]
    fused::filter(x, &weight, 2)
}

/// Doubles rows and columns: `upfirdn2d` with `up = 2`, `pad = (2, 1)` and the [1, 3, 3, 1] filter of sum `gain`.
///
/// Equal to bilinear up-sampling of the image in a frame of zeros. `[N, C, H, W] -> [N, C, 2H, 2W]`
///
/// Reference: `gain` is 1 in the published code, so a constant image comes out at a quarter of its value.
pub fn upsample(x: &Tensor, gain: f64) -> Tensor {
    let kernel = filter_1331(gain, x.device()).to_kind(x.kind()).repeat([x.size()[1], 1, 1, 1]);
    fused::double(x, &kernel, gain / 4.0)
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
