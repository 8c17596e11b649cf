//! The benchmark over several numbers of real sequences: is it worth labelling more?

use serde::Serialize;
use serde_json::{Value, json};

use super::arms::{Arm, BOTH, REAL};
use super::endpoints::PRIMARY;
use super::settings::BenchmarkSettings;
use super::summary::{Summary, level, summarise};
use super::trials::Trials;
use super::verdict::learnt_nothing;
use lapsegan_core::report::plots::{LinePlot, Series};
use lapsegan_core::report::summary::table;
use lapsegan_core::report::{Table, TableCell};
use lapsegan_core::stats::bootstrap::{BootstrapSettings, Design, Estimate, estimate};

/// What all trials say, a summary for each number of real sequences, and what synthetic sequences are worth in labels.
#[derive(Clone, Debug)]
pub struct Curve {
    /// Summaries by rising number of real sequences. The first one stands for all where there is room for one.
    pub points: Vec<Summary>,
    /// Worth of the synthetic sequences beside each number of real ones; empty where there is one number only.
    pub saved: Vec<Saved>,
}

/// How many real sequences alone reach what these reach with synthetic ones.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Saved {
    /// Real sequences beside the synthetic ones.
    pub n_real: usize,
    /// Real sequences alone that reach as much, interpolated along the logarithm of their number.
    pub equals: Estimate,
    /// Smallest and largest number that was measured: what lies beyond is given as these.
    pub measured: [usize; 2],
}

/// Summarises trials of rising numbers of real sequences; verdicts are corrected for their number (Holm, 1979).
///
/// Synthetic sequences whose labels were learned from `n_labels` real ones have no worth beside fewer: they cost these.
pub fn curve(trials: &[Trials], settings: &BenchmarkSettings, n_labels: usize, base_seed: u64) -> Curve {
    let mut points: Vec<Summary> =
        trials.iter().map(|trials| summarise(trials, settings, base_seed)).collect();
    if points.len() < 2 {
        return Curve { points, saved: Vec::new() };
    }
    let contrasts = points[0].differences.len();
    for contrast in 0..contrasts {
        let p: Vec<Option<f64>> = points.iter().map(|s| s.differences[contrast].1.primary().p).collect();
        for (point, adjusted) in points.iter_mut().zip(holm(&p)) {
            point.p_holm.push(adjusted);
        }
    }
    let mut saved = saved(trials, &points, settings, base_seed);
    saved.retain(|saved| saved.n_real >= n_labels);
    Curve { points, saved }
}

/// Returns p values of several tests, corrected so that one false one among all is as rare as one test alone would have
/// it; those that are missing count for nothing.
fn holm(p: &[Option<f64>]) -> Vec<Option<f64>> {
    let mut order: Vec<(usize, f64)> = p.iter().enumerate().filter_map(|(at, p)| Some((at, (*p)?))).collect();
    order.sort_by(|a, b| a.1.total_cmp(&b.1));
    let mut adjusted = vec![None; p.len()];
    let mut least = 0.0_f64;
    for (rank, (at, p)) in order.iter().enumerate() {
        least = least.max((p * (order.len() - rank) as f64).min(1.0));
        adjusted[*at] = Some(least);
    }
    adjusted
}

fn saved(trials: &[Trials], points: &[Summary], settings: &BenchmarkSettings, base_seed: u64) -> Vec<Saved> {
    let has = |arm| trials[0].experiment.arms.contains(&arm);
    let learnt =
        |arm| points.iter().any(|point| point.level_of(arm).is_some_and(|level| !learnt_nothing(level)));
    if !has(BOTH) || !has(REAL) || !learnt(REAL) {
        return Vec::new();
    }
    let design = Design::new(trials[0].test.iter().map(|s| s.group.as_str()), settings.seeds);
    let bootstrap =
        BootstrapSettings { resamples: settings.resamples, confidence: settings.confidence, seed: base_seed };
    let numbers: Vec<f64> = points.iter().map(|point| point.n_real as f64).collect();
    let equals = estimate(&design, &bootstrap, |draw| {
        let of = |arm| trials.iter().map(|t| level(t, arm, draw)[0]).collect::<Option<Vec<f64>>>();
        match (of(REAL), of(BOTH)) {
            (Some(real), Some(both)) => {
                both.iter().map(|&ap| Some(number_for(ap, &numbers, &real))).collect()
            }
            _ => vec![None; numbers.len()],
        }
    });
    let measured = [points[0].n_real, points[points.len() - 1].n_real];
    let one = |(point, equals): (&Summary, Estimate)| Saved { n_real: point.n_real, equals, measured };
    points.iter().zip(equals).map(one).collect()
}

/// Returns the number at which a rising curve reaches a value: between points along the logarithm of the number, beyond
/// them the first or the last one. Where the curve falls it is taken to stay.
fn number_for(value: f64, numbers: &[f64], curve: &[f64]) -> f64 {
    let mut before = (numbers[0], curve[0]);
    if value <= before.1 {
        return before.0;
    }
    for (&number, &height) in numbers.iter().zip(curve).skip(1) {
        let height = height.max(before.1);
        if value <= height {
            let share = (value - before.1) / (height - before.1);
            return (before.0.ln() + share * (number.ln() - before.0.ln())).exp();
        }
        before = (number, height);
    }
    before.0
}

impl Saved {
    /// Returns it as a sentence; nothing where it is not defined.
    fn sentence(&self, confidence: f64) -> Option<String> {
        let value = self.equals.value?;
        let [least, most] = self.measured.map(|n| n as f64);
        let number = |n: f64| match n {
            n if n >= most => format!("{most:.0} or more"),
            n if n <= least => format!("{least:.0} or fewer"),
            n => format!("{n:.1}"),
        };
        let interval = self.equals.interval.map_or_else(String::new, |[low, high]| {
            format!(" ({:.0} % interval {} to {})", 100.0 * confidence, number(low), number(high))
        });
        Some(format!(
            "{} real and the synthetic sequences are worth {} real ones alone{interval}.",
            self.n_real,
            number(value)
        ))
    }
}

impl Curve {
    /// Returns the summary of the smallest number of real sequences, which stands for all where there is room for one.
    ///
    /// # Panics
    /// Without trials.
    pub fn primary(&self) -> &Summary {
        &self.points[0]
    }

    /// Returns plain sentences: the verdicts of the smallest number, and what synthetic sequences are worth.
    pub fn sentences(&self) -> Vec<String> {
        self.primary().sentences().into_iter().chain(self.worth()).collect()
    }

    /// Returns what synthetic sequences are worth, a sentence each.
    fn worth(&self) -> Vec<String> {
        self.saved.iter().filter_map(|saved| saved.sentence(self.primary().confidence)).collect()
    }

    /// Returns a table for a terminal.
    pub fn table(&self) -> String {
        if self.points.len() == 1 {
            return self.primary().table();
        }
        let interval = format!("{} % interval", (100.0 * self.primary().confidence).round());
        let header = ["real", "arm", PRIMARY.title, &interval, "change", "verdict"];
        let rows: Vec<Vec<String>> =
            self.rows().map(|row| row.map(|text| text.replace('–', "-")).to_vec()).collect();
        format!("{}\n{}\n", table(&header, &rows), self.worth().join("\n"))
    }

    /// Returns number, arm, score, interval, change against arm real, and verdict.
    fn rows(&self) -> impl Iterator<Item = [String; 6]> {
        self.points.iter().flat_map(|point| {
            point.arms.iter().map(move |(arm, estimates)| {
                let level = estimates.primary();
                let number = |value: Option<f64>| value.map_or_else(|| "–".to_owned(), |v| format!("{v:.3}"));
                let interval =
                    level.interval.map_or_else(|| "–".to_owned(), |[l, h]| format!("{l:.3} to {h:.3}"));
                let change = point.difference_of(*arm).and_then(|d| d.primary().value);
                let change = change.map_or_else(String::new, |v| format!("{v:+.3}"));
                let verdict = point.verdict_of(*arm).map_or_else(String::new, |v| v.words().to_owned());
                [
                    point.n_real.to_string(),
                    arm.name.to_owned(),
                    number(level.value),
                    interval,
                    change,
                    verdict,
                ]
            })
        })
    }

    /// Returns the rows as a table of the page.
    pub fn page_table(&self) -> Table {
        let header = ["real sequences", "arm", PRIMARY.title, "interval", "change to real", "verdict"];
        let row = |row: [String; 6]| row.into_iter().map(TableCell::text).collect();
        Table {
            caption: "Every arm beside every number of real sequences; verdicts are corrected for their number (Holm)".into(),
            header: header.map(str::to_owned).to_vec(),
            rows: self.rows().map(row).collect(),
        }
    }

    /// Returns the score of every arm over the number of real sequences, with the intervals of arms `real` and `both`.
    pub fn plot(&self) -> LinePlot {
        let series = |(color, (arm, _)): (usize, &(Arm, super::endpoints::Estimates))| {
            let at = |point: &Summary| point.level_of(*arm).map(|level| (point.n_real as f64, level.clone()));
            let levels: Vec<(f64, Estimate)> = self.points.iter().filter_map(at).collect();
            let band = |(n, level): &(f64, Estimate)| level.interval.map(|[low, high]| [*n, low, high]);
            let banded = [REAL, BOTH].contains(arm);
            Series {
                name: arm.name.to_owned(),
                points: levels.iter().filter_map(|(n, level)| Some([*n, level.value?])).collect(),
                band: if banded { levels.iter().filter_map(band).collect() } else { Vec::new() },
                color,
                dashed: !arm.depends_on_n(),
                dots: arm.depends_on_n(),
                ..Series::default()
            }
        };
        LinePlot {
            title: "How many sequences must be labelled?".into(),
            x_label: "real labelled sequences".into(),
            y_label: PRIMARY.title.into(),
            log_x: true,
            from_zero: true,
            series: self.primary().arms.iter().enumerate().map(series).collect(),
            ..LinePlot::default()
        }
    }

    /// Returns verdicts, differences and estimates: of the smallest number as they are with one number alone, and of all.
    pub fn to_short_json(&self) -> Value {
        let mut json = self.primary().to_short_json();
        self.add_to(&mut json);
        json
    }

    /// Adds what belongs to several numbers to the JSON of the smallest one.
    pub fn add_to(&self, json: &mut Value) {
        if self.points.len() < 2 {
            return;
        }
        let point = |summary: &Summary| {
            let mut point = summary.to_short_json();
            point["n_real"] = json!(summary.n_real);
            point
        };
        json["curve"] = self.points.iter().map(point).collect();
        json["labels_saved"] = json!(self.saved);
        json["verdict"]["text"] = json!(self.sentences());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn p_values_are_corrected_as_holm_says() {
        let p = [Some(0.01), Some(0.04), None, Some(0.03)];
        let adjusted: Vec<Option<f64>> =
            holm(&p).into_iter().map(|p| p.map(|p| (p * 1e6).round() / 1e6)).collect();
        assert_eq!(adjusted, [Some(0.03), Some(0.06), None, Some(0.06)]);
        assert_eq!(holm(&[Some(0.6), Some(0.9)]), [Some(1.0), Some(1.0)]);
    }

    #[test]
    fn a_number_is_found_between_points_and_bounded_by_them() {
        let (numbers, curve) = ([1.0, 4.0, 16.0], [0.2, 0.4, 0.3]);
        let of = |value| number_for(value, &numbers, &curve);
        assert_eq!((of(0.1), of(0.2), of(0.9)), (1.0, 1.0, 16.0));
        assert!((of(0.3) - 2.0).abs() < 1e-9 && (of(0.4) - 4.0).abs() < 1e-9);
    }

    #[test]
    fn what_lies_beyond_the_curve_is_said_to() {
        let equals = Estimate { value: Some(16.0), interval: Some([2.5, 16.0]), no_interval: None, p: None };
        let saved = Saved { n_real: 2, equals, measured: [1, 16] };
        assert_eq!(
            saved.sentence(0.95).unwrap(),
            "2 real and the synthetic sequences are worth 16 or more real ones alone (95 % interval 2.5 to 16 or more)."
        );
    }
}
