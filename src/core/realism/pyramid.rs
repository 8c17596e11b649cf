//! Laplacian pyramids: one image taken apart into details of different size.
//!
//! # Reference
//! Burt and Adelson 1983, with the 5x5 binomial kernel and mirrored borders; equal to OpenCV's `pyrDown` and `pyrUp`.

use ndarray::{Array2, ArrayView2};

/// The binomial kernel in one direction.
const KERNEL: [f64; 5] = [1.0 / 16.0, 4.0 / 16.0, 6.0 / 16.0, 4.0 / 16.0, 1.0 / 16.0];

/// Smallest side of the last level, as in the ProGAN article.
pub const LAST_SIDE: usize = 16;

/// Returns how many levels a pyramid has whose last one is the smallest with both sides at least [`LAST_SIDE`]; 1 for
/// an image that is smaller than that.
pub fn level_count(height: usize, width: usize) -> usize {
    let (mut side, mut levels) = (height.min(width), 1);
    while side.div_ceil(2) >= LAST_SIDE {
        side = side.div_ceil(2);
        levels += 1;
    }
    levels
}

/// Returns the levels from fine to coarse: differences to the next coarser level, the last one the blurred image itself.
///
/// # Shapes
/// `image`: `[H, W]`, both sides at least 3 on every level. Level k: `[ceil(H / 2^k), ceil(W / 2^k)]`.
pub fn laplacian(image: ArrayView2<f64>, levels: usize) -> Vec<Array2<f64>> {
    let mut pyramid = Vec::with_capacity(levels);
    let mut current = image.to_owned();
    for _ in 1..levels {
        let coarser = down(&current);
        pyramid.push(&current - &up(&coarser, current.dim()));
        current = coarser;
    }
    pyramid.push(current);
    pyramid
}

/// Blurs and keeps every second sample.
fn down(image: &Array2<f64>) -> Array2<f64> {
    blur(image).slice(ndarray::s![..;2, ..;2]).to_owned()
}

/// Puts zeros between samples and blurs; times 4, because three of four samples are zero.
fn up(image: &Array2<f64>, size: (usize, usize)) -> Array2<f64> {
    let mut spread = Array2::zeros(size);
    spread.slice_mut(ndarray::s![..;2, ..;2]).assign(image);
    blur(&spread) * 4.0
}

fn blur(image: &Array2<f64>) -> Array2<f64> {
    let (height, width) = image.dim();
    let along_x = Array2::from_shape_fn((height, width), |(y, x)| {
        KERNEL.iter().enumerate().map(|(k, w)| w * image[[y, mirror(x, k, width)]]).sum::<f64>()
    });
    Array2::from_shape_fn((height, width), |(y, x)| {
        KERNEL.iter().enumerate().map(|(k, w)| w * along_x[[mirror(y, k, height), x]]).sum::<f64>()
    })
}

/// Returns the index of tap `k` around `i`, mirrored at the borders without repeating the border itself.
fn mirror(i: usize, k: usize, n: usize) -> usize {
    let at = (i + k).abs_diff(2);
    if i + k < 2 || at < n { at } else { 2 * (n - 1) - at }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_end_at_sixteen() {
        assert_eq!(level_count(256, 256), 5);
        assert_eq!(level_count(64, 96), 3);
        assert_eq!(level_count(32, 32), 2);
        assert_eq!(level_count(31, 40), 2);
        assert_eq!(level_count(30, 40), 1);
        assert_eq!(level_count(8, 8), 1);
    }

    #[test]
    fn a_constant_image_has_no_detail() {
        let levels = laplacian(Array2::from_elem((33, 48), 7.0).view(), 2);
        assert_eq!(levels[1].dim(), (17, 24));
        assert!(levels[0].iter().all(|d| d.abs() < 1e-12));
        assert!(levels[1].iter().all(|v| (v - 7.0).abs() < 1e-12));
    }

    #[test]
    fn borders_mirror_without_repeating() {
        let row: Vec<usize> = (0..5).map(|k| mirror(0, k, 4)).collect();
        assert_eq!(row, [2, 1, 0, 1, 2]);
        let row: Vec<usize> = (0..5).map(|k| mirror(3, k, 4)).collect();
        assert_eq!(row, [1, 2, 3, 2, 1]);
    }
}
