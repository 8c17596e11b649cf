//! A data set of the Cell Tracking Challenge: every sequence as one of its sequences, `01`, `02` and so on.
//!
//! A track of the challenge is there in every frame from its first to its last; an object that is gone for a while comes
//! back as another track, whose parent is the first. Divisions become parents likewise.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use ndarray::{Array2, Array3, Axis};
use serde_json::Value;

use super::tiff::{Pages, imagej, write};
use super::{Exporter, Item};
use crate::error::DataError;

/// The challenge's layout.
pub(super) struct Ctc;

/// A track: first frame, last frame, parent or 0.
type Track = (usize, usize, u32);

impl Exporter for Ctc {
    fn sequence(&self, folder: &Path, item: &Item<'_>) -> Result<Value, DataError> {
        let number = format!("{:02}", item.number + 1);
        let labels = &item.sequence.labels[&item.selection.labels[0]];
        let (ids, tracks) = contiguous(&labels.ids, &labels.parents);
        let about = imagej(1, 1, item.meta);
        let truth = folder.join(format!("{number}_GT"));
        for t in 0..item.meta.frames {
            let image = folder.join(&number).join(format!("t{t:03}.tif"));
            write(&image, &Pages::Counts(vec![item.counts(t, item.selection.channels[0])]), &about)?;
            let seg = truth.join("SEG").join(format!("man_seg{t:03}.tif"));
            let plane: Array2<u16> = item.ids_16(ids.index_axis(Axis(0), t), &seg)?;
            write(&seg, &Pages::Counts(vec![plane.view()]), &about)?;
            let tra = truth.join("TRA").join(format!("man_track{t:03}.tif"));
            write(&tra, &Pages::Counts(vec![plane.view()]), &about)?;
        }
        let lines: String = tracks
            .iter()
            .map(|(id, (begin, end, parent))| format!("{id} {begin} {end} {parent}\n"))
            .collect::<Vec<_>>()
            .concat();
        super::text(&truth.join("TRA").join("man_track.txt"), &lines)?;
        Ok(Value::Null)
    }
}

/// Returns ids of which each is there without a gap, and their tracks. `[T, H, W]`
fn contiguous(ids: &Array3<u32>, parents: &BTreeMap<u32, u32>) -> (Array3<u32>, BTreeMap<u32, Track>) {
    let there: Vec<BTreeSet<u32>> =
        ids.axis_iter(Axis(0)).map(|frame| frame.iter().copied().filter(|id| *id != 0).collect()).collect();
    let mut next = there.iter().flatten().max().map_or(1, |id| id + 1);
    let mut tracks: BTreeMap<u32, Track> = BTreeMap::new();
    // The track that an object is at the moment.
    let mut now: BTreeMap<u32, u32> = BTreeMap::new();
    let mut renamed = ids.clone();
    for (t, objects) in there.iter().enumerate() {
        for &object in objects {
            match now.get(&object).copied() {
                Some(track) if tracks[&track].1 + 1 == t => {
                    tracks.entry(track).and_modify(|track| track.1 = t);
                }
                Some(before) => {
                    tracks.insert(next, (t, t, before));
                    now.insert(object, next);
                    next += 1;
                }
                None => {
                    // A parent that is seen with its child, or never, is none to the challenge.
                    let parent = parents.get(&object).and_then(|parent| now.get(parent)).copied();
                    let parent = parent.filter(|parent| tracks[parent].1 < t).unwrap_or(0);
                    tracks.insert(object, (t, t, parent));
                    now.insert(object, object);
                }
            }
        }
        renamed.index_axis_mut(Axis(0), t).mapv_inplace(|id| now.get(&id).copied().unwrap_or(0));
    }
    // A parent that goes on after its child began is none.
    let ends: BTreeMap<u32, usize> = tracks.iter().map(|(id, track)| (*id, track.1)).collect();
    for track in tracks.values_mut() {
        if track.2 != 0 && ends[&track.2] >= track.0 {
            track.2 = 0;
        }
    }
    (renamed, tracks)
}

#[cfg(test)]
mod tests {
    use ndarray::Array3;

    use super::*;

    #[test]
    fn an_object_that_comes_back_is_another_track_and_divisions_are_kept() {
        // Object 1 divides into 2 and 3 after frame 1; object 5 is gone in frame 1.
        let frames: [&[u32]; 4] = [&[1, 5, 0], &[1, 0, 0], &[2, 5, 3], &[2, 5, 0]];
        let ids = Array3::from_shape_fn((4, 1, 3), |(t, _, x)| frames[t][x]);
        let (renamed, tracks) = contiguous(&ids, &BTreeMap::from([(2, 1), (3, 1)]));
        let expected =
            BTreeMap::from([(1, (0, 1, 0)), (2, (2, 3, 1)), (3, (2, 2, 1)), (5, (0, 0, 0)), (6, (2, 3, 5))]);
        assert_eq!(tracks, expected);
        assert_eq!(renamed[[2, 0, 1]], 6);
        assert_eq!(renamed[[0, 0, 1]], 5);
    }

    #[test]
    fn a_bud_whose_mother_goes_on_has_no_parent_here() {
        let frames: [&[u32]; 3] = [&[1, 0], &[1, 2], &[1, 2]];
        let ids = Array3::from_shape_fn((3, 1, 2), |(t, _, x)| frames[t][x]);
        let (_, tracks) = contiguous(&ids, &BTreeMap::from([(2, 1)]));
        assert_eq!(tracks, BTreeMap::from([(1, (0, 2, 0)), (2, (1, 2, 0))]));
    }
}
