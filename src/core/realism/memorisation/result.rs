//! What the memorisation test found: `memorisation` in `metrics.json`.

use serde::Serialize;

use super::nearest::CANDIDATES;
use super::search::{DRAWS, RESAMPLES};
use super::shares::Shares;
use super::space::Space;
use super::symmetry::{Alignment, Symmetry};
use crate::stats::wasserstein::quantile;

/// Bins of the histogram of ratios.
const BINS: usize = 40;

/// End of the histogram.
pub const HISTOGRAM_END: f64 = 2.0;

/// Fewer split groups than this on the held-out side make an interval rough.
const FEW_GROUPS: usize = 4;

/// The test, or why there is none.
#[derive(Clone, Debug, Serialize)]
pub struct Memorisation {
    /// How the numbers are defined; empty where there are none.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub definition: String,
    /// What such a test cannot show, in plain words.
    pub cannot_show: Vec<String>,
    /// Why there is no test.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub missing: Option<String>,
    /// The numbers.
    #[serde(flatten)]
    pub found: Option<MemorisationNumbers>,
}

/// Numbers of the test.
#[derive(Clone, Debug, Serialize)]
pub struct MemorisationNumbers {
    /// Synthetic sequences.
    pub synthetic: SetSize,
    /// Real training sequences.
    pub training: SetSize,
    /// Real held-out sequences.
    pub held_out: SetSize,
    /// Sequences nearer to training data than held-out data explain, and those nearer to training than to held-out ones.
    #[serde(flatten)]
    pub shares: Shares,
    /// Ratios of the synthetic sequences.
    pub ratio_synthetic: RatioDistribution,
    /// Ratios of the held-out sequences.
    pub ratio_held_out: RatioDistribution,
    /// Whether the interval of `beyond` lies above zero.
    pub suspicious: bool,
    /// What the numbers say, in plain words.
    pub finding: String,
    /// Synthetic sequences of the smallest ratio, smallest first.
    pub worst: Vec<WorstPair>,
}

/// How large a set is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct SetSize {
    /// Sequences there are.
    pub available: usize,
    /// Sequences that are searched.
    pub read: usize,
    /// Split groups of those searched.
    pub groups: usize,
}

/// Ratios of the distances to the nearest training and the nearest held-out sequence.
#[derive(Clone, Debug, Serialize)]
pub struct RatioDistribution {
    /// 5 % lie below.
    pub p05: f64,
    /// A quarter lies below.
    pub p25: f64,
    /// Half lie below.
    pub median: f64,
    /// Three quarters lie below.
    pub p75: f64,
    /// 95 % lie below.
    pub p95: f64,
    /// Shares in 40 equal bins from 0 to 2; the last one also holds larger ratios.
    pub histogram: Vec<f64>,
}

/// A synthetic sequence with its nearest real ones.
#[derive(Clone, Debug, Serialize)]
pub struct WorstPair {
    /// Well of the synthetic sequence.
    pub synthetic: String,
    /// Its nearest training sequence.
    pub training: Neighbour,
    /// Its nearest held-out sequence.
    pub held_out: Neighbour,
    /// Its ratio, by which it is among the worst.
    pub ratio: f64,
    /// Its index in the synthetic plate.
    #[serde(skip)]
    pub index: usize,
}

/// A real sequence near a synthetic one.
#[derive(Clone, Debug, Serialize)]
pub struct Neighbour {
    /// Its well.
    pub well: String,
    /// Distance in standard deviations of a channel.
    pub distance: f64,
    /// How it lies upon the synthetic one.
    #[serde(flatten)]
    pub alignment: Alignment,
    /// Its index in the real plate.
    #[serde(skip)]
    pub index: usize,
}

impl Memorisation {
    /// Returns what is left where there is no test.
    pub fn none(why: String) -> Self {
        Self { definition: String::new(), cannot_show: Vec::new(), missing: Some(why), found: None }
    }

    /// Returns the warning of a report, where the numbers ask for one.
    pub fn warning(&self) -> Option<String> {
        let found = self.found.as_ref().filter(|found| found.suspicious)?;
        Some(format!("Memorisation: {}", found.finding))
    }
}

impl RatioDistribution {
    /// Returns the distribution of ratios given by their logarithms.
    pub fn of(log_ratios: &[f64]) -> Self {
        let ratios: Vec<f64> = log_ratios.iter().map(|r| r.exp()).collect();
        let at = |q| quantile(&ratios, q).unwrap_or(1.0);
        let mut histogram = vec![0.0; BINS];
        for ratio in &ratios {
            let bin = (ratio / HISTOGRAM_END * BINS as f64) as usize;
            histogram[bin.min(BINS - 1)] += 1.0 / ratios.len() as f64;
        }
        Self { p05: at(0.05), p25: at(0.25), median: at(0.5), p75: at(0.75), p95: at(0.95), histogram }
    }
}

/// Returns whether the shares ask for a warning, and what they say. Only `beyond` decides: which training sequences were
/// drawn moves `closer` as much as copies do where there are few, and its interval does not cover that.
pub fn verdict(shares: &Shares, held_out: SetSize) -> (bool, String) {
    let percent = |share: f64| format!("{:.1} %", 100.0 * share);
    let points = |interval: [f64; 2]| {
        format!("95 % interval of the excess {:.1} to {:.1} points", 100.0 * interval[0], 100.0 * interval[1])
    };
    let beyond = &shares.beyond;
    let rough = if held_out.groups < FEW_GROUPS {
        format!(" Of {} held-out split groups, the interval is rough.", held_out.groups)
    } else {
        String::new()
    };
    if beyond.interval[0] > 0.0 {
        let sentence = format!(
            "{} of the synthetic sequences are nearer to a training sequence than held-out data explain, where {} were expected ({}): the generator repeats training sequences, or draws their places. Look at the worst pairs in the report.{rough}",
            percent(beyond.synthetic),
            percent(beyond.held_out),
            points(beyond.interval)
        );
        return (true, sentence);
    }
    let sentence = format!(
        "Not more synthetic sequences are near to training sequences than held-out data explain: {} where {} were expected ({}). That is no proof that nothing was memorised.{rough}",
        percent(beyond.synthetic),
        percent(beyond.held_out),
        points(beyond.interval)
    );
    (false, sentence)
}

/// Returns how the numbers are defined.
pub fn definition(space: &Space, symmetries: &[Symmetry]) -> String {
    let turns = if symmetries.len() > 4 { "flips and quarter turns" } else { "flips" };
    format!(
        "All channels and frames in the calibrated range of the real plate, as means over {block}x{block} pixels ({rows}x{columns} per frame); of each sequence and channel the mean is taken away, and the rest divided by the standard deviation of training sequences. The distance is the root mean square difference where two sequences overlap, the least over {turns} and shifts of up to {reach} pixels. Candidates are the {CANDIDATES} sequences that are nearest in means over at most 16x16 parts, over {turns} without shifts; only they are laid upon each other. ratio: distance to the nearest training sequence over that to the nearest held-out one, the geometric mean over leaving out each held-out split group, weighted by its sequences; of a held-out sequence its own group is left out. beyond: share of synthetic sequences whose ratio is below the threshold, which is the ratio that 5 % of held-out sequences lie below (of fewer than 19 the smallest). closer: share of sequences whose nearest is a training sequence, among equal numbers of training and held-out sequences in equal numbers of split groups, mean over {DRAWS} draws; it decides nothing. Intervals: {RESAMPLES} resamples of the split groups of synthetic and of held-out sequences, and of the draws; they do not cover the choice of the training sequences.",
        block = space.block,
        rows = space.cells[0],
        columns = space.cells[1],
        reach = space.reach,
    )
}

/// Returns what the test cannot show.
pub fn cannot_show(training: SetSize) -> Vec<String> {
    let mut sentences: Vec<String> = [
        "It finds sequences that repeat a whole training sequence. A generator that repeats single cells, or puts parts of several sequences together, is not found.",
        "Copies that are scaled, turned by other angles, moved further, deformed, with other contrast or in another order of frames are not found, nor is detail finer than the blocks.",
        "A generator that draws the places of the training part (their traps, their density of cells) without copying any sequence is nearer to training data, too. Pictures tell the two apart, the numbers do not.",
        "No single figure finds memorisation reliably, in any space of features: that nothing is found is no proof that nothing was memorised.",
    ]
    .map(str::to_owned)
    .to_vec();
    if training.read < training.available {
        sentences.push(format!(
            "{} of {} training sequences were searched (max_sequences): copies of the others are not found.",
            training.read, training.available
        ));
    }
    sentences
}
