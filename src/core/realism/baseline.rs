//! A generator that has learnt nothing but averages: the training mean image with matched noise.
//!
//! A synthetic set that is no better than this has learnt no cells, however small its numbers look.

use ndarray::{Array3, Array4, Axis};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

use super::pool::Stack;
use crate::plate::Calibration;

/// Mean and noise of one channel, in the normalised range.
#[derive(Clone, Debug)]
pub struct MeanImage {
    /// Mean over sequences, per frame and pixel. `[T, H, W]`
    pub mean: Array3<f64>,
    /// Standard deviation of the real pixels around that mean, one number for all pixels.
    pub noise_std: f64,
    calibration: Calibration,
}

impl MeanImage {
    /// Averages the training sequences. An empty stack gives a black image without noise.
    pub fn of(training: &Stack) -> Self {
        let (n, frames, height, width) = training.counts.dim();
        let mut sum = Array3::<f64>::zeros((frames, height, width));
        let mut squares = 0.0;
        for index in 0..n * frames {
            let frame = training.frame(index);
            squares += frame.iter().map(|x| x * x).sum::<f64>();
            let mut at = sum.index_axis_mut(Axis(0), index % frames);
            at += &frame;
        }
        let mean = sum / n.max(1) as f64;
        let of_mean = n as f64 * mean.iter().map(|x| x * x).sum::<f64>();
        let pixels = (n * mean.len()).max(1) as f64;
        // Rounding can leave a tiny negative number where all sequences are equal.
        let noise_std = ((squares - of_mean) / pixels).max(0.0).sqrt();
        Self { mean, noise_std, calibration: training.calibration }
    }

    /// Returns `count` sequences: mean plus independent Gaussian noise, clamped to [0, 1], in camera counts.
    pub fn draw(&self, rng: &mut ChaCha8Rng, count: usize) -> Stack {
        let (frames, height, width) = self.mean.dim();
        let counts = Array4::from_shape_fn((count, frames, height, width), |(_, t, y, x)| {
            let noise: f64 = StandardNormal.sample(&mut *rng);
            let value = (self.mean[[t, y, x]] + self.noise_std * noise).clamp(0.0, 1.0);
            self.calibration.counts(value as f32)
        });
        Stack::new(counts, self.calibration)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;

    #[test]
    fn mean_and_noise_are_those_of_the_training_part() {
        let calibration = Calibration { lo: 0.0, hi: 10000.0, clipped_low: 0.0, clipped_high: 0.0 };
        let counts =
            Array4::from_shape_fn((2, 2, 8, 8), |(n, t, _, x)| (4000 + 1000 * n + 500 * t + 10 * x) as u16);
        let mean = MeanImage::of(&Stack::new(counts, calibration));
        assert!((mean.mean[[1, 3, 4]] - 0.504).abs() < 1e-9);
        assert!((mean.noise_std - 0.05).abs() < 1e-9);
        let drawn = mean.draw(&mut ChaCha8Rng::seed_from_u64(3), 40);
        assert_eq!(drawn.counts.dim(), (40, 2, 8, 8));
        let again = MeanImage::of(&drawn);
        assert!((again.noise_std - 0.05).abs() < 2e-3);
        assert!((&again.mean - &mean.mean).iter().all(|d| d.abs() < 0.04));
    }
}
