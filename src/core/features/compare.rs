//! All figures of two sets of feature vectors.

use serde::Serialize;

use super::frechet::frechet;
use super::inception::inception_score;
use super::kernel::of_subsets;
use super::manifold::{Manifold, manifold};
use super::file::Vectors;
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
    /// Seed of the subsets.
    pub seed: u64,
}

impl Default for FeatureProtocol {
    /// Returns what the papers of the figures take.
    fn default() -> Self {
        Self { kid_subsets: 100, kid_subset_size: 1000, neighbours: 5, inception_splits: 10, seed: 0 }
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
    let logits = synthetic.logits.as_ref();
    Distances {
        frechet_distance: frechet(x, y).map(|f| f.distance.max(0.0)),
        kid: of_subsets(x, y, protocol.kid_subsets, size, protocol.seed).as_deref().and_then(spread),
        manifold: manifold(x, y, protocol.neighbours),
        inception_score: logits
            .and_then(|logits| inception_score(logits.view(), protocol.inception_splits))
            .as_deref()
            .and_then(spread),
        warnings,
    }
}

/// Returns mean and standard deviation of some numbers; `None` for none.
pub fn spread(values: &[f64]) -> Option<Spread> {
    let mean = mean(values)?;
    let squares: f64 = values.iter().map(|v| (v - mean) * (v - mean)).sum();
    Some(Spread { mean, std: (squares / values.len() as f64).sqrt() })
}
