//! Which frames become windows, and to which split they belong; where in the frame tiles are cut is not known here.
//!
//! Several positions are split by position; a single movie is split into blocks of time with a gap between them.

use std::ops::Range;

use rand::seq::SliceRandom;

use crate::error::DataError;
use crate::input::source::Extent;
use crate::plate::Split;
use crate::prepare::explain::Dropped;
use crate::prepare::windows::Cut;
use crate::seed::{self, Stream};

/// T frames of one position, from which tiles are cut.
#[derive(Clone, Debug)]
pub(super) struct Span {
    /// Index of the position.
    pub position: usize,
    /// Index of the first frame.
    pub first_frame: usize,
    /// Part of the experiment.
    pub split: Split,
    /// Leakage key.
    pub group: String,
}

/// All spans of a recording, by position and time.
#[derive(Debug)]
pub(super) struct Spans {
    /// By position and time.
    pub all: Vec<Span>,
    /// Whether the splits are blocks of one movie.
    pub single_movie: bool,
    /// Frames that are in no span, by cause.
    pub dropped: Dropped,
}

/// Chooses the spans of a recording.
///
/// # Errors
/// [`DataError::Setting`] where no run of frames is as long as a window.
pub(super) fn spans(extent: &Extent, cut: &Cut) -> Result<Spans, DataError> {
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
        let long =
            extent.positions[usable[0]].1.iter().map(ExactSizeIterator::len).filter(|&n| n >= cut.frames);
        dropped.between_blocks =
            long.sum::<usize>() - parts.iter().map(|(_, block, ..)| block.len()).sum::<usize>();
    }
    let mut spans = Vec::new();
    for (position, frames, split, group) in parts {
        if frames.len() >= cut.frames {
            dropped.passed_over += frames.len();
        }
        let starts = (frames.start..frames.end).step_by(cut.stride).filter(|s| s + cut.frames <= frames.end);
        let mut end = 0;
        for first_frame in starts {
            dropped.passed_over -= first_frame + cut.frames - end.max(first_frame);
            end = first_frame + cut.frames;
            spans.push(Span { position, first_frame, split, group: group.clone() });
        }
    }
    if spans.is_empty() {
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
    Ok(Spans { all: spans, single_movie, dropped })
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
mod tests {
    use super::*;

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
}
