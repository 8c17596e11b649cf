//! Resizing as the protocols do it. All of them are linear and separable: a matrix for the rows, one for the columns.

use std::f64::consts::PI;

use tch::{Device, Kind, Tensor};

use crate::transfer::upload;

/// How an image is resized.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resizing {
    /// Between the two nearest pixels, pixel centres aligned, no filter when shrinking (`align_corners=False` in torch).
    Bilinear,
    /// A triangle as wide as the shrinking, pixel centres aligned.
    Triangle,
    /// Between the two nearest pixels, first pixels aligned, as TensorFlow 1 did it.
    Tf1,
    /// Cubic with `a = -0.5` as wide as the shrinking, as Pillow does it; may overshoot.
    Bicubic,
    /// A Gaussian of five pixels whose sigma is the shrinking, mirrored at the border, then `Bilinear`; without shrinking
    /// that alone.
    BlurredBilinear,
}

impl Resizing {
    /// Returns the weights of `from` pixels in each of `to`. `[to, from]`
    pub fn weights(self, from: usize, to: usize) -> Vec<f64> {
        let scale = from as f64 / to as f64;
        match self {
            Self::Bilinear => nearest_two(from, to, |i| (i + 0.5) * scale - 0.5),
            Self::Tf1 => nearest_two(from, to, |i| i * scale),
            Self::Triangle => filtered(from, to, 1.0, |x| (1.0 - x.abs()).max(0.0)),
            Self::Bicubic => filtered(from, to, 2.0, cubic),
            Self::BlurredBilinear => {
                let resized = nearest_two(from, to, |i| (i + 0.5) * scale - 0.5);
                if scale > 1.0 { product(&resized, &blur(from, scale), to, from) } else { resized }
            }
        }
    }

    /// Returns images `[..., H, W]` with sides of `side` pixels, in their own type.
    pub fn apply(self, images: &Tensor, side: i64) -> Tensor {
        let size = images.size();
        let [height, width] = [size[size.len() - 2], size[size.len() - 1]];
        let (device, kind) = (images.device(), images.kind());
        let rows = self.matrix(height, side, device, kind);
        let columns = self.matrix(width, side, device, kind);
        rows.matmul(images).matmul(&columns.transpose(0, 1))
    }

    fn matrix(self, from: i64, to: i64, device: Device, kind: Kind) -> Tensor {
        let weights = Tensor::from_slice(&self.weights(from as usize, to as usize));
        upload(&weights.view([to, from]).to_kind(kind), device)
    }
}

/// Returns weights of the pixels around a place in the source, which is kept inside.
fn nearest_two(from: usize, to: usize, place: impl Fn(f64) -> f64) -> Vec<f64> {
    let mut all = vec![0.0; from * to];
    for (i, row) in all.chunks_exact_mut(from).enumerate() {
        let at = place(i as f64).max(0.0);
        let first = (at as usize).min(from - 1);
        let part = at - first as f64;
        row[first] += 1.0 - part;
        row[(first + 1).min(from - 1)] += part;
    }
    all
}

/// Returns weights of a filter that is stretched where the image shrinks, with sum 1 over the pixels that are there.
fn filtered(from: usize, to: usize, support: f64, filter: impl Fn(f64) -> f64) -> Vec<f64> {
    let scale = from as f64 / to as f64;
    let stretch = scale.max(1.0);
    let mut all = vec![0.0; from * to];
    for (i, row) in all.chunks_exact_mut(from).enumerate() {
        let centre = (i as f64 + 0.5) * scale;
        let first = (centre - support * stretch + 0.5).max(0.0) as usize;
        let end = ((centre + support * stretch + 0.5).max(0.0) as usize).min(from);
        for (j, weight) in row.iter_mut().enumerate().take(end).skip(first) {
            *weight = filter((j as f64 + 0.5 - centre) / stretch);
        }
        let sum: f64 = row.iter().sum();
        for weight in row {
            *weight /= sum;
        }
    }
    all
}

/// Keys' cubic convolution with `a = -0.5`.
fn cubic(x: f64) -> f64 {
    let x = x.abs();
    if x < 1.0 {
        (1.5 * x - 2.5) * x * x + 1.0
    } else if x < 2.0 {
        ((-0.5 * x + 2.5) * x - 4.0) * x + 2.0
    } else {
        0.0
    }
}

/// Returns a Gaussian of five pixels as a matrix, mirrored without repeating the border. `[n, n]`
fn blur(n: usize, sigma: f64) -> Vec<f64> {
    let density = |x: f64| (-x * x / (2.0 * sigma * sigma)).exp() / (sigma * (2.0 * PI).sqrt());
    let sum: f64 = (-2..=2).map(|k| density(f64::from(k))).sum();
    let mut all = vec![0.0; n * n];
    for (i, row) in all.chunks_exact_mut(n).enumerate() {
        for k in -2..=2 {
            let j = (i as i64 + i64::from(k)).abs();
            let last = n as i64 - 1;
            let j = if j > last { (2 * last - j).max(0) } else { j };
            row[j as usize] += density(f64::from(k)) / sum;
        }
    }
    all
}

/// Returns the product of `[m, n]` and `[n, n]`.
fn product(a: &[f64], b: &[f64], m: usize, n: usize) -> Vec<f64> {
    let mut all = vec![0.0; m * n];
    for (row, out) in a.chunks_exact(n).zip(all.chunks_exact_mut(n)) {
        for (&weight, other) in row.iter().zip(b.chunks_exact(n)).filter(|(weight, _)| **weight != 0.0) {
            for (o, x) in out.iter_mut().zip(other) {
                *o += weight * x;
            }
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_resizing_keeps_a_constant_and_the_size() {
        for way in [
            Resizing::Bilinear,
            Resizing::Triangle,
            Resizing::Tf1,
            Resizing::Bicubic,
            Resizing::BlurredBilinear,
        ] {
            for (from, to) in [(32, 299), (299, 299), (400, 224), (1, 7)] {
                for row in way.weights(from, to).chunks_exact(from) {
                    let sum: f64 = row.iter().sum();
                    assert!((sum - 1.0).abs() < 1e-12, "{way:?} {from} {to}: {sum}");
                }
            }
        }
        let identity = Resizing::Bilinear.weights(5, 5);
        assert!((0..25).all(|i| (identity[i] - f64::from(u8::from(i % 6 == 0))).abs() < 1e-12));
    }
}
