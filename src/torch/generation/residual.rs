//! How far a projection is from the real sequence.

use ndarray::{Array4, Axis};
use serde_json::{Map, Value, json};

use super::sweep::textures;
use lapsegan_core::error::DataError;
use lapsegan_core::plate::{Plate, PlateMeta, Sequence};

/// Sequences that the variance of a recording is measured on.
const MEASURED: usize = 64;
/// Least variance in the networks' range: below it a channel shows nothing.
const LEAST: f64 = 1e-6;

/// Errors of one sequence.
#[derive(Clone, Debug)]
pub struct Residual {
    /// Mean squared error in counts, by channel.
    mse_counts: Vec<f64>,
    /// The same in units of the channel's variance in the recording.
    relative: Vec<f64>,
    /// Sliced Wasserstein distance of textures, times 1000.
    swd_x1e3: f64,
}

/// Returns the variance of every channel over sequences that are spread evenly over a plate, in the networks' range of a
/// generator that was trained on `data`.
///
/// # Errors
/// [`DataError`] of a sequence that cannot be read.
pub fn variances(real: &Plate, data: &PlateMeta) -> Result<Vec<f64>, DataError> {
    let n = real.wells.len().min(MEASURED);
    let mut sums = vec![[0.0_f64; 3]; data.channels.len()];
    for i in 0..n {
        let values = real.read(i * real.wells.len() / n)?.normalised(data);
        for (c, sum) in sums.iter_mut().enumerate() {
            for &value in values.index_axis(Axis(1), c) {
                let value = f64::from(value);
                *sum = [sum[0] + 1.0, sum[1] + value, sum[2] + value * value];
            }
        }
    }
    Ok(sums.iter().map(|[n, sum, squares]| (squares / n - (sum / n).powi(2)).max(LEAST)).collect())
}

impl Residual {
    /// Compares a real sequence with its projection. `variances` are those of [`variances`].
    pub fn of(real: &Sequence, projected: &Sequence, data: &PlateMeta, variances: &[f64], seed: u64) -> Self {
        let mse = |channel: usize| {
            let plane = |image: &Array4<u16>| image.index_axis(Axis(1), channel).mapv(f64::from);
            (plane(&real.image) - plane(&projected.image)).mapv(|d| d * d).mean().unwrap_or(0.0)
        };
        let mse_counts: Vec<f64> = (0..data.channels.len()).map(mse).collect();
        let relative =
            mse_counts.iter().zip(&data.channels).zip(variances).map(|((mse, channel), variance)| {
                mse / (channel.calibration.hi - channel.calibration.lo).powi(2) / variance
            });
        Self {
            relative: relative.collect(),
            mse_counts,
            swd_x1e3: textures(&[&real.image], &[&projected.image], data, seed),
        }
    }

    /// Returns the mean over channels of the error in units of the variance: 0 is the same image, 1 is no better than a
    /// grey one.
    pub fn mean(&self) -> f64 {
        self.relative.iter().sum::<f64>() / self.relative.len().max(1) as f64
    }

    /// Returns it as JSON, by channel name.
    pub fn to_json(&self, data: &PlateMeta) -> Value {
        let by_channel = |values: &[f64]| -> Map<String, Value> {
            data.channels
                .iter()
                .zip(values)
                .map(|(channel, value)| (channel.name.clone(), json!(value)))
                .collect()
        };
        json!({
            "residual": self.mean(),
            "residual_by_channel": by_channel(&self.relative),
            "mse_counts": by_channel(&self.mse_counts),
            "swd_x1e3": self.swd_x1e3,
        })
    }
}
