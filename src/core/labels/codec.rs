//! Label images as two smooth maps, which a network can learn in place of ids, and back.
//!
//! The segmenter of the benchmark and the label domain of the generator share this representation.

use std::collections::BTreeSet;

use ndarray::{Array2, ArrayView2, Zip, s};
use serde::{Deserialize, Serialize};

use super::morphology::remove_small_labels;
use super::peaks::persistent_peaks;
use super::per_label::PerLabel;
use super::smooth::gaussian;
use super::watershed::watershed;
use super::{Neighbours, distance, edges};

/// A label image as maps.
#[derive(Clone, Debug, PartialEq)]
pub struct Maps {
    /// 1 on objects and 0 on background, or the probability that a network gives. `[H, W]`
    pub foreground: Array2<f32>,
    /// Distance to the nearest pixel that is not of the same object, over the largest such distance in the object:
    /// 1 in the middle of every object, large or small, and 0 on background. `[H, W]`
    pub distance: Array2<f32>,
}

/// How maps become labels.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DecodeSettings {
    /// Foreground is where the probability is above this, in (0, 1).
    pub foreground: f32,
    /// Smoothing of the distance map, in pixels.
    pub sigma_px: f32,
    /// How far the distance map must dip between two peaks that are two objects, in (0, 1).
    pub rise: f32,
    /// Objects with fewer pixels are dropped.
    pub min_area_px: usize,
    /// Objects whose distance map has no value above this are dropped, in [0, 1): in true maps all reach 1.
    #[serde(default)]
    pub min_peak: f32,
    /// Give pixels between two objects to the one whose distance falls towards them along a line: right for true maps,
    /// while those of a network are not that exact.
    #[serde(default)]
    pub settle_edges: bool,
}

impl DecodeSettings {
    /// For exact maps: every object comes back as one, up to edge pixels where two touch.
    pub fn standard() -> Self {
        Self { foreground: 0.5, sigma_px: 0.4, rise: 0.38, min_area_px: 4, min_peak: 0.0, settle_edges: true }
    }

    /// For maps from a network: they are smoother, so that dips between objects are shallower, and noisier.
    pub fn learned() -> Self {
        Self {
            foreground: 0.5,
            sigma_px: 0.7,
            rise: 0.07,
            min_area_px: 4,
            min_peak: 0.3,
            settle_edges: false,
        }
    }
}

/// Returns a label image as maps.
///
/// # Examples
/// Two cells that touch. The distance is measured to the other cell as well as to the background, so it dips between
/// them; in the middle it is 2 px for the square and 1 px for the thin cell, and 1 after division by itself.
///
/// ```
/// use lapsegan_core::labels::codec::encode;
/// use lapsegan_core::{image, labels};
///
/// let maps = encode(
///     labels![
///         [. . . . . .]
///         [. 1 1 1 2 .]
///         [. 1 1 1 2 .]
///         [. 1 1 1 2 .]
///         [. . . . . .]
///     ]
///     .view(),
/// );
/// assert_eq!(
///     maps.distance,
///     image![
///         [.  .   .   .   .  .]
///         [. 0.5 0.5 0.5 1.0 .]
///         [. 0.5 1.0 0.5 1.0 .]
///         [. 0.5 0.5 0.5 1.0 .]
///         [.  .   .   .   .  .]
///     ]
/// );
/// assert_eq!(maps.foreground, maps.distance.mapv(|d| if d > 0.0 { 1.0 } else { 0.0 }));
/// ```
pub fn encode(labels: ArrayView2<u32>) -> Maps {
    let (height, width) = labels.dim();
    let mut distances = Array2::zeros((height, width));
    for (id, [top, left, bottom, right]) in boxes(labels) {
        // The nearest pixel of another kind lies within one pixel of the bounding box.
        let (top, left) = (top.saturating_sub(1), left.saturating_sub(1));
        let (bottom, right) = ((bottom + 1).min(height), (right + 1).min(width));
        let window = s![top..bottom, left..right];
        let own = labels.slice(window).mapv(|other| other == id);
        let far = distance::distance(own.view());
        let largest = far.iter().copied().fold(0.0, f32::max);
        Zip::from(distances.slice_mut(window)).and(&far).and(&own).for_each(|to, &d, &inside| {
            if inside {
                *to = d / largest;
            }
        });
    }
    Maps { foreground: labels.mapv(|id| f32::from(u8::from(id != 0))), distance: distances }
}

/// Returns the label image of maps, with ids from 1 in the order of falling peaks.
///
/// # Examples
/// The foreground of two cells that touch is one component; the dip of the distance between them parts it again:
///
/// ```
/// use lapsegan_core::labels;
/// use lapsegan_core::labels::Neighbours;
/// use lapsegan_core::labels::codec::{DecodeSettings, decode, encode};
/// use lapsegan_core::labels::components::components;
///
/// let cells = labels![
///     [. . . . . . . .]
///     [. 1 1 1 2 2 2 .]
///     [. 1 1 1 2 2 2 .]
///     [. 1 1 1 2 2 2 .]
///     [. . . . . . . .]
/// ];
/// let maps = encode(cells.view());
/// assert_eq!(components(maps.foreground.mapv(|p| p > 0.5).view(), Neighbours::Four).1, 1);
/// assert_eq!(decode(&maps, &DecodeSettings::standard()), cells);
/// ```
///
/// How deep a dip parts two objects is a setting. Here it is 0.98 - 0.9 = 0.08, less than the 0.38 of exact maps and
/// more than the 0.07 of learned ones:
///
/// ```
/// use lapsegan_core::labels::codec::{DecodeSettings, Maps, decode};
/// use lapsegan_core::{image, labels};
///
/// let distance = image![
///     [0.8 1.0 0.9 0.98 0.8]
///     [0.8 1.0 0.9 0.98 0.8]
/// ];
/// let maps = Maps { foreground: distance.mapv(|_| 1.0), distance };
/// let exact = DecodeSettings { sigma_px: 0.0, ..DecodeSettings::standard() };
/// assert_eq!(
///     decode(&maps, &exact),
///     labels![
///         [1 1 1 1 1]
///         [1 1 1 1 1]
///     ]
/// );
/// let learned = DecodeSettings { sigma_px: 0.0, ..DecodeSettings::learned() };
/// assert_eq!(
///     decode(&maps, &learned),
///     labels![
///         [1 1 1 2 2]
///         [1 1 1 2 2]
///     ]
/// );
/// ```
pub fn decode(maps: &Maps, settings: &DecodeSettings) -> Array2<u32> {
    let mask = maps.foreground.mapv(|p| p > settings.foreground);
    let height = gaussian(maps.distance.view(), settings.sigma_px);
    let mut labels = split(height.view(), mask.view(), settings.rise);
    if settings.settle_edges {
        edges::settle(maps.distance.view(), &mut labels);
    }
    drop_low(&mut labels, &maps.distance, settings.min_peak);
    remove_small_labels(&mut labels, settings.min_area_px);
    labels
}

/// Returns how clearly maps say what was decoded from them, in [0, 1]; those of true labels say 1.
///
/// The smaller one of two means: over the labelled pixels, how far their foreground is from what parts it from
/// background; over the objects, the peak of their distance. Where nothing was found, how far all pixels are from being
/// foreground.
pub fn margin(maps: &Maps, labels: ArrayView2<u32>, settings: &DecodeSettings) -> f64 {
    let threshold = settings.foreground;
    let mut peaks = PerLabel::default();
    let (mut sum, mut pixels) = (0.0, 0);
    for ((&id, &foreground), &distance) in labels.iter().zip(&maps.foreground).zip(&maps.distance) {
        if id != 0 {
            sum += f64::from(((foreground - threshold) / (1.0 - threshold)).clamp(0.0, 1.0));
            pixels += 1;
            let peak = peaks.at(id, || 0.0_f32);
            *peak = peak.max(distance.min(1.0));
        }
    }
    if pixels == 0 {
        let clear = |p: &f32| f64::from(((threshold - p) / threshold).clamp(0.0, 1.0));
        return maps.foreground.iter().map(clear).sum::<f64>() / maps.foreground.len().max(1) as f64;
    }
    let peaks: Vec<f32> = peaks.into_sorted().map(|(_, peak)| peak).collect();
    let peak = peaks.iter().copied().map(f64::from).sum::<f64>() / peaks.len() as f64;
    (sum / f64::from(pixels)).min(peak)
}

/// Removes objects whose map has no value above `min_peak`.
fn drop_low(labels: &mut Array2<u32>, map: &Array2<f32>, min_peak: f32) {
    if min_peak <= 0.0 {
        return;
    }
    let mut peaks = PerLabel::default();
    for (&id, &value) in labels.iter().zip(map).filter(|(id, _)| **id != 0) {
        let peak = peaks.at(id, || f32::NEG_INFINITY);
        *peak = peak.max(value);
    }
    let low: BTreeSet<u32> =
        peaks.into_sorted().filter(|(_, peak)| *peak <= min_peak).map(|(id, _)| id).collect();
    if !low.is_empty() {
        labels.mapv_inplace(|id| if low.contains(&id) { 0 } else { id });
    }
}

/// Returns `mask` parted into one label per peak of `height` that rises at least `rise` above its pass.
///
/// Four neighbours, as with eight a small object takes more of the edge of a large one that it touches.
pub(super) fn split(height: ArrayView2<f32>, mask: ArrayView2<bool>, rise: f32) -> Array2<u32> {
    let mut markers = Array2::zeros(height.dim());
    for (number, at) in persistent_peaks(height, mask, rise).into_iter().enumerate() {
        markers[at] = number as u32 + 1;
    }
    watershed(height.mapv(|h| -h).view(), markers.view(), mask, Neighbours::Four)
}

/// Returns `id, [top, left, bottom, right]` of every label, half-open, in the order of the ids.
pub(super) fn boxes(labels: ArrayView2<u32>) -> impl Iterator<Item = (u32, [usize; 4])> + use<> {
    let mut found = PerLabel::default();
    for (y, row) in labels.outer_iter().enumerate() {
        for (x, &id) in row.iter().enumerate().filter(|(_, id)| **id != 0) {
            let [top, left, bottom, right] = found.at(id, || [y, x, y + 1, x + 1]);
            (*top, *left) = ((*top).min(y), (*left).min(x));
            (*bottom, *right) = ((*bottom).max(y + 1), (*right).max(x + 1));
        }
    }
    found.into_sorted()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn discs(size: usize, discs: &[(f64, f64, f64)]) -> Array2<u32> {
        Array2::from_shape_fn((size, size), |(y, x)| {
            let hit = |&(v, u, r): &(f64, f64, f64)| (y as f64 - v).hypot(x as f64 - u) <= r;
            discs.iter().position(hit).map_or(0, |i| i as u32 + 1)
        })
    }

    #[test]
    fn touching_discs_come_back_as_they_were() {
        let labels = discs(32, &[(9.0, 9.0, 6.0), (9.0, 21.0, 6.0), (22.0, 15.0, 8.0), (29.0, 29.0, 2.0)]);
        let decoded = decode(&encode(labels.view()), &DecodeSettings::standard());
        let partition = |from: &Array2<u32>, to: &Array2<u32>| {
            let map: std::collections::BTreeSet<_> = from.iter().zip(to).collect();
            map.len()
        };
        assert_eq!(decoded.iter().max(), Some(&4));
        // Background and four objects, each found as exactly one.
        assert_eq!(partition(&labels, &decoded), 5);
    }

    #[test]
    fn every_object_peaks_at_one_and_background_is_zero() {
        let maps = encode(discs(16, &[(4.0, 4.0, 3.0), (11.0, 11.0, 1.0)]).view());
        assert_eq!(maps.distance[[4, 4]], 1.0);
        assert_eq!(maps.distance[[11, 11]], 1.0);
        assert!(maps.distance.iter().zip(&maps.foreground).all(|(d, f)| (*d > 0.0) == (*f > 0.0)));
        let whole = encode(Array2::from_elem((4, 4), 9).view());
        assert!(whole.distance.iter().all(|d| *d == 1.0));
    }

    #[test]
    fn what_is_drawn_faintly_is_no_object_and_has_no_margin() {
        let labels = discs(32, &[(9.0, 9.0, 6.0), (22.0, 22.0, 6.0)]);
        let mut maps = encode(labels.view());
        let learned = DecodeSettings::learned();
        assert!(margin(&maps, decode(&maps, &learned).view(), &learned) > 0.99);
        // The second one in a quarter of its strength, as where a network is in doubt.
        Zip::from(&mut maps.distance).and(&mut maps.foreground).and(&labels).for_each(|d, f, &id| {
            if id == 2 {
                (*d, *f) = (*d * 0.25, 0.6);
            }
        });
        let exact = DecodeSettings { min_peak: 0.0, ..learned };
        let both = decode(&maps, &exact);
        assert_eq!([both.iter().max(), decode(&maps, &learned).iter().max()], [Some(&2), Some(&1)]);
        let found = margin(&maps, both.view(), &exact);
        assert!((0.5..0.65).contains(&found), "{found}");
        let nothing = Array2::zeros((32, 32));
        let empty = Maps { foreground: Array2::from_elem((32, 32), 0.1), distance: Array2::zeros((32, 32)) };
        assert!((margin(&empty, nothing.view(), &learned) - 0.8).abs() < 1e-6);
    }

    #[test]
    fn nothing_becomes_nothing() {
        let labels = Array2::zeros((5, 5));
        assert_eq!(decode(&encode(labels.view()), &DecodeSettings::standard()), labels);
    }
}
