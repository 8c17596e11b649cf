//! Says in words why a plan shows less than the recording holds.

use crate::input::source::Extent;
use crate::prepare::spans::blocks;
use crate::prepare::windows::Cut;

/// Share of a recording's frames that may be dropped before it is a warning.
const MANY: f64 = 0.34;
/// Names that are listed before it is said how many more there are.
const MOST_NAMES: usize = 3;

/// Frames that no window shows, by cause.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dropped {
    /// Positions without any window, as none of their runs of frames is long enough.
    pub without_window: Vec<String>,
    /// Frames in runs shorter than a window.
    pub short_runs: usize,
    /// Frames in the gaps between blocks of a single movie, and behind the last one.
    pub between_blocks: usize,
    /// Frames that `--stride` passes over.
    pub passed_over: usize,
    /// Frames in which there is nothing to place a tile on.
    pub without_tile: usize,
}

impl Dropped {
    /// Returns what windows of `frames` frames cannot show of a recording, however they are cut.
    pub(super) fn of_short_runs(extent: &Extent, frames: usize) -> Self {
        let mut dropped = Self::default();
        for (name, runs) in &extent.positions {
            dropped.short_runs +=
                runs.iter().map(ExactSizeIterator::len).filter(|&n| n < frames).sum::<usize>();
            if runs.iter().all(|run| run.len() < frames) {
                dropped.without_window.push(name.clone());
            }
        }
        dropped
    }

    /// Returns how many there are.
    pub fn total(&self) -> usize {
        self.short_runs + self.between_blocks + self.passed_over + self.without_tile
    }

    /// Returns a sentence on them and whether it is a warning; `None` where nothing was dropped.
    pub fn sentence(&self, extent: &Extent, cut: &Cut) -> Option<(String, bool)> {
        let all = frames(extent);
        let t = cut.frames;
        let mut causes = Vec::new();
        if self.between_blocks > 0 {
            causes.push(format!(
                "{} between blocks of the movie, which are {t} frames apart so that no split sees frames of another (a \
                 longer movie or more positions lose less)",
                self.between_blocks
            ));
        }
        if self.passed_over > 0 {
            causes.push(format!("{} passed over by --stride {}", self.passed_over, cut.stride));
        }
        if self.without_tile > 0 {
            causes.push(format!("{} show nothing to place a tile on", self.without_tile));
        }
        if self.short_runs > 0 {
            let names = &self.without_window[..self.without_window.len().min(MOST_NAMES)];
            let more = self.without_window.len() - names.len();
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            let whole =
                if names.is_empty() { String::new() } else { format!(", all of {}{more}", names.join(", ")) };
            causes.push(format!("{} in runs of fewer than --frames {t}{whole}", self.short_runs));
        }
        if causes.is_empty() {
            return None;
        }
        let sentence = format!("{} of {all} frames are in no sequence: {}", self.total(), causes.join("; "));
        let many = self.total() as f64 > MANY * all as f64 || !self.without_window.is_empty();
        Some((sentence, many))
    }
}

/// Returns why there is no test part: its frames show nothing to place a tile on, or a single movie is one block, for
/// one of three reasons.
pub fn no_test_part(extent: &Extent, cut: &Cut, without_tile: usize) -> String {
    if without_tile > 0 {
        return format!(
            "there is no test part: its frames are among the {without_tile} that show nothing to place a tile on; \
             another --seed deals positions to other parts"
        );
    }
    let (all, t) = (frames(extent), cut.frames);
    let several = |block| {
        let cut = Cut { block, ..cut.clone() };
        extent.positions.iter().any(|(_, runs)| blocks(runs, &cut).len() > 1)
    };
    if let Some(block) = cut.block.filter(|_| several(None)) {
        return format!(
            "--block {block} makes one block of the movie's {all} frames, so there is no test part: all sequences are \
             for training; leave --block out, or lower it"
        );
    }
    let need = 3 * t;
    if all >= need {
        let runs = extent.positions.iter().flat_map(|(_, runs)| runs).map(ExactSizeIterator::len);
        return format!(
            "there is no test part, all sequences are for training: of the movie's {all} frames at most {} follow each \
             other without a gap, and two blocks of {t} frames with {t} between them need {need}",
            runs.max().unwrap_or(0)
        );
    }
    format!(
        "the movie is too short for a test part, all sequences are for training: it has {all} frames, and two blocks of \
         {t} frames with {t} between them need {need}"
    )
}

fn frames(extent: &Extent) -> usize {
    extent.positions.iter().flat_map(|(_, runs)| runs).map(ExactSizeIterator::len).sum()
}

#[cfg(test)]
#[allow(clippy::single_range_in_vec_init)] // a position with one run of frames
mod tests {
    use std::ops::Range;

    use super::*;
    use crate::prepare::windows::{Tiles, plan_fixed as plan};

    fn cut(stride: usize, block: Option<usize>) -> Cut {
        Cut { stride, block, tiles: Tiles::Grid, ..Cut::standard(8) }
    }

    fn recording(positions: &[&[Range<usize>]]) -> Extent {
        let names = ["a", "b", "c", "d"];
        let positions =
            names.iter().zip(positions).map(|(n, runs)| ((*n).to_owned(), runs.to_vec())).collect();
        Extent { positions, size: (8, 8) }
    }

    #[test]
    fn dropped_frames_are_told_by_their_cause() {
        let sentence = |extent: &Extent, cut: Cut| plan(extent, &cut).unwrap().dropped.sentence(extent, &cut);
        let (text, many) = sentence(&recording(&[&[0..20]]), cut(1, None)).unwrap();
        assert!(text.starts_with("11 of 20 frames are in no sequence: 11 between blocks") && many, "{text}");
        let (text, many) = sentence(&recording(&[&[0..8], &[0..6], &[0..9]]), cut(3, None)).unwrap();
        assert_eq!(
            (text.as_str(), many),
            ("2 of 23 frames are in no sequence: 2 passed over by --stride 3", false)
        );
        let (text, many) =
            sentence(&recording(&[&[0..20], &[0..20, 22..24], &[0..2]]), cut(1, None)).unwrap();
        assert!(text.ends_with("4 in runs of fewer than --frames 3, all of c") && many, "{text}");
        assert_eq!(sentence(&recording(&[&[0..9], &[0..9]]), cut(1, None)), None);
    }

    #[test]
    fn a_missing_test_part_has_its_true_reason() {
        for (runs, block, part) in [
            (&[0..8][..], None, "too short for a test part, all sequences are for training: it has 8 frames"),
            (&[0..60], Some(58), "--block 58 makes one block of the movie's 60 frames"),
            (&[0..4, 5..7, 8..10, 11..13, 20..22], None, "at most 4 follow each other without a gap"),
        ] {
            let extent = recording(&[runs]);
            let cut = cut(1, block);
            let plan = plan(&extent, &cut).unwrap();
            assert!(plan.windows.iter().all(|w| w.split == crate::plate::Split::Train));
            let reason = no_test_part(&extent, &cut, 0);
            assert!(reason.contains(part), "{reason}");
        }
        assert!(no_test_part(&recording(&[&[0..8]]), &cut(1, Some(5)), 0).contains("too short"));
    }
}
