//! How the channels of the training sequences are to be standardised inside the networks, see [`range`].

use tch::Kind;

use super::loader::Dataset;
use crate::model::{ModelConfig, range};
use crate::transfer::{download, number};

/// Values of a channel from which quantiles are taken.
const QUANTILE_VALUES: usize = 1 << 20;

/// What was measured, a value per channel; rounded, so that it does not depend on the order of summation.
#[derive(Debug, PartialEq)]
pub struct Standardisation {
    /// Centre and unit.
    pub range: Vec<[f64; 2]>,
    /// How much it is bent; empty where none may be.
    pub curve: Vec<f64>,
    /// Unit of what differs within a frame; empty where frames are not taken apart.
    pub contrast: Vec<f64>,
}

/// Sums over the values of a channel.
#[derive(Clone, Copy, Default)]
struct Sums {
    values: f64,
    sum: f64,
    squares: f64,
    /// Of the differences from the mean of their frame.
    within: f64,
}

impl Standardisation {
    /// Measures it with values of at most `most_deviations` (0: any), and with a unit for what differs within frames where
    /// `frame_contrast` is set.
    pub fn measure(dataset: &Dataset, most_deviations: f64, frame_contrast: bool) -> Self {
        let sums = sums(dataset);
        let images = dataset.image(0).size()[0] as usize;
        let mut measured = Self { range: Vec::new(), curve: Vec::new(), contrast: Vec::new() };
        for (channel, sums) in sums.into_iter().enumerate() {
            let straight = sums.range();
            let (range, curve) = if most_deviations == 0.0 {
                (straight, 0.0)
            } else {
                let ([centre, unit], curve) =
                    range::fit(&sorted(dataset, channel), straight, most_deviations);
                // Of units of a thousandth, four decimals would be too coarse.
                ([fine(centre), fine(unit)], fine(curve))
            };
            let apart = channel < images && curve == 0.0;
            measured.contrast.push(if apart { fine(sums.contrast(range[1])) } else { range[1] });
            measured.range.push(range);
            measured.curve.push(curve);
        }
        if most_deviations == 0.0 {
            measured.curve.clear();
        }
        if !frame_contrast {
            measured.contrast.clear();
        }
        measured
    }

    /// Writes it into a configuration.
    pub fn fill_in(self, config: &mut ModelConfig) {
        (config.range, config.curve, config.contrast) = (self.range, self.curve, self.contrast);
    }
}

impl Sums {
    /// Returns mean and standard deviation.
    fn range(self) -> [f64; 2] {
        let rounded = |value: f64| (value * 1e4).round() / 1e4;
        let mean = self.sum / self.values;
        let std = (self.squares / self.values - mean * mean).max(0.0).sqrt();
        // A constant channel stays as it is.
        [rounded(mean), if std < 1e-3 { 1.0 } else { rounded(std) }]
    }

    /// Returns the standard deviation within frames, of a channel with a unit: that unit where there is hardly any.
    fn contrast(self, unit: f64) -> f64 {
        let contrast = (self.within / self.values).sqrt();
        // Below a counts' step of 8 bits there is nothing but rounding.
        if contrast < 1e-3 { unit } else { contrast.min(unit) }
    }
}

fn fine(value: f64) -> f64 {
    (value * 1e6).round() / 1e6
}

fn sums(dataset: &Dataset) -> Vec<Sums> {
    let mut sums: Vec<Sums> = Vec::new();
    let images = dataset.image(0).size()[0];
    for index in 0..dataset.len() {
        let values = dataset.values(index);
        let channels = values.size()[0];
        sums.resize(channels as usize, Sums::default());
        let there = if dataset.has_labels(index) { channels } else { images };
        for (channel, sums) in (0..there).zip(&mut sums) {
            let values = values.select(0, channel);
            let frame = values.mean_dim(Some([1_i64, 2].as_slice()), true, Kind::Float);
            sums.values += values.numel() as f64;
            sums.sum += number(&values.sum(Kind::Double));
            sums.squares += number(&values.square().sum(Kind::Double));
            sums.within += number(&(&values - frame).square().sum(Kind::Double));
        }
    }
    sums
}

/// Returns values of a channel from all sequences, sorted: about as many as tell quantiles.
fn sorted(dataset: &Dataset, channel: usize) -> Vec<f32> {
    let each = (QUANTILE_VALUES / dataset.len()).max(64);
    let mut values = Vec::new();
    for index in 0..dataset.len() {
        let sequence = if dataset.has_labels(index) { dataset.values(index) } else { dataset.image(index) };
        if channel as i64 >= sequence.size()[0] {
            continue;
        }
        let all = download(&sequence.select(0, channel as i64)).flatten(0, -1);
        let step = (all.size()[0] as usize / each).max(1);
        values.extend(Vec::<f32>::try_from(all).expect("floats").into_iter().step_by(step));
    }
    values.sort_by(f32::total_cmp);
    values
}
