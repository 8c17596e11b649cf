//! The label route `fluorescence_threshold`: cells from a fluorescent reporter, with no annotation and no network.
//!
//! The route works where every cell is fluorescent and the background is dark. It misses cells without fluorescence,
//! and a segmenter trained on its labels can only learn to imitate it; `label_route` in the plate records its use.
//!
//! One threshold is not enough where some cells express ten times as much as their neighbours: a threshold that finds
//! the dim ones takes the glow around the bright ones for cell. Therefore a low threshold finds all pixels with light,
//! the core of every cell is found at a share of the cell's own brightness, bright cells first, and cores grow back to
//! the edges of their cells at the end.

use std::collections::BTreeMap;

use ndarray::{Array2, ArrayView2, ArrayView3, Axis, Ix2, SliceInfo, SliceInfoElem, Zip, s};
use serde::{Deserialize, Serialize};

use super::codec::{boxes, split};
use super::components::components;
use super::distance::distance;
use super::link::link;
use super::morphology::{dilate, fill_holes, remove_small, remove_small_labels};
use super::per_label::PerLabel;
use super::smooth::gaussian;
use super::watershed::watershed;
use super::{Neighbours, otsu};
use crate::plate::Labels;

/// Name of this route in a plate's metadata.
pub const ROUTE: &str = "fluorescence_threshold";

// The shares below were chosen on the simulated recording of `prepare phantom`, where the truth is known.

/// Smoothing before thresholds, in pixels: it removes camera noise and keeps the edges of small cells.
const SIGMA_PX: f32 = 0.5;
/// Smoothing of distance maps, in pixels: it removes the pixel steps of borders and keeps necks.
const DISTANCE_SIGMA_PX: f32 = 0.5;
/// Added before logarithms, so that pixels darker than this share of the calibrated range hardly differ.
const DARK: f32 = 0.02;
/// The brightness of a cell is this quantile of its pixels.
const BRIGHTNESS_QUANTILE: f32 = 0.9;
/// The core of a cell is brighter than this share of the cell's own brightness over the background.
const CORE_SHARE: f32 = 0.55;
/// The edge of a cell lies at this share. It is less than a half, since a cell is thinner towards its edge.
const EDGE_SHARE: f32 = 0.25;
/// A region left over after a round is searched again if it is thicker than this many pixels to each side; the glow
/// around a bright cell is thinner.
const THICK_PX: f32 = 1.5;
/// Pixels around a mask that are computed with it: the reach of the filter of distances, and one.
const MARGIN_PX: usize = 3;
/// Rounds of finding cores: one each for bright, medium and dim cells.
const ROUNDS: usize = 3;
/// Variance between the classes that a plate with cells reaches; a normal distribution alone has 0.64.
const MIN_SEPARABILITY: f64 = 0.7;
/// Pixels kept per plane for the plate's histogram.
const PIXELS_PER_PLANE: usize = 4096;

/// Settings of the route, one set for a whole plate.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RouteSettings {
    /// Smoothed fluorescence above this may be cell, in [0, 1].
    pub threshold: f32,
    /// Level between the cells, in [0, 1].
    pub background: f32,
    /// How well the threshold parts the logarithms of the plate's pixels, in [0, 1]; below 0.7 there may be no cells.
    pub separability: f64,
    /// Typical radius of a cell in pixels, from which `neck_px` and `min_area_px` are derived.
    pub radius_px: f32,
    /// Depth of the neck between two cells that touch, in pixels of the distance map.
    pub neck_px: f32,
    /// Smaller objects are dropped.
    pub min_area_px: usize,
}

impl RouteSettings {
    /// Returns settings that fit a plate, from its fluorescence planes or a sample of them in [0, 1].
    ///
    /// All frames share one threshold, so that a frame without cells stays empty: a threshold of its own would divide
    /// its noise. It is Otsu's threshold of the logarithms of all smoothed pixels; on a linear scale it would separate
    /// bright cells from dim ones. Where objects are rare, Otsu's threshold falls into the background and its
    /// separability is low; then the values above it are divided once more. `None` where there are no pixels.
    ///
    /// # Examples
    /// The threshold lies between the light of the cell and that around it, which is the background:
    ///
    /// ```
    /// use lapsegan_core::image;
    /// use lapsegan_core::labels::RouteSettings;
    ///
    /// let plane = image![
    ///     [0.1 0.1 0.1 0.1 0.1 0.1 0.1 0.1 0.1]
    ///     [0.1 0.1 0.1 0.9 0.9 0.9 0.1 0.1 0.1]
    ///     [0.1 0.1 0.1 0.9 0.9 0.9 0.1 0.1 0.1]
    ///     [0.1 0.1 0.1 0.9 0.9 0.9 0.1 0.1 0.1]
    ///     [0.1 0.1 0.1 0.1 0.1 0.1 0.1 0.1 0.1]
    /// ];
    /// let settings = RouteSettings::estimate([plane.view()]).unwrap();
    /// assert!(0.1 < settings.threshold && settings.threshold < 0.9);
    /// assert!((settings.background - 0.1).abs() < 0.01);
    /// // The square is about 2 px deep. A twelfth of such a disc is 1 px, and 4 px is the least that is asked for.
    /// assert!((1.5..2.5).contains(&settings.radius_px));
    /// assert_eq!(settings.min_area_px, 4);
    /// assert!(RouteSettings::estimate([]).is_none());
    /// ```
    pub fn estimate<'a>(planes: impl IntoIterator<Item = ArrayView2<'a, f32>>) -> Option<Self> {
        let smooth: Vec<_> = planes.into_iter().map(|plane| gaussian(plane, SIGMA_PX)).collect();
        let mut sample: Vec<f32> = smooth
            .iter()
            .flat_map(|plane| plane.iter().copied().step_by(plane.len().div_ceil(PIXELS_PER_PLANE).max(1)))
            .collect();
        let logarithms: Vec<f32> = sample.iter().map(|v| (v.max(0.0) + DARK).ln()).collect();
        let otsu::Threshold { value, separability } = parting(&logarithms)?;
        let threshold = value.exp() - DARK;
        sample.retain(|v| *v <= threshold);
        let background = quantile(&mut sample, 0.5);
        let radius_px = typical_radius(&smooth, threshold);
        Some(Self {
            threshold,
            background,
            separability,
            radius_px,
            neck_px: (0.05 * radius_px).max(0.1),
            // A twelfth of the typical area; buds are small.
            min_area_px: ((std::f32::consts::PI * radius_px * radius_px / 12.0) as usize).max(4),
        })
    }

    /// Returns whether the pixels form two classes, as they do where cells are fluorescent.
    ///
    /// # Examples
    /// ```
    /// use lapsegan_core::image;
    /// use lapsegan_core::labels::RouteSettings;
    ///
    /// let glowing = image![[0.1 0.1 0.9 0.9 0.9 0.1 0.1]];
    /// let dark = image![[0.1 0.1 0.1 0.1 0.1 0.1 0.1]];
    /// assert!(RouteSettings::estimate([glowing.view()]).unwrap().finds_two_classes());
    /// assert!(!RouteSettings::estimate([dark.view()]).unwrap().finds_two_classes());
    /// ```
    pub fn finds_two_classes(&self) -> bool {
        self.separability >= MIN_SEPARABILITY
    }
}

/// Returns Otsu's threshold; where it does not separate two classes, that of the values above it, if that one does.
fn parting(values: &[f32]) -> Option<otsu::Threshold> {
    let first = otsu::threshold(values)?;
    if first.separability >= MIN_SEPARABILITY {
        return Some(first);
    }
    let above: Vec<f32> = values.iter().copied().filter(|v| *v > first.value).collect();
    Some(otsu::threshold(&above).filter(|second| second.separability >= MIN_SEPARABILITY).unwrap_or(first))
}

/// Returns the median over all blobs of the largest distance to the edge: a blob of several cells counts once, with
/// its largest cell. 2 where there is no blob.
fn typical_radius(planes: &[Array2<f32>], threshold: f32) -> f32 {
    let mut radii = Vec::new();
    for plane in planes {
        let mask = plane.mapv(|v| v > threshold);
        // Single bright pixels are no cells.
        radii.extend(depths(&mask).1.into_iter().skip(1).filter(|r| *r >= 1.5));
    }
    if radii.is_empty() { 2.0 } else { quantile(&mut radii, 0.5) }
}

/// Returns the 4-connected components of a mask and, by component, the largest distance to the edge.
fn depths(mask: &Array2<bool>) -> (Array2<u32>, Vec<f32>) {
    let far = distance(mask.view());
    let (blobs, count) = components(mask.view(), Neighbours::Four);
    let mut deepest = vec![0.0_f32; count as usize + 1];
    for (&blob, &d) in blobs.iter().zip(&far) {
        deepest[blob as usize] = deepest[blob as usize].max(d);
    }
    (blobs, deepest)
}

/// Returns a quantile of values, whose order changes; 0 without values.
fn quantile(values: &mut [f32], share: f32) -> f32 {
    if values.is_empty() {
        return 0.0;
    }
    let at = ((values.len() - 1) as f32 * share) as usize;
    *values.select_nth_unstable_by(at, f32::total_cmp).1
}

/// Returns tracked labels of one sequence: cells per frame, linked over frames by overlap.
///
/// A frame without bright pixels has no object.
///
/// # Shapes
/// `fluorescence` `[T, H, W]` in [0, 1]; ids `[T, H, W]`.
///
/// # Examples
/// A bright cell beside a dim one, in two frames between which the bright one grows by a column. Each is outlined at a
/// share of its own brightness and keeps its id:
///
/// ```
/// use lapsegan_core::labels;
/// use lapsegan_core::labels::{RouteSettings, label_sequence};
/// use ndarray::{Axis, stack};
///
/// let truth = [
///     labels![
///         [. . . . . . . . . . . .]
///         [. . 1 1 1 . . . . . . .]
///         [. 1 1 1 1 1 . . 2 2 2 .]
///         [. 1 1 1 1 1 . 2 2 2 2 2]
///         [. 1 1 1 1 1 . 2 2 2 2 2]
///         [. . 1 1 1 . . . 2 2 2 .]
///         [. . . . . . . . . . . .]
///     ],
///     labels![
///         [. . . . . . . . . . . .]
///         [. 1 1 1 1 . . . . . . .]
///         [1 1 1 1 1 1 . . 2 2 2 .]
///         [1 1 1 1 1 1 . 2 2 2 2 2]
///         [1 1 1 1 1 1 . 2 2 2 2 2]
///         [. 1 1 1 1 . . . 2 2 2 .]
///         [. . . . . . . . . . . .]
///     ],
/// ];
/// let light = truth.each_ref().map(|cells| cells.mapv(|id| [0.05_f32, 0.9, 0.4][id as usize]));
/// let movie = stack(Axis(0), &light.each_ref().map(|frame| frame.view()))?;
/// let settings = RouteSettings::estimate(movie.outer_iter()).unwrap();
/// let labels = label_sequence(movie.view(), &settings);
/// for (t, cells) in truth.iter().enumerate() {
///     assert_eq!(labels.ids.index_axis(Axis(0), t), cells);
/// }
/// # Ok::<(), ndarray::ShapeError>(())
/// ```
pub fn label_sequence(fluorescence: ArrayView3<f32>, settings: &RouteSettings) -> Labels {
    let frames: Vec<_> = fluorescence.axis_iter(Axis(0)).map(|plane| label_frame(plane, settings)).collect();
    let mut labels = link(&frames);
    if frames.is_empty() {
        let (_, height, width) = fluorescence.dim();
        labels.ids = ndarray::Array3::zeros((0, height, width));
    }
    labels
}

fn label_frame(plane: ArrayView2<f32>, settings: &RouteSettings) -> Array2<u32> {
    let light = gaussian(plane, SIGMA_PX);
    let mask = light.mapv(|v| v > settings.threshold);
    let mut labels = Array2::zeros(plane.dim());
    if let Some(window) = window(&mask) {
        let found = label_window(&light.slice(window).to_owned(), &mask.slice(window).to_owned(), settings);
        labels.slice_mut(window).assign(&found);
    }
    labels
}

fn label_window(light: &Array2<f32>, mask: &Array2<bool>, settings: &RouteSettings) -> Array2<u32> {
    let mask = remove_small(fill_holes(mask.view()).view(), settings.min_area_px, Neighbours::Four);
    let cores = cores(light, &mask, settings);
    let brightness = brightness(&cores, light);
    let mut labels = watershed(light.mapv(|v| -v).view(), cores.view(), mask.view(), Neighbours::Eight);
    keep_bright(&mut labels, light, &brightness, settings.background, EDGE_SHARE);
    remove_small_labels(&mut labels, settings.min_area_px);
    labels
}

/// Returns the rows and columns of a mask's pixels with a margin; `None` where it has none. What is computed of the mask
/// in this window is what is computed of it in the whole image: the nearest pixel outside lies in the margin, and filters
/// of distances, which are 0 there, do not reach beyond it.
fn window(mask: &Array2<bool>) -> Option<SliceInfo<[SliceInfoElem; 2], Ix2, Ix2>> {
    let (height, width) = mask.dim();
    let (_, [top, left, bottom, right]) = boxes(mask.mapv(u32::from).view()).next()?;
    let rows = top.saturating_sub(MARGIN_PX)..(bottom + MARGIN_PX).min(height);
    let columns = left.saturating_sub(MARGIN_PX)..(right + MARGIN_PX).min(width);
    Some(s![rows, columns])
}

/// Returns the cores of the cells: bright cells in the first round, then dimmer ones in the regions left over.
fn cores(light: &Array2<f32>, mask: &Array2<bool>, settings: &RouteSettings) -> Array2<u32> {
    let part = |mask: &Array2<bool>| {
        let far = gaussian(distance(mask.view()).view(), DISTANCE_SIGMA_PX);
        split(far.view(), mask.view(), settings.neck_px)
    };
    let mut cores = Array2::zeros(light.dim());
    let mut open = mask.clone();
    let mut count = 0;
    for _ in 0..ROUNDS {
        let Some(window) = window(&open) else { break };
        let light = &light.slice(window).to_owned();
        // Necks between cells show only without the glow, so objects are split, cut at their core level, and split
        // again.
        let mut found = part(&open.slice(window).to_owned());
        let brightness = brightness(&found, light);
        keep_bright(&mut found, light, &brightness, settings.background, CORE_SHARE);
        let mut found = part(&found.mapv(|id| id != 0));
        remove_small_labels(&mut found, settings.min_area_px);
        let Some(last) = found.iter().copied().max().filter(|&last| last > 0) else { break };
        Zip::from(cores.slice_mut(window)).and(&found).for_each(|to, &id| {
            if id != 0 {
                *to = count + id;
            }
        });
        count += last;
        let taken = dilate(cores.mapv(|id| id != 0).view(), Neighbours::Four);
        Zip::from(&mut open).and(&taken).for_each(|open, &taken| *open &= !taken);
        let (blobs, deepest) = depths(&open);
        // The glow around a bright cell is a thin shell; a dim neighbour is as thick as other cells.
        let thick = THICK_PX.max(0.4 * settings.radius_px);
        open = blobs.mapv(|blob| blob != 0 && deepest[blob as usize] > thick);
    }
    cores
}

/// Returns how bright each object is.
fn brightness(labels: &Array2<u32>, light: &Array2<f32>) -> BTreeMap<u32, f32> {
    let mut values = PerLabel::default();
    for (&id, &v) in labels.iter().zip(light) {
        if id != 0 {
            values.at(id, Vec::new).push(v);
        }
    }
    values.into_sorted().map(|(id, mut v)| (id, quantile(&mut v, BRIGHTNESS_QUANTILE))).collect()
}

/// Removes from every object the pixels below a share of its brightness over the background; holes that this leaves,
/// such as a dark vacuole, are filled.
fn keep_bright(
    labels: &mut Array2<u32>,
    light: &Array2<f32>,
    brightness: &BTreeMap<u32, f32>,
    background: f32,
    share: f32,
) {
    for (id, [top, left, bottom, right]) in boxes(labels.view()) {
        let Some(level) = brightness.get(&id) else { continue };
        let cut = background + share * (level - background);
        let window = s![top..bottom, left..right];
        let mut labels = labels.slice_mut(window);
        let kept = Zip::from(&labels).and(light.slice(window)).map_collect(|&at, &v| at == id && v > cut);
        let kept = fill_holes(kept.view());
        Zip::from(&mut labels).and(&kept).for_each(|at, &keep| {
            if *at == id && !keep {
                *at = 0;
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::Array3;
    use rand::{Rng, SeedableRng};

    #[test]
    fn the_window_changes_no_label() {
        let movie = recording();
        let settings = RouteSettings::estimate(movie.outer_iter()).unwrap();
        for plane in movie.outer_iter() {
            let light = gaussian(plane, SIGMA_PX);
            let mask = light.mapv(|v| v > settings.threshold);
            assert_eq!(label_frame(plane, &settings), label_window(&light, &mask, &settings));
        }
    }

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
    fn a_dim_cell_beside_a_bright_one_is_found() {
        let movie = Array3::from_shape_fn((1, 40, 40), |(_, y, x)| {
            let glow = |v: f64, u: f64, r: f64, light: f64| {
                let outside = ((y as f64 - v).hypot(x as f64 - u) - r).max(0.0);
                light * (-0.5 * (outside / 1.2).powi(2)).exp()
            };
            (0.02 + glow(20.0, 12.0, 7.0, 0.9) + glow(20.0, 26.0, 6.0, 0.12)) as f32
        });
        let settings = RouteSettings::estimate(movie.axis_iter(Axis(0))).unwrap();
        let ids = label_sequence(movie.view(), &settings).ids;
        let (bright, dim) = (ids[[0, 20, 12]], ids[[0, 20, 27]]);
        assert!(bright != 0 && dim != 0 && bright != dim);
        // Light falls to a quarter 2 px outside of the bright cell, to the plate's threshold 3 px outside.
        let radius = (ids.iter().filter(|&&id| id == bright).count() as f64 / std::f64::consts::PI).sqrt();
        assert!((radius - 9.0).abs() < 0.5, "{radius}");
    }

    #[test]
    fn rare_bright_objects_are_found_over_a_background_that_is_itself_uneven() {
        let mut noise = rand_chacha::ChaCha8Rng::seed_from_u64(5);
        let normal = rand_distr::Normal::new(0.0_f32, 0.4).unwrap();
        // A nucleus in two of six frames, over dim light that varies tenfold.
        let movie = Array3::from_shape_fn((6, 48, 48), |(t, y, x)| {
            let nucleus = [2, 4].contains(&t) && (y as f64 - 20.0).hypot(x as f64 - 30.0) <= 5.0;
            if nucleus { 0.5 } else { 0.012 * (2.0 * noise.sample(normal)).exp() }
        });
        let settings = RouteSettings::estimate(movie.axis_iter(Axis(0))).unwrap();
        assert!(settings.finds_two_classes() && settings.threshold > 0.1, "{settings:?}");
        let ids = label_sequence(movie.view(), &settings).ids;
        for (t, frame) in ids.outer_iter().enumerate() {
            let area = frame.iter().filter(|id| **id != 0).count();
            let expected = if [2, 4].contains(&t) { 70..100 } else { 0..1 };
            assert!(expected.contains(&area), "frame {t}: {area} px");
        }
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
