//! Plots as SVG text: lines with shaded bands, step histograms, dots with intervals.
//!
//! The SVG stands alone, and inside of a page it follows the page's light or dark colours (`currentColor`, `--s0` to
//! `--s5`). No interaction, no dependency. Start with [`LinePlot`].

mod axis;
mod interval;
mod line;
mod svg;

pub use interval::{IntervalPlot, IntervalPoint, IntervalRow};
pub use line::{LinePlot, Series, histogram};

/// Width of a plot in pixels.
///
/// Three of them stand side by side on a page.
pub const WIDTH: f64 = 360.0;
/// Height of a line plot in pixels.
pub const HEIGHT: f64 = 290.0;
