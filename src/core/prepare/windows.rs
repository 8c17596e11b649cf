//! From recordings to windows of T frames: which frames, which tile of them, and which split.
//!
//! Windows of two split groups never share a frame.

use crate::error::DataError;
use crate::input::source::{Extent, Source};
use crate::plate::Split;
use crate::prepare::centres::Centres;
use crate::prepare::explain::Dropped;
use crate::prepare::placed_tiles::{Placed, on_objects, on_traps};
use crate::prepare::spans::{Span, Spans, spans};
pub use crate::prepare::tiles::Tiles;
use crate::prepare::tiles::{Corners, LEAST_SIZE, corners};

/// How windows are cut.
#[derive(Clone, Debug)]
pub struct Cut {
    /// Frames per window, T.
    pub frames: usize,
    /// Frames between the starts of two windows.
    pub stride: usize,
    /// Rows and columns of a tile.
    pub size: usize,
    /// Which tiles.
    pub tiles: Tiles,
    /// Share of the windows that show no object, in [0, 1), where tiles are placed on objects.
    pub empty: f64,
    /// Middles of tiles, where they are given.
    pub centres: Option<Centres>,
    /// Frames per block of a single movie; `None` chooses for at least nine blocks.
    pub block: Option<usize>,
    /// Seed that deals positions to splits.
    pub seed: u64,
}

impl Cut {
    /// Returns the cut of one tile of `size` pixels from the middle of each frame, T = 3.
    pub fn standard(size: usize) -> Self {
        Self {
            frames: 3,
            stride: 1,
            size,
            tiles: Tiles::Centre,
            empty: 0.0,
            centres: None,
            block: None,
            seed: 0,
        }
    }
}

/// One window: T frames of one tile of one position.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Window {
    /// Index of the position.
    pub position: usize,
    /// Index of the first frame.
    pub first_frame: usize,
    /// First row and column of the tile.
    pub corner: (usize, usize),
    /// Part of the experiment.
    pub split: Split,
    /// Leakage key.
    pub group: String,
}

/// All windows of a recording.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Windows by position, time and tile.
    pub windows: Vec<Window>,
    /// Whether the splits are blocks of one movie.
    pub single_movie: bool,
    /// Frames that no window shows.
    pub dropped_frames: usize,
    /// Why no window shows them.
    pub dropped: Dropped,
    /// What tiles were placed on, where they were.
    pub placed: Option<Placed>,
}

/// Plans the windows of a recording; where tiles are placed on what labels show, those are read.
///
/// # Errors
/// [`DataError::Setting`] where a tile does not fit the frame, no run of frames is as long as a window, or there is
/// nothing to place tiles on; [`DataError`] of a label image.
pub fn plan(source: &dyn Source, cut: &Cut) -> Result<Plan, DataError> {
    let extent = source.extent();
    let place = match cut.tiles {
        Tiles::Grid | Tiles::Centre => return plan_fixed(&extent, cut),
        Tiles::Objects => on_objects,
        Tiles::Trap => on_traps,
    };
    check(&extent, cut)?;
    let spans = spans(&extent, cut)?;
    let (corners, placed) = place(source, &spans.all, cut)?;
    Ok(Plan { placed: Some(placed), ..windows(spans, &corners, cut.frames) })
}

/// Plans the windows of a recording whose tiles are the same in all frames.
///
/// # Errors
/// As [`plan`].
pub(super) fn plan_fixed(extent: &Extent, cut: &Cut) -> Result<Plan, DataError> {
    check(extent, cut)?;
    let corners = Corners::Same(corners(extent.size, cut.size, cut.tiles));
    Ok(windows(spans(extent, cut)?, &corners, cut.frames))
}

/// Cuts the tiles of every span.
fn windows(spans: Spans, corners: &Corners, frames: usize) -> Plan {
    let Spans { all: spans, single_movie, mut dropped } = spans;
    let mut windows = Vec::new();
    // Frames of spans, and of those that have a tile, each once.
    let (mut every, mut shown) = (Ends::default(), Ends::default());
    for span in spans {
        let corners = corners.of(&span);
        every.add(&span, frames);
        if !corners.is_empty() {
            shown.add(&span, frames);
        }
        let Span { position, first_frame, split, group } = span;
        windows.extend(corners.iter().map(|&corner| Window {
            position,
            first_frame,
            corner,
            split,
            group: group.clone(),
        }));
    }
    dropped.without_tile = every.frames - shown.frames;
    Plan { windows, single_movie, dropped_frames: dropped.total(), dropped, placed: None }
}

/// Counts frames of spans that come by position and time.
#[derive(Default)]
struct Ends {
    position: usize,
    end: usize,
    frames: usize,
}

impl Ends {
    fn add(&mut self, span: &Span, frames: usize) {
        if span.position != self.position {
            (self.position, self.end) = (span.position, 0);
        }
        let end = span.first_frame + frames;
        self.frames += end - self.end.max(span.first_frame);
        self.end = end;
    }
}

fn check(extent: &Extent, cut: &Cut) -> Result<(), DataError> {
    let setting = |field, found: usize, expected: String| DataError::Setting {
        field,
        found: found.to_string(),
        expected,
    };
    let side = extent.size.0.min(extent.size.1);
    if cut.frames == 0 {
        return Err(setting("--frames", 0, "at least 1".into()));
    }
    if cut.stride == 0 {
        return Err(setting("--stride", 0, "at least 1".into()));
    }
    if !cut.size.is_power_of_two() || cut.size < LEAST_SIZE {
        return Err(setting("--size", cut.size, "a power of two from 8 on".into()));
    }
    if cut.size > side {
        let (h, w) = extent.size;
        return Err(setting("--size", cut.size, format!("at most {side}, as frames are {w} x {h} pixels")));
    }
    if let Some(block) = cut.block.filter(|&b| b < cut.frames) {
        return Err(setting("--block", block, format!("at least the {} frames of a window", cut.frames)));
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::single_range_in_vec_init)] // a position with one run of frames
mod tests {
    use std::collections::{BTreeMap, BTreeSet};
    use std::ops::Range;

    use proptest::prelude::*;

    use super::{plan_fixed as plan, *};
    use crate::prepare::tiles::coverage;

    fn cut(frames: usize) -> Cut {
        Cut { frames, ..Cut::standard(8) }
    }

    fn movie(frames: usize) -> Extent {
        Extent { positions: vec![("movie".into(), vec![0..frames])], size: (8, 8) }
    }

    #[test]
    fn a_hundred_frames_become_nine_blocks_of_eight() {
        let plan = plan(&movie(100), &cut(3)).unwrap();
        let groups: BTreeSet<&str> = plan.windows.iter().map(|w| w.group.as_str()).collect();
        assert_eq!(groups.len(), 9);
        assert!(plan.single_movie);
        assert_eq!(plan.windows[6].first_frame, 11);
        assert_eq!(plan.windows[6].split, Split::Val);
        assert_eq!((plan.windows.len(), plan.dropped_frames), (9 * 6, 100 - 9 * 8));
    }

    #[test]
    fn short_movies_have_a_test_block_before_a_val_block() {
        let splits = |frames| -> Vec<Split> {
            let set: BTreeSet<Split> =
                plan(&movie(frames), &cut(3)).unwrap().windows.iter().map(|w| w.split).collect();
            set.into_iter().collect()
        };
        assert_eq!(splits(5), [Split::Train]);
        assert_eq!(splits(9), [Split::Train, Split::Test]);
        assert_eq!(splits(15), [Split::Train, Split::Val, Split::Test]);
    }

    #[test]
    fn windows_do_not_cross_a_missing_frame() {
        let extent = Extent {
            positions: vec![("a".into(), vec![0..5, 6..12]), ("b".into(), vec![0..12])],
            size: (8, 8),
        };
        let plan = plan(&extent, &cut(3)).unwrap();
        assert!(
            plan.windows
                .iter()
                .filter(|w| w.position == 0)
                .all(|w| w.first_frame + 3 <= 5 || w.first_frame >= 6)
        );
    }

    #[test]
    fn a_position_without_a_window_leaves_no_split_empty() {
        let run = |name: &str, n: usize| (name.to_owned(), vec![0..n]);
        for seed in 0..20 {
            let extent =
                Extent { positions: vec![run("a", 2), run("b", 6), run("c", 2), run("d", 6)], size: (8, 8) };
            let plan = plan(&extent, &Cut { seed, ..cut(3) }).unwrap();
            let splits: BTreeSet<Split> = plan.windows.iter().map(|w| w.split).collect();
            assert_eq!(splits.into_iter().collect::<Vec<_>>(), [Split::Train, Split::Test]);
            assert_eq!((plan.dropped.short_runs, plan.dropped.without_window.len()), (4, 2));
        }
        // What is left of several positions may be one movie.
        let extent = Extent { positions: vec![run("a", 2), run("b", 20)], size: (8, 8) };
        let plan = plan(&extent, &cut(3)).unwrap();
        assert!(plan.single_movie && plan.windows.iter().all(|w| w.group.starts_with("b/block-")));
    }

    #[test]
    fn settings_that_do_not_fit_are_named() {
        for (cut, part) in [
            (Cut { size: 16, ..cut(3) }, "--size: is 16, expected at most 8"),
            (Cut { size: 12, ..cut(3) }, "power of two"),
            (Cut { stride: 0, ..cut(3) }, "--stride"),
            (Cut { block: Some(2), ..cut(3) }, "--block"),
            (cut(30), "--frames: is 30, expected at most the 20"),
        ] {
            let error = plan(&movie(20), &cut).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
    }

    proptest! {
        #[test]
        fn windows_of_two_groups_share_no_frame(
            frames in 1_usize..7, stride in 1_usize..6, seed in any::<u64>(), grid in any::<bool>(),
            lengths in prop::collection::vec((1_usize..60, 0_usize..4, 0_usize..30), 1..7),
            block in prop::option::of(0_usize..12), size in (8_usize..40, 8_usize..40),
        ) {
            let positions: Vec<_> = lengths
                .iter()
                .enumerate()
                .map(|(i, &(a, pause, b))| (format!("p{i}"), vec![0..a, a + pause..a + pause + b]))
                .collect();
            let usable = |(_, runs): &&(String, Vec<Range<usize>>)| runs.iter().any(|run| run.len() >= frames);
            let count = positions.iter().filter(usable).count();
            let extent = Extent { positions: positions.clone(), size };
            let tiles = if grid { Tiles::Grid } else { Tiles::Centre };
            let block = block.map(|b| b + frames);
            let cut = Cut { frames, stride, tiles, block, seed, ..Cut::standard(8) };
            let Ok(plan) = plan(&extent, &cut) else { return Ok(()) };
            let mut owner: BTreeMap<(usize, usize), (&str, Split)> = BTreeMap::new();
            for w in &plan.windows {
                prop_assert!(w.corner.0 + 8 <= size.0 && w.corner.1 + 8 <= size.1);
                let window = w.first_frame..w.first_frame + frames;
                let runs = &positions[w.position].1;
                prop_assert!(runs.iter().any(|r| r.start <= window.start && window.end <= r.end));
                for t in window {
                    let owner = *owner.entry((w.position, t)).or_insert((&w.group, w.split));
                    prop_assert_eq!(owner, (w.group.as_str(), w.split));
                }
            }
            // Blocks of one movie keep T frames between them.
            if count == 1 {
                for (&(position, t), a) in &owner {
                    for ahead in 1..=frames {
                        if let Some(b) = owner.get(&(position, t + ahead)) {
                            prop_assert_eq!(a, b);
                        }
                    }
                }
            }
            let total: usize = positions.iter().flat_map(|(_, r)| r).map(ExactSizeIterator::len).sum();
            prop_assert_eq!(plan.dropped_frames, total - owner.len());
            prop_assert_eq!(plan.single_movie, count == 1);
            // No part of a plan is empty for a position that is too short.
            let has = |split| plan.windows.iter().any(|w| w.split == split);
            prop_assert!(has(Split::Train) && (count < 2 || has(Split::Test)) && (count < 3 || has(Split::Val)));
            prop_assert_eq!(plan.dropped.total(), plan.dropped_frames);
            // Every pixel of a frame that is shown is in a tile of a grid.
            if grid {
                prop_assert_eq!(coverage(size, 8, tiles), 1.0);
                let (position, first) = (plan.windows[0].position, plan.windows[0].first_frame);
                let shows = |w: &&Window| (w.position, w.first_frame) == (position, first);
                let corners: Vec<_> = plan.windows.iter().filter(shows).map(|w| w.corner).collect();
                for (y, x) in (0..size.0).flat_map(|y| (0..size.1).map(move |x| (y, x))) {
                    let inside = |&(top, left): &(usize, usize)| {
                        (top..top + 8).contains(&y) && (left..left + 8).contains(&x)
                    };
                    prop_assert!(corners.iter().any(inside), "{y} {x}");
                }
            }
        }
    }
}
