//! Random draws of the metrics. Each is independent of the others, so that one more set or channel changes no other
//! number.

use std::collections::BTreeSet;

use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use crate::seed::{self, Stream};

/// Returns the random numbers of a stream in a draw; `index` tells sets or channels apart.
pub fn keyed_rng(seed: u64, stream: Stream, draw: usize, index: usize) -> ChaCha8Rng {
    seed::rng(stream, &[seed, draw as u64, index as u64])
}

/// Returns `count` of `0..available` in rising order, without repetition; all of them where `count` is not below.
pub fn pick(rng: &mut ChaCha8Rng, available: usize, count: usize) -> Vec<usize> {
    if count >= available {
        return (0..available).collect();
    }
    let mut picks = rand::seq::index::sample(rng, available, count).into_vec();
    picks.sort_unstable();
    picks
}

/// Returns `count` positions of `groups` in rising order, whole groups first: groups come in random order until there
/// are enough, and only the last one is cut. Without enough positions it returns all.
pub fn pick_by_group(rng: &mut ChaCha8Rng, groups: &[usize], count: usize) -> Vec<usize> {
    let mut order: Vec<usize> = groups.iter().copied().collect::<BTreeSet<_>>().into_iter().collect();
    order.shuffle(rng);
    let mut picks = Vec::with_capacity(count);
    for group in order {
        let members: Vec<usize> = (0..groups.len()).filter(|i| groups[*i] == group).collect();
        let wanted = count - picks.len();
        picks.extend(pick(rng, members.len(), wanted).into_iter().map(|i| members[i]));
    }
    picks.sort_unstable();
    picks
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::Rng;

    #[test]
    fn streams_differ_by_use_draw_and_index_and_repeat_by_seed() {
        let first = |stream, draw, index| keyed_rng(7, stream, draw, index).random::<u64>();
        let a = first(Stream::RealismNoise, 0, 0);
        assert_eq!(a, first(Stream::RealismNoise, 0, 0));
        for b in [
            first(Stream::RealismPatches, 0, 0),
            first(Stream::RealismNoise, 1, 0),
            first(Stream::RealismNoise, 0, 1),
        ] {
            assert_ne!(a, b);
        }
    }

    #[test]
    fn picks_rise_and_never_repeat() {
        let picks = pick(&mut keyed_rng(1, Stream::RealismPicks, 0, 0), 100, 20);
        assert_eq!(picks.len(), 20);
        assert!(picks.windows(2).all(|w| w[0] < w[1]) && picks[19] < 100);
        assert_eq!(pick(&mut keyed_rng(1, Stream::RealismPicks, 0, 0), 3, 5), [0, 1, 2]);
    }

    #[test]
    fn whole_groups_are_picked_and_one_is_cut() {
        let groups = [7, 7, 7, 2, 2, 2, 5, 5, 5];
        for draw in 0..20 {
            let picks = pick_by_group(&mut keyed_rng(1, Stream::RealismHalves, draw, 0), &groups, 4);
            assert_eq!(picks.len(), 4);
            let mut sizes = [7, 2, 5].map(|g| picks.iter().filter(|i| groups[**i] == g).count());
            sizes.sort_unstable();
            assert_eq!(sizes, [0, 1, 3]);
        }
        assert_eq!(pick_by_group(&mut keyed_rng(1, Stream::RealismHalves, 0, 0), &groups, 20).len(), 9);
    }
}
