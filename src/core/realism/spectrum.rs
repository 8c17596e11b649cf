//! Radial power spectra: how much structure an image has at each size of detail.
//!
//! Finds blur, up-sampling patterns and a wrong noise floor, which feature-based scores overlook. It is blind to where
//! things are (phases), and to brightness (the mean is subtracted).

use std::sync::Arc;

use ndarray::{Array1, Array2, ArrayView1, ArrayView2, ArrayView3, Axis};
use rayon::prelude::*;
use rustfft::num_complex::Complex64;
use rustfft::{Fft, FftPlanner};

/// Keeps the logarithm of an empty bin finite; far below the noise of images in [0, 1].
const FLOOR: f64 = 1e-12;

/// What an image is multiplied with before the transform.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taper {
    /// Nothing.
    None,
    /// Symmetric Hann window in both directions: opposite borders that do not fit together leave no trace.
    Hann,
}

/// Returns the radial power spectrum of each image.
///
/// x is the image minus its mean times the window w, and P = |FFT(x)|^2 / sum(w^2). The radius of the integer
/// frequencies (ky, kx) is f = min(H, W) * sqrt((ky/H)^2 + (kx/W)^2), its bin floor(f + 1/2); the spectrum is the mean
/// of P per bin, for bins 0 to min(H, W) / 2. A constant image has power 0 everywhere.
///
/// # Shapes
/// `images`: `[N, H, W]`, H and W at least 2. Returns `[N, min(H, W) / 2 + 1]`.
pub fn radial_power(images: ArrayView3<f64>, window: Taper) -> Array2<f64> {
    let (count, height, width) = images.dim();
    let bins = bin_of_frequency(height, width);
    let n_bins = height.min(width) / 2 + 1;
    let mut pixels_per_bin = vec![0.0; n_bins];
    for bin in bins.iter().filter(|b| **b < n_bins) {
        pixels_per_bin[*bin] += 1.0;
    }
    let weights = window_weights(window, height, width);
    let power_of_window: f64 = weights.iter().map(|w| w * w).sum();

    let transform = Transform::new(height, width);
    let spectrum = |image: ArrayView2<f64>| {
        let mean = image.mean().unwrap_or(0.0);
        let windowed = image.iter().zip(&weights).map(|(x, w)| Complex64::new((x - mean) * w, 0.0));
        let mut row = vec![0.0; n_bins];
        for (bin, value) in bins.iter().zip(transform.forward(windowed.collect())) {
            if let Some(power) = row.get_mut(*bin) {
                *power += value.norm_sqr() / power_of_window;
            }
        }
        row.iter_mut().zip(&pixels_per_bin).for_each(|(p, n)| *p /= n);
        row
    };
    let spectra: Vec<f64> =
        (0..count).into_par_iter().flat_map_iter(|i| spectrum(images.index_axis(Axis(0), i))).collect();
    Array2::from_shape_vec((count, n_bins), spectra).expect("n_bins values per image")
}

/// The two-dimensional Fourier transform of one image size.
struct Transform {
    height: usize,
    width: usize,
    rows: Arc<dyn Fft<f64>>,
    columns: Arc<dyn Fft<f64>>,
}

impl Transform {
    fn new(height: usize, width: usize) -> Self {
        let mut planner = FftPlanner::new();
        let (rows, columns) = (planner.plan_fft_forward(width), planner.plan_fft_forward(height));
        Self { height, width, rows, columns }
    }

    /// Transforms an image that stands row by row; not scaled.
    fn forward(&self, mut image: Vec<Complex64>) -> Vec<Complex64> {
        self.rows.process(&mut image);
        let mut column = vec![Complex64::default(); self.height];
        for x in 0..self.width {
            for (y, value) in column.iter_mut().enumerate() {
                *value = image[y * self.width + x];
            }
            self.columns.process(&mut column);
            for (y, value) in column.iter().enumerate() {
                image[y * self.width + x] = *value;
            }
        }
        image
    }
}

/// Returns the decimal logarithm of a spectrum, -12 where there is no power.
pub fn log10_power(power: ArrayView1<f64>) -> Array1<f64> {
    power.mapv(|p| (p + FLOOR).log10())
}

/// How far two spectra are apart, in decibels.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SpectralDistance {
    /// Root mean square of the difference over bins.
    pub rms_db: f64,
    /// Mean absolute difference over bins.
    pub mean_abs_db: f64,
}

/// Returns the distance of two spectra over the bins from 1 on, each bin 10 log10(a / b).
///
/// Bin 0 is left out: the mean was subtracted. `None` where there is no other bin.
pub fn distance(a: ArrayView1<f64>, b: ArrayView1<f64>) -> Option<SpectralDistance> {
    let db = (log10_power(a) - log10_power(b)) * 10.0;
    let n = db.len().checked_sub(1).filter(|n| *n > 0)? as f64;
    let tail = db.iter().skip(1);
    Some(SpectralDistance {
        rms_db: (tail.clone().map(|d| d * d).sum::<f64>() / n).sqrt(),
        mean_abs_db: tail.map(|d| d.abs()).sum::<f64>() / n,
    })
}

/// Returns the bin of every frequency, row by row as the transform orders them.
fn bin_of_frequency(height: usize, width: usize) -> Vec<usize> {
    // Frequencies above the middle stand for negative ones.
    let frequency = |k: usize, n: usize| k.min(n - k) as f64 / n as f64;
    let shorter = height.min(width) as f64;
    (0..height * width)
        .map(|i| {
            let (ky, kx) = (frequency(i / width, height), frequency(i % width, width));
            (shorter * (ky * ky + kx * kx).sqrt() + 0.5).floor() as usize
        })
        .collect()
}

fn window_weights(window: Taper, height: usize, width: usize) -> Vec<f64> {
    let hann =
        |i: usize, n: usize| 0.5 - 0.5 * (2.0 * std::f64::consts::PI * i as f64 / (n as f64 - 1.0)).cos();
    (0..height * width)
        .map(|i| match window {
            Taper::None => 1.0,
            Taper::Hann => hann(i / width, height) * hann(i % width, width),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::Array3;

    #[test]
    fn a_wave_has_its_power_in_one_bin() {
        let wave = Array3::from_shape_fn((1, 32, 32), |(_, _, x)| {
            5.0 + (2.0 * std::f64::consts::PI * 4.0 * x as f64 / 32.0).cos()
        });
        let power = radial_power(wave.view(), Taper::None);
        assert_eq!(power.dim(), (1, 17));
        // |FFT|^2 / N^2 is N^2 / 4 at (0, 4) and (0, -4), averaged over the 32 frequencies of bin 4.
        assert!((power[[0, 4]] - 2.0 * 256.0 / 32.0).abs() < 1e-9, "{}", power[[0, 4]]);
        let elsewhere: f64 = power.row(0).iter().enumerate().filter(|(i, _)| *i != 4).map(|(_, p)| p).sum();
        assert!(elsewhere < 1e-9);
    }

    #[test]
    fn twice_the_contrast_is_six_decibels_and_brightness_does_not_count() {
        let image = Array3::from_shape_fn((1, 16, 16), |(_, y, x)| ((y * 7 + x * 13) % 11) as f64 / 11.0);
        let brighter = image.mapv(|x| 2.0 * x + 3.0);
        for window in [Taper::None, Taper::Hann] {
            let (a, b) = (radial_power(image.view(), window), radial_power(brighter.view(), window));
            let distance = distance(b.row(0), a.row(0)).unwrap();
            assert!((distance.rms_db - 20.0 * 2.0_f64.log10()).abs() < 1e-6);
            assert!((distance.mean_abs_db - distance.rms_db).abs() < 1e-6);
        }
    }

    #[test]
    fn images_keep_their_order_and_odd_sizes_equal_the_definition() {
        let (h, w) = (5, 6);
        let images = Array3::from_shape_fn((3, h, w), |(n, y, x)| ((n + 1) * ((y * 3 + x * 5) % 7)) as f64);
        let all = radial_power(images.view(), Taper::None);
        for n in 0..3 {
            let image = images.index_axis(Axis(0), n);
            let mean = image.mean().unwrap();
            let mut power = [0.0; 3];
            let mut pixels = [0.0; 3];
            for (i, bin) in bin_of_frequency(h, w).into_iter().enumerate().filter(|(_, bin)| *bin < 3) {
                let (ky, kx) = (i / w, i % w);
                let sum: Complex64 = image.indexed_iter().fold(Complex64::default(), |sum, ((y, x), v)| {
                    let turns = ky as f64 * y as f64 / h as f64 + kx as f64 * x as f64 / w as f64;
                    sum + Complex64::from_polar(v - mean, -2.0 * std::f64::consts::PI * turns)
                });
                power[bin] += sum.norm_sqr() / (h * w) as f64;
                pixels[bin] += 1.0;
            }
            for bin in 0..3 {
                assert!((all[[n, bin]] - power[bin] / pixels[bin]).abs() < 1e-9, "image {n}, bin {bin}");
            }
        }
    }
}
