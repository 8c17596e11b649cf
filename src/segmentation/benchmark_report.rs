//! `report.html` of the benchmark: the verdict, the numbers behind it, and what the arms found.

use ndarray::{Array4, Axis};

use super::material::Plan;
use super::protocol::{Arm, Trials};
use super::settings::Settings;
use super::summary::{Estimates, Summary};
use crate::report::html::Note;
use crate::report::plots::{IntervalPoint, IntervalRow};
use crate::report::{Cell, Figure, IntervalPlot, Page, Panel, ReportError, Table, contact_sheet};

/// Names of the endpoints in tables.
const NAMES: [(&str, &str); 5] = [
    ("mean_ap", "AP 0.50:0.95"),
    ("ap50", "AP at 0.50"),
    ("f1_50", "F1 at 0.50"),
    ("pq_50", "PQ at 0.50"),
    ("dice", "Dice"),
];
/// Narrower frames are enlarged to about this many pixels.
const PICTURE_WIDTH: usize = 160;

/// Returns the page.
///
/// # Errors
/// [`ReportError`] where a picture cannot be encoded.
pub fn page(
    summary: &Summary,
    trials: &Trials,
    plan: &Plan,
    settings: &Settings,
) -> Result<String, ReportError> {
    let n_real = trials.real_names.first().map_or(0, Vec::len);
    let lead = format!(
        "{} held-out real sequences in {} groups; {n_real} real and {} synthetic training sequences; {} seeds.",
        plan.n_test,
        plan.test_groups.len(),
        plan.n_synthetic,
        summary.n_seeds
    );
    let mut page = Page::new("Does the synthetic data help?", &lead);
    for sentence in summary.sentences(n_real) {
        page.paragraph(&sentence);
    }
    page.notes(Note::Warning, "What limits this", &plan.notes);

    page.heading("Scores per arm");
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
        "AP is TP / (TP + FP + FN) of one-to-one matches at IoU 0.50, 0.55, ... 0.95, counts pooled over all held-out \
         sequences (not COCO's area under a curve). All arms take the same number of optimiser steps. Intervals come \
         from resampling groups of test sequences, sequences within groups, and seeds.",
    );

    page.heading("What the arms found");
    let figures = pictures(trials)?;
    page.figures(&figures);

    page.heading("Data and settings");
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
        .map(|(what, value)| vec![Cell::text(what), Cell::text(value)])
        .collect(),
    });
    page.folded("Settings", &serde_json::to_string_pretty(settings).unwrap_or_default());
    Ok(page.finish())
}

fn point(estimates: &Estimates, endpoint: usize, series: usize) -> Option<IntervalPoint> {
    let estimate = &estimates.0[endpoint];
    let value = estimate.value?;
    Some(IntervalPoint { series, value, interval: estimate.interval.unwrap_or([value; 2]) })
}

fn levels(summary: &Summary) -> IntervalPlot {
    let rows = NAMES.iter().enumerate().map(|(endpoint, (_, name))| IntervalRow {
        label: (*name).to_owned(),
        points: summary.arms.iter().enumerate().filter_map(|(arm, e)| point(e, endpoint, arm)).collect(),
    });
    IntervalPlot {
        title: "Scores on held-out real sequences".into(),
        x_label: "score".into(),
        legend: Arm::ALL.map(|arm| arm.name().to_owned()).to_vec(),
        rows: rows.collect(),
        ..IntervalPlot::default()
    }
}

fn differences(summary: &Summary) -> IntervalPlot {
    let both = [&summary.both_minus_real, &summary.synthetic_minus_real];
    let rows = NAMES.iter().enumerate().map(|(endpoint, (_, name))| IntervalRow {
        label: (*name).to_owned(),
        points: both.iter().enumerate().filter_map(|(series, e)| point(e, endpoint, series)).collect(),
    });
    IntervalPlot {
        title: "Difference to arm real".into(),
        x_label: "difference of scores".into(),
        reference: Some(0.0),
        legend: vec!["both - real".into(), "synthetic - real".into()],
        rows: rows.collect(),
        ..IntervalPlot::default()
    }
}

fn level_table(summary: &Summary) -> Table {
    let rows = Arm::ALL.iter().zip(&summary.arms).map(|(arm, estimates)| row(arm.name(), estimates, false));
    table("Scores with intervals", rows.collect())
}

fn difference_table(summary: &Summary) -> Table {
    let rows = vec![
        row("both - real", &summary.both_minus_real, true),
        row("synthetic - real", &summary.synthetic_minus_real, true),
    ];
    table("Paired differences with intervals", rows)
}

fn table(caption: &str, rows: Vec<Vec<Cell>>) -> Table {
    let header = std::iter::once("arm").chain(NAMES.iter().map(|n| n.1)).map(str::to_owned).collect();
    Table { caption: caption.to_owned(), header, rows }
}

fn row(name: &str, estimates: &Estimates, signed: bool) -> Vec<Cell> {
    let number = |v: f64| if signed { format!("{v:+.3}") } else { format!("{v:.3}") };
    let cells = estimates.0.iter().map(|e| {
        let text = match (e.value, e.interval) {
            (Some(v), Some([low, high])) => format!("{} [{}, {}]", number(v), number(low), number(high)),
            (Some(v), None) => number(v),
            (None, _) => "–".to_owned(),
        };
        Cell { text, number: true, strong: false }
    });
    std::iter::once(Cell::text(name)).chain(cells).collect()
}

fn pictures(trials: &Trials) -> Result<Vec<Figure>, ReportError> {
    let mut panels = Vec::new();
    for picture in &trials.pictures {
        let named = std::iter::once(("truth", &picture.truth))
            .chain(Arm::ALL.iter().map(|arm| arm.name()).zip(&picture.found));
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
    let sheet = contact_sheet(&panels, 1 + Arm::ALL.len(), PICTURE_WIDTH.div_ceil(width.max(1)).max(1));
    let caption = "Outlines over the image. From left to right: truth, and what the arms real, synthetic and both found \
                   with the first seed.";
    Ok(vec![Figure::picture(&sheet, "true and found outlines of cells", caption)?])
}
