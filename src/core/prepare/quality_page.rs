//! The quality of a recording as a page for people: what was read, how its frames look, and what was left out.

use super::frame_quality::FrameQuality;
use super::label_quality::LabelQuality;
use crate::input::names::NamesTable;
use crate::input::source::ChannelQuality;
use crate::plate::PlateMeta;
use crate::report::html::Note;
use crate::report::plots::{Series, histogram};
use crate::report::{Figure, LinePlot, Page, Panel, ReportError, Table, TableCell, overview};

/// Positions that have a line of their own; of more, the range and the median are drawn.
const LINES: usize = 6;
/// Odd frames that are listed.
const LISTED: usize = 200;

/// Everything that the page tells.
pub struct Quality<'a> {
    /// Plate that was made.
    pub meta: &'a PlateMeta,
    /// Number of sequences, by split: training, validation, test.
    pub sequences: [usize; 3],
    /// Channels as recorded.
    pub channels: &'a [ChannelQuality],
    /// Frames over time.
    pub frames: &'a FrameQuality,
    /// Labels.
    pub labels: &'a [LabelQuality],
    /// How names were read.
    pub names: &'a [NamesTable],
    /// What was done to the input.
    pub notes: &'a [String],
    /// What a person should look at.
    pub warnings: &'a [String],
    /// One sequence per position.
    pub previews: &'a [Panel],
    /// Positions without a preview.
    pub not_shown: usize,
}

/// Returns the page.
///
/// # Errors
/// [`ReportError`] where a picture cannot be encoded.
pub fn page(quality: &Quality<'_>) -> Result<String, ReportError> {
    let meta = quality.meta;
    let frames: usize = quality.frames.positions.iter().map(|p| p.frame.len()).sum();
    let [train, val, test] = quality.sequences;
    let known = |what: &str, value: Option<f64>, unit: &str| match value {
        Some(value) => format!("{what} {value} {unit}"),
        None => format!("{what} unknown"),
    };
    let lead = format!(
        "{} position(s), {frames} frames; {train} sequences for training, {val} for validation, {test} for the test, of \
         {} frames and {} px; {}, {}.",
        quality.frames.positions.len(),
        meta.frames,
        meta.width,
        known("pixel size", meta.pixel_size_um, "\u{b5}m"),
        known("time between frames", meta.frame_interval_s, "s")
    );
    let mut page = Page::new("The recording, looked at", &lead);
    page.notes(Note::Warning, "Look at this before you train", quality.warnings);
    let notes: Vec<String> =
        quality.notes.iter().filter(|n| !quality.warnings.contains(n)).cloned().collect();
    page.notes(Note::Info, "What was done to the input", &notes);
    if !quality.previews.is_empty() {
        page.heading("One sequence per position");
        let more = if quality.not_shown > 0 {
            format!(" {} more positions are not shown.", quality.not_shown)
        } else {
            String::new()
        };
        page.paragraph(&format!(
            "Time runs to the right, channels downwards, in the range that the networks see. Coloured outlines are the \
             labels.{more}"
        ));
        let sheet = overview(quality.previews);
        page.figures(&[Figure::picture(&sheet, "one sequence of each position", "")?]);
    }
    page.heading("Counts");
    page.paragraph(
        "All pixels of all frames as recorded. The networks see 0 to 1 between the dashed lines; what lies outside is \
         clipped. A pile at the right end is saturation.",
    );
    let plots = quality.channels.iter().enumerate().map(|(c, channel)| {
        let range = &meta.channels[c].calibration;
        Figure::plot(&counts(channel, [range.lo, range.hi]).to_svg(), "")
    });
    page.figures(&plots.collect::<Vec<_>>());
    page.table(&channels(quality.channels));
    page.heading("Over time");
    page.paragraph(
        "Brightness, sharpness (Brenner's gradient over the squared mean, so that exposure does not matter) and movement \
         of the first channel since its first frame.",
    );
    page.figures(&over_time(quality.frames));
    if !quality.frames.odd.is_empty() {
        page.table(&odd(quality.frames));
    }
    if !quality.labels.is_empty() {
        page.heading("Labels");
        page.table(&labels(quality.labels));
    }
    if !quality.names.is_empty() {
        page.heading("How names were read");
        let text: Vec<String> = quality.names.iter().flat_map(NamesTable::lines).collect();
        page.folded("Fields of the names", &text.join("\n"));
    }
    Ok(page.finish())
}

fn counts(channel: &ChannelQuality, range: [f64; 2]) -> LinePlot {
    let bins = &channel.histogram;
    let edges: Vec<f64> =
        (0..=bins.shares.len()).map(|i| f64::from(bins.first) + i as f64 * f64::from(bins.width)).collect();
    let lowest = bins.shares.iter().copied().filter(|s| *s > 0.0).fold(f64::INFINITY, f64::min);
    let highest = bins.shares.iter().copied().fold(0.0, f64::max);
    let mark = |x: f64, name: &str| Series {
        name: name.to_owned(),
        points: vec![[x, lowest], [x, highest]],
        color: 1,
        dashed: true,
        ..Series::default()
    };
    LinePlot {
        title: channel.name.clone(),
        x_label: "counts".into(),
        y_label: "share of pixels".into(),
        log_y: true,
        series: vec![histogram("", &edges, &bins.shares, 0), mark(range[0], "range"), mark(range[1], "")],
        ..LinePlot::default()
    }
}

fn channels(all: &[ChannelQuality]) -> Table {
    let header =
        ["channel", "bits", "min", "0.1 %", "median", "99.9 %", "max", "saturated %", "frames of zeros"];
    let row = |q: &ChannelQuality| {
        let number = |v: f64| TableCell::number(Some(v));
        let mut row = vec![TableCell::text(&q.name), number(q.bits.into())];
        row.extend([q.min, q.p0_1, q.p50, q.p99_9, q.max].map(|v| TableCell {
            text: v.to_string(),
            number: true,
            strong: false,
        }));
        row.extend([number(100.0 * q.saturated), number(q.zero_frames.len() as f64)]);
        row
    };
    Table {
        header: header.map(str::to_owned).to_vec(),
        rows: all.iter().map(row).collect(),
        ..Table::default()
    }
}

/// Returns plots of brightness and sharpness by channel, and of the drift.
fn over_time(frames: &FrameQuality) -> Vec<Figure> {
    let mut figures = Vec::new();
    let names: Vec<&String> = frames.positions.first().map(|p| p.mean.keys().collect()).unwrap_or_default();
    for name in names {
        for (what, is_mean) in [("mean counts", true), ("sharpness", false)] {
            let values = |i: usize| {
                let position = &frames.positions[i];
                let values = if is_mean { &position.mean[name] } else { &position.focus[name] };
                position.frame.iter().zip(values).map(|(t, v)| [*t as f64, *v]).collect()
            };
            let plot = LinePlot {
                title: format!("{name}: {what}"),
                x_label: "frame".into(),
                y_label: what.into(),
                from_zero: true,
                series: lines(frames, &values),
                ..LinePlot::default()
            };
            figures.push(Figure::plot(&plot.to_svg(), ""));
        }
    }
    for (axis, name) in [(0, "y"), (1, "x")] {
        let values = |i: usize| {
            let position = &frames.positions[i];
            position.frame.iter().zip(&position.drift_px).map(|(t, d)| [*t as f64, d[axis]]).collect()
        };
        let plot = LinePlot {
            title: format!("drift along {name}"),
            x_label: "frame".into(),
            y_label: "pixels".into(),
            series: lines(frames, &values),
            ..LinePlot::default()
        };
        figures.push(Figure::plot(&plot.to_svg(), ""));
    }
    figures
}

/// Returns a line per position, or of many their median with their range.
fn lines(frames: &FrameQuality, values: &dyn Fn(usize) -> Vec<[f64; 2]>) -> Vec<Series> {
    let n = frames.positions.len();
    if n <= LINES {
        let line = |i: usize| Series {
            name: if n == 1 { String::new() } else { frames.positions[i].position.clone() },
            points: values(i),
            color: i,
            ..Series::default()
        };
        return (0..n).map(line).collect();
    }
    let mut by_time: std::collections::BTreeMap<u64, Vec<f64>> = std::collections::BTreeMap::new();
    for [t, v] in (0..n).flat_map(values) {
        by_time.entry(t as u64).or_default().push(v);
    }
    let mut median = Series { name: format!("median and range of {n} positions"), ..Series::default() };
    for (t, mut all) in by_time {
        all.sort_by(f64::total_cmp);
        median.points.push([t as f64, all[all.len() / 2]]);
        median.band.push([t as f64, all[0], all[all.len() - 1]]);
    }
    vec![median]
}

fn odd(frames: &FrameQuality) -> Table {
    let shown = frames.odd.iter().take(LISTED);
    let row = |o: &super::frame_quality::OddFrame| {
        vec![
            TableCell::text(&o.position),
            whole(o.frame),
            TableCell::text(&o.channel),
            TableCell::text(&o.what),
        ]
    };
    let more = frames.odd.len().saturating_sub(LISTED);
    let more = if more > 0 { format!("; {more} more stand in quality.json") } else { String::new() };
    Table {
        caption: format!("Frames to look at{more}"),
        header: ["position", "frame", "channel", "what"].map(str::to_owned).to_vec(),
        rows: shown.map(row).collect(),
    }
}

fn labels(all: &[LabelQuality]) -> Table {
    let header = [
        "label",
        "objects a frame: least",
        "median",
        "most",
        "px of an object: 5 %",
        "median",
        "95 %",
        "labelled %",
        "frames without",
    ];
    let row = |q: &LabelQuality| {
        let px = q.object_px.as_ref();
        let or_none = |value: Option<u32>| value.map_or_else(|| TableCell::number(None), whole);
        vec![
            TableCell::text(&q.name),
            whole(q.objects_per_frame.min),
            whole(q.objects_per_frame.median),
            whole(q.objects_per_frame.max),
            or_none(px.map(|p| p.p5)),
            or_none(px.map(|p| p.median)),
            or_none(px.map(|p| p.p95)),
            TableCell::number(Some(100.0 * q.coverage)),
            whole(q.frames_without_objects),
        ]
    };
    Table {
        header: header.map(str::to_owned).to_vec(),
        rows: all.iter().map(row).collect(),
        ..Table::default()
    }
}

/// Returns a cell with a whole number.
fn whole(value: impl std::fmt::Display) -> TableCell {
    TableCell { text: value.to_string(), number: true, strong: false }
}
