//! From the times of frames to their indices: frames follow each other at one step, and what is longer is a gap.

use std::collections::BTreeMap;

/// The times of all positions, as indices.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Timeline {
    /// Time from one frame to the next, in the unit of the times.
    pub(super) step: i64,
    /// Index of every time, position by position; 0 is the first of each position.
    pub(super) indices: Vec<Vec<usize>>,
    /// Shortest and longest time between two frames that are not apart by a gap, where they differ much.
    pub(super) irregular: Option<(i64, i64)>,
}

/// Share of a step by which frames may come early or late.
const TOLERANCE: f64 = 0.25;

/// Returns the step of some times in order, position by position, and the index of every time.
///
/// The step is the most frequent time between two frames, where at least half are so far apart, else the median.
pub(super) fn timeline(positions: &[Vec<i64>]) -> Timeline {
    let mut steps: Vec<i64> =
        positions.iter().flat_map(|times| times.windows(2).map(|pair| pair[1] - pair[0])).collect();
    steps.sort_unstable();
    let mut counts: BTreeMap<i64, usize> = BTreeMap::new();
    for step in &steps {
        *counts.entry(*step).or_default() += 1;
    }
    let usual = counts.iter().rev().max_by_key(|(_, n)| **n).filter(|(_, n)| 2 * **n >= steps.len());
    let median = steps.get((steps.len().saturating_sub(1)) / 2).copied();
    let step = usual.map(|(step, _)| *step).or(median).unwrap_or(1).max(1);
    let whole = |between: i64| (between as f64 / step as f64).round().max(1.0);
    let off = |between: i64| (between as f64 / step as f64 - whole(between)).abs();
    let close: Vec<i64> = steps.iter().copied().filter(|s| whole(*s) < 2.0).collect();
    let irregular = match (close.first(), close.last()) {
        (Some(&a), Some(&b)) if off(a) > TOLERANCE || off(b) > TOLERANCE => Some((a, b)),
        _ => None,
    };
    let indices = positions
        .iter()
        .map(|times| {
            let mut at = 0;
            let mut indices: Vec<usize> = times.first().map(|_| 0).into_iter().collect();
            for pair in times.windows(2) {
                at += whole(pair[1] - pair[0]) as usize;
                indices.push(at);
            }
            indices
        })
        .collect();
    Timeline { step, indices, irregular }
}

/// Returns the median time from one frame to the next, of times by frame number; `None` where it is not above 0.
pub(super) fn median_step(times: &BTreeMap<i64, f64>) -> Option<f64> {
    let pairs = times.iter().zip(times.iter().skip(1));
    let mut steps: Vec<f64> = pairs.map(|((a, at), (b, bt))| (bt - at) / (b - a) as f64).collect();
    steps.sort_by(f64::total_cmp);
    steps.get(steps.len() / 2).copied().filter(|step| step.is_finite() && *step > 0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(times: &[i64]) -> (i64, Vec<usize>) {
        let found = timeline(&[times.to_vec()]);
        (found.step, found.indices[0].clone())
    }

    #[test]
    fn pauses_are_gaps_however_long() {
        assert_eq!(of(&[0, 1, 2, 3, 4, 20, 21, 22]), (1, vec![0, 1, 2, 3, 4, 20, 21, 22]));
        assert_eq!(of(&[10, 20, 40, 50]), (10, vec![0, 1, 3, 4]));
        assert_eq!(of(&[7]), (1, vec![0]));
        assert_eq!(of(&[3, 9_000_000]), (8_999_997, vec![0, 1]));
        assert_eq!(timeline(&[]).step, 1);
    }

    #[test]
    fn clocks_may_be_early_or_late() {
        let found = timeline(&[vec![0, 601, 1199, 1801, 2400, 3001]]);
        assert_eq!((found.indices[0].as_slice(), found.irregular), (&[0, 1, 2, 3, 4, 5][..], None));
        let found = timeline(&[vec![0, 600, 1200, 1500, 2100, 2700]]);
        assert_eq!(found.irregular, Some((300, 600)));
    }

    #[test]
    fn the_median_step_passes_over_pauses_and_late_frames() {
        let of = |times: &[(i64, f64)]| median_step(&times.iter().copied().collect());
        assert_eq!(of(&[(0, 0.0), (1, 5.0), (2, 10.0), (3, 99.0)]), Some(5.0));
        assert_eq!(of(&[(0, 0.0), (4, 20.0)]), Some(5.0));
        assert_eq!((of(&[(0, 3.0)]), of(&[(0, 1.0), (1, 1.0)])), (None, None));
    }

    #[test]
    fn the_step_is_that_of_all_positions() {
        let found = timeline(&[vec![0, 4], vec![0, 2, 4, 6], vec![5]]);
        assert_eq!((found.step, found.indices), (2, vec![vec![0, 2], vec![0, 1, 2, 3], vec![0]]));
    }
}
