//! How many sequences are nearer to training data than held-out data explain, and how sure that is.

use rand::Rng;
use rand_chacha::ChaCha8Rng;
use serde::Serialize;

use super::draws::Groups;
use crate::realism::draws::keyed_rng;
use crate::seed::Stream;
use crate::stats::bootstrap::percentiles;

/// Share of held-out sequences that may lie below the threshold.
const TAIL: f64 = 0.05;

/// Share of resamples inside an interval.
const CONFIDENCE: f64 = 0.95;

/// What one set of sequences found.
#[derive(Clone, Debug)]
pub struct Answers {
    /// Logarithm of the ratio of each sequence. `[N]`
    pub log_ratios: Vec<f64>,
    /// Of each sequence and balanced draw: 1 where the nearest is a training sequence, 0 where not, one half where both are
    /// equally near. `[N][draws]`
    pub closer: Vec<Vec<f64>>,
    /// Sequences of each split group.
    pub groups: Groups,
}

/// A share of synthetic sequences beside what held-out ones say of it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct ExplainedShare {
    /// Share of synthetic sequences.
    pub synthetic: f64,
    /// Share that held-out data explain.
    pub held_out: f64,
    /// `synthetic - held_out`.
    pub excess: f64,
    /// 95 % interval of the excess.
    pub interval: [f64; 2],
}

/// Both shares.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Shares {
    /// Ratio below which a sequence counts as nearer than held-out data explain.
    pub threshold: f64,
    /// Sequences below the threshold.
    pub beyond: ExplainedShare,
    /// Sequences nearer to training than to held-out ones, in draws of equal numbers of both.
    pub closer: ExplainedShare,
}

/// Returns the shares, with intervals from `resamples` draws of split groups of both sets, with replacement.
///
/// The threshold is the k-th smallest ratio of the N held-out sequences, with k at 5 % of N + 1 and at least 1: of sequences
/// like them, k / (N + 1) lie below it. An interval is the reflected one: a resample never holds a smaller ratio than the
/// smallest there is, so its shares lie too high, and reflection turns that into caution.
pub fn shares(synthetic: &Answers, held_out: &Answers, resamples: usize, seed: u64) -> Shares {
    let draws: Vec<usize> = (0..synthetic.closer.first().map_or(0, Vec::len)).collect();
    let all = |answers: &Answers| (0..answers.log_ratios.len()).collect::<Vec<usize>>();
    let [own, other] = [all(synthetic), all(held_out)];
    let (threshold, explained) = threshold(held_out, &other);
    let beyond = below(synthetic, &own, threshold);
    let closer = [mean_closer(synthetic, &own, &draws), mean_closer(held_out, &other, &draws)];

    let mut resampled = [Vec::new(), Vec::new()];
    for resample in 0..resamples {
        let mut rng = keyed_rng(seed, Stream::MemorisationGroups, resample, 0);
        let own = resampled_members(&mut rng, &synthetic.groups);
        let other = resampled_members(&mut rng, &held_out.groups);
        let draws: Vec<usize> = draws.iter().map(|_| rng.random_range(0..draws.len())).collect();
        let (threshold, explained) = self::threshold(held_out, &other);
        resampled[0].push(below(synthetic, &own, threshold) - explained);
        resampled[1].push(mean_closer(synthetic, &own, &draws) - mean_closer(held_out, &other, &draws));
    }
    let [of_beyond, of_closer] = resampled;
    let share = |synthetic: f64, held_out: f64, resampled: Vec<f64>| {
        let excess = synthetic - held_out;
        let interval = percentiles(resampled, CONFIDENCE).map_or([-1.0, 1.0], |[low, high]| {
            [2.0 * excess - high, 2.0 * excess - low].map(|end| end.clamp(-1.0, 1.0))
        });
        ExplainedShare { synthetic, held_out, excess, interval }
    };
    Shares {
        threshold: threshold.exp(),
        beyond: share(beyond, explained, of_beyond),
        closer: share(closer[0], closer[1], of_closer),
    }
}

/// Returns the logarithm of the threshold and the share of like sequences that lie below it.
fn threshold(answers: &Answers, members: &[usize]) -> (f64, f64) {
    let mut ratios: Vec<f64> = members.iter().map(|i| answers.log_ratios[*i]).collect();
    ratios.sort_by(f64::total_cmp);
    let k = ((TAIL * (ratios.len() + 1) as f64).floor() as usize).max(1);
    let explained = k as f64 / (ratios.len() + 1) as f64;
    (ratios.get(k - 1).copied().unwrap_or(f64::NEG_INFINITY), explained)
}

fn below(answers: &Answers, members: &[usize], threshold: f64) -> f64 {
    let n = members.iter().filter(|i| answers.log_ratios[**i] < threshold).count();
    n as f64 / members.len().max(1) as f64
}

fn mean_closer(answers: &Answers, members: &[usize], draws: &[usize]) -> f64 {
    let of = |i: usize| draws.iter().map(|d| answers.closer[i][*d]).sum::<f64>() / draws.len().max(1) as f64;
    members.iter().map(|i| of(*i)).sum::<f64>() / members.len().max(1) as f64
}

fn resampled_members(rng: &mut ChaCha8Rng, groups: &Groups) -> Vec<usize> {
    (0..groups.len()).flat_map(|_| groups[rng.random_range(0..groups.len())].iter().copied()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sequences of the given ratios, in groups of two.
    fn answers(ratios: &[f64]) -> Answers {
        Answers {
            log_ratios: ratios.iter().map(|r| r.ln()).collect(),
            closer: ratios.iter().map(|r| vec![f64::from(u8::from(*r < 1.0)); 4]).collect(),
            groups: (0..ratios.len() / 2).map(|g| vec![2 * g, 2 * g + 1]).collect(),
        }
    }

    fn spread(n: usize, from: f64) -> Vec<f64> {
        (0..n).map(|i| from + 0.6 * ((i * 37) % n) as f64 / n as f64).collect()
    }

    #[test]
    fn the_threshold_is_a_low_ratio_of_held_out_sequences_and_says_what_it_explains() {
        let held_out = answers(&spread(40, 0.7));
        let (at, explained) = threshold(&held_out, &(0..40).collect::<Vec<_>>());
        assert!(
            (at.exp() - 0.715).abs() < 1e-9 && (explained - 2.0 / 41.0).abs() < 1e-12,
            "{at} {explained}"
        );
        let few = answers(&spread(8, 0.7));
        let (at, explained) = threshold(&few, &(0..8).collect::<Vec<_>>());
        assert!((at.exp() - 0.7).abs() < 1e-9 && (explained - 1.0 / 9.0).abs() < 1e-12, "{at} {explained}");
    }

    #[test]
    fn copies_exceed_what_is_explained_and_like_sequences_do_not() {
        let held_out = answers(&spread(40, 0.7));
        let like = shares(&answers(&spread(60, 0.7)), &held_out, 200, 1);
        assert!(like.beyond.interval[0] <= 0.0 && like.closer.interval[0] <= 0.0, "{like:?}");
        let mut some = spread(60, 0.7);
        some[..18].fill(0.2);
        let copies = shares(&answers(&some), &held_out, 200, 1);
        assert!(copies.beyond.synthetic >= 0.3 && copies.beyond.interval[0] > 0.0, "{copies:?}");
        assert!(
            copies.beyond.interval[0] < copies.beyond.excess
                && copies.beyond.excess < copies.beyond.interval[1]
        );
        let of_held_out = shares(&answers(&spread(60, 5.0)), &held_out, 200, 1);
        assert!(
            of_held_out.beyond.synthetic == 0.0 && of_held_out.beyond.interval[0] <= 0.0,
            "{of_held_out:?}"
        );
    }

    #[test]
    fn equal_seeds_give_equal_shares_and_other_ones_another_interval() {
        let (a, b) = (answers(&spread(30, 0.6)), answers(&spread(20, 0.7)));
        assert_eq!(shares(&a, &b, 100, 1), shares(&a, &b, 100, 1));
        assert_ne!(shares(&a, &b, 100, 1).beyond.interval, shares(&a, &b, 100, 2).beyond.interval);
    }
}
