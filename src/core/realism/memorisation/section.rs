//! The memorisation test on the page.

use super::pictures::picture;
use super::result::{HISTOGRAM_END, Memorisation, MemorisationNumbers, WorstPair};
use super::shares::ExplainedShare;
use crate::realism::EvaluationError;
use crate::realism::protocol::Plates;
use crate::report::html::Note;
use crate::report::plots::{Series, histogram};
use crate::report::{Figure, LinePlot, Page, Table, TableCell};

/// Colours of synthetic and held-out sequences, as in the other plots.
const SYNTHETIC: usize = 1;
const HELD_OUT: usize = 0;

/// Adds numbers, plot and pictures.
///
/// # Errors
/// [`EvaluationError`] where a sequence cannot be read or a picture not be encoded.
pub fn section(page: &mut Page, test: &Memorisation, plates: &Plates) -> Result<(), EvaluationError> {
    page.heading("Are training sequences repeated?");
    if let Some(why) = &test.missing {
        page.notes(Note::Info, "Not tested", std::slice::from_ref(why));
    }
    let Some(found) = &test.found else { return Ok(()) };
    let kind = if found.suspicious { Note::Warning } else { Note::Info };
    page.notes(kind, "Memorisation", std::slice::from_ref(&found.finding));
    page.figures(&[plot(found)]);
    page.table(&table(found));
    page.notes(Note::Info, "What this test cannot show", &test.cannot_show);
    page.paragraph(&format!(
        "The {} synthetic sequences that are nearest to a training sequence, compared with their nearest held-out one. From left to right: the synthetic sequence, its nearest training sequence, its nearest held-out one, both mirrored, turned and moved onto it; black is what they do not cover. A copy shows the same cells at the same places in the first two, and not in the third. Numbers are distances in standard deviations of a channel.",
        found.worst.len()
    ));
    let pictures: Result<Vec<Figure>, EvaluationError> =
        found.worst.iter().map(|pair| figure(plates, pair)).collect();
    page.figures(&pictures?);
    page.folded("How memorisation is defined", &test.definition);
    Ok(())
}

fn figure(plates: &Plates, pair: &WorstPair) -> Result<Figure, EvaluationError> {
    let caption = format!(
        "Ratio {:.2}: synthetic {}; training {} ({}); held out {} ({})",
        pair.ratio,
        pair.synthetic,
        pair.training.well,
        pair.training.alignment.symmetry.words(),
        pair.held_out.well,
        pair.held_out.alignment.symmetry.words()
    );
    Ok(Figure::picture(&picture(plates, pair)?, &caption, &caption)?)
}

fn plot(found: &MemorisationNumbers) -> Figure {
    let series = |name: &str, shares: &[f64], color: usize| {
        let edges: Vec<f64> =
            (0..=shares.len()).map(|i| HISTOGRAM_END * i as f64 / shares.len() as f64).collect();
        Series { filled: true, ..histogram(name, &edges, shares, color) }
    };
    let plot = LinePlot {
        title: "Nearest training against nearest held-out".into(),
        x_label: "ratio of the distances".into(),
        y_label: "share of sequences".into(),
        from_zero: true,
        series: vec![
            series("real, held out", &found.ratio_held_out.histogram, HELD_OUT),
            series("synthetic", &found.ratio_synthetic.histogram, SYNTHETIC),
        ],
        ..LinePlot::default()
    };
    Figure::plot(
        &plot.to_svg(),
        "Copies of training sequences are near 0, copies of held-out ones in the last bin, which also holds larger ratios.",
    )
}

fn table(found: &MemorisationNumbers) -> Table {
    let percent =
        |share: f64| TableCell { text: format!("{:.1} %", 100.0 * share), number: true, strong: false };
    let row = |name: &str, share: &ExplainedShare| {
        let [low, high] = share.interval.map(|end| 100.0 * end);
        let interval = format!("{low:.1} to {high:.1}");
        vec![
            TableCell::text(name),
            percent(share.synthetic).strong(),
            percent(share.held_out),
            TableCell { text: format!("{:.1}", 100.0 * share.excess), number: true, strong: false },
            TableCell { text: interval, number: true, strong: false },
        ]
    };
    let shares = &found.shares;
    let beyond =
        format!("nearer to training than held-out data explain (ratio below {:.3})", shares.threshold);
    Table {
        caption: "Share of sequences".into(),
        header: [
            "sequences that are",
            "synthetic",
            "held-out data explain",
            "excess [points]",
            "95 % interval",
        ]
        .map(str::to_owned)
        .to_vec(),
        rows: vec![
            row(&beyond, &shares.beyond),
            row("nearer to training than to held-out ones, in equal numbers", &shares.closer),
        ],
    }
}
