//! Tracks of the phantom, taken off and found again.

use std::collections::BTreeMap;

use lapsegan_core::input::source::Source;
use lapsegan_core::labels::link::link;
use lapsegan_core::phantom::{LABELS, Phantom};
use ndarray::{Array2, ArrayView2, Axis};

/// Returns a frame with other ids, as a program gives that looks at one frame at a time.
fn anonymous(frame: ArrayView2<u32>) -> Array2<u32> {
    frame.mapv(|id| if id == 0 { 0 } else { 1000 - id })
}

#[test]
fn moves_are_followed_and_most_buds_get_their_mother() {
    let phantom = Phantom { positions: 60, frames_per_position: 12, size: 32 };
    let recording = phantom.simulate(3);
    let (mut links, mut right, mut buds, mut given, mut with_mother) = (0, 0, 0, 0, 0);
    for position in 0..phantom.positions {
        let truth = &recording.load(position, 0..12, None).unwrap().labels[LABELS[0]];
        let mothers = recording.parents(position, LABELS[0]);
        // Windows of three frames, as sequences are.
        for start in (0..12).step_by(3) {
            let window = truth.slice_axis(Axis(0), (start..start + 3).into());
            let frames: Vec<Array2<u32>> = window.outer_iter().map(anonymous).collect();
            let found = link(&frames);
            let track_of = |t: usize| -> BTreeMap<u32, u32> {
                let (ids, tracks) = (window.index_axis(Axis(0), t), found.ids.index_axis(Axis(0), t));
                let pixels = ids.iter().copied().zip(tracks.iter().copied());
                pixels.filter(|(id, _)| *id != 0).collect()
            };
            for t in 1..3 {
                let (before, now) = (track_of(t - 1), track_of(t));
                for (id, track) in &now {
                    if let Some(earlier) = before.get(id) {
                        (links, right) = (links + 1, right + usize::from(earlier == track));
                        continue;
                    }
                    let parent = found.parents.get(track);
                    given += usize::from(parent.is_some());
                    if let Some(mother) = mothers.get(id).and_then(|mother| before.get(mother)) {
                        (buds, with_mother) = (buds + 1, with_mother + usize::from(parent == Some(mother)));
                    }
                }
            }
        }
    }
    println!("{right} of {links} links; {with_mother} of {buds} buds have their mother, {given} have one");
    assert!(links > 1000 && buds > 50, "{links} links, {buds} buds");
    assert_eq!(right, links);
    assert!(with_mother * 100 >= buds * 80 && given * 100 <= with_mother * 105);
}
