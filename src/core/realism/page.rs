//! The evaluation as a page for people.

use std::collections::BTreeSet;

use ndarray::{Array3, Array4, s};
use serde_json::Value;

use super::EvaluationError;
use super::draws::{keyed_rng, pick};
use super::memorisation::section::section;
use super::protocol::{ComparisonPlan, Plates};
use super::result::{BySet, ChannelResult, Curves, Evaluation, MetricResult};
use super::run::{ALL_CHANNELS, OBJECTS};
use crate::plate::{Calibration, Plate};
use crate::report::html::{Note, short_number};
use crate::report::plots::{Series, histogram};
use crate::report::{Figure, LinePlot, Page, Panel, RgbImage, Table, TableCell, contact_sheet};
use crate::seed::Stream;

/// Sets in the order of drawing: name in the results, name for people, colour, dashed.
const SETS: [(&str, &str, usize, bool); 5] = [
    ("baseline", "mean + noise", 2, true),
    ("untrained", "untrained", 5, true),
    ("training", "real, training", 3, true),
    ("reference", "real, held out", 0, false),
    ("synthetic", "synthetic", 1, false),
];

/// Frames of a sequence on a contact sheet; more of them would be too small to see.
const SHEET_FRAMES: usize = 4;

/// Widest contact sheet in pixels, half of the page.
const SHEET_WIDTH: usize = 560;

/// Sequences of one set as a picture.
#[derive(Clone, Debug)]
pub struct Sheet {
    title: String,
    image: RgbImage,
}

/// Draws seeded sequences of the held-out part and of the synthetic plate, equal numbers of both.
///
/// # Errors
/// [`EvaluationError::Data`] where a sequence cannot be read.
pub fn sheets(
    plates: &Plates,
    plan: &ComparisonPlan,
    count: usize,
    seed: u64,
) -> Result<Vec<Sheet>, EvaluationError> {
    let count = count.min(plan.n);
    if count == 0 {
        return Ok(Vec::new());
    }
    let calibrations: Vec<Calibration> = plates.real.meta.channels.iter().map(|c| c.calibration).collect();
    let mut sets = vec![
        ("Real, held out", plates.real, &plan.reference),
        ("Synthetic", plates.synthetic, &plan.synthetic),
    ];
    sets.extend(
        plates
            .untrained
            .zip(plan.untrained.as_ref())
            .map(|(plate, part)| ("Untrained generator", plate, part)),
    );
    let mut sheets = Vec::new();
    for (index, (title, plate, part)) in sets.into_iter().enumerate() {
        let picks = pick(&mut keyed_rng(seed, Stream::RealismSheet, 0, index), part.indices.len(), count);
        let panels = picks
            .into_iter()
            .map(|i| panel(plate, part.indices[i], &calibrations))
            .collect::<Result<Vec<_>, _>>()?;
        let (columns, scale) = layout(plates.real);
        sheets.push(Sheet { title: title.to_owned(), image: contact_sheet(&panels, columns, scale) });
    }
    Ok(sheets)
}

/// Returns the page.
///
/// # Errors
/// [`EvaluationError::Report`] where a picture cannot be encoded.
pub fn page(evaluation: &Evaluation, plates: &Plates, sheets: &[Sheet]) -> Result<String, EvaluationError> {
    let plan = &evaluation.protocol.plan;
    let lead = format!(
        "{} against {}: {} sequences of {} per set, {} images.",
        evaluation.synthetic,
        evaluation.real,
        plan.n,
        frames(plates.real.meta.frames),
        plan.images
    );
    let mut page = Page::new("How real are the synthetic sequences?", &lead);
    page.notes(Note::Warning, "Read this first", &evaluation.warnings);
    let findings: Vec<String> = evaluation
        .channels
        .iter()
        .flat_map(|channel| channel.findings.iter().map(|finding| format!("{}: {finding}", channel.name)))
        .collect();
    page.notes(Note::Info, "What the numbers say", &findings);

    if !sheets.is_empty() {
        page.heading("Sequences, drawn at random");
        page.paragraph("One block per sequence: time runs to the right, channels downwards, all in the range of the real plate. Coloured outlines are the labels that a plate carries.");
        let figures: Result<Vec<Figure>, _> =
            sheets.iter().map(|s| Figure::picture(&s.image, &s.title, &s.title)).collect();
        page.figures(&figures?);
    }
    page.heading("In numbers that cells have");
    page.paragraph("Median of the held-out real and of the synthetic sequences, with the 10th and 90th percentile in brackets. Whether a difference is more than other real sequences show stands in the tables below, under the same name.");
    page.table(&typical(evaluation));
    for channel in &evaluation.channels {
        page.heading(&channel_heading(&channel.name));
        if let Some(curves) = &channel.curves {
            page.figures(&figures(curves));
        }
        page.table(&table(channel, evaluation.untrained.is_some()));
    }
    if let Some(features) = &evaluation.features {
        page.heading("By features of a network");
        let about = &features["inputs"]["about"];
        let named = |key: &str| about[key].as_str().unwrap_or_default().to_owned();
        page.paragraph(&format!(
            "Protocol {}, {} sequences per set, weights with SHA-256 {:.12}... Fréchet distance with 95 % interval by split groups, and as a multiple of the floor, which is the distance of real training sequences.",
            named("protocol"),
            about["sequences"],
            named("weights_sha256")
        ));
        page.table(&by_features(features));
    }
    section(&mut page, &evaluation.memorisation, plates)?;
    page.heading("How the numbers are defined");
    page.paragraph("All metrics are distances to held-out real sequences, so smaller is better and 0 is never reached. value: synthetic against held-out. floor: real training sequences against the same held-out ones, which is what a perfect generator would reach. mean + noise: the mean training image, frame by frame, with Gaussian noise of the real strength, which is what a generator reaches that knows no cells. excess: value minus floor. ± is the standard error from draws of half of the split groups (such as positions) of every set; it does not cover the choice of the recording.");
    page.table(&definitions(evaluation));
    page.table(&parts(plan));
    let settings = serde_json::to_string_pretty(&evaluation.protocol.settings).unwrap_or_default();
    page.folded("Settings", &format!("seed {}\n{settings}", evaluation.protocol.seed));
    Ok(page.finish())
}

fn frames(n: usize) -> String {
    if n == 1 { "1 frame".to_owned() } else { format!("{n} frames") }
}

fn channel_heading(name: &str) -> String {
    match name {
        ALL_CHANNELS => "All channels together: do they belong to each other?".to_owned(),
        OBJECTS => "Objects: shapes, numbers, movement".to_owned(),
        name => format!("Channel {name}"),
    }
}

fn figures(curves: &Curves) -> Vec<Figure> {
    let spectrum = LinePlot {
        title: "Radial power spectrum".into(),
        x_label: "spatial frequency [cycles per shorter side]".into(),
        y_label: "power".into(),
        log_x: true,
        log_y: true,
        series: series(&curves.spectrum, |name, values, color, dashed| Series {
            name: name.to_owned(),
            // Bin 0 is the mean, which was subtracted.
            points: values.iter().enumerate().skip(1).map(|(bin, p)| [bin as f64, *p]).collect(),
            color,
            dashed,
            ..Series::default()
        }),
        ..LinePlot::default()
    };
    let distribution = |title: &str, x_label: &str, shares: &BySet, up_to: f64| LinePlot {
        title: title.into(),
        x_label: x_label.into(),
        y_label: "share of pixels".into(),
        log_y: true,
        series: series(shares, |name, values, color, dashed| {
            let edges: Vec<f64> =
                (0..=values.len()).map(|i| up_to * i as f64 / values.len() as f64).collect();
            Series { dashed, filled: !dashed, ..histogram(name, &edges, values, color) }
        }),
        ..LinePlot::default()
    };
    let intensity = distribution("Intensities", "pixel value [calibrated range]", &curves.intensity, 1.0);
    let mut figures = vec![
        Figure::plot(
            &spectrum.to_svg(),
            "Fine detail is on the right: too low is blur, a peak is a pattern.",
        ),
        Figure::plot(&intensity.to_svg(), "Both ends hold what lies outside of the range."),
    ];
    if !curves.change.is_empty() {
        let label = "|x(t+1) - x(t)| [calibrated range]";
        let change = distribution("Change between frames", label, &curves.change, curves.change_up_to);
        figures.push(Figure::plot(&change.to_svg(), "The last bin also holds larger changes."));
    }
    figures
}

/// Returns one series per set that is there.
fn series(sets: &BySet, of: impl Fn(&str, &[f64], usize, bool) -> Series) -> Vec<Series> {
    SETS.iter()
        .filter_map(|(set, name, color, dashed)| Some(of(name, sets.get(set)?, *color, *dashed)))
        .collect()
}

fn table(channel: &ChannelResult, untrained: bool) -> Table {
    let mut header = vec!["metric", "value", "floor", "excess", "mean + noise"];
    if untrained {
        header.extend(["untrained", "relative excess"]);
    }
    let row = |metric: &MetricResult| {
        let error = &metric.standard_error;
        let mut row = vec![
            TableCell::text(&metric.label),
            with_error(metric.value, error.value).strong(),
            with_error(metric.floor, error.floor),
            with_error(metric.excess, error.excess),
            metric
                .baseline
                .map_or(TableCell::number(None), |value| with_error(value, error.baseline.unwrap_or(0.0))),
        ];
        if untrained {
            let of_untrained =
                metric.untrained.zip(error.untrained).map(|(value, error)| with_error(value, error));
            row.extend([of_untrained.unwrap_or(TableCell::number(None)), share(metric.relative_excess)]);
        }
        row
    };
    Table {
        caption: String::new(),
        header: header.into_iter().map(str::to_owned).collect(),
        rows: channel.metrics.iter().map(row).collect(),
    }
}

/// Returns a value with its standard error, both with as many digits as two digits of the error take.
fn with_error(value: f64, error: f64) -> TableCell {
    let mut cell = TableCell::number(Some(value));
    let digits = 1.0 - error.log10().floor();
    if (0.0..=5.0).contains(&digits) {
        let digits = digits as usize;
        cell.text = format!("{value:.digits$} ± {error:.digits$}");
    } else if error > 0.0 {
        cell.text = format!("{} ± {error:.1e}", cell.text);
    }
    cell
}

/// Returns a ratio with three decimals.
fn share(ratio: Option<f64>) -> TableCell {
    let mut cell = TableCell::number(ratio);
    if let Some(ratio) = ratio {
        cell.text = format!("{ratio:.3}");
    }
    cell
}

fn definitions(evaluation: &Evaluation) -> Table {
    let mut known = BTreeSet::new();
    let metrics = evaluation.channels.iter().flat_map(|channel| &channel.metrics);
    let row = |metric: &MetricResult| {
        let definition = evaluation.definitions.get(&metric.key).cloned().unwrap_or_default();
        vec![TableCell::text(&metric.label), TableCell::text(&metric.key), TableCell::text(definition)]
    };
    Table {
        caption: String::new(),
        header: ["metric", "in metrics.json", "definition"].map(str::to_owned).to_vec(),
        rows: metrics.filter(|metric| known.insert(&metric.key)).map(row).collect(),
    }
}

fn by_features(features: &Value) -> Table {
    let row = |channel: &Value| {
        let number = |pointer: &str| channel.pointer(pointer).and_then(Value::as_f64);
        let cell = |pointer: &str| TableCell::number(number(pointer));
        let mut distance = cell("/frechet_distance");
        let interval = [0, 1].map(|i| number(&format!("/intervals/frechet_distance/{i}")));
        if let [Some(low), Some(high)] = interval {
            distance.text = format!("{} ({} to {})", distance.text, short_number(low), short_number(high));
        }
        vec![
            TableCell::text(channel["name"].as_str().unwrap_or("all")),
            distance.strong(),
            cell("/floor/frechet_distance"),
            cell("/times_floor/frechet_distance"),
            cell("/kid/mean"),
            cell("/floor/kid/mean"),
            cell("/manifold/precision"),
            cell("/manifold/recall"),
            cell("/inception_score/mean"),
        ]
    };
    let header = ["channel", "Fréchet", "floor", "times floor", "KID", "floor", "precision", "recall", "IS"];
    Table {
        caption: String::new(),
        header: header.map(str::to_owned).to_vec(),
        rows: features["channels"].as_array().into_iter().flatten().map(row).collect(),
    }
}

/// Returns what is usual in real and synthetic sequences, channel by channel.
fn typical(evaluation: &Evaluation) -> Table {
    let range = |[low, middle, high]: [f64; 3]| TableCell {
        text: format!("{} ({} to {})", short_number(middle), short_number(low), short_number(high)),
        number: true,
        strong: false,
    };
    let rows = evaluation.channels.iter().flat_map(|channel| {
        channel.typical.iter().map(|typical| {
            let unit = if typical.unit.is_empty() { String::new() } else { format!(" [{}]", typical.unit) };
            vec![
                TableCell::text(&channel.name),
                TableCell::text(format!("{}{unit}", typical.label)),
                range(typical.reference),
                range(typical.synthetic),
            ]
        })
    });
    Table {
        caption: String::new(),
        header: ["of", "what", "real, held out", "synthetic"].map(str::to_owned).to_vec(),
        rows: rows.collect(),
    }
}

fn parts(plan: &ComparisonPlan) -> Table {
    let mut rows = Vec::new();
    let sets = [
        ("reference: real, held out (val and test)", Some(&plan.reference)),
        ("floor and mean + noise: real, training", Some(&plan.training)),
        ("synthetic", Some(&plan.synthetic)),
        ("untrained", plan.untrained.as_ref()),
    ];
    for (name, part) in sets {
        let Some(part) = part else { continue };
        let numbers = [part.available, part.read, plan.n, part.groups];
        let cells = numbers.map(|n| TableCell { text: n.to_string(), number: true, strong: false });
        rows.push(std::iter::once(TableCell::text(name)).chain(cells).collect());
    }
    Table {
        caption: "Sequences".into(),
        header: ["set", "available", "read", "used per draw", "split groups"].map(str::to_owned).to_vec(),
        rows,
    }
}

fn panel(plate: &Plate, index: usize, calibrations: &[Calibration]) -> Result<Panel, EvaluationError> {
    let sequence = plate.read(index)?;
    let shown = sequence.image.dim().0.min(SHEET_FRAMES);
    let (_, channels, height, width) = sequence.image.dim();
    let planes = Array4::from_shape_fn((channels, shown, height, width), |(c, t, y, x)| {
        calibrations[c].normalise(f32::from(sequence.image[[t, c, y, x]]))
    });
    let outline: Option<Array3<u32>> =
        sequence.labels.values().next().map(|labels| labels.ids.slice(s![..shown, .., ..]).to_owned());
    Ok(Panel {
        planes,
        colors: plate.meta.channels.iter().map(|c| c.color).collect(),
        outline,
        caption: plate.wells[index].0.clone(),
    })
}

/// Returns columns and scale at which a sheet fills its half of the page.
fn layout(real: &Plate) -> (usize, usize) {
    let width = (real.meta.frames.min(SHEET_FRAMES) * real.meta.width).max(1);
    let scale = (SHEET_WIDTH / 2 / width).clamp(1, 4);
    ((SHEET_WIDTH / (width * scale + 8)).max(1), scale)
}
