//! `report.html` of the benchmark: the verdict, the numbers behind it, and what the arms found.

use ndarray::{Array4, Axis};

use super::curve::Curve;
use super::endpoints::{ENDPOINTS, Estimates, PRIMARY};
use super::plates::BenchmarkPlan;
use super::settings::BenchmarkSettings;
use super::summary::{Summary, level};
use super::trials::Trials;
use lapsegan_core::report::html::Note;
use lapsegan_core::report::plots::{IntervalPoint, IntervalRow};
use lapsegan_core::report::{
    Figure, IntervalPlot, Page, Panel, ReportError, Table, TableCell, contact_sheet,
};
use lapsegan_core::stats::bootstrap::Draw;

/// Narrower frames are enlarged to about this many pixels.
const PICTURE_WIDTH: usize = 160;
/// Held-out sequences in the table of the worst.
const WORST: usize = 10;

/// Returns the page.
///
/// # Errors
/// [`ReportError`] where a picture cannot be encoded.
pub fn page(
    curve: &Curve,
    trials: &Trials,
    plan: &BenchmarkPlan,
    settings: &BenchmarkSettings,
) -> Result<String, ReportError> {
    let summary = curve.primary();
    let n_real: Vec<String> = curve.points.iter().map(|point| point.n_real.to_string()).collect();
    let lead = format!(
        "{} held-out real sequences in {} groups; {} real and {} synthetic training sequences; {} seeds.",
        plan.n_test,
        plan.test_groups.len(),
        n_real.join(", "),
        plan.n_synthetic,
        summary.n_seeds
    );
    let mut page = Page::new("Does the synthetic data help?", &lead);
    for sentence in curve.sentences() {
        page.paragraph(&sentence);
    }
    page.notes(Note::Warning, "What limits this", &plan.notes);

    if curve.points.len() > 1 {
        page.heading("How many sequences must be labelled?");
        page.figures(&[Figure::plot(
            &curve.plot().to_svg(),
            "Mean over seeds; bands are intervals. Where the line of both lies above that of real, follow it to the right: \
             that many real sequences reach as much.",
        )]);
        page.table(&curve.page_table());
        page.heading(&format!("Scores per arm, {} real sequences", summary.n_real));
    } else {
        page.heading("Scores per arm");
    }
    page.figures(&[
        Figure::plot(&levels(summary).to_svg(), "Mean over seeds, with interval."),
        Figure::plot(
            &differences(summary).to_svg(),
            "Paired differences. Right of 0: better than real data alone.",
        ),
    ]);
    page.table(&level_table(summary));
    page.table(&difference_table(summary));
    page.paragraph(
        &format!(
            "AP is TP / (TP + FP + FN) of one-to-one matches at IoU 0.50, 0.55, ... 0.95, counts pooled over all held-out \
             sequences (not COCO's area under a curve). {} Intervals come from resampling groups of test sequences, \
             sequences within groups, and seeds.",
            if settings.segmenter.is_empty() {
                "All arms take the same number of optimiser steps.".to_owned()
            } else {
                format!("How long it trains is up to {}.", settings.segmenter)
            }
        ),
    );

    page.heading("What the arms found");
    let figures = pictures(trials)?;
    page.figures(&figures);
    page.table(&worst(trials, summary.n_seeds));

    page.heading("Data and settings");
    page.table(&Table {
        caption: "What the arms train on".into(),
        header: vec!["arm".into(), "trains on".into()],
        rows: summary
            .arms
            .iter()
            .map(|(arm, _)| vec![TableCell::text(arm.name), TableCell::text(arm.what)])
            .collect(),
    });
    let route = |route: &Option<String>| route.clone().unwrap_or_else(|| "not stated".into());
    page.table(&Table {
        caption: String::new(),
        header: vec!["what".into(), "value".into()],
        rows: [
            ("channels the segmenter sees", plan.channels.join(", ")),
            ("label", settings.label.clone()),
            ("labels of the real plate", route(&plan.real_label_route)),
            ("labels of the synthetic plate", route(&plan.synthetic_label_route)),
            ("real training sequences there are", plan.n_real_train.to_string()),
            ("test groups", plan.test_groups.join(", ")),
        ]
        .into_iter()
        .map(|(what, value)| vec![TableCell::text(what), TableCell::text(value)])
        .collect(),
    });
    page.folded("BenchmarkSettings", &serde_json::to_string_pretty(settings).unwrap_or_default());
    Ok(page.finish())
}

/// Returns a row per endpoint, with one point per arm or difference.
fn interval_rows<'a>(all: impl Iterator<Item = &'a Estimates> + Clone) -> Vec<IntervalRow> {
    let point = |(series, estimates): (usize, &Estimates), endpoint| {
        let estimate = estimates.at(endpoint);
        let value = estimate.value?;
        Some(IntervalPoint { series, value, interval: estimate.interval.unwrap_or([value; 2]) })
    };
    let row = |(at, endpoint): (usize, &super::endpoints::Endpoint)| IntervalRow {
        label: endpoint.title.to_owned(),
        points: all.clone().enumerate().filter_map(|series| point(series, at)).collect(),
    };
    ENDPOINTS.iter().enumerate().map(row).collect()
}

fn levels(summary: &Summary) -> IntervalPlot {
    IntervalPlot {
        title: "Scores on held-out real sequences".into(),
        x_label: "score".into(),
        legend: summary.arms.iter().map(|(arm, _)| arm.name.to_owned()).collect(),
        rows: interval_rows(summary.arms.iter().map(|(_, estimates)| estimates)),
        ..IntervalPlot::default()
    }
}

fn differences(summary: &Summary) -> IntervalPlot {
    IntervalPlot {
        title: format!("Difference to arm {}", summary.arms.first().map_or("", |(arm, _)| arm.name)),
        x_label: "difference of scores".into(),
        reference: Some(0.0),
        legend: summary.differences.iter().map(|(contrast, _)| contrast.name()).collect(),
        rows: interval_rows(summary.differences.iter().map(|(_, estimates)| estimates)),
        ..IntervalPlot::default()
    }
}

fn level_table(summary: &Summary) -> Table {
    let rows = summary.arms.iter().map(|(arm, estimates)| row(arm.name, estimates, false));
    table("Scores with intervals", rows.collect())
}

fn difference_table(summary: &Summary) -> Table {
    let rows = summary.differences.iter().map(|(contrast, e)| row(&contrast.name(), e, true));
    table("Paired differences with intervals", rows.collect())
}

fn table(caption: &str, rows: Vec<Vec<TableCell>>) -> Table {
    let header = std::iter::once("arm")
        .chain(ENDPOINTS.iter().map(|endpoint| endpoint.title))
        .map(str::to_owned)
        .collect();
    Table { caption: caption.to_owned(), header, rows }
}

fn row(name: &str, estimates: &Estimates, signed: bool) -> Vec<TableCell> {
    let number = |v: f64| if signed { format!("{v:+.3}") } else { format!("{v:.3}") };
    let cells = estimates.iter().map(|(_, e)| {
        let text = match (e.value, e.interval) {
            (Some(v), Some([low, high])) => format!("{} [{}, {}]", number(v), number(low), number(high)),
            (Some(v), None) => number(v),
            (None, _) => "–".to_owned(),
        };
        TableCell { text, number: true, strong: false }
    });
    std::iter::once(TableCell::text(name)).chain(cells).collect()
}

/// Returns the held-out sequences in which the last arm is worst, with what every arm reaches there, mean over seeds.
fn worst(trials: &Trials, n_seeds: usize) -> Table {
    let arms = &trials.experiment.arms;
    let mut rows: Vec<(f64, Vec<TableCell>)> = Vec::new();
    for (index, sequence) in trials.test.iter().enumerate() {
        let alone = Draw { sequences: vec![index], seeds: (0..n_seeds).collect() };
        let reached: Vec<Option<f64>> = arms.iter().map(|&arm| level(trials, arm, &alone)[0]).collect();
        let Some(Some(last)) = reached.last().copied() else { continue };
        let name = TableCell::text(format!("{} ({})", sequence.name, sequence.group));
        rows.push((last, std::iter::once(name).chain(reached.into_iter().map(TableCell::number)).collect()));
    }
    rows.sort_by(|a, b| a.0.total_cmp(&b.0));
    let names = arms.iter().map(|arm| arm.name.to_owned());
    Table {
        caption: format!(
            "{} of single sequences, those first where arm {} is worst",
            PRIMARY.title,
            arms.last().map_or("", |arm| arm.name)
        ),
        header: std::iter::once("sequence (group)".to_owned()).chain(names).collect(),
        rows: rows.into_iter().take(WORST).map(|(_, row)| row).collect(),
    }
}

fn pictures(trials: &Trials) -> Result<Vec<Figure>, ReportError> {
    let arms = trials.experiment.names();
    let mut panels = Vec::new();
    for picture in &trials.pictures {
        let found = arms.iter().copied().zip(&picture.found);
        let named = std::iter::once(("truth", &picture.truth)).chain(found);
        for (name, labels) in named {
            // [H, W] -> [C, T, H, W] and [T, H, W]
            let planes: Array4<f32> = picture.image.clone().insert_axis(Axis(0)).insert_axis(Axis(0));
            panels.push(Panel {
                planes,
                colors: Vec::new(),
                outline: Some(labels.clone().insert_axis(Axis(0))),
                caption: format!("{name}: {}", picture.name),
            });
        }
    }
    let Some(width) = trials.pictures.first().map(|p| p.image.dim().1) else { return Ok(Vec::new()) };
    let scale = PICTURE_WIDTH.div_ceil(width.max(1)).max(1);
    let sheet = contact_sheet(&panels, 1 + arms.len(), scale);
    let names = match arms.as_slice() {
        [first @ .., last] if !first.is_empty() => format!("{} and {last}", first.join(", ")),
        names => names.concat(),
    };
    let caption = format!(
        "Outlines over the image. From left to right: truth, and what the arms {names} found with the first seed."
    );
    Ok(vec![Figure::picture(&sheet, "true and found outlines of cells", &caption)?])
}
