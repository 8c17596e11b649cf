//! From trials to `scores.json`: per arm, per seed, differences with intervals, and a verdict in words.

use serde::Serialize;
use serde_json::{Value, json};

use super::bootstrap::{BootstrapSettings, Design, Draw, Estimate, estimate};
use super::matching::thresholds;
use super::material::Plan;
use super::protocol::{Arm, Trials};
use super::scores::{Counts, Scores, mean_over_defined_images};
use super::settings::Settings;

/// Gains up to this are not worth a generator: an interval that ends below says "does not help".
const NEGLIGIBLE_GAIN: f64 = 0.01;

type Endpoint = (&'static str, fn(&Scores) -> Option<f64>);

/// Endpoints with intervals: key, and how it is read from scores. The first is the primary one, named before any run.
const ENDPOINTS: [Endpoint; 5] = [
    ("mean_ap", |s| s.mean_ap),
    ("ap50", |s| s.ap[0]),
    ("f1_50", |s| s.f1[0]),
    ("pq_50", |s| s.pq[0]),
    ("dice", |s| s.dice),
];

/// What the primary endpoint says about one comparison with arm `real`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The whole interval of the difference lies above 0.
    Helps,
    /// The whole interval lies below a gain of 0.01.
    DoesNotHelp,
    /// Neither, or there is no interval.
    CannotTell,
}

impl Verdict {
    /// Returns the verdict on a difference.
    pub fn of(difference: &Estimate) -> Self {
        match difference.interval {
            Some([low, _]) if low > 0.0 => Self::Helps,
            Some([_, high]) if high < NEGLIGIBLE_GAIN => Self::DoesNotHelp,
            _ => Self::CannotTell,
        }
    }

    /// Returns it for a table.
    pub fn words(self) -> &'static str {
        match self {
            Self::Helps => "helps",
            Self::DoesNotHelp => "does not help",
            Self::CannotTell => "cannot tell",
        }
    }
}

/// An estimate per endpoint.
#[derive(Clone, Debug, PartialEq)]
pub struct Estimates(pub [Estimate; ENDPOINTS.len()]);

impl Estimates {
    /// Returns the primary endpoint: AP averaged over IoU 0.50 to 0.95.
    pub fn primary(&self) -> &Estimate {
        &self.0[0]
    }

    /// Returns endpoints by name.
    pub fn named(&self) -> impl Iterator<Item = (&'static str, &Estimate)> {
        ENDPOINTS.iter().map(|e| e.0).zip(&self.0)
    }

    fn to_json(&self) -> Value {
        Value::Object(self.named().map(|(key, e)| (key.to_owned(), json!(e))).collect())
    }
}

/// All numbers of a run.
#[derive(Clone, Debug)]
pub struct Summary {
    /// Per arm, in the order of [`Arm::ALL`].
    pub arms: [Estimates; 3],
    /// `both - real`.
    pub both_minus_real: Estimates,
    /// `synthetic - real`.
    pub synthetic_minus_real: Estimates,
    /// Independent groups of test sequences.
    pub n_groups: usize,
    /// Seeds per arm.
    pub n_seeds: usize,
    /// Share of resamples inside an interval.
    pub confidence: f64,
}

/// Returns the scores of a run with their intervals; the resamples follow from `base_seed`.
///
/// A score is computed from the pooled counts of the drawn test sequences, then averaged over the drawn seeds.
pub fn summarise(trials: &Trials, settings: &Settings, base_seed: u64) -> Summary {
    let design = Design::new(trials.test.iter().map(|s| s.group.as_str()), settings.seeds);
    let bootstrap = BootstrapSettings {
        resamples: settings.resamples,
        confidence: settings.confidence,
        seed: crate::seed::key(&[base_seed, 2]),
    };
    let levels =
        |draw: &Draw| -> [[Option<f64>; ENDPOINTS.len()]; 3] { Arm::ALL.map(|arm| level(trials, arm, draw)) };
    let n = ENDPOINTS.len();
    // Three arms and two differences from the same resamples.
    let all: [Estimate; 5 * ENDPOINTS.len()] = estimate(&design, &bootstrap, |draw| {
        let [real, synthetic, both] = levels(draw);
        let minus = |a: &[Option<f64>], i: usize| a[i].zip(real[i]).map(|(a, b)| a - b);
        std::array::from_fn(|at| match (at / n, at % n) {
            (0, i) => real[i],
            (1, i) => synthetic[i],
            (2, i) => both[i],
            (3, i) => minus(&both, i),
            (_, i) => minus(&synthetic, i),
        })
    });
    let take = |part: usize| Estimates(std::array::from_fn(|i| all[part * n + i].clone()));
    Summary {
        arms: [take(0), take(1), take(2)],
        both_minus_real: take(3),
        synthetic_minus_real: take(4),
        n_groups: design.groups.len(),
        n_seeds: settings.seeds,
        confidence: settings.confidence,
    }
}

fn level(trials: &Trials, arm: Arm, draw: &Draw) -> [Option<f64>; ENDPOINTS.len()] {
    let mut sums = [0.0; ENDPOINTS.len()];
    let mut defined = [true; ENDPOINTS.len()];
    for &seed in &draw.seeds {
        let Some(cell) = trials.cells.iter().find(|c| c.arm == arm && c.seed == seed) else { continue };
        let scores = draw.sequences.iter().map(|&i| cell.counts[i]).sum::<Counts>().scores();
        for (i, (_, of)) in ENDPOINTS.iter().enumerate() {
            match of(&scores) {
                Some(value) => sums[i] += value / draw.seeds.len() as f64,
                None => defined[i] = false,
            }
        }
    }
    std::array::from_fn(|i| defined[i].then_some(sums[i]))
}

impl Summary {
    /// Returns two plain sentences: on adding synthetic sequences to the real ones, and on using them alone.
    pub fn sentences(&self, n_real: usize) -> [String; 2] {
        let percent = (100.0 * self.confidence).round();
        let sentence = |subject: &str, estimates: &Estimates| {
            let difference = estimates.primary();
            let change = match (difference.value, difference.interval, &difference.no_interval) {
                (Some(v), Some([low, high]), _) => format!(
                    "AP 0.50:0.95 changes by {v:+.3} ({percent} % interval {low:+.3} to {high:+.3}; {} test groups, {} seeds)",
                    self.n_groups, self.n_seeds
                ),
                (Some(v), None, Some(why)) => format!("AP 0.50:0.95 changes by {v:+.3}, and {why}"),
                _ => "AP is undefined, as there is no object in truth or prediction".to_owned(),
            };
            match Verdict::of(difference) {
                Verdict::Helps => format!("{subject} helps: {change}."),
                Verdict::DoesNotHelp => format!("{subject} does not help: {change}."),
                Verdict::CannotTell => format!("{subject}: cannot tell whether it helps; {change}."),
            }
        };
        [
            sentence(&format!("Adding synthetic sequences to {n_real} real ones"), &self.both_minus_real),
            sentence(
                &format!("Training on synthetic sequences instead of {n_real} real ones"),
                &self.synthetic_minus_real,
            ),
        ]
    }

    /// Returns `scores.json`. It holds no clock time: equal runs give equal bytes.
    pub fn to_json(&self, trials: &Trials, plan: &Plan, settings: &Settings) -> Value {
        let n_real = trials.real_names.first().map_or(0, Vec::len);
        let [both, synthetic] = self.sentences(n_real);
        let arms: Vec<(String, Value)> = Arm::ALL
            .iter()
            .zip(&self.arms)
            .map(|(&arm, estimates)| {
                let cells: Vec<Value> = trials
                    .cells
                    .iter()
                    .filter(|c| c.arm == arm)
                    .map(|cell| {
                        let each: Vec<Scores> = cell.counts.iter().map(Counts::scores).collect();
                        json!({
                            "seed": cell.seed,
                            "pooled": cell.counts.iter().copied().sum::<Counts>().report(),
                            "mean_over_defined_sequences": mean_over_defined_images(&each),
                        })
                    })
                    .collect();
                (arm.name().to_owned(), json!({ "estimates": estimates.to_json(), "seeds": cells }))
            })
            .collect();
        let sequences: Vec<Value> = trials
            .test
            .iter()
            .enumerate()
            .map(|(i, sequence)| {
                let alone = Draw { sequences: vec![i], seeds: (0..self.n_seeds).collect() };
                let arms: serde_json::Map<String, Value> = Arm::ALL
                    .iter()
                    .map(|&arm| {
                        let values = level(trials, arm, &alone);
                        let named = ENDPOINTS.iter().zip(values).map(|(e, v)| (e.0.to_owned(), json!(v)));
                        (arm.name().to_owned(), Value::Object(named.collect()))
                    })
                    .collect();
                json!({ "name": sequence.name, "group": sequence.group, "arms": arms })
            })
            .collect();
        json!({
            "verdict": {
                "both": Verdict::of(self.both_minus_real.primary()),
                "synthetic": Verdict::of(self.synthetic_minus_real.primary()),
                "text": [both, synthetic],
                "primary_endpoint": "mean_ap: mean over IoU 0.50, 0.55, ... 0.95 of TP / (TP + FP + FN), counts pooled over held-out sequences, mean over seeds",
                "negligible_gain": NEGLIGIBLE_GAIN,
            },
            "notes": plan.notes,
            "differences": {
                "both - real": self.both_minus_real.to_json(),
                "synthetic - real": self.synthetic_minus_real.to_json(),
            },
            "arms": Value::Object(arms.into_iter().collect()),
            "interval": {
                "kind": "percentile bootstrap over split groups, sequences within groups, and seeds; arms paired",
                "confidence": self.confidence,
                "resamples": settings.resamples,
                "groups": self.n_groups,
                "seeds": self.n_seeds,
            },
            "thresholds": thresholds(),
            "data": plan,
            "real_sequences_per_seed": trials.real_names,
            "settings": settings,
            "sequences": sequences,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::protocol::{Cell, Tested};
    use super::*;

    fn estimate_of(interval: Option<[f64; 2]>) -> Estimate {
        Estimate { value: Some(0.02), interval, no_interval: None }
    }

    #[test]
    fn a_verdict_needs_an_interval_on_one_side() {
        assert_eq!(Verdict::of(&estimate_of(Some([0.001, 0.04]))), Verdict::Helps);
        assert_eq!(Verdict::of(&estimate_of(Some([-0.05, 0.009]))), Verdict::DoesNotHelp);
        assert_eq!(Verdict::of(&estimate_of(Some([-0.05, 0.09]))), Verdict::CannotTell);
        assert_eq!(Verdict::of(&estimate_of(None)), Verdict::CannotTell);
    }

    /// One object per sequence: arm `both` finds all, `real` half of them, `synthetic` none.
    fn hand_made(groups: usize) -> Trials {
        let truth = ndarray::arr2(&[[1_u32, 1, 0, 0]]);
        let counts = |found: bool| {
            Counts::of(truth.view(), truth.mapv(|id| if found { id } else { 0 }).view()).unwrap()
        };
        let test =
            (0..8).map(|i| Tested { name: format!("A/{i}"), group: format!("g{}", i % groups) }).collect();
        let cells = (0..3)
            .flat_map(|seed| {
                Arm::ALL.map(|arm| Cell {
                    arm,
                    seed,
                    counts: (0..8).map(|i| counts(arm == Arm::Both || (arm == Arm::Real && i < 4))).collect(),
                })
            })
            .collect();
        Trials { test, cells, real_names: vec![vec!["A/9".into()]; 3], pictures: Vec::new() }
    }

    #[test]
    fn differences_equal_what_the_hand_made_counts_say() {
        let trials = hand_made(4);
        let summary = summarise(&trials, &Settings::quick(), 1);
        let values = summary.arms.each_ref().map(|e| e.primary().value.unwrap());
        assert!(values.iter().zip([0.5, 0.0, 1.0]).all(|(a, b)| (a - b).abs() < 1e-12), "{values:?}");
        assert!((summary.both_minus_real.primary().value.unwrap() - 0.5).abs() < 1e-12);
        assert_eq!(Verdict::of(summary.both_minus_real.primary()), Verdict::Helps);
        assert_eq!(Verdict::of(summary.synthetic_minus_real.primary()), Verdict::DoesNotHelp);
        let [both, synthetic] = summary.sentences(1);
        assert!(
            both.starts_with(
                "Adding synthetic sequences to 1 real ones helps: AP 0.50:0.95 changes by +0.500"
            )
        );
        assert!(synthetic.contains("does not help"));
    }

    #[test]
    fn two_groups_are_not_enough_for_a_verdict() {
        let trials = hand_made(2);
        let summary = summarise(&trials, &Settings::quick(), 1);
        assert_eq!(Verdict::of(summary.both_minus_real.primary()), Verdict::CannotTell);
        assert!(summary.sentences(1)[0].contains("here are 2"));
    }
}
