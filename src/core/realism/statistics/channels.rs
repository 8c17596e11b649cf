//! Statistics of how the channels of a sequence belong together: the first one with each other one.

use ndarray::ArrayView2;

use super::{ChannelFrames, channel};

/// Grey levels of a channel.
const LEVELS: usize = 16;

/// Mutual information of the first channel and each other one in every frame, in bits.
pub fn shared_information(channels: &[ChannelFrames<'_>]) -> Vec<f64> {
    pairs(channels, |a, b| {
        let mut joint = [[0.0_f64; LEVELS]; LEVELS];
        for (a, b) in levels(a).into_iter().zip(levels(b)) {
            joint[a][b] += 1.0;
        }
        Some(information(&joint))
    })
}

/// Correlation of the first channel and each other one in every frame.
pub fn correlation(channels: &[ChannelFrames<'_>]) -> Vec<f64> {
    pairs(channels, channel::correlation)
}

fn pairs(
    channels: &[ChannelFrames<'_>],
    of: impl Fn(ArrayView2<'_, u16>, ArrayView2<'_, u16>) -> Option<f64>,
) -> Vec<f64> {
    let Some((first, others)) = channels.split_first() else { return Vec::new() };
    let frames = others.iter().flat_map(|other| first.counts.outer_iter().zip(other.counts.outer_iter()));
    frames.filter_map(|(a, b)| of(a, b)).collect()
}

/// Returns a grey level for every pixel, by its rank, so that all levels have about equally many pixels. Equal counts have
/// one level.
fn levels(frame: ArrayView2<'_, u16>) -> Vec<usize> {
    let mut sorted: Vec<u16> = frame.iter().copied().collect();
    sorted.sort_unstable();
    let n = sorted.len();
    // Counts from which on a pixel has at least the level of their place.
    let steps: Vec<u16> = (1..LEVELS).map(|level| sorted[level * n / LEVELS]).collect();
    frame.iter().map(|v| steps.partition_point(|step| step <= v)).collect()
}

/// Returns the mutual information of a table of counts, in bits.
fn information(joint: &[[f64; LEVELS]; LEVELS]) -> f64 {
    let total: f64 = joint.iter().flatten().sum();
    let rows: Vec<f64> = joint.iter().map(|row| row.iter().sum()).collect();
    let columns: Vec<f64> = (0..LEVELS).map(|c| joint.iter().map(|row| row[c]).sum()).collect();
    let mut bits = 0.0;
    for (row, of_row) in joint.iter().zip(&rows) {
        for (n, of_column) in row.iter().zip(&columns).filter(|(n, _)| **n > 0.0) {
            bits += n / total * (n * total / (of_row * of_column)).log2();
        }
    }
    bits
}

#[cfg(test)]
mod tests {
    use ndarray::Array3;

    use super::*;
    use crate::plate::Calibration;

    const CALIBRATION: Calibration = Calibration { lo: 0.0, hi: 4000.0, clipped_low: 0.0, clipped_high: 0.0 };

    #[test]
    fn a_channel_shares_all_with_its_negative_and_nothing_with_another_image() {
        let ramp = Array3::from_shape_fn((1, 64, 64), |(_, y, x)| (64 * y + x) as u16);
        let negative = ramp.mapv(|v| 5000 - v);
        let other = Array3::from_shape_fn((1, 64, 64), |(_, y, x)| ((y * 37 + x * 101) % 64) as u16 * 60);
        let of = |b: &Array3<u16>, statistic: fn(&[ChannelFrames<'_>]) -> Vec<f64>| {
            let both =
                [&ramp, b].map(|counts| ChannelFrames { counts: counts.view(), calibration: CALIBRATION });
            statistic(&both)[0]
        };
        assert!((of(&negative, shared_information) - 4.0).abs() < 0.05);
        assert!(of(&other, shared_information) < 0.1);
        assert!((of(&negative, correlation) + 1.0).abs() < 1e-12);
        assert!(of(&other, correlation).abs() < 0.1);
        let alone = [ChannelFrames { counts: ramp.view(), calibration: CALIBRATION }];
        assert!(shared_information(&alone).is_empty());
    }
}
