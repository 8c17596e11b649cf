//! Tracks: the label images of consecutive frames with one id per object.

use std::collections::BTreeMap;

use ndarray::{Array2, Array3, ArrayView2, Axis};

use crate::data::plate::Labels;

/// Smallest IoU of an object in two consecutive frames. Lower than for matching against a truth: cells move and grow.
const MIN_IOU: f64 = 0.1;
/// Share of a new object that must lie on an older one to be its child.
const MIN_CHILD_SHARE: f64 = 0.5;

/// Returns frames of independent labels as one tracked label image, ids from 1 in order of appearance.
///
/// Objects of two frames are paired one to one by falling IoU. What stays unpaired is new; where at least half of it
/// lies on an object of the frame before, that object is its parent (which keeps its own id, as a budding mother does).
/// An object that is missing in one frame comes back with a new id.
///
/// # Shapes
/// `T` frames `[H, W]` of one size; result `[T, H, W]`.
///
/// # Panics
/// If the frames differ in size.
pub fn link(frames: &[Array2<u32>]) -> Labels {
    let (height, width) = frames.first().map_or((0, 0), Array2::dim);
    let mut ids = Array3::zeros((frames.len(), height, width));
    let mut parents = BTreeMap::new();
    let mut last_id = 0;
    for (t, frame) in frames.iter().enumerate() {
        let mut new_ids = BTreeMap::new();
        if t > 0 {
            let before: ArrayView2<u32> = ids.index_axis(Axis(0), t - 1);
            link_pair(before, frame.view(), &mut new_ids, &mut parents, &mut last_id);
        }
        for &id in frame.iter().filter(|&&id| id != 0) {
            new_ids.entry(id).or_insert_with(|| {
                last_id += 1;
                last_id
            });
        }
        ids.index_axis_mut(Axis(0), t).assign(&frame.mapv(|id| new_ids.get(&id).copied().unwrap_or(0)));
    }
    Labels { ids, parents }
}

/// Fills `new_ids` (id in this frame to tracked id) for all objects that continue or descend from an older one.
fn link_pair(
    before: ArrayView2<u32>,
    now: ArrayView2<u32>,
    new_ids: &mut BTreeMap<u32, u32>,
    parents: &mut BTreeMap<u32, u32>,
    last_id: &mut u32,
) {
    let (mut old_area, mut new_area) = (BTreeMap::new(), BTreeMap::new());
    let mut shared: BTreeMap<(u32, u32), u32> = BTreeMap::new();
    for (&old, &new) in before.iter().zip(now) {
        *old_area.entry(old).or_insert(0_u32) += 1;
        *new_area.entry(new).or_insert(0_u32) += 1;
        if old != 0 && new != 0 {
            *shared.entry((old, new)).or_insert(0) += 1;
        }
    }
    let iou = |(old, new): (u32, u32), area: u32| {
        f64::from(area) / f64::from(old_area[&old] + new_area[&new] - area)
    };
    let mut pairs: Vec<_> = shared.iter().map(|(&pair, &area)| (iou(pair, area), pair)).collect();
    // The sort is stable: pairs of equal IoU stay in the order of their ids.
    pairs.sort_by(|a, b| b.0.total_cmp(&a.0));
    let mut continued = std::collections::BTreeSet::new();
    for (iou, (old, new)) in pairs {
        if iou >= MIN_IOU && !new_ids.contains_key(&new) && continued.insert(old) {
            new_ids.insert(new, old);
        }
    }
    for (&(old, new), &area) in &shared {
        if f64::from(area) >= MIN_CHILD_SHARE * f64::from(new_area[&new]) && !new_ids.contains_key(&new) {
            *last_id += 1;
            new_ids.insert(new, *last_id);
            parents.insert(*last_id, old);
        }
    }
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
    fn no_frames_are_no_labels() {
        assert_eq!(link(&[]).ids.dim(), (0, 0, 0));
    }
}
