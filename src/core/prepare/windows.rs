//! From recordings to windows of T frames: which frames, which tile of them, and which split.
//!
//! Windows of two split groups never share a frame. Several positions are split by position; a single movie is split
//! into blocks of time with a gap between them.

use std::ops::Range;

use rand::seq::SliceRandom;

use crate::error::DataError;
use crate::input::source::Extent;
use crate::plate::Split;
use crate::prepare::explain::Dropped;
pub use crate::prepare::tiles::Tiles;
use crate::prepare::tiles::{LEAST_SIZE, corners};
use crate::seed::{self, Stream};

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
    /// Frames per block of a single movie; `None` chooses for at least nine blocks.
    pub block: Option<usize>,
    /// Seed that deals positions to splits.
    pub seed: u64,
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
}

/// Plans the windows of a recording.
///
/// # Errors
/// [`DataError::Setting`] where a tile does not fit the frame, or no run of frames is as long as a window.
pub fn plan(extent: &Extent, cut: &Cut) -> Result<Plan, DataError> {
    check(extent, cut)?;
    let corners = corners(extent.size, cut.size, cut.tiles);
    // A position without a run as long as a window has no part in the splits: it would leave one of them empty.
    let usable: Vec<usize> = (0..extent.positions.len())
        .filter(|&i| extent.positions[i].1.iter().any(|run| run.len() >= cut.frames))
        .collect();
    let single_movie = usable.len() == 1;
    // (position, frames, split, group); a group may have several parts where frames are missing.
    let mut parts: Vec<(usize, Range<usize>, Split, String)> = Vec::new();
    if single_movie {
        let (name, runs) = &extent.positions[usable[0]];
        for (i, (block, split)) in blocks(runs, cut).into_iter().enumerate() {
            parts.push((usable[0], block, split, format!("{name}/block-{i:02}")));
        }
    } else {
        let splits = deal(usable.len(), cut.seed);
        for (&position, split) in usable.iter().zip(splits) {
            let (name, runs) = &extent.positions[position];
            parts.extend(runs.iter().map(|run| (position, run.clone(), split, name.clone())));
        }
    }
    let mut dropped = Dropped::of_short_runs(extent, cut.frames);
    if single_movie {
        dropped.between_blocks = extent.positions[usable[0]]
            .1
            .iter()
            .map(ExactSizeIterator::len)
            .filter(|&n| n >= cut.frames)
            .sum::<usize>()
            - parts.iter().map(|(_, block, ..)| block.len()).sum::<usize>();
    }
    let mut windows = Vec::new();
    for (position, frames, split, group) in parts {
        let starts: Vec<usize> =
            (frames.start..frames.end).step_by(cut.stride).filter(|s| s + cut.frames <= frames.end).collect();
        if frames.len() >= cut.frames {
            dropped.passed_over += frames.len();
        }
        let mut end = 0;
        for first_frame in starts {
            dropped.passed_over -= first_frame + cut.frames - end.max(first_frame);
            end = first_frame + cut.frames;
            windows.extend(corners.iter().map(|&corner| Window {
                position,
                first_frame,
                corner,
                split,
                group: group.clone(),
            }));
        }
    }
    if windows.is_empty() {
        let longest = extent.positions.iter().flat_map(|(_, runs)| runs).map(ExactSizeIterator::len).max();
        return Err(DataError::Setting {
            field: "--frames",
            found: cut.frames.to_string(),
            expected: format!(
                "at most the {} consecutive frames that the recording has",
                longest.unwrap_or(0)
            ),
        });
    }
    Ok(Plan { windows, single_movie, dropped_frames: dropped.total(), dropped })
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

/// Returns the blocks of a single movie, in time order, none closer than T frames to another.
pub(super) fn blocks(runs: &[Range<usize>], cut: &Cut) -> Vec<(Range<usize>, Split)> {
    let gap = cut.frames;
    let total: usize = runs.iter().map(ExactSizeIterator::len).sum();
    // n blocks and n - 1 gaps: nine of them where the movie allows.
    let length = cut.block.unwrap_or_else(|| (total.saturating_sub(8 * gap) / 9).max(cut.frames));
    let mut blocks = Vec::new();
    let mut free = 0;
    for run in runs {
        // The gap is counted in frame numbers, so that missing frames do not shorten it.
        let mut start = run.start.max(free);
        while start + cut.frames <= run.end {
            let end = (start + length).min(run.end);
            blocks.push(start..end);
            start = end + gap;
            free = start;
        }
    }
    let count = blocks.len();
    blocks.into_iter().enumerate().map(|(i, block)| (block, pattern(i, count))).collect()
}

fn pattern(index: usize, count: usize) -> Split {
    match (count, index % 4) {
        (2, 1) | (3, 2) | (_, 3) => Split::Test,
        (_, 1) => Split::Val,
        _ => Split::Train,
    }
}

/// Deals positions to splits: about 60 % train, 20 % val, 20 % test, at least one each while there are enough.
fn deal(count: usize, seed: u64) -> Vec<Split> {
    let fifth = (count as f64 * 0.2).round().max(1.0) as usize;
    let test = fifth.min(count.saturating_sub(1));
    let val = if count >= 3 { fifth.min(count - 1 - test) } else { 0 };
    let mut order: Vec<usize> = (0..count).collect();
    order.shuffle(&mut seed::rng(Stream::Splits, &[seed]));
    let mut splits = vec![Split::Train; count];
    for (rank, &position) in order.iter().enumerate() {
        if rank < test {
            splits[position] = Split::Test;
        } else if rank < test + val {
            splits[position] = Split::Val;
        }
    }
    splits
}

#[cfg(test)]
#[allow(clippy::single_range_in_vec_init)] // a position with one run of frames
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use proptest::prelude::*;

    use super::*;
    use crate::prepare::tiles::coverage;

    fn cut(frames: usize) -> Cut {
        Cut { frames, stride: 1, size: 8, tiles: Tiles::Centre, block: None, seed: 0 }
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
    fn positions_stay_whole_and_the_seed_deals_them() {
        let count = |splits: &[Split], split| splits.iter().filter(|&&s| s == split).count();
        for (n, expected) in [(2, (1, 0, 1)), (3, (1, 1, 1)), (5, (3, 1, 1)), (24, (14, 5, 5))] {
            let splits = deal(n, 3);
            assert_eq!(
                (count(&splits, Split::Train), count(&splits, Split::Val), count(&splits, Split::Test)),
                expected
            );
            assert_eq!(splits, deal(n, 3));
        }
        assert_ne!(deal(24, 3), deal(24, 4));
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
            let cut = Cut { frames, stride, size: 8, tiles, block: block.map(|b| b + frames), seed };
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
