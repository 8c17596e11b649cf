//! What an evaluation found: the content of `metrics.json`.
//!
//! ```text
//! format        1
//! program       evaluate
//! real, synthetic, untrained   names of the plates
//! protocol      n, images, reference / training / synthetic / untrained {available, read, groups}, seed, settings
//! warnings      what limits the conclusions, in plain words
//! definitions   metric -> one sentence
//! channels      name, metrics, findings, curves; the last one, `all channels`, only has textures (with several channels)
//!   metrics     key, value, floor, baseline, untrained, excess, relative_excess, spread {value, floor, ...}
//!   curves      spectrum {bins, reference, synthetic, training, ...}, intensity and change {edges, ...}: shares per bin
//! ```
//!
//! All metrics are distances to the held-out real sequences, smaller is better; `format` rises when a field changes.

use std::collections::BTreeMap;

use serde::Serialize;

use super::protocol::{Plan, Settings};
use super::suite::{Metric, Scores};

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
}

/// What was compared.
#[derive(Clone, Debug, Serialize)]
pub struct Protocol {
    /// Sizes and parts.
    #[serde(flatten)]
    pub plan: Plan,
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
    /// Training mean with noise against held-out.
    pub baseline: f64,
    /// Untrained generator against held-out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub untrained: Option<f64>,
    /// `value - floor`; about 0 or below for a generator as good as other real data.
    pub excess: f64,
    /// `(value - floor) / (untrained - floor)`: 0 as good as real data, 1 as bad as untrained. `None` without an untrained
    /// plate, or where the untrained generator is not above the floor.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub relative_excess: Option<f64>,
    /// Standard deviations over draws.
    pub spread: Spread,
}

/// Standard deviations over draws; `None` where all draws give the same number, because they use the same sequences and
/// nothing else is random, or where there is one draw. It does not cover the choice of the recording.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Spread {
    /// Of the value.
    pub value: Option<f64>,
    /// Of the floor.
    pub floor: Option<f64>,
    /// Of the baseline.
    pub baseline: Option<f64>,
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

/// Scores of all sets, one entry per draw.
#[derive(Clone, Debug, Default)]
pub struct Draws {
    /// Synthetic.
    pub value: Vec<Scores>,
    /// Real training sequences.
    pub floor: Vec<Scores>,
    /// Training mean with noise.
    pub baseline: Vec<Scores>,
    /// Untrained generator; empty where none was given.
    pub untrained: Vec<Scores>,
}

/// Returns means, spreads and excesses of all metrics.
pub fn metric_results(metrics: &[Metric], draws: &Draws) -> Vec<MetricResult> {
    let estimate = |scores: &[Scores], i: usize| -> Option<(f64, Option<f64>)> {
        let values: Vec<f64> = scores.iter().filter_map(|s| s.get(i).copied()).collect();
        Some((super::one_dim::mean(&values)?, super::one_dim::std_dev(&values).filter(|s| *s > 0.0)))
    };
    let result = |(i, metric): (usize, &Metric)| {
        let (value, value_spread) = estimate(&draws.value, i)?;
        let (floor, floor_spread) = estimate(&draws.floor, i)?;
        let (baseline, baseline_spread) = estimate(&draws.baseline, i)?;
        let untrained = estimate(&draws.untrained, i).map(|(mean, _)| mean);
        Some(MetricResult {
            key: metric.key.clone(),
            label: metric.label.clone(),
            value,
            floor,
            baseline,
            untrained,
            excess: value - floor,
            relative_excess: untrained.filter(|u| *u > floor).map(|u| (value - floor) / (u - floor)),
            spread: Spread { value: value_spread, floor: floor_spread, baseline: baseline_spread },
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
    let at_floor = names(&|m| m.excess <= m.spread.value.unwrap_or(0.0) + m.spread.floor.unwrap_or(0.0));
    if !at_floor.is_empty() {
        findings.push(format!(
            "{} of {all} metrics are at the floor, as near to the held-out part as other real data: {}.",
            at_floor.len(),
            at_floor.join(", ")
        ));
    }
    let no_better = names(&|m| m.value >= m.baseline);
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
        findings.push(format!("All {all} metrics lie between the floor and the baseline."));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metric(key: &str) -> Metric {
        Metric { key: key.into(), label: key.into(), definition: String::new() }
    }

    #[test]
    fn excess_is_measured_from_the_floor_and_relative_to_the_untrained_generator() {
        let draws = Draws {
            value: vec![vec![3.0, 1.0], vec![5.0, 1.0]],
            floor: vec![vec![2.0, 1.0]; 2],
            baseline: vec![vec![9.0, 0.5]; 2],
            untrained: vec![vec![12.0, 0.9]; 2],
        };
        let results = metric_results(&[metric("a"), metric("b")], &draws);
        assert_eq!((results[0].value, results[0].excess, results[0].relative_excess), (4.0, 2.0, Some(0.2)));
        assert_eq!(results[0].spread.value, Some(2.0_f64.sqrt()));
        assert_eq!((results[0].spread.floor, results[1].relative_excess), (None, None));
        let text = findings(&results).join(" ");
        assert!(text.contains(
            "1 of 2 metrics are at the floor, as near to the held-out part as other real data: b."
        ));
        assert!(
            text.contains("no better than the training mean with noise: b.")
                && text.contains("untrained generator: b.")
        );
        assert_eq!(findings(&results[..1]), ["All 1 metrics lie between the floor and the baseline."]);
    }
}
