//! Equal numbers of training and held-out sequences, so that more of one kind is not nearer by its number.

use rand::seq::SliceRandom;

use crate::realism::draws::keyed_rng;
use crate::seed::Stream;

/// Groups of sequences, each with the places of its members.
pub type Groups = Vec<Vec<usize>>;

/// One seeded order of all groups, and of the members of each.
#[derive(Clone, Debug)]
pub struct BalancedDraw {
    training: Groups,
    /// With the number of the group.
    held_out: Vec<(usize, Vec<usize>)>,
}

impl BalancedDraw {
    /// Returns the order of a draw.
    pub fn new(training: &Groups, held_out: &Groups, seed: u64, draw: usize) -> Self {
        let mut rng = keyed_rng(seed, Stream::MemorisationDraws, draw, 0);
        let mut ordered = |groups: &Groups| {
            let mut groups: Vec<(usize, Vec<usize>)> = groups.iter().cloned().enumerate().collect();
            groups.shuffle(&mut rng);
            for (_, members) in &mut groups {
                members.shuffle(&mut rng);
            }
            groups
        };
        let training = ordered(training).into_iter().map(|(_, members)| members).collect();
        Self { training, held_out: ordered(held_out) }
    }

    /// Returns training and held-out members without one held-out group, or without the last one in order.
    ///
    /// Both are of equally many groups, paired in order; each pair gives as many members as its smaller group has. There are
    /// as many pairs as both sides have when any one held-out group is missing.
    pub fn members(&self, without: Option<usize>) -> [Vec<usize>; 2] {
        let pairs = self.training.len().min(self.held_out.len() - 1);
        let held_out = self.held_out.iter().filter(|(group, _)| Some(*group) != without).take(pairs);
        let mut members = [Vec::new(), Vec::new()];
        for (training, (_, held_out)) in self.training.iter().zip(held_out) {
            let n = training.len().min(held_out.len());
            members[0].extend(&training[..n]);
            members[1].extend(&held_out[..n]);
        }
        members
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_sides_have_equal_numbers_in_equally_many_groups() {
        let training: Groups = vec![vec![0, 1, 2], vec![3], vec![4, 5, 6, 7], vec![8, 9]];
        let held_out: Groups = vec![vec![10, 11], vec![12, 13, 14], vec![15]];
        let mut seen = std::collections::BTreeSet::new();
        for draw in 0..30 {
            let order = BalancedDraw::new(&training, &held_out, 1, draw);
            for without in [None, Some(0), Some(1), Some(2)] {
                let [a, b] = order.members(without);
                assert_eq!(a.len(), b.len());
                assert!((2..=5).contains(&a.len()), "{a:?}");
                assert!(a.iter().all(|i| *i < 10) && b.iter().all(|i| *i >= 10));
                if let Some(without) = without {
                    assert!(b.iter().all(|i| !held_out[without].contains(i)));
                }
                seen.extend(a.into_iter().chain(b));
            }
        }
        assert_eq!(seen.len(), 16, "every sequence is drawn sometimes");
    }
}
