//! What an evaluation found: the content of `metrics.json`.
//!
//! ```text
//! format        1
//! program       evaluate
//! real, synthetic, untrained   names of the plates
//! protocol      n, images, reference / training / synthetic / untrained {available, read, groups}, seed, settings
//! warnings      what limits the conclusions, in plain words
//! definitions   metric -> one sentence
//! channels      name, metrics, typical, findings, curves; `all channels` (with several) and `objects` (with labels) follow
//!   typical     key, label, unit, reference and synthetic {10th, 50th, 90th percentile}
//!   metrics     key, value, floor, baseline, untrained, excess, relative_excess, standard_error {...}
//!   curves      spectrum {bins, reference, synthetic, training, ...}, intensity and change {edges, ...}: shares per bin
//! features      inputs, protocol, channels: distances by a network, where they were asked for
//! memorisation  missing (why there is no test), or
//!   synthetic, training, held_out   {available, read, groups}
//!   threshold, beyond, closer       shares {synthetic, held_out, excess, interval} of sequences near to training data
//!   ratio_synthetic, ratio_held_out {p05, p25, median, p75, p95, histogram}: nearest training over nearest held-out
//!   suspicious, finding, definition, cannot_show
//!   worst                           synthetic, training / held_out {well, distance, symmetry, shift}, ratio
//! ```
//!
//! All metrics are distances to the held-out real sequences, smaller is better; `format` rises when a field changes.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use super::memorisation::Memorisation;
use super::protocol::ComparisonPlan;
use super::settings::Settings;
use super::statistics::Typical;
use super::suite::{Metric, MetricValues};
use crate::stats::wasserstein::{mean, std_dev};

/// Everything that `metrics.json` holds.
#[derive(Clone, Debug, Serialize)]
pub struct Evaluation {
    /// Version of this schema.
    pub format: u32,
    /// `evaluate`.
    pub program: &'static str,
    /// Name of the real plate.
    pub real: String,
    /// Name of the synthetic plate.
    pub synthetic: String,
    /// Name of the plate of the untrained generator.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub untrained: Option<String>,
    /// What was compared.
    pub protocol: Protocol,
    /// What limits the conclusions.
    pub warnings: Vec<String>,
    /// One sentence per metric.
    pub definitions: BTreeMap<String, String>,
    /// Results per channel, and those of all channels together.
    pub channels: Vec<ChannelResult>,
    /// Distances by features of a network, as `evaluate features` has them in its result.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub features: Option<Value>,
    /// Whether training sequences are repeated.
    pub memorisation: Memorisation,
}

/// What was compared.
#[derive(Clone, Debug, Serialize)]
pub struct Protocol {
    /// Sizes and parts.
    #[serde(flatten)]
    pub plan: ComparisonPlan,
    /// Seed of everything drawn.
    pub seed: u64,
    /// How much was drawn.
    pub settings: Settings,
}

/// Results of one channel.
#[derive(Clone, Debug, Serialize)]
pub struct ChannelResult {
    /// Name of the channel, or `all channels`.
    pub name: String,
    /// The metrics.
    pub metrics: Vec<MetricResult>,
    /// What is usual in real and in synthetic sequences.
    pub typical: Vec<Typical>,
    /// What the metrics say, in plain words.
    pub findings: Vec<String>,
    /// Distributions behind the metrics, of the first draw.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub curves: Option<Curves>,
}

/// One metric: means over draws.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct MetricResult {
    /// Name.
    pub key: String,
    /// Name for people.
    #[serde(skip)]
    pub label: String,
    /// Synthetic against held-out.
    pub value: f64,
    /// Real training sequences against held-out.
    pub floor: f64,
    /// Training mean with noise against held-out; `None` where it has no such thing, as objects.
    pub baseline: Option<f64>,
    /// Untrained generator against held-out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub untrained: Option<f64>,
    /// `value - floor`; about 0 for a generator as good as other real data.
    pub excess: f64,
    /// `(value - floor) / (untrained - floor)`: 0 as good as real data, 1 as bad as untrained. `None` without an untrained
    /// plate, or where the metric does not tell the untrained generator from real data: it lies above the floor by no
    /// more than twice the standard errors of both.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub relative_excess: Option<f64>,
    /// How sure the numbers are.
    pub standard_error: StandardErrors,
}

/// Standard errors from draws of half of the split groups of every set (delete-half jackknife).
///
/// They cover the choice of groups, sequences, patches and directions, not that of the recording. Of few groups they are
/// rough, of a single one too small.
///
/// # Reference
/// Shao and Wu 1989: with h of n sequences kept, the variance of the full statistic is about h / (n - h) times the
/// variance over draws.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct StandardErrors {
    /// Of the value.
    pub value: f64,
    /// Of the floor.
    pub floor: f64,
    /// Of the excess; value and floor share a reference, so it is less than their sum.
    pub excess: f64,
    /// Of the baseline.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub baseline: Option<f64>,
    /// Of the untrained generator.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub untrained: Option<f64>,
}

/// Distributions by set: `reference`, `synthetic`, `training`, `baseline`, `untrained`.
pub type BySet = BTreeMap<&'static str, Vec<f64>>;

/// Distributions behind the metrics.
#[derive(Clone, Debug, Serialize)]
pub struct Curves {
    /// Mean radial power per bin, bin 0 included.
    pub spectrum: BySet,
    /// Shares of pixels in equal bins of the normalised range [0, 1].
    pub intensity: BySet,
    /// Shares of |x(t+1) - x(t)| in equal bins from 0 to `change_up_to`; larger ones are in the last bin.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub change: BySet,
    /// End of the change histogram in the normalised range.
    pub change_up_to: f64,
}

/// MetricValues of all sets, one entry per draw.
#[derive(Clone, Debug, Default)]
pub struct Draws {
    /// Synthetic.
    pub value: Vec<MetricValues>,
    /// Real training sequences.
    pub floor: Vec<MetricValues>,
    /// Training mean with noise.
    pub baseline: Vec<MetricValues>,
    /// Untrained generator; empty where none was given.
    pub untrained: Vec<MetricValues>,
}

/// Returns means over `full` draws, with standard errors from the draws of `kept` of `n` sequences.
pub fn metric_results(
    metrics: &[Metric],
    full: &Draws,
    halves: &Draws,
    kept: usize,
    n: usize,
) -> Vec<MetricResult> {
    let column = |scores: &[MetricValues], i: usize| -> Vec<f64> {
        scores.iter().filter_map(|s| s.get(&metrics[i].key).copied()).collect()
    };
    let mean_of = |scores: &[MetricValues], i| mean(&column(scores, i));
    let factor = (kept as f64 / (n - kept).max(1) as f64).sqrt();
    let error = |values: &[f64]| factor * std_dev(values).unwrap_or(0.0);
    let result = |(i, metric): (usize, &Metric)| {
        let (value, floor) = (mean_of(&full.value, i)?, mean_of(&full.floor, i)?);
        let untrained = mean_of(&full.untrained, i);
        let (values, floors) = (column(&halves.value, i), column(&halves.floor, i));
        // Of draws in which both are defined, since they share a reference.
        let of = |scores: &MetricValues| scores.get(&metric.key).copied();
        let pairs = halves.value.iter().zip(&halves.floor);
        let excesses: Vec<f64> = pairs.filter_map(|(v, f)| Some(of(v)? - of(f)?)).collect();
        let standard_error = StandardErrors {
            value: error(&values),
            floor: error(&floors),
            excess: error(&excesses),
            baseline: mean_of(&full.baseline, i).map(|_| error(&column(&halves.baseline, i))),
            untrained: untrained.map(|_| error(&column(&halves.untrained, i))),
        };
        let uncertain = 2.0 * (standard_error.floor + standard_error.untrained.unwrap_or(0.0));
        let range = untrained.map(|u| u - floor).filter(|range| *range > uncertain);
        Some(MetricResult {
            key: metric.key.clone(),
            label: metric.label.clone(),
            value,
            floor,
            baseline: mean_of(&full.baseline, i),
            untrained,
            excess: value - floor,
            relative_excess: range.map(|range| (value - floor) / range),
            standard_error,
        })
    };
    metrics.iter().enumerate().filter_map(result).collect()
}

/// Returns what the metrics say, in plain words.
pub fn findings(metrics: &[MetricResult]) -> Vec<String> {
    let names = |holds: &dyn Fn(&MetricResult) -> bool| -> Vec<&str> {
        metrics.iter().filter(|m| holds(m)).map(|m| m.key.as_str()).collect()
    };
    let all = metrics.len();
    let mut findings = Vec::new();
    let at_floor = names(&|m| m.excess <= 2.0 * m.standard_error.excess);
    if !at_floor.is_empty() {
        findings.push(format!(
            "{} of {all} metrics do not tell synthetic from real (within two standard errors of the floor): {}.",
            at_floor.len(),
            at_floor.join(", ")
        ));
    }
    let no_better = names(&|m| m.baseline.is_some_and(|baseline| m.value >= baseline));
    if !no_better.is_empty() {
        findings.push(format!(
            "{} of {all} metrics are no better than the training mean with noise: {}.",
            no_better.len(),
            no_better.join(", ")
        ));
    }
    let untrained = names(&|m| m.untrained.is_some_and(|u| m.value >= u));
    if !untrained.is_empty() {
        findings.push(format!(
            "{} of {all} metrics are no better than the untrained generator: {}.",
            untrained.len(),
            untrained.join(", ")
        ));
    }
    if findings.is_empty() {
        let ends = metrics.iter().all(|m| m.baseline.is_some());
        let between = if ends { "between the floor and the baseline" } else { "above the floor" };
        findings.push(format!("All {all} metrics lie {between}."));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(a: f64, b: f64) -> MetricValues {
        [("a".to_owned(), a), ("b".to_owned(), b)].into()
    }

    fn metric(key: &str) -> Metric {
        Metric { key: key.into(), label: key.into(), definition: String::new() }
    }

    #[test]
    fn excess_is_measured_from_the_floor_and_relative_to_the_untrained_generator() {
        let full = Draws {
            value: vec![values(3.0, 1.0), values(5.0, 1.0)],
            floor: vec![values(2.0, 1.0); 2],
            baseline: vec![values(9.0, 0.5); 2],
            untrained: vec![values(12.0, 0.9); 2],
        };
        let halves = Draws { value: vec![values(4.1, 1.0), values(3.9, 1.0)], ..full.clone() };
        let metrics = [metric("a"), metric("b")];
        let results = metric_results(&metrics, &full, &halves, 5, 10);
        assert_eq!((results[0].value, results[0].excess, results[0].relative_excess), (4.0, 2.0, Some(0.2)));
        assert!((results[0].standard_error.value - 0.1 * 2.0_f64.sqrt()).abs() < 1e-12);
        assert_eq!((results[0].standard_error.floor, results[1].relative_excess), (0.0, None));
        let vague = Draws { untrained: vec![values(2.0, 0.9), values(20.0, 0.9)], ..halves };
        assert_eq!(metric_results(&metrics, &full, &vague, 5, 10)[0].relative_excess, None);
        let text = findings(&results).join(" ");
        assert!(text.contains(
            "1 of 2 metrics do not tell synthetic from real (within two standard errors of the floor): b."
        ));
        assert!(
            text.contains("no better than the training mean with noise: b.")
                && text.contains("untrained generator: b.")
        );
        assert_eq!(findings(&results[..1]), ["All 1 metrics lie between the floor and the baseline."]);
    }
}
