//! All metrics of one pair of sets.
//!
//! Each set is first reduced to a [`Summary`]; two summaries make one [`MetricValues`]. All metrics are distances: 0 for equal
//! sets, smaller is better. All need at least one sequence on both sides, and images of at least 7x7 pixels.

use std::collections::BTreeMap;

use ndarray::{Array1, Array2, Array3, Axis};
use rayon::prelude::*;

use super::draws::keyed_rng;
use super::intensity::IntensityHistogram;
use super::pool::Stack;
use super::temporal::ChangeHistogram;
use super::{pyramid, sliced, spectrum};
use crate::seed::Stream;

/// Key of the mean over all levels of textures.
const MEAN_OF_LEVELS: &str = "swd_x1e3";

/// What a metric is called and means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metric {
    /// Name in `metrics.json`.
    pub key: String,
    /// Name in the report, with unit.
    pub label: String,
    /// How it is defined, in one sentence.
    pub definition: String,
}

/// Values of metrics by their keys; what is undefined is left out.
pub type MetricValues = BTreeMap<String, f64>;

/// How patches and directions are drawn.
#[derive(Clone, Copy, Debug)]
pub struct Texture {
    /// Patches per image and level.
    pub patches_per_image: usize,
    /// Directions that patches are projected on.
    pub directions: usize,
    /// Seed and number of the draw.
    pub seed: u64,
    /// Number of the draw.
    pub draw: usize,
}

/// What the metrics need of one channel of a set.
#[derive(Clone, Debug)]
pub struct Summary {
    /// Camera counts.
    pub intensity: IntensityHistogram,
    /// Changes between frames.
    pub change: ChangeHistogram,
    /// Mean radial power spectrum over all frames.
    pub power: Array1<f64>,
    /// Sorted projections per level.
    pub projections: Vec<Array2<f64>>,
}

/// Returns the metrics of a channel: intensities, spectrum, changes (with at least two frames), textures.
pub fn metrics(frames: usize, height: usize, width: usize) -> Vec<Metric> {
    let metric = |key: &str, label: &str, definition: &str| Metric {
        key: key.to_owned(),
        label: label.to_owned(),
        definition: definition.to_owned(),
    };
    let mut all = vec![
        metric(
            "intensity_w1",
            "Intensities, W1 [range]",
            "Wasserstein-1 distance of all pixel values after normalisation to [0, 1]: 0.01 is one percent of the calibrated range.",
        ),
        metric(
            "intensity_w1_counts",
            "Intensities, W1 [counts]",
            "Wasserstein-1 distance of all pixel values in camera counts, nothing clamped.",
        ),
        metric(
            "spectrum_rms_db",
            "Radial spectrum, RMS [dB]",
            "Root mean square over frequency bins from 1 on of 10 log10 of the ratio of the mean radial power spectra (Hann window).",
        ),
    ];
    if frames > 1 {
        all.push(metric(
            "change_abs_w1",
            "Change per frame, W1 [range]",
            "Wasserstein-1 distance of |x(t+1) - x(t)| over all pixels, normalised: too much or too little change between frames.",
        ));
        all.push(metric(
            "change_signed_w1",
            "Signed change per frame, W1 [range]",
            "Wasserstein-1 distance of x(t+1) - x(t) over all pixels, normalised: also sees a drift to brighter or darker.",
        ));
    }
    all.extend(texture_metrics(height, width));
    all
}

/// Returns the metrics that are computed on all channels together: textures, which see whether channels fit together.
pub fn texture_metrics(height: usize, width: usize) -> Vec<Metric> {
    let metric = |key: String, label: String, definition: String| Metric { key, label, definition };
    let mut all = vec![metric(
        MEAN_OF_LEVELS.into(),
        "Sliced Wasserstein, mean [x1000]".into(),
        "Mean of the levels below.".into(),
    )];
    for level in 0..pyramid::level_count(height, width) {
        let side = height.min(width).div_ceil(1 << level);
        all.push(metric(
            level_key(height.min(width), level),
            format!("Sliced Wasserstein, {side} px [x1000]"),
            format!("Sliced Wasserstein distance of 7x7 patches of the Laplacian pyramid level of {side} pixels, brightness and contrast removed per set."),
        ));
    }
    all
}

/// Reduces one channel of a set. `side` is 0 for the reference and 1 for what is compared with it, so that both draw
/// other patches, and all compared sets the same ones.
pub fn summarise(stack: &Stack, texture: &Texture, channel: usize, side: usize) -> Summary {
    Summary {
        intensity: IntensityHistogram::of(stack.counts.view()),
        change: ChangeHistogram::of(stack.counts.view(), &stack.calibration),
        power: stack.power.mean_axis(Axis(0)).unwrap_or_else(|| Array1::zeros(stack.power.ncols())),
        projections: projections(&[stack], texture, channel, side),
    }
}

/// Returns the scores of a set against the reference, both summaries of stacks with the calibration of `like`.
pub fn compare(reference: &Summary, other: &Summary, like: &Stack) -> MetricValues {
    let mut scores = compare_textures(&reference.projections, &other.projections, like.side());
    let mut add = |key: &str, value: f64| scores.insert(key.to_owned(), value);
    if let Some(distance) = other.intensity.distance(&reference.intensity, &like.calibration) {
        add("intensity_w1", distance.normalised);
        add("intensity_w1_counts", distance.counts);
    }
    if let Some(distance) = spectrum::distance(other.power.view(), reference.power.view()) {
        add("spectrum_rms_db", distance.rms_db);
    }
    if let Some(distance) = other.change.distance(&reference.change, &like.calibration) {
        add("change_abs_w1", distance.absolute);
        add("change_signed_w1", distance.signed);
    }
    scores
}

/// Returns mean and levels of the sliced Wasserstein distance of images whose shorter side is `side`.
pub fn compare_textures(reference: &[Array2<f64>], other: &[Array2<f64>], side: usize) -> MetricValues {
    let levels = swd(reference, other);
    let mean = mean_of(&levels);
    let keys = (0..levels.len()).map(|level| level_key(side, level));
    std::iter::once((MEAN_OF_LEVELS.to_owned(), mean)).chain(keys.zip(levels.iter().copied())).collect()
}

/// Returns the mean over the levels of the sliced Wasserstein distance, x 1000.
pub fn mean_swd(reference: &[Array2<f64>], other: &[Array2<f64>]) -> f64 {
    mean_of(&swd(reference, other))
}

fn mean_of(levels: &[f64]) -> f64 {
    levels.iter().sum::<f64>() / levels.len().max(1) as f64
}

fn swd(reference: &[Array2<f64>], other: &[Array2<f64>]) -> Vec<f64> {
    reference.iter().zip(other).map(|(a, b)| sliced::swd_x1e3(a, b)).collect()
}

/// Returns the key of a pyramid level.
fn level_key(side: usize, level: usize) -> String {
    format!("swd_{}px_x1e3", side.div_ceil(1 << level))
}

/// Returns the sorted projections of the patches of one channel, or of several channels together, per level.
///
/// `index` chooses the directions: the channel, or the number of channels for all of them together.
pub fn projections(stacks: &[&Stack], texture: &Texture, index: usize, side: usize) -> Vec<Array2<f64>> {
    let Some(first) = stacks.first() else { return Vec::new() };
    let (n, frames, height, width) = first.counts.dim();
    let (images, levels) = (n * frames, pyramid::level_count(height, width));
    let mut rng = keyed_rng(texture.seed, Stream::RealismPatches, texture.draw, 2 * index + side);
    let positions: Vec<Vec<Vec<[usize; 2]>>> = (0..levels)
        .map(|level| {
            let size = (height.div_ceil(1 << level), width.div_ceil(1 << level));
            sliced::draw_positions(&mut rng, images, texture.patches_per_image, size)
        })
        .collect();

    // Only patches are kept of each image, so that memory does not grow with the pyramids.
    let patches: Vec<Vec<Array2<f64>>> = (0..images)
        .into_par_iter()
        .map(|i| {
            let image = joint_frame(stacks, i).insert_axis(Axis(0));
            let pyramid = sliced::levels(&image, levels);
            pyramid.iter().zip(&positions).map(|(level, at)| sliced::patches(level, &at[i..=i])).collect()
        })
        .collect();
    let mut rng = keyed_rng(texture.seed, Stream::RealismDirections, texture.draw, index);
    (0..levels)
        .map(|level| {
            let views: Vec<_> = patches.iter().map(|image| image[level].view()).collect();
            let mut rows = ndarray::concatenate(Axis(0), &views).expect("patches of equal size");
            sliced::standardise(&mut rows);
            let directions = sliced::draw_directions(&mut rng, stacks.len(), texture.directions);
            sliced::sorted_projections(&rows, &directions)
        })
        .collect()
}

/// Returns a frame of several channels. `[C, H, W]`
fn joint_frame(stacks: &[&Stack], index: usize) -> Array3<f64> {
    let frames: Vec<Array2<f64>> = stacks.iter().map(|s| s.frame(index)).collect();
    let views: Vec<_> = frames.iter().map(|frame| frame.view()).collect();
    ndarray::stack(Axis(0), &views).expect("channels have equal sizes")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plate::Calibration;
    use ndarray::Array4;

    const CALIBRATION: Calibration = Calibration { lo: 0.0, hi: 1000.0, clipped_low: 0.0, clipped_high: 0.0 };
    const TEXTURE: Texture = Texture { patches_per_image: 16, directions: 16, seed: 1, draw: 0 };

    fn stack(n: usize, frames: usize, speed: usize) -> Stack {
        let counts = Array4::from_shape_fn((n, frames, 32, 32), |(n, t, y, x)| {
            (400 + 100 * (((x + speed * t) / 4 + y / 4 + n) % 3) + (x * 31 + y * 17 + n * 7 + t * 5) % 13)
                as u16
        });
        Stack::new(counts, CALIBRATION)
    }

    #[test]
    fn equal_sets_score_zero_but_for_the_patches_drawn() {
        let stack = stack(4, 3, 1);
        let reference = summarise(&stack, &TEXTURE, 0, 0);
        let scores = compare(&reference, &summarise(&stack, &TEXTURE, 0, 0), &stack);
        let metrics = metrics(3, 32, 32);
        assert_eq!(scores.len(), metrics.len());
        assert!(scores.values().all(|s| s.abs() < 1e-9), "{scores:?}");
        let other = compare(&reference, &summarise(&stack, &TEXTURE, 0, 1), &stack);
        for key in ["intensity_w1", "spectrum_rms_db", "change_abs_w1"] {
            assert_eq!(other[key], scores[key]);
        }
        assert!(other["swd_x1e3"] > 0.0);
    }

    #[test]
    fn faster_motion_is_seen_by_the_changes_alone() {
        let (slow, fast) = (stack(6, 3, 1), stack(6, 3, 4));
        let scores = compare(&summarise(&slow, &TEXTURE, 0, 0), &summarise(&fast, &TEXTURE, 0, 1), &slow);
        assert!(scores["change_abs_w1"] > 5.0 * scores["intensity_w1"], "{scores:?}");
    }

    #[test]
    fn one_frame_has_no_change_metrics() {
        let stack = stack(4, 1, 1);
        let summary = summarise(&stack, &TEXTURE, 0, 0);
        let metrics = metrics(1, 32, 32);
        assert_eq!(compare(&summary, &summary, &stack).len(), metrics.len());
        assert!(metrics.iter().all(|m| !m.key.starts_with("change")));
    }

    #[test]
    fn channels_that_do_not_belong_together_are_only_seen_together() {
        let (a, b) = (stack(6, 2, 1), stack(6, 2, 1));
        let order: Vec<usize> = (0..6).map(|i| (i + 1) % 6).collect();
        let swapped = b.select(&order);
        let swd = |x: [&Stack; 2], y: [&Stack; 2], index| {
            let [x, y] = [(x, 0), (y, 1)].map(|(set, side)| projections(&set, &TEXTURE, index, side));
            compare_textures(&x, &y, 32)["swd_x1e3"]
        };
        let (fitting, foreign) = (swd([&a, &b], [&a, &b], 2), swd([&a, &b], [&a, &swapped], 2));
        assert!(foreign > 1.5 * fitting, "{fitting} {foreign}");
    }
}
