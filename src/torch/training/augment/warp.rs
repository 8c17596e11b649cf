//! Affine warps of square images, one 2 x 3 matrix per sample.
//!
//! A matrix maps source to destination in pixels (x = column, y = row, integers at pixel centres); rows of six numbers.
//! It is inverted and normalised on the host in f64, since a rotation must not depend on the device.

use tch::{Device, Tensor};

use crate::transfer::upload;

/// Source to destination, `[[a, b, c], [d, e, f]]` row by row.
pub type Matrix = [f64; 6];

/// Does nothing.
pub const IDENTITY: Matrix = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0];

/// Returns `first`, then `second`.
pub fn then(first: &Matrix, second: &Matrix) -> Matrix {
    let [a, b, c, d, e, f] = *first;
    let [g, h, i, j, k, l] = *second;
    [g * a + h * d, g * b + h * e, g * c + h * f + i, j * a + k * d, j * b + k * e, j * c + k * f + l]
}

/// Returns a linear map `[[a, b], [c, d]]` about a centre.
pub fn about(centre: [f64; 2], [a, b, c, d]: [f64; 4]) -> Matrix {
    let [x, y] = centre;
    [a, b, x - a * x - b * y, c, d, y - c * x - d * y]
}

/// Returns invertible matrices for images of `[height, width]` as [`warp`] takes them, on the device. `[N, 2, 3]`
pub fn thetas(matrices: &[Matrix], [height, width]: [i64; 2], device: Device) -> Tensor {
    let values: Vec<f32> = matrices.iter().flat_map(|m| theta(m, width as f64, height as f64)).collect();
    upload(&Tensor::from_slice(&values).view([-1, 2, 3]), device)
}

/// Returns `out(p) = bilinear(x, M^-1 p)`, reflected at the centres of the border pixels. `[N, P, S, S]`, shape kept
///
/// # Panics
/// Where there is not one matrix per sample.
pub fn warp(x: &Tensor, theta: &Tensor) -> Tensor {
    let size = x.size();
    assert_eq!(size[0], theta.size()[0], "one matrix per sample");
    let grid = Tensor::affine_grid_generator(theta, size.as_slice(), true);
    let (bilinear, reflection) = (0, 2);
    x.grid_sampler(&grid, bilinear, reflection, true)
}

/// Returns the destination-to-source map in coordinates from -1 to 1 between the outermost pixel centres.
fn theta(m: &Matrix, width: f64, height: f64) -> [f32; 6] {
    let [a, b, c, d, e, f] = *m;
    let det = a * e - b * d;
    let (ia, ib, id, ie) = (e / det, -b / det, -d / det, a / det);
    let (ic, if_) = (-(ia * c + ib * f), -(id * c + ie * f));
    // p = s (n + 1) with s = (size - 1) / 2 in each axis.
    let (sx, sy) = ((width - 1.0) / 2.0, (height - 1.0) / 2.0);
    [
        ia,
        ib * sy / sx,
        (ia * sx + ib * sy + ic) / sx - 1.0,
        id * sx / sy,
        ie,
        (id * sx + ie * sy + if_) / sy - 1.0,
    ]
    .map(|v| v as f32)
}

/// Replaces the samples at `rows [K]` by what `change` makes of them. `[N, P, S, S]`, shape kept
pub fn replace(x: &Tensor, rows: &Tensor, change: impl FnOnce(&Tensor) -> Tensor) -> Tensor {
    x.index_copy(0, rows, &change(&x.index_select(0, rows)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::Kind;

    #[test]
    fn a_quarter_turn_and_a_shift_move_pixels_exactly() {
        let x = Tensor::arange(16, (Kind::Float, Device::Cpu)).view([1, 1, 4, 4]);
        let warp = |matrix| super::warp(&x, &thetas(&[matrix], [4, 4], Device::Cpu));
        let turned = warp(about([1.5, 1.5], [0.0, 1.0, -1.0, 0.0]));
        assert!((turned - x.rot90(1, [2, 3])).abs().max().double_value(&[]) < 1e-4);
        let shifted = warp(then(&IDENTITY, &[1.0, 0.0, 1.0, 0.0, 1.0, 0.0]));
        assert!((shifted.narrow(3, 1, 3) - x.narrow(3, 0, 3)).abs().max().double_value(&[]) < 1e-4);
    }

    #[test]
    fn only_the_named_samples_change() {
        let x = Tensor::ones([3, 1, 2, 2], (Kind::Float, Device::Cpu));
        let y = replace(&x, &Tensor::from_slice(&[1_i64]), |x| x * 5.0);
        assert_eq!(Vec::<f32>::try_from(y.select(3, 0).select(2, 0).view([3])).unwrap(), [1.0, 5.0, 1.0]);
    }
}
