//! The label route `fluorescence_threshold`: cells from a fluorescent reporter, with no annotation and no network.
//!
//! Good enough where every cell glows and the background does not. It cannot see a cell that does not glow, and a
//! segmenter trained on these labels can only learn to imitate it; `label_route` in the plate says so.

use ndarray::{ArrayView2, ArrayView3, Axis};
use serde::{Deserialize, Serialize};

use super::codec::split;
use super::components::components;
use super::distance::distance;
use super::link::link;
use super::morphology::{fill_holes, remove_small, remove_small_labels};
use super::smooth::gaussian;
use super::{Neighbours, otsu};
use crate::data::plate::Labels;

/// Name of this route in a plate's metadata.
pub const ROUTE: &str = "fluorescence_threshold";

/// Smoothing before the threshold, in pixels: about the noise grain of a camera image.
const SIGMA_PX: f32 = 1.0;
/// Smoothing of the distance map, in pixels: removes the steps of drawn borders, keeps necks.
const DISTANCE_SIGMA_PX: f32 = 0.7;
/// Variance between the classes that a plate with cells reaches; a normal distribution alone has 0.64.
const MIN_SEPARABILITY: f64 = 0.65;
/// Pixels kept per plane for the plate's histogram.
const PIXELS_PER_PLANE: usize = 4096;

/// Settings of the route, one set for a whole plate.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RouteSettings {
    /// Smoothed fluorescence above this is cell, in [0, 1].
    pub threshold: f32,
    /// How well the threshold parts the plate's pixels, in [0, 1]; below 0.65 there may be no cells at all.
    pub separability: f64,
    /// Typical radius of a cell in pixels, for what follows from it.
    pub radius_px: f32,
    /// Depth of the neck between two cells that touch, in pixels of the distance map.
    pub neck_px: f32,
    /// Smaller objects are dropped.
    pub min_area_px: usize,
}

impl RouteSettings {
    /// Returns settings that fit a plate, from its fluorescence planes or a sample of them in [0, 1].
    ///
    /// One threshold for all frames (Otsu over all smoothed pixels) keeps frames without any cell empty: a threshold of
    /// their own would cut their noise in two. `None` where there are no pixels at all.
    pub fn estimate<'a>(planes: impl IntoIterator<Item = ArrayView2<'a, f32>>) -> Option<Self> {
        let smooth: Vec<_> = planes.into_iter().map(|plane| gaussian(plane, SIGMA_PX)).collect();
        let sample: Vec<f32> = smooth
            .iter()
            .flat_map(|plane| plane.iter().copied().step_by(plane.len().div_ceil(PIXELS_PER_PLANE).max(1)))
            .collect();
        let otsu::Threshold { value, separability } = otsu::threshold(&sample)?;
        // The typical cell: the median over all blobs of the largest distance to the edge. Touching cells count once,
        // but a blob's largest distance is that of its largest cell, not of the blob.
        let mut radii = Vec::new();
        for plane in &smooth {
            let mask = plane.mapv(|v| v > value);
            let far = distance(mask.view());
            let (blobs, count) = components(mask.view(), Neighbours::Eight);
            let mut largest = vec![0.0_f32; count as usize + 1];
            for (&blob, &d) in blobs.iter().zip(&far) {
                largest[blob as usize] = largest[blob as usize].max(d);
            }
            // Single bright pixels are no cells.
            radii.extend(largest.into_iter().skip(1).filter(|r| *r >= 1.5));
        }
        radii.sort_by(f32::total_cmp);
        let radius_px = radii.get(radii.len() / 2).copied().unwrap_or(2.0);
        Some(Self {
            threshold: value,
            separability,
            radius_px,
            neck_px: (0.15 * radius_px).max(0.5),
            // An eighth of the typical area; buds are small.
            min_area_px: ((std::f32::consts::PI * radius_px * radius_px / 8.0) as usize).max(4),
        })
    }

    /// Returns whether the plate looks as if it had cells that glow at all.
    pub fn finds_two_classes(&self) -> bool {
        self.separability >= MIN_SEPARABILITY
    }
}

/// Returns tracked labels of one sequence.
///
/// Per frame: smooth, threshold, fill holes, part touching cells at the necks of the distance map, drop specks; then
/// link the frames by overlap. A frame without bright pixels has no object.
///
/// # Shapes
/// `fluorescence` `[T, H, W]` in [0, 1]; ids `[T, H, W]`.
pub fn label_sequence(fluorescence: ArrayView3<f32>, settings: &RouteSettings) -> Labels {
    let frames: Vec<_> = fluorescence
        .axis_iter(Axis(0))
        .map(|plane| {
            let mask = gaussian(plane, SIGMA_PX).mapv(|v| v > settings.threshold);
            let mask = remove_small(fill_holes(mask.view()).view(), settings.min_area_px, Neighbours::Four);
            let far = gaussian(distance(mask.view()).view(), DISTANCE_SIGMA_PX);
            let mut labels = split(far.view(), mask.view(), settings.neck_px);
            remove_small_labels(&mut labels, settings.min_area_px);
            labels
        })
        .collect();
    let mut labels = link(&frames);
    if frames.is_empty() {
        let (_, height, width) = fluorescence.dim();
        labels.ids = ndarray::Array3::zeros((0, height, width));
    }
    labels
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Array3, s};
    use rand::{Rng, SeedableRng};

    /// Two touching cells that drift, a lone one that shines differently, and a frame without cells.
    fn recording() -> Array3<f32> {
        let mut noise = rand_chacha::ChaCha8Rng::seed_from_u64(3);
        Array3::from_shape_fn((4, 48, 48), |(t, y, x)| {
            let cells = [(15.0, 14.0, 7.0, 0.8), (15.0, 27.0, 7.0, 0.6), (36.0, 32.0, 6.0, 0.45)];
            let inside =
                |&(v, u, r, _): &(f64, f64, f64, f32)| (y as f64 - v).hypot(x as f64 - u - t as f64) <= r;
            let light = cells.iter().find(|cell| inside(cell)).map_or(0.1, |cell| cell.3);
            let light = if t == 3 { 0.1 } else { light };
            light + noise.random_range(-0.05..0.05)
        })
    }

    #[test]
    fn touching_cells_are_parted_tracked_and_an_empty_frame_stays_empty() {
        let movie = recording();
        let settings = RouteSettings::estimate(movie.axis_iter(Axis(0))).unwrap();
        assert!(settings.finds_two_classes(), "{settings:?}");
        let labels = label_sequence(movie.view(), &settings);
        for t in 0..3 {
            for [y, x] in [[15, 12], [15, 29], [36, 32]] {
                assert_eq!(labels.ids[[t, y, x + t]], labels.ids[[0, y, x]]);
            }
            let mut ids: Vec<u32> =
                labels.ids.slice(s![t, .., ..]).iter().copied().filter(|id| *id != 0).collect();
            ids.sort_unstable();
            ids.dedup();
            assert_eq!(ids, [1, 2, 3]);
        }
        assert!(labels.ids.slice(s![3, .., ..]).iter().all(|id| *id == 0));
        assert!(labels.parents.is_empty());
    }

    #[test]
    fn noise_alone_is_not_two_classes() {
        let mut noise = rand_chacha::ChaCha8Rng::seed_from_u64(4);
        let normal = rand_distr::Normal::new(0.3_f32, 0.05).unwrap();
        let dark = Array3::from_shape_fn((2, 64, 64), |_| noise.sample(normal));
        assert!(!RouteSettings::estimate(dark.axis_iter(Axis(0))).unwrap().finds_two_classes());
        assert!(RouteSettings::estimate([]).is_none());
    }
}
