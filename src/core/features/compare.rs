//! All figures of two sets of feature vectors.

use ndarray::Axis;
use rand::seq::index;
use serde::Serialize;

use super::file::Vectors;
use super::frechet::frechet;
use super::inception::inception_score;
use super::intervals::{Grouped, Intervals, intervals};
use super::kernel::of_subsets;
use super::manifold::{Manifold, manifold};
use crate::seed::{self, Stream};
use crate::stats::wasserstein::mean;

/// How the figures are taken.
#[derive(Clone, Debug, Serialize)]
pub struct FeatureProtocol {
    /// Random subsets of the kernel distance.
    pub kid_subsets: usize,
    /// Vectors of each subset; fewer where a set is smaller.
    pub kid_subset_size: usize,
    /// Neighbours that the balls of precision and recall reach to.
    pub neighbours: usize,
    /// Parts of the Inception score.
    pub inception_splits: usize,
    /// Resamples of groups behind the intervals; 0 for none.
    pub resamples: usize,
    /// Seed of the subsets.
    pub seed: u64,
}

impl Default for FeatureProtocol {
    /// Returns what the papers of the figures take.
    fn default() -> Self {
        Self {
            kid_subsets: 100,
            kid_subset_size: 1000,
            neighbours: 5,
            inception_splits: 10,
            resamples: 100,
            seed: 0,
        }
    }
}

/// A mean over random subsets or parts.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Spread {
    /// Mean.
    pub mean: f64,
    /// Standard deviation over the parts, with n.
    pub std: f64,
}

/// What was found; a figure that cannot be taken is `null`.
#[derive(Clone, Debug, Serialize)]
pub struct Distances {
    /// Fréchet distance: FID of frames, FVD of sequences.
    pub frechet_distance: Option<f64>,
    /// Kernel distance.
    pub kid: Option<Spread>,
    /// Precision, recall, density and coverage.
    pub manifold: Option<Manifold>,
    /// Inception score of the synthetic logits.
    pub inception_score: Option<Spread>,
    /// What to know before the figures are believed.
    pub warnings: Vec<String>,
}

/// Distances beside those that real data have among themselves.
#[derive(Clone, Debug, Serialize)]
pub struct Compared {
    /// Of the real and the synthetic set.
    #[serde(flatten)]
    pub distances: Distances,
    /// How sure these are.
    pub intervals: Intervals,
    /// Of the real set and real training vectors, of which as many are taken as there are synthetic ones.
    pub floor: Option<Distances>,
    /// Distances as multiples of the floor: 1 where synthetic data are as far as other real ones.
    pub times_floor: Option<TimesFloor>,
}

/// Distances as multiples of the floor.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct TimesFloor {
    /// Of the Fréchet distance.
    pub frechet_distance: Option<f64>,
    /// Of the kernel distance; none where the floor is not above 0.
    pub kid: Option<f64>,
}

/// One set with the group of each vector.
#[derive(Clone, Copy, Debug)]
pub struct Set<'a> {
    /// Vectors.
    pub vectors: &'a Vectors,
    /// Group of each.
    pub groups: &'a [u64],
}

/// Compares a real and a synthetic set, and the real one with `training`, other real vectors, where there are any.
pub fn compare_beside_floor(
    real: Set<'_>,
    synthetic: Set<'_>,
    training: Option<&Vectors>,
    protocol: &FeatureProtocol,
) -> Compared {
    let mut distances = compare(real.vectors, synthetic.vectors, protocol);
    let intervals = intervals(grouped_of(&real), grouped_of(&synthetic), protocol.resamples, protocol.seed);
    let n = synthetic.vectors.features.nrows();
    let floor = training.map(|training| {
        let there = training.features.nrows();
        if there < n {
            distances.warnings.push(format!(
                "the floor is taken of {there} training vectors, as there are no more, beside {n} synthetic ones: it is too high"
            ));
        }
        let mut rows = index::sample(&mut seed::rng(Stream::FeatureFloor, &[protocol.seed]), there, n.min(there)).into_vec();
        rows.sort_unstable();
        let features = training.features.select(Axis(0), &rows);
        compare(real.vectors, &Vectors { features, logits: None }, protocol)
    });
    let times_floor = floor.as_ref().map(|floor| {
        let times =
            |value: Option<f64>, floor: Option<f64>| Some(value? / floor.filter(|&floor| floor > 0.0)?);
        let kid = |distances: &Distances| distances.kid.map(|kid| kid.mean);
        TimesFloor {
            frechet_distance: times(distances.frechet_distance, floor.frechet_distance),
            kid: times(kid(&distances), kid(floor)),
        }
    });
    Compared { distances, intervals, floor, times_floor }
}

fn grouped_of<'a>(set: &Set<'a>) -> Grouped<'a> {
    Grouped { rows: set.vectors.features.view(), groups: set.groups }
}

/// Compares two sets.
pub fn compare(real: &Vectors, synthetic: &Vectors, protocol: &FeatureProtocol) -> Distances {
    let (x, y) = (real.features.view(), synthetic.features.view());
    let (least, dimensions) = (x.nrows().min(y.nrows()), x.ncols());
    let mut warnings = Vec::new();
    if least <= dimensions {
        warnings.push(format!(
            "there are {least} vectors of {dimensions} dimensions: with fewer vectors than dimensions the Fréchet distance \
             is far too large, and is comparable with others of as many vectors only; look at the kernel distance first"
        ));
    }
    if least <= protocol.neighbours {
        warnings.push(format!(
            "precision and recall need more than {} vectors in each set, {least} are there",
            protocol.neighbours
        ));
    }
    let size = protocol.kid_subset_size.min(least);
    if size < protocol.kid_subset_size {
        warnings.push(format!(
            "subsets of the kernel distance hold {size} vectors, as there are no more, instead of {}",
            protocol.kid_subset_size
        ));
    }
    Distances {
        frechet_distance: frechet(x, y).map(|f| f.distance.max(0.0)),
        kid: of_subsets(x, y, protocol.kid_subsets, size, protocol.seed).as_deref().and_then(spread),
        manifold: manifold(x, y, protocol.neighbours),
        inception_score: score(synthetic, protocol),
        warnings,
    }
}

/// Returns the Inception score of a set; `None` without logits, and for fewer rows than parts.
pub fn score(set: &Vectors, protocol: &FeatureProtocol) -> Option<Spread> {
    let logits = set.logits.as_ref()?;
    spread(&inception_score(logits.view(), protocol.inception_splits)?)
}

/// Returns mean and standard deviation of some numbers; `None` for none.
pub fn spread(values: &[f64]) -> Option<Spread> {
    let mean = mean(values)?;
    let squares: f64 = values.iter().map(|v| (v - mean) * (v - mean)).sum();
    Some(Spread { mean, std: (squares / values.len() as f64).sqrt() })
}
