//! Which sequences are drawn together, so that a part of a run gives the same bytes as the whole.
//!
//! A convolution may round differently for another batch size or another place in the batch. So the batches follow from
//! the whole run alone: all have one size, and the last one is filled up with sequences that are discarded. A part of the
//! run draws those batches of the whole run that hold its sequences.

use std::ops::Range;

/// The batches of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Batches {
    count: u64,
    size: u64,
}

impl Batches {
    /// Returns the batches of `count` sequences, at most `most` at a time and as even as they can be: at most one
    /// sequence per batch is drawn in vain. Both are at least 1.
    pub fn new(count: u64, most: u64) -> Self {
        let n = count.div_ceil(most).max(1);
        Self { count, size: count.div_ceil(n).max(1) }
    }

    /// Returns how many there are.
    pub fn n(&self) -> u64 {
        self.count.div_ceil(self.size)
    }

    /// Returns the sequences of part `index` (from 0) of `of`: contiguous, whole batches, as many in every part as in the
    /// others or one more. With more parts than batches, sequences are dealt out instead, and a batch is drawn by every
    /// part that has a share in it. Empty where there are more parts than sequences.
    pub fn part(&self, index: u64, of: u64) -> Range<u64> {
        let even = |n: u64| index * n / of..(index + 1) * n / of;
        if self.n() < of {
            return even(self.count);
        }
        let batches = even(self.n());
        batches.start * self.size..(batches.end * self.size).min(self.count)
    }

    /// Returns batches of exactly this size without an end.
    pub fn endless(size: u64) -> Self {
        Self { count: u64::MAX, size }
    }

    /// Returns the batches that hold some of the sequences, given in rising order, with those in each.
    pub fn sorted<'a>(&self, wanted: &'a [u64]) -> impl Iterator<Item = (Range<u64>, &'a [u64])> + use<'a> {
        let size = self.size;
        wanted.chunk_by(move |a, b| a / size == b / size).map(move |wanted| {
            let batch = wanted[0] / size;
            (batch * size..(batch + 1) * size, wanted)
        })
    }

    /// Returns the batches that hold `wanted`: what to draw, and which of it is wanted.
    pub fn holding(&self, wanted: Range<u64>) -> impl Iterator<Item = (Range<u64>, Range<u64>)> + use<> {
        let size = self.size;
        let wanted = if wanted.is_empty() { 0..0 } else { wanted };
        (wanted.start / size..wanted.end.div_ceil(size)).map(move |batch| {
            let drawn = batch * size..(batch + 1) * size;
            let kept = drawn.start.max(wanted.start)..drawn.end.min(wanted.end);
            (drawn, kept)
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn batches_are_even() {
        assert_eq!(Batches::new(100, 32), Batches { count: 100, size: 25 });
        assert_eq!(Batches::new(33, 32), Batches { count: 33, size: 17 });
        assert_eq!(Batches::new(5, 32), Batches { count: 5, size: 5 });
        let drawn: Vec<_> = Batches::new(33, 32).holding(0..33).collect();
        assert_eq!(drawn, [(0..17, 0..17), (17..34, 17..33)]);
    }

    #[test]
    fn parts_are_whole_batches_unless_there_are_too_few() {
        let parts =
            |count, most, of| -> Vec<_> { (0..of).map(|i| Batches::new(count, most).part(i, of)).collect() };
        assert_eq!(parts(64, 8, 3), [0..16, 16..40, 40..64]);
        assert_eq!(parts(10, 8, 4), [0..2, 2..5, 5..7, 7..10]);
        assert_eq!(parts(2, 8, 3), [0..0, 0..1, 1..2]);
    }

    proptest! {
        #[test]
        fn parts_draw_what_the_whole_run_draws(count in 1_u64..300, most in 1_u64..40, of in 1_u64..20) {
            let batches = Batches::new(count, most);
            let whole: Vec<_> = batches.holding(0..count).collect();
            prop_assert!(whole.iter().all(|(drawn, _)| drawn.end - drawn.start <= most));
            let mut next = 0;
            for index in 0..of {
                let part = batches.part(index, of);
                prop_assert_eq!(part.start, next);
                next = part.end;
                for (drawn, kept) in batches.holding(part.clone()) {
                    prop_assert!(whole.iter().any(|(other, _)| *other == drawn));
                    prop_assert!(drawn.start <= kept.start && kept.start < kept.end && kept.end <= drawn.end);
                }
                let kept: u64 = batches.holding(part.clone()).map(|(_, kept)| kept.end - kept.start).sum();
                prop_assert_eq!(kept, part.end - part.start);
            }
            prop_assert_eq!(next, count);
        }
    }
}
