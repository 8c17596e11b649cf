//! Confidence intervals by a hierarchical bootstrap over split groups, sequences within them, and seeds.
//!
//! Frames of one sequence and sequences of one group resemble each other; an interval that ignored this would be too
//! narrow. With few groups a percentile interval still tends to be too narrow: with 3 to 5 groups it is a rough
//! indication, and below 3 groups none is given.

use rand::Rng;
use serde::Serialize;

use crate::seed::{self, Stream};

/// Fewest groups an interval is given for.
pub const MIN_GROUPS: usize = 3;

/// The design of a measurement: every sequence in its group, with every seed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Design {
    /// Indices of the sequences of each group.
    pub groups: Vec<Vec<usize>>,
    /// Number of seeds.
    pub n_seeds: usize,
}

impl Design {
    /// Returns the design of sequences given by the names of their groups.
    pub fn new<'a>(groups: impl IntoIterator<Item = &'a str>, n_seeds: usize) -> Self {
        let mut found = std::collections::BTreeMap::<&str, Vec<usize>>::new();
        for (index, group) in groups.into_iter().enumerate() {
            found.entry(group).or_default().push(index);
        }
        Self { groups: found.into_values().collect(), n_seeds }
    }

    /// Returns the draw of every sequence and seed once, from which the value itself is computed.
    pub fn all(&self) -> Draw {
        let mut sequences = self.groups.concat();
        sequences.sort_unstable();
        Draw { sequences, seeds: (0..self.n_seeds).collect() }
    }

    /// Returns one resample: groups with replacement, sequences within each drawn group with replacement, and seeds.
    pub fn draw(&self, draws: &mut impl Rng) -> Draw {
        let mut sequences = Vec::new();
        for _ in 0..self.groups.len() {
            let group = &self.groups[draws.random_range(0..self.groups.len())];
            sequences.extend((0..group.len()).map(|_| group[draws.random_range(0..group.len())]));
        }
        Draw { sequences, seeds: (0..self.n_seeds).map(|_| draws.random_range(0..self.n_seeds)).collect() }
    }
}

/// Sequences and seeds to compute a statistic from; some come several times, some not at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draw {
    /// Indices of sequences.
    pub sequences: Vec<usize>,
    /// Indices of seeds.
    pub seeds: Vec<usize>,
}

/// How an interval is made.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BootstrapSettings {
    /// Number of resamples.
    pub resamples: usize,
    /// Share of resamples inside of the interval, such as 0.95.
    pub confidence: f64,
    /// Seed of the run.
    pub seed: u64,
}

/// A value with its interval.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Estimate {
    /// The statistic over everything; `None` where it is undefined.
    pub value: Option<f64>,
    /// Percentile interval.
    pub interval: Option<[f64; 2]>,
    /// Why there is no interval.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub no_interval: Option<String>,
    /// Twice the smaller share of resamples on either side of 0: for differences, how likely is one as far from 0 by chance?
    #[serde(skip)]
    pub p: Option<f64>,
}

/// Returns estimates of several statistics from the same resamples, so that differences are paired.
///
/// `statistics` returns one value each for a draw, always as many, `None` where undefined; such resamples are left out
/// of the interval of that statistic.
pub fn estimate(
    design: &Design,
    settings: &BootstrapSettings,
    statistics: impl Fn(&Draw) -> Vec<Option<f64>>,
) -> Vec<Estimate> {
    let values = statistics(&design.all());
    let n_groups = design.groups.len();
    if n_groups < MIN_GROUPS {
        let why = format!(
            "an interval needs at least {MIN_GROUPS} independent groups of test sequences, here are {n_groups}"
        );
        let without = |value| Estimate { value, interval: None, no_interval: Some(why.clone()), p: None };
        return values.into_iter().map(without).collect();
    }
    let mut draws = seed::rng(Stream::Bootstrap, &[settings.seed]);
    let mut resampled: Vec<Vec<f64>> =
        values.iter().map(|_| Vec::with_capacity(settings.resamples)).collect();
    for _ in 0..settings.resamples {
        for (to, value) in resampled.iter_mut().zip(statistics(&design.draw(&mut draws))) {
            to.extend(value);
        }
    }
    let with_interval = |(value, resampled): (Option<f64>, Vec<f64>)| {
        let p = value.and(chance(&resampled));
        let interval = value.and(percentiles(resampled, settings.confidence));
        let no_interval = interval.is_none().then(|| "the score is undefined on these sequences".to_owned());
        Estimate { value, interval, no_interval, p }
    };
    values.into_iter().zip(resampled).map(with_interval).collect()
}

/// Returns twice the smaller share of values on either side of 0, which no finite number of them makes 0; `None` without
/// values.
fn chance(values: &[f64]) -> Option<f64> {
    let least =
        values.iter().filter(|v| **v <= 0.0).count().min(values.iter().filter(|v| **v >= 0.0).count());
    (!values.is_empty()).then(|| (2.0 * (least + 1) as f64 / (values.len() + 1) as f64).min(1.0))
}

/// Returns the middle share `confidence` of values, by linear interpolation between them; `None` without values.
pub fn percentiles(mut values: Vec<f64>, confidence: f64) -> Option<[f64; 2]> {
    values.sort_by(f64::total_cmp);
    let last = values.len().checked_sub(1)?;
    let tail = (1.0 - confidence) / 2.0;
    Some([tail, 1.0 - tail].map(|share| {
        let at = share * last as f64;
        let below = at.floor() as usize;
        let above = (below + 1).min(last);
        values[below] + (values[above] - values[below]) * (at - below as f64)
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SETTINGS: BootstrapSettings = BootstrapSettings { resamples: 4000, confidence: 0.95, seed: 1 };

    #[test]
    fn chance_is_small_where_all_lie_on_one_side_and_one_where_none_does() {
        assert_eq!(chance(&[1.0; 199]), Some(0.01));
        assert_eq!(chance(&[-1.0, 1.0]), Some(1.0));
        assert_eq!(chance(&[]), None);
    }

    /// Returns the estimate of one statistic.
    fn estimate_one(
        design: &Design,
        settings: &BootstrapSettings,
        of: impl Fn(&Draw) -> Option<f64>,
    ) -> Estimate {
        estimate(design, settings, |draw| vec![of(draw)]).remove(0)
    }

    fn mean(values: &[f64], draw: &Draw) -> Option<f64> {
        let drawn: Vec<f64> = draw.sequences.iter().map(|&i| values[i]).collect();
        (!drawn.is_empty()).then(|| drawn.iter().sum::<f64>() / drawn.len() as f64)
    }

    #[test]
    fn percentiles_interpolate() {
        let [low, high] = percentiles((0..=100).map(f64::from).collect(), 0.95).unwrap();
        assert!((low - 2.5).abs() < 1e-9 && (high - 97.5).abs() < 1e-9);
        assert_eq!(percentiles(vec![3.0], 0.95), Some([3.0, 3.0]));
        assert_eq!(percentiles(vec![], 0.95), None);
    }

    #[test]
    fn equal_values_have_an_interval_of_no_width() {
        let design = Design::new(["a", "a", "b", "c"], 3);
        let got = estimate_one(&design, &SETTINGS, |draw| mean(&[0.4; 4], draw));
        assert!((got.value.unwrap() - 0.4).abs() < 1e-12);
        let [low, high] = got.interval.unwrap();
        assert!((low - 0.4).abs() < 1e-12 && (high - 0.4).abs() < 1e-12);
    }

    #[test]
    fn the_interval_follows_groups_not_sequences() {
        // Three groups that differ, ten equal sequences in each. A resample of groups is a multiset of three: the mean
        // of 0, 3 and 6 is 0 with probability 1/27 = 3.7 %, so the 95 % interval reaches from one end to the other.
        let groups: Vec<&str> = ["a", "b", "c"].into_iter().flat_map(|g| [g; 10]).collect();
        let values: Vec<f64> = [0.0, 3.0, 6.0].into_iter().flat_map(|v| [v; 10]).collect();
        let got = estimate_one(&Design::new(groups, 1), &SETTINGS, |draw| mean(&values, draw));
        assert_eq!((got.value, got.interval), (Some(3.0), Some([0.0, 6.0])));
        // The same thirty values as thirty groups: the standard error is 2.45 / sqrt(30) = 0.447.
        let names: Vec<String> = (0..30).map(|i| i.to_string()).collect();
        let design = Design::new(names.iter().map(String::as_str), 1);
        let fine = estimate_one(&design, &SETTINGS, |draw| mean(&values, draw));
        let [low, high] = fine.interval.unwrap();
        assert!((low - (3.0 - 1.96 * 0.447)).abs() < 0.1 && (high - (3.0 + 1.96 * 0.447)).abs() < 0.1);
    }

    #[test]
    fn differences_are_paired() {
        // Sequences differ much, the two arms by exactly 0.1 in each: the difference has no spread.
        let real = [0.1, 0.5, 0.9, 0.3];
        let both = real.map(|v| v + 0.1);
        let design = Design::new(["a", "b", "c", "d"], 3);
        let difference =
            estimate_one(&design, &SETTINGS, |d| mean(&both, d).zip(mean(&real, d)).map(|(b, r)| b - r));
        let [low, high] = difference.interval.unwrap();
        assert!((low - 0.1).abs() < 1e-9 && (high - 0.1).abs() < 1e-9);
    }

    #[test]
    fn two_groups_have_no_interval_and_say_why() {
        let design = Design::new(["a", "b", "b"], 3);
        let got = estimate_one(&design, &SETTINGS, |draw| mean(&[1.0, 2.0, 3.0], draw));
        assert_eq!((got.value, got.interval), (Some(2.0), None));
        assert!(got.no_interval.unwrap().contains("here are 2"));
    }

    #[test]
    fn equal_seeds_give_equal_intervals() {
        let design = Design::new(["a", "b", "c", "d"], 2);
        let run = |seed| {
            let settings = BootstrapSettings { seed, ..SETTINGS };
            estimate_one(&design, &settings, |draw| mean(&[0.1, 0.2, 0.5, 0.9], draw))
        };
        assert_eq!(run(5), run(5));
    }
}
