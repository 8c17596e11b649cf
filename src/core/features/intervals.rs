//! How sure two distances are: resampling of whole groups, since the frames of one recording resemble each other.

use std::collections::BTreeMap;

use ndarray::{Array1, Array2, ArrayView2, Axis};
use rand::Rng;
use serde::Serialize;

use super::frechet::frechet;
use super::kernel::gram;
use crate::seed::{self, Stream};
use crate::stats::bootstrap::percentiles;
use crate::stats::wasserstein::std_dev;

/// Share of resamples inside an interval.
const CONFIDENCE: f64 = 0.95;
/// Standard deviations on either side of a normal mean that hold that share.
const NORMAL: f64 = 1.96;
/// Fewest groups of a set that say anything about others.
const LEAST_GROUPS: usize = 4;
/// Fewest resamples whose spread means something.
const LEAST_RESAMPLES: usize = 20;
/// Most multiplications that resampled Fréchet distances may take: a minute of two cores.
const MOST_WORK: f64 = 6e10;
/// Most vectors of both sets whose kernels are kept in memory.
const MOST_KERNELS: usize = 8000;

/// Intervals that hold the distance of other groups of the same kind in 95 of 100 cases.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Intervals {
    /// Of the Fréchet distance.
    pub frechet_distance: Option<[f64; 2]>,
    /// Of the kernel distance.
    pub kid: Option<[f64; 2]>,
    /// Resamples.
    pub resamples: usize,
    /// Groups of the real and of the synthetic set.
    pub groups: [usize; 2],
    /// Why there is none, where one is missing.
    pub missing: Vec<String>,
}

/// A set of vectors with the group of each. `[N, D]`, `[N]`
#[derive(Clone, Copy, Debug)]
pub struct Grouped<'a> {
    /// Vectors.
    pub rows: ArrayView2<'a, f64>,
    /// Groups.
    pub groups: &'a [u64],
}

impl Grouped<'_> {
    /// Returns the rows of every group.
    fn members(&self) -> Vec<Vec<usize>> {
        let mut members: BTreeMap<u64, Vec<usize>> = BTreeMap::new();
        for (row, group) in self.groups.iter().enumerate() {
            members.entry(*group).or_default().push(row);
        }
        members.into_values().collect()
    }
}

/// Returns intervals from `resamples` draws of groups with replacement.
///
/// A resample holds some vectors several times, which moves a Fréchet distance up; so its interval has the width of the
/// resamples, and the distance in its middle: 1.96 standard deviations to either side. The kernel distance leaves out
/// pairs of a vector with itself, and its interval is that of the resamples.
pub fn intervals(real: Grouped<'_>, synthetic: Grouped<'_>, resamples: usize, seed: u64) -> Intervals {
    let members = [real.members(), synthetic.members()];
    let groups = [members[0].len(), members[1].len()];
    let mut found = Intervals { frechet_distance: None, kid: None, resamples, groups, missing: Vec::new() };
    if resamples == 0 {
        found.missing.push("no resamples were asked for".into());
        return found;
    }
    if groups.iter().any(|&n| n < LEAST_GROUPS) {
        found.missing.push(format!(
            "intervals need {LEAST_GROUPS} independent groups in each set, here are {} and {}",
            groups[0], groups[1]
        ));
        return found;
    }
    let (n, m, d) = (real.rows.nrows(), synthetic.rows.nrows(), real.rows.ncols());
    let work = (n.min(d) * m.min(d)) as f64 * (n.min(m).min(d) as f64 + d as f64) * resamples as f64;
    if resamples < LEAST_RESAMPLES {
        found.missing.push(format!(
            "{resamples} resamples are too few for an interval, take {LEAST_RESAMPLES} or more"
        ));
        return found;
    }
    let with_frechet = work <= MOST_WORK;
    let with_kid = n + m <= MOST_KERNELS;
    if !with_frechet {
        let affordable = (resamples as f64 * MOST_WORK / work) as usize;
        let instead = if affordable >= LEAST_RESAMPLES {
            format!("{affordable} resamples would do")
        } else {
            "no number of them is affordable".into()
        };
        found.missing.push(format!(
            "{resamples} Fréchet distances of {n} and {m} vectors would take too long: {instead}"
        ));
    }
    if !with_kid {
        found.missing.push(format!("kernels of {} vectors are too many to keep", n + m));
    }
    let kernels = with_kid.then(|| Kernels::new(real.rows, synthetic.rows));
    let mut rng = seed::rng(Stream::FeatureGroups, &[seed]);
    let (mut frechets, mut kids) = (Vec::new(), Vec::new());
    for _ in 0..resamples {
        let [a, b] = [&members[0], &members[1]].map(|members| draw(members, &mut rng));
        if with_frechet {
            let (x, y) = (real.rows.select(Axis(0), &a), synthetic.rows.select(Axis(0), &b));
            frechets.extend(frechet(x.view(), y.view()).map(|f| f.distance));
        }
        kids.extend(kernels.as_ref().and_then(|kernels| kernels.mmd2(&counts(n, &a), &counts(m, &b))));
    }
    let distance = if with_frechet { frechet(real.rows, synthetic.rows).map(|f| f.distance) } else { None };
    found.frechet_distance = distance.zip(std_dev(&frechets)).map(|(at, deviation)| {
        let half = NORMAL * deviation;
        [(at - half).max(0.0), at + half]
    });
    found.kid = percentiles(kids, CONFIDENCE);
    found
}

/// Returns the rows of as many groups as there are, drawn with replacement.
fn draw(members: &[Vec<usize>], rng: &mut impl Rng) -> Vec<usize> {
    (0..members.len()).flat_map(|_| members[rng.random_range(0..members.len())].iter().copied()).collect()
}

/// Returns how often every row is there.
fn counts(n: usize, rows: &[usize]) -> Array1<f64> {
    let mut counts = Array1::zeros(n);
    for &row in rows {
        counts[row] += 1.0;
    }
    counts
}

/// All kernels of two sets.
struct Kernels {
    xx: Array2<f64>,
    yy: Array2<f64>,
    xy: Array2<f64>,
}

impl Kernels {
    fn new(x: ArrayView2<'_, f64>, y: ArrayView2<'_, f64>) -> Self {
        Self { xx: gram(x, x), yy: gram(y, y), xy: gram(x, y) }
    }

    /// Returns the unbiased squared discrepancy of rows with multiplicities, without pairs of a row with itself.
    fn mmd2(&self, a: &Array1<f64>, b: &Array1<f64>) -> Option<f64> {
        let within = |kernel: &Array2<f64>, weights: &Array1<f64>| {
            let itself: f64 = weights.iter().zip(kernel.diag()).map(|(w, k)| w * w * k).sum();
            let pairs = weights.sum().powi(2) - weights.dot(weights);
            (pairs > 0.0).then(|| (weights.dot(&kernel.dot(weights)) - itself) / pairs)
        };
        let across = a.dot(&self.xy.dot(b)) / (a.sum() * b.sum());
        Some(within(&self.xx, a)? + within(&self.yy, b)? - 2.0 * across)
    }
}

#[cfg(test)]
mod tests {
    use rand_distr::{Distribution, StandardNormal};

    use super::*;
    use crate::features::kernel::mmd2;

    fn normal(n: usize, d: usize, shift: f64, counter: u64) -> Array2<f64> {
        let mut rng = seed::rng(Stream::FeatureGroups, &[counter]);
        Array2::from_shape_simple_fn((n, d), || {
            let value: f64 = StandardNormal.sample(&mut rng);
            value + shift
        })
    }

    #[test]
    fn kernels_of_all_rows_once_give_the_kernel_distance() {
        let (x, y) = (normal(30, 4, 0.0, 1), normal(20, 4, 0.5, 2));
        let kernels = Kernels::new(x.view(), y.view());
        let found = kernels.mmd2(&Array1::ones(30), &Array1::ones(20)).unwrap();
        assert!((found - mmd2(x.view(), y.view()).unwrap()).abs() < 1e-10);
    }

    #[test]
    fn intervals_hold_the_true_distance_about_as_often_as_they_say() {
        // Means differ by 1 in each of two dimensions, so that the true Fréchet distance is 2.
        let (mut hit, mut kid_above_zero) = (0, 0);
        let runs = 60;
        for run in 0..runs {
            let (x, y) = (normal(120, 2, 0.0, 10 + 2 * run), normal(120, 2, 1.0, 11 + 2 * run));
            let groups: Vec<u64> = (0..120).collect();
            let set = |rows| Grouped { rows, groups: &groups };
            let found = intervals(set(x.view()), set(y.view()), 200, run);
            let [low, high] = found.frechet_distance.unwrap();
            hit += u64::from((low..=high).contains(&2.0));
            kid_above_zero += u64::from(found.kid.unwrap()[0] > 0.0);
        }
        assert!((runs - 9..=runs).contains(&hit), "{hit} of {runs} intervals hold the distance");
        assert_eq!(kid_above_zero, runs);
    }

    #[test]
    fn few_groups_give_no_interval_and_say_so() {
        let x = normal(40, 3, 0.0, 3);
        let groups: Vec<u64> = (0..40).map(|i| i / 20).collect();
        let set = Grouped { rows: x.view(), groups: &groups };
        let found = intervals(set, set, 50, 0);
        assert_eq!((found.frechet_distance, found.kid), (None, None));
        assert!(found.missing[0].contains("4 independent groups"), "{:?}", found.missing);
    }
}
