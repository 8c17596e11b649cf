//! What all trials say together: per arm and difference an estimate with an interval, and verdicts in words.

use serde_json::{Map, Value, json};

use super::arms::{Arm, Contrast};
use super::endpoints::{ENDPOINTS, Estimates, PRIMARY};
use super::plates::BenchmarkPlan;
use super::settings::BenchmarkSettings;
use super::trials::Trials;
use super::verdict::{LEARNT, Verdict, learnt_nothing};
use lapsegan_core::report::summary::table;
use lapsegan_core::scores::counts::{Counts, Scores, mean_over_defined_images};
use lapsegan_core::scores::matching::thresholds;
use lapsegan_core::stats::bootstrap::{BootstrapSettings, Design, Draw, Estimate, estimate};

/// Gains up to this are not worth a generator: of an interval that ends below, the sentence says so.
const NEGLIGIBLE_GAIN: f64 = 0.01;

/// All numbers of a run.
#[derive(Clone, Debug)]
pub struct Summary {
    /// Scores of every arm.
    pub arms: Vec<(Arm, Estimates)>,
    /// Paired differences.
    pub differences: Vec<(Contrast, Estimates)>,
    /// Independent groups of test sequences.
    pub n_groups: usize,
    /// Seeds per arm.
    pub n_seeds: usize,
    /// Real training sequences per seed.
    pub n_real: usize,
    /// Share of resamples inside an interval.
    pub confidence: f64,
    /// p values of the differences, corrected for several numbers of real sequences; empty with one number.
    pub p_holm: Vec<Option<f64>>,
}

/// Returns the scores of a run with their intervals; the resamples follow from `base_seed`.
///
/// A score is computed from the pooled counts of the drawn test sequences, then averaged over the drawn seeds.
pub fn summarise(trials: &Trials, settings: &BenchmarkSettings, base_seed: u64) -> Summary {
    let design = Design::new(trials.test.iter().map(|s| s.group.as_str()), settings.seeds);
    let bootstrap =
        BootstrapSettings { resamples: settings.resamples, confidence: settings.confidence, seed: base_seed };
    let experiment = &trials.experiment;
    let place = |arm: Arm| experiment.arms.iter().position(|other| *other == arm);
    // Arms and differences from the same resamples.
    let mut estimates = estimate(&design, &bootstrap, |draw| {
        let levels: Vec<_> = experiment.arms.iter().map(|&arm| level(trials, arm, draw)).collect();
        let of = |arm, endpoint: usize| place(arm).and_then(|at| levels[at][endpoint]);
        let differences = experiment.contrasts.iter().flat_map(|contrast| {
            let pair = move |i| of(contrast.arm, i).zip(of(contrast.against, i));
            (0..ENDPOINTS.len()).map(move |i| pair(i).map(|(a, b)| a - b))
        });
        levels.iter().flatten().copied().chain(differences).collect()
    })
    .into_iter();
    Summary {
        arms: experiment.arms.iter().map(|&arm| (arm, Estimates::take(&mut estimates))).collect(),
        differences: experiment.contrasts.iter().map(|&c| (c, Estimates::take(&mut estimates))).collect(),
        n_groups: design.groups.len(),
        n_seeds: settings.seeds,
        n_real: trials.n_real(),
        confidence: settings.confidence,
        p_holm: Vec::new(),
    }
}

/// Returns the score of an arm per endpoint; `None` where it is undefined for a drawn seed.
pub(super) fn level(trials: &Trials, arm: Arm, draw: &Draw) -> [Option<f64>; ENDPOINTS.len()] {
    let mut sums = [0.0; ENDPOINTS.len()];
    let mut defined = [true; ENDPOINTS.len()];
    for &seed in &draw.seeds {
        let Some(trained) = trials.of_arm(arm).find(|t| t.task.seed == seed) else { continue };
        let scores = draw.sequences.iter().map(|&i| trained.counts[i]).sum::<Counts>().scores();
        for (i, endpoint) in ENDPOINTS.iter().enumerate() {
            match (endpoint.read)(&scores) {
                Some(value) => sums[i] += value / draw.seeds.len() as f64,
                None => defined[i] = false,
            }
        }
    }
    std::array::from_fn(|i| defined[i].then_some(sums[i]))
}

impl Summary {
    /// Returns the difference between an arm and the first one, which the others are compared with; `None` where it is
    /// not asked for.
    pub fn difference_of(&self, arm: Arm) -> Option<&Estimates> {
        let wanted = |contrast: &Contrast| contrast.arm == arm && self.is_against_first(contrast);
        self.differences.iter().find(|(contrast, _)| wanted(contrast)).map(|(_, estimates)| estimates)
    }

    /// Returns the verdict on the difference between an arm and the first one; `None` where it is not asked for.
    pub fn verdict_of(&self, arm: Arm) -> Option<Verdict> {
        let wanted = |contrast: &Contrast| contrast.arm == arm && self.is_against_first(contrast);
        self.differences.iter().find(|(contrast, _)| wanted(contrast)).map(|(c, e)| self.verdict(c, e))
    }

    fn verdict(&self, contrast: &Contrast, difference: &Estimates) -> Verdict {
        let levels = [contrast.arm, contrast.against].map(|arm| self.level_of(arm));
        Verdict::of(difference.primary(), levels, self.p_holm_of(contrast), self.confidence)
    }

    fn p_holm_of(&self, contrast: &Contrast) -> Option<f64> {
        let at = self.differences.iter().position(|(other, _)| other == contrast)?;
        self.p_holm.get(at).copied().flatten()
    }

    /// Returns the primary score of an arm.
    pub fn level_of(&self, arm: Arm) -> Option<&Estimate> {
        self.arms.iter().find(|(other, _)| *other == arm).map(|(_, estimates)| estimates.primary())
    }

    fn is_against_first(&self, contrast: &Contrast) -> bool {
        self.arms.first().is_some_and(|(first, _)| contrast.against == *first)
    }

    /// Returns a plain sentence per difference, such as on adding synthetic sequences to the real ones.
    pub fn sentences(&self) -> Vec<String> {
        let percent = (100.0 * self.confidence).round();
        let sentence = |(contrast, estimates): &(Contrast, Estimates)| {
            let (subject, difference) = (contrast.subject(self.n_real), estimates.primary());
            let score = PRIMARY.title;
            let change = match (difference.value, difference.interval, &difference.no_interval) {
                (Some(v), Some([low, high]), _) => format!(
                    "{score} changes by {v:+.3} ({percent} % interval {low:+.3} to {high:+.3}; {}{} test groups, {} seeds)",
                    self.p_holm_of(contrast)
                        .map_or_else(String::new, |p| format!("p {p:.3} among all numbers; ")),
                    self.n_groups,
                    self.n_seeds
                ),
                (Some(v), None, Some(why)) => format!("{score} changes by {v:+.3}, and {why}"),
                _ => "AP is undefined, as there is no object in truth or prediction".to_owned(),
            };
            match self.verdict(contrast, estimates) {
                Verdict::NothingLearnt => format!(
                    "{subject}: nothing was learnt, {} ({score} below {LEARNT}), so that nothing can be said about the \
                     data; train for longer (--steps), or look at the labels; {change}.",
                    self.reached(contrast)
                ),
                Verdict::Helps if self.level_of(contrast.against).is_some_and(learnt_nothing) => format!(
                    "{subject} helps: {change}; arm {} by itself learnt nothing ({score} below {LEARNT}).",
                    contrast.against.name
                ),
                Verdict::Helps => format!("{subject} helps: {change}."),
                Verdict::Hurts => format!("{subject} hurts: {change}."),
                Verdict::NoEvidence
                    if difference.interval.is_some_and(|[_, high]| high < NEGLIGIBLE_GAIN) =>
                {
                    format!(
                        "{subject}: no evidence that it helps, and it gains less than {NEGLIGIBLE_GAIN}; {change}."
                    )
                }
                Verdict::NoEvidence => format!("{subject}: no evidence that it helps or hurts; {change}."),
            }
        };
        self.differences.iter().map(sentence).collect()
    }

    /// Returns what the two arms of a difference reach, such as `both reaches 0.040 and real 0.042`.
    fn reached(&self, contrast: &Contrast) -> String {
        let value = |arm| self.level_of(arm).and_then(|level| level.value).unwrap_or_default();
        let (arm, against) = (contrast.arm, contrast.against);
        format!("{} reaches {:.3} and {} {:.3}", arm.name, value(arm), against.name, value(against))
    }

    /// Returns the primary endpoint of arms and differences as a table for a terminal.
    pub fn table(&self) -> String {
        let none = || "–".to_owned();
        let row = |name: String, estimate: &Estimate, signed: bool, verdict: &str| {
            let number = |v: f64| if signed { format!("{v:+.3}") } else { format!("{v:.3}") };
            let interval =
                estimate.interval.map(|[low, high]| format!("{} to {}", number(low), number(high)));
            let value = estimate.value.map_or_else(none, number);
            vec![name, value, interval.unwrap_or_else(none), verdict.to_owned()]
        };
        let arms = self.arms.iter().map(|(arm, e)| row(arm.name.to_owned(), e.primary(), false, ""));
        let differences = self
            .differences
            .iter()
            .map(|(contrast, e)| row(contrast.name(), e.primary(), true, self.verdict(contrast, e).words()));
        let interval = format!("{} % interval", (100.0 * self.confidence).round());
        let header = ["arm", PRIMARY.title, &interval, "verdict"];
        table(&header, &arms.chain(differences).collect::<Vec<_>>())
    }

    /// Returns verdicts, differences and the estimates of every arm, without what single trainings and sequences reach.
    pub fn to_short_json(&self) -> Value {
        json!({
            "verdict": self.verdict_json(),
            "differences": self.differences_json(),
            "arms": object(self.arms.iter().map(|(arm, e)| (arm.name, e.to_json()))),
        })
    }

    fn verdict_json(&self) -> Value {
        let key = |contrast: &Contrast| {
            if self.is_against_first(contrast) { contrast.arm.name.to_owned() } else { contrast.name() }
        };
        let verdicts = self.differences.iter().map(|(c, e)| (key(c), json!(self.verdict(c, e))));
        let mut verdict = object(verdicts);
        let definition = "mean over IoU 0.50, 0.55, ... 0.95 of TP / (TP + FP + FN), counts pooled over held-out sequences, mean over seeds";
        verdict["text"] = json!(self.sentences());
        verdict["primary_endpoint"] = json!(format!("{}: {definition}", PRIMARY.key));
        verdict["negligible_gain"] = json!(NEGLIGIBLE_GAIN);
        verdict["least_learnt"] = json!(LEARNT);
        verdict
    }

    fn differences_json(&self) -> Value {
        let one = |(contrast, estimates): &(Contrast, Estimates)| {
            let mut json = estimates.to_json();
            json[PRIMARY.key]["p"] = json!(estimates.primary().p);
            if let Some(p) = self.p_holm_of(contrast) {
                json[PRIMARY.key]["p_holm"] = json!(p);
            }
            (contrast.name(), json)
        };
        object(self.differences.iter().map(one))
    }

    /// Returns `scores.json`. It holds no clock time: equal runs give equal bytes.
    pub fn to_json(&self, trials: &Trials, plan: &BenchmarkPlan, settings: &BenchmarkSettings) -> Value {
        json!({
            "verdict": self.verdict_json(),
            "notes": plan.notes,
            "differences": self.differences_json(),
            "arms": object(self.arms.iter().map(|(arm, e)| (arm.name, arm_json(trials, *arm, e)))),
            "interval": {
                "kind": "percentile bootstrap over split groups, sequences within groups, and seeds; arms paired",
                "confidence": self.confidence,
                "resamples": settings.resamples,
                "groups": self.n_groups,
                "seeds": self.n_seeds,
            },
            "thresholds": thresholds(),
            "data": plan,
            "real_sequences_per_seed": trials.real_names(),
            "settings": settings,
            "sequences": sequences_json(trials, self.n_seeds),
        })
    }
}

/// Returns the estimates of an arm, and the counts and scores of each of its seeds.
fn arm_json(trials: &Trials, arm: Arm, estimates: &Estimates) -> Value {
    let seeds: Vec<Value> = trials
        .of_arm(arm)
        .map(|trained| {
            let each: Vec<Scores> = trained.counts.iter().map(Counts::scores).collect();
            json!({
                "seed": trained.task.seed,
                "pooled": trained.counts.iter().copied().sum::<Counts>().report(),
                "mean_over_defined_sequences": mean_over_defined_images(&each),
            })
        })
        .collect();
    json!({ "estimates": estimates.to_json(), "seeds": seeds })
}

/// Returns what every arm reaches in every held-out sequence, mean over seeds.
fn sequences_json(trials: &Trials, n_seeds: usize) -> Vec<Value> {
    let one = |(index, sequence): (usize, &super::trials::Tested)| {
        let alone = Draw { sequences: vec![index], seeds: (0..n_seeds).collect() };
        let values = |arm| {
            let keys = ENDPOINTS.iter().map(|endpoint| endpoint.key);
            object(keys.zip(level(trials, arm, &alone).map(|value| json!(value))))
        };
        let arms = trials.experiment.arms.iter().map(|&arm| (arm.name, values(arm)));
        json!({ "name": sequence.name, "group": sequence.group, "arms": object(arms) })
    };
    trials.test.iter().enumerate().map(one).collect()
}

fn object<K: Into<String>>(fields: impl Iterator<Item = (K, Value)>) -> Value {
    Value::Object(fields.map(|(key, value)| (key.into(), value)).collect::<Map<_, _>>())
}

#[cfg(test)]
mod tests {
    use super::super::arms::{BOTH, Experiment, REAL, SYNTHETIC};
    use super::super::trials::{Tested, Trained};
    use super::*;

    #[test]
    fn nothing_learnt_stands_in_the_sentence_the_table_and_the_json() {
        // Only the first of eight objects is found, by all arms alike.
        let mut trials = hand_made(4);
        let (found, lost) = (trials.trained[2].counts[0], trials.trained[1].counts[0]);
        for trained in &mut trials.trained {
            trained.counts = std::iter::once(found).chain([lost; 7]).collect();
        }
        let some = summarise(&trials, &BenchmarkSettings::quick(), 1);
        assert_eq!(some.verdict_of(BOTH), Some(Verdict::NoEvidence));
        trials.trained.iter_mut().for_each(|trained| trained.counts[0] = lost);
        let none = summarise(&trials, &BenchmarkSettings::quick(), 1);
        assert_eq!(none.verdict_of(BOTH), Some(Verdict::NothingLearnt));
        assert_eq!(none.to_short_json()["verdict"]["both"], "nothing_learnt");
        assert!(none.table().contains("nothing learnt"), "{}", none.table());
        let sentence = &none.sentences()[0];
        assert!(
            sentence.starts_with(
                "Adding synthetic sequences to 1 real ones: nothing was learnt, both reaches 0.000 and real 0.000"
            ),
            "{sentence}"
        );
        assert!(!sentence.contains("help"), "{sentence}");
    }

    /// One object per sequence: arm `both` finds all, `real` half of them, `synthetic` none.
    fn hand_made(groups: usize) -> Trials {
        let truth = ndarray::arr2(&[[1_u32, 1, 0, 0]]);
        let counts = |found: bool| {
            Counts::of(truth.view(), truth.mapv(|id| if found { id } else { 0 }).view()).unwrap()
        };
        let test =
            (0..8).map(|i| Tested { name: format!("A/{i}"), group: format!("g{}", i % groups) }).collect();
        let experiment = Experiment::standard();
        let trained = experiment
            .grid(3, &[1])
            .into_iter()
            .map(|task| Trained {
                task,
                counts: (0..8).map(|i| counts(task.arm == BOTH || (task.arm == REAL && i < 4))).collect(),
                real_names: vec!["A/9".into()],
                found: Vec::new(),
            })
            .collect();
        Trials::new(experiment, trained, test, Vec::new())
    }

    #[test]
    fn differences_equal_what_the_hand_made_counts_say() {
        let summary = summarise(&hand_made(4), &BenchmarkSettings::quick(), 1);
        let values: Vec<f64> = summary.arms.iter().map(|(_, e)| e.primary().value.unwrap()).collect();
        assert!(values.iter().zip([0.5, 0.0, 1.0]).all(|(a, b)| (a - b).abs() < 1e-12), "{values:?}");
        let both = summary.difference_of(BOTH).unwrap().primary();
        assert!((both.value.unwrap() - 0.5).abs() < 1e-12);
        let verdicts = [BOTH, SYNTHETIC].map(|arm| summary.verdict_of(arm).unwrap());
        assert_eq!(verdicts, [Verdict::Helps, Verdict::Hurts]);
        let [both, synthetic] = summary.sentences().try_into().unwrap();
        assert!(
            both.starts_with(
                "Adding synthetic sequences to 1 real ones helps: AP 0.50:0.95 changes by +0.500"
            )
        );
        assert!(synthetic.contains("instead of 1 real ones hurts"));
    }

    #[test]
    fn a_difference_between_two_further_arms_has_a_verdict_under_its_own_name() {
        let mut trials = hand_made(4);
        trials.experiment.contrasts.push(Contrast { arm: BOTH, against: SYNTHETIC });
        let summary = summarise(&trials, &BenchmarkSettings::quick(), 1);
        let json = summary.to_short_json();
        assert_eq!(json["verdict"]["both - synthetic"], "helps");
        assert_eq!(json["verdict"]["both"], "helps");
        let value = json["differences"]["both - synthetic"]["mean_ap"]["value"].as_f64().unwrap();
        assert!((value - 1.0).abs() < 1e-12);
        let of_both = summary.difference_of(BOTH).unwrap().primary().value.unwrap();
        assert!((of_both - 0.5).abs() < 1e-12);
        assert!(
            summary.sentences()[2]
                .starts_with("With 1 real ones, training as in arm both instead of arm synthetic helps")
        );
    }

    #[test]
    fn the_table_for_a_terminal_has_a_line_per_arm_and_difference() {
        let table = summarise(&hand_made(4), &BenchmarkSettings::quick(), 1).table();
        let lines: Vec<&str> = table.lines().collect();
        assert_eq!(lines.len(), 6, "{table}");
        assert_eq!(lines[0], "arm               AP 0.50:0.95     95 % interval  verdict");
        assert_eq!(lines[3], "both                     1.000    1.000 to 1.000");
        assert!(lines[4].starts_with("both - real             +0.500  +") && lines[4].ends_with("  helps"));
    }

    #[test]
    fn two_groups_are_not_enough_for_a_verdict() {
        let summary = summarise(&hand_made(2), &BenchmarkSettings::quick(), 1);
        assert_eq!(summary.verdict_of(BOTH), Some(Verdict::NoEvidence));
        assert!(summary.sentences()[0].contains("here are 2"));
        assert!(summary.table().contains("no evidence"));
    }
}
