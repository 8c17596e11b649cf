//! Tracks: the label images of consecutive frames with one id per object.

use std::collections::{BTreeMap, BTreeSet};

use ndarray::{Array2, Array3, ArrayView2, Axis};

use super::survey::{MeasuredObject, Shared, measure, shared};
use crate::plate::Labels;

/// Smallest IoU of an object in two consecutive frames. Lower than for matching against a truth: cells move and grow.
const MIN_IOU: f64 = 0.1;
/// Share of a new object that must lie on an older one to be its child.
const MIN_CHILD_SHARE: f64 = 0.5;
/// Largest move of an object between two frames that is linked without overlap, in sums of both radii.
const MOST_MOVE: f64 = 1.0;
/// Largest ratio of the areas of such an object.
const MOST_GROWTH: f64 = 2.0;
/// Largest gap between a bud and its mother, in pixels.
const BUD_GAP_PX: usize = 2;
/// Smallest ratio of the areas of a mother and its bud.
const MIN_MOTHER: f64 = 1.5;

/// Returns frames of independent labels as one tracked label image, ids from 1 in order of appearance.
///
/// Objects of two frames are paired one to one by falling IoU, then those that are left by distance, where both are of
/// about one size and nearer than they are large. What stays unpaired is new. Its parent (which keeps its own id, as a
/// budding mother does) is an object of the frame before on which at least half of it lies, or else, inside the image, a
/// larger one beside it. An object that is missing in one frame comes back with a new id.
///
/// # Shapes
/// `T` frames `[H, W]` of one size; result `[T, H, W]`.
///
/// # Panics
/// If the frames differ in size.
///
/// # Examples
/// A mother buds, is missing in one frame, and comes back. The input ids of one object differ from frame to frame:
///
/// ```
/// use lapsegan_core::labels;
/// use lapsegan_core::labels::link::link;
/// use ndarray::Axis;
///
/// let tracks = link(&[
///     labels![
///         [5 5 5 5 . .]
///         [5 5 5 5 . .]
///     ],
///     // The cell of 8 keeps 4 of 8 pixels. The new one has 4 pixels, 2 of them on the old cell: its child.
///     labels![
///         [8 8 . 3 3 .]
///         [8 8 . 3 3 .]
///     ],
///     labels![
///         [. . . 7 7 .]
///         [. . . 7 7 .]
///     ],
///     labels![
///         [6 6 . 9 9 .]
///         [6 6 . 9 9 .]
///     ],
/// ]);
/// let expected = [
///     labels![
///         [1 1 1 1 . .]
///         [1 1 1 1 . .]
///     ],
///     labels![
///         [1 1 . 2 2 .]
///         [1 1 . 2 2 .]
///     ],
///     labels![
///         [. . . 2 2 .]
///         [. . . 2 2 .]
///     ],
///     // Missing for a frame: a new id, and no parent.
///     labels![
///         [3 3 . 2 2 .]
///         [3 3 . 2 2 .]
///     ],
/// ];
/// for (t, frame) in expected.iter().enumerate() {
///     assert_eq!(tracks.ids.index_axis(Axis(0), t), frame);
/// }
/// assert_eq!(tracks.parents, [(2, 1)].into());
/// ```
pub fn link(frames: &[Array2<u32>]) -> Labels {
    let (height, width) = frames.first().map_or((0, 0), Array2::dim);
    let mut ids = Array3::zeros((frames.len(), height, width));
    let mut linker = Linker::default();
    for (t, frame) in frames.iter().enumerate() {
        let before = t.checked_sub(1).map(|t| shared(frames[t].view(), frame.view()));
        let tracks = linker.add(frame.view(), &measure(frame.view()).objects, before.as_deref());
        ids.index_axis_mut(Axis(0), t).assign(&frame.mapv(|id| tracks.get(&id).copied().unwrap_or(0)));
    }
    Labels { ids, parents: linker.parents }
}

/// Links the objects of one frame after another, see [`link`]; of the frames it keeps the measures of the last only.
#[derive(Debug, Default)]
pub struct Linker {
    last_track: u32,
    parents: BTreeMap<u32, u32>,
    /// Track and measures of the last frame's objects, by their ids there.
    before: BTreeMap<u32, (u32, MeasuredObject)>,
}

impl Linker {
    /// Adds a frame and returns the track of each of its ids. `shared` is what its objects share with those of the
    /// frame added before; `None` where frames are missing between the two, which no track then crosses.
    pub fn add(
        &mut self,
        frame: ArrayView2<u32>,
        objects: &[MeasuredObject],
        shared: Option<&[Shared]>,
    ) -> BTreeMap<u32, u32> {
        if shared.is_none() {
            self.before.clear();
        }
        let areas: BTreeMap<u32, u32> = objects.iter().map(|object| (object.id, object.area)).collect();
        let mut overlaps: Vec<(u32, u32, u32)> = shared
            .unwrap_or_default()
            .iter()
            .filter_map(|&((old, new), pixels)| Some((self.before.get(&old)?.0, new, pixels)))
            .collect();
        overlaps.sort_unstable();
        let old_areas: BTreeMap<u32, u32> =
            self.before.values().map(|(track, object)| (*track, object.area)).collect();
        let mut tracks: BTreeMap<u32, u32> = pairs(&overlaps, &old_areas, &areas, MIN_IOU)
            .into_iter()
            .map(|(track, new)| (new, track))
            .collect();
        self.follow_moved(objects, &mut tracks);
        let followed = tracks.clone();
        for (track, new, pixels) in overlaps {
            if f64::from(pixels) >= MIN_CHILD_SHARE * f64::from(areas[&new]) && !tracks.contains_key(&new) {
                self.last_track += 1;
                tracks.insert(new, self.last_track);
                self.parents.insert(self.last_track, track);
            }
        }
        let mut appeared: Vec<&MeasuredObject> =
            objects.iter().filter(|object| !tracks.contains_key(&object.id)).collect();
        appeared.sort_unstable_by_key(|object| object.first);
        for object in appeared {
            self.last_track += 1;
            tracks.insert(object.id, self.last_track);
            if let Some(mother) = mother(frame, object, &areas, &followed) {
                self.parents.insert(self.last_track, mother);
            }
        }
        self.before = objects.iter().map(|object| (object.id, (tracks[&object.id], *object))).collect();
        tracks
    }

    /// Pairs what overlap left unpaired by distance, the nearest first.
    fn follow_moved(&self, objects: &[MeasuredObject], tracks: &mut BTreeMap<u32, u32>) {
        let mut taken: BTreeSet<u32> = tracks.values().copied().collect();
        let mut near: Vec<(f64, u32, u32)> = Vec::new();
        for new in objects.iter().filter(|object| !tracks.contains_key(&object.id)) {
            for (track, old) in self.before.values().filter(|(track, _)| !taken.contains(track)) {
                let [dy, dx] = [0, 1].map(|axis| old.centre()[axis] - new.centre()[axis]);
                let distance = dy.hypot(dx);
                let growth = f64::from(old.area.max(new.area)) / f64::from(old.area.min(new.area));
                if distance <= MOST_MOVE * (old.radius() + new.radius()) && growth <= MOST_GROWTH {
                    near.push((distance, *track, new.id));
                }
            }
        }
        near.sort_by(|a, b| a.0.total_cmp(&b.0).then((a.1, a.2).cmp(&(b.1, b.2))));
        for (_, track, new) in near {
            if !tracks.contains_key(&new) && taken.insert(track) {
                tracks.insert(new, track);
            }
        }
    }

    /// Returns child and parent tracks, of all frames so far.
    pub fn parents(&self) -> &BTreeMap<u32, u32> {
        &self.parents
    }
}

/// Returns the track of the object that a new one is a bud of: the one with most pixels beside it among those that were
/// there before and are larger. What enters the image at its border is no bud.
fn mother(
    frame: ArrayView2<u32>,
    bud: &MeasuredObject,
    areas: &BTreeMap<u32, u32>,
    followed: &BTreeMap<u32, u32>,
) -> Option<u32> {
    if bud.at_border || followed.is_empty() {
        return None;
    }
    let large = |id: &u32| f64::from(areas[id]) >= MIN_MOTHER * f64::from(bud.area);
    let beside = beside(frame, bud, BUD_GAP_PX);
    let mothers = beside.iter().filter(|(id, _)| followed.contains_key(id) && large(id));
    mothers.max_by_key(|(id, pixels)| (**pixels, std::cmp::Reverse(**id))).map(|(id, _)| followed[id])
}

/// Returns how many pixels of other objects are at most `gap_px` away from an object, along rows, columns or both.
fn beside(frame: ArrayView2<u32>, bud: &MeasuredObject, gap_px: usize) -> BTreeMap<u32, usize> {
    let (height, width) = frame.dim();
    let around = |at: usize, length: usize| at.saturating_sub(gap_px)..(at + gap_px + 1).min(length);
    let [top, left, bottom, right] = bud.bounds.map(|at| at as usize);
    let own =
        (top..bottom).flat_map(|y| (left..right).map(move |x| (y, x))).filter(|at| frame[*at] == bud.id);
    let near: BTreeSet<(usize, usize)> = own
        .flat_map(|(y, x)| around(y, height).flat_map(move |v| around(x, width).map(move |u| (v, u))))
        .collect();
    let mut found = BTreeMap::new();
    for other in near.into_iter().map(|at| frame[at]).filter(|other| ![0, bud.id].contains(other)) {
        *found.entry(other).or_insert(0) += 1;
    }
    found
}

/// Returns how many objects of a frame lie on one of the frame before, and how many of these have its id. Objects are
/// paired one to one by falling IoU down to a third.
pub fn kept_ids(before: &[MeasuredObject], now: &[MeasuredObject], shared: &[Shared]) -> (u64, u64) {
    let areas = |objects: &[MeasuredObject]| objects.iter().map(|o| (o.id, o.area)).collect();
    let overlaps: Vec<(u32, u32, u32)> =
        shared.iter().map(|&((old, new), pixels)| (old, new, pixels)).collect();
    let pairs = pairs(&overlaps, &areas(before), &areas(now), 1.0 / 3.0);
    (pairs.len() as u64, pairs.iter().filter(|(old, new)| old == new).count() as u64)
}

/// Pairs objects one to one by falling IoU; of equal ones those of smaller ids first. Overlaps are `(old, new, pixels)`
/// by rising ids.
fn pairs(
    overlaps: &[(u32, u32, u32)],
    old_areas: &BTreeMap<u32, u32>,
    new_areas: &BTreeMap<u32, u32>,
    min_iou: f64,
) -> Vec<(u32, u32)> {
    let iou = |&(old, new, pixels): &(u32, u32, u32)| {
        f64::from(pixels) / f64::from(old_areas[&old] + new_areas[&new] - pixels)
    };
    let mut by_iou: Vec<_> = overlaps.iter().map(|o| (iou(o), (o.0, o.1))).collect();
    // The sort is stable: pairs of equal IoU stay in the order of their ids.
    by_iou.sort_by(|a, b| b.0.total_cmp(&a.0));
    let (mut old_taken, mut new_taken) = (BTreeSet::new(), BTreeSet::new());
    let mut pairs = Vec::new();
    for (iou, (old, new)) in by_iou {
        if iou >= min_iou && !new_taken.contains(&new) && old_taken.insert(old) {
            new_taken.insert(new);
            pairs.push((old, new));
        }
    }
    pairs
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::arr2;

    #[test]
    fn ids_follow_objects_and_a_split_off_part_is_a_child() {
        let frames = [
            arr2(&[[5, 5, 5, 5, 0, 2, 2]]),
            arr2(&[[1, 1, 1, 4, 0, 3, 3]]),
            arr2(&[[9, 9, 9, 0, 0, 0, 0]]),
            arr2(&[[1, 1, 1, 0, 0, 8, 8]]),
        ];
        let labels = link(&frames);
        let expected =
            [[1, 1, 1, 1, 0, 2, 2], [1, 1, 1, 3, 0, 2, 2], [1, 1, 1, 0, 0, 0, 0], [1, 1, 1, 0, 0, 4, 4]];
        assert_eq!(labels.ids.iter().copied().collect::<Vec<u32>>(), expected.concat());
        assert_eq!(labels.parents, BTreeMap::from([(3, 1)]));
    }

    #[test]
    fn what_moves_further_than_it_overlaps_keeps_its_id() {
        let disc = |frame: &mut Array2<u32>, id: u32, [v, u]: [f64; 2], radius: f64| {
            for ((y, x), pixel) in frame.indexed_iter_mut() {
                if (y as f64 - v).hypot(x as f64 - u) <= radius {
                    *pixel = id;
                }
            }
        };
        let mut frames = [Array2::zeros((24, 32)), Array2::zeros((24, 32))];
        disc(&mut frames[0], 1, [8.0, 6.0], 3.0);
        disc(&mut frames[1], 5, [8.0, 12.0], 3.0);
        // One that is gone, and one that comes too far away to be the same.
        disc(&mut frames[0], 2, [18.0, 4.0], 3.0);
        disc(&mut frames[1], 6, [18.0, 26.0], 3.0);
        let labels = link(&frames);
        assert_eq!([labels.ids[[0, 8, 6]], labels.ids[[1, 8, 12]]], [1, 1]);
        assert_eq!([labels.ids[[0, 18, 4]], labels.ids[[1, 18, 26]]], [2, 3]);
        assert!(labels.parents.is_empty());
    }

    #[test]
    fn a_small_one_beside_a_large_one_is_its_bud() {
        let mut before = Array2::zeros((16, 16));
        before.slice_mut(ndarray::s![4..10, 2..8]).fill(3);
        let mut after = before.clone();
        after.slice_mut(ndarray::s![5..8, 9..12]).fill(4);
        // At the border it may have come in.
        after.slice_mut(ndarray::s![13..16, 2..4]).fill(5);
        assert_eq!(link(&[before.clone(), after]).parents, BTreeMap::from([(2, 1)]));
        // Of equal size it is no bud.
        let mut after = before.clone();
        after.slice_mut(ndarray::s![4..10, 9..15]).fill(4);
        assert!(link(&[before, after]).parents.is_empty());
    }

    #[test]
    fn no_frames_are_no_labels() {
        assert_eq!(link(&[]).ids.dim(), (0, 0, 0));
    }

    #[test]
    fn kept_ids_are_told_from_those_of_swapped_or_new_numbers() {
        let kept = |a: Array2<u32>, b: Array2<u32>| {
            let objects = |f: &Array2<u32>| measure(f.view()).objects;
            kept_ids(&objects(&a), &objects(&b), &shared(a.view(), b.view()))
        };
        let first = arr2(&[[1, 1, 1, 0, 2, 2, 2, 0, 3, 3]]);
        assert_eq!(kept(first.clone(), arr2(&[[0, 1, 1, 1, 2, 2, 0, 0, 3, 3]])), (3, 3));
        assert_eq!(kept(first.clone(), arr2(&[[2, 2, 2, 0, 1, 1, 1, 0, 3, 3]])), (3, 1));
        assert_eq!(kept(first.clone(), arr2(&[[9, 9, 9, 0, 2, 2, 0, 0, 0, 3]])), (3, 2));
        // One pixel of five is too little to say that it is the same object.
        assert_eq!(kept(first, arr2(&[[0, 0, 8, 8, 8, 0, 0, 0, 0, 0]])), (0, 0));
    }

    #[test]
    fn no_track_crosses_missing_frames_and_no_id_comes_back() {
        let frame = arr2(&[[7, 7, 0, 9]]);
        let objects = measure(frame.view()).objects;
        let mut linker = Linker::default();
        let mut add = |shared| linker.add(frame.view(), &objects, shared);
        assert_eq!(add(None), [(7, 1), (9, 2)].into());
        assert_eq!(add(None), [(7, 3), (9, 4)].into());
        assert_eq!(add(Some(&[((7, 7), 2), ((9, 9), 1)][..])), [(7, 3), (9, 4)].into());
        assert!(linker.parents().is_empty());
    }
}
