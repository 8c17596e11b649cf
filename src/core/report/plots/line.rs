//! Lines over a numeric axis, with shaded bands, and step histograms.

use super::axis::Axis;
use super::svg::{Canvas, color, legend_places};
use super::{HEIGHT, WIDTH};

const LEFT: f64 = 56.0;
const RIGHT: f64 = 14.0;
/// Height of the title; the legend stands below it.
const TITLE: f64 = 30.0;
const LEGEND_ROW: f64 = 16.0;
/// Length of a line in the legend, with its distance to the name.
const MARK: f64 = 24.0;
const BOTTOM: f64 = 44.0;

/// One line of a [`LinePlot`].
#[derive(Clone, Debug, Default)]
pub struct Series {
    /// Name in the legend; an empty one stays out of it.
    pub name: String,
    /// Points in drawing order; one that cannot be drawn (NaN, or 0 on a log axis) interrupts the line.
    pub points: Vec<[f64; 2]>,
    /// Shaded band: `[x, low, high]`; empty for none.
    pub band: Vec<[f64; 3]>,
    /// Index of the colour, so that the same thing keeps its colour over several plots.
    pub color: usize,
    /// Drawn with dashes.
    pub dashed: bool,
    /// Points are marked by dots.
    pub dots: bool,
    /// Filled down to the bottom, for histograms.
    pub filled: bool,
}

/// Lines over a numeric axis.
#[derive(Clone, Debug, Default)]
pub struct LinePlot {
    /// Text above.
    pub title: String,
    /// Text of the horizontal axis, with unit.
    pub x_label: String,
    /// Text of the vertical axis, with unit.
    pub y_label: String,
    /// Logarithmic horizontal axis.
    pub log_x: bool,
    /// Logarithmic vertical axis.
    pub log_y: bool,
    /// The vertical axis starts at 0 (ignored on a log axis).
    pub from_zero: bool,
    /// The lines, later ones on top.
    pub series: Vec<Series>,
}

impl LinePlot {
    /// Returns the plot as an SVG element.
    pub fn to_svg(&self) -> String {
        let all_x =
            self.series.iter().flat_map(|s| s.points.iter().map(|p| p[0]).chain(s.band.iter().map(|b| b[0])));
        let all_y = self
            .series
            .iter()
            .flat_map(|s| s.points.iter().map(|p| p[1]).chain(s.band.iter().flat_map(|b| [b[1], b[2]])));
        let zero = (self.from_zero && !self.log_y).then_some(0.0);
        let x_axis = Axis::around(all_x, self.log_x, LEFT, WIDTH - RIGHT);
        let names: Vec<&str> = self.named().map(|s| s.name.as_str()).collect();
        let (places, rows) = legend_places(&names, MARK, LEFT, WIDTH);
        let top = TITLE + rows as f64 * LEGEND_ROW;
        let mut y_axis = Axis::around(all_y.chain(zero), self.log_y, HEIGHT - BOTTOM, top);
        if zero.is_none() {
            y_axis = y_axis.padded(0.04);
        }

        let mut canvas = Canvas::new(WIDTH, HEIGHT);
        self.draw_frame(&mut canvas, &x_axis, &y_axis, top);
        for series in &self.series {
            draw_series(&mut canvas, series, &x_axis, &y_axis);
        }
        for (series, [x, row]) in self.named().zip(places) {
            let y = TITLE + row * LEGEND_ROW;
            canvas.line([x, y], [x + MARK - 6.0, y], &stroke(series));
            canvas.text([x + MARK, y + 4.0], "start", r#"font-size="11""#, &series.name);
        }
        canvas.finish(&self.title)
    }

    fn draw_frame(&self, canvas: &mut Canvas, x_axis: &Axis, y_axis: &Axis, top: f64) {
        let bottom = HEIGHT - BOTTOM;
        let grid = r#"stroke="currentColor" stroke-opacity="0.12""#;
        for (value, text) in x_axis.ticks() {
            if let Some(x) = x_axis.pixel(value) {
                canvas.line([x, top], [x, bottom], grid);
                canvas.text([x, bottom + 16.0], "middle", r#"opacity="0.8" font-size="11""#, &text);
            }
        }
        for (value, text) in y_axis.ticks() {
            if let Some(y) = y_axis.pixel(value) {
                canvas.line([LEFT, y], [WIDTH - RIGHT, y], grid);
                canvas.text([LEFT - 6.0, y + 4.0], "end", r#"opacity="0.8" font-size="11""#, &text);
            }
        }
        let frame = r#"stroke="currentColor" stroke-opacity="0.5""#;
        canvas.line([LEFT, bottom], [WIDTH - RIGHT, bottom], frame);
        canvas.line([LEFT, top], [LEFT, bottom], frame);
        canvas.text([LEFT, 16.0], "start", r#"font-weight="600" font-size="13""#, &self.title);
        canvas.text([f64::midpoint(LEFT, WIDTH - RIGHT), HEIGHT - 8.0], "middle", "", &self.x_label);
        let middle = f64::midpoint(top, bottom);
        canvas.text(
            [14.0, middle],
            "middle",
            &format!(r#"transform="rotate(-90 14 {middle:.1})""#),
            &self.y_label,
        );
    }

    /// Returns the series that are in the legend.
    fn named(&self) -> impl Iterator<Item = &Series> {
        self.series.iter().filter(|s| !s.name.is_empty())
    }
}

/// Returns a filled step line of the shares that fall into the bins between `edges`.
///
/// `counts` has one value per bin; they are divided by their sum, so that sets of different size compare. An empty
/// histogram is a line at 0.
pub fn histogram(name: &str, edges: &[f64], counts: &[f64], color: usize) -> Series {
    let total: f64 = counts.iter().sum();
    let share = |n: f64| if total > 0.0 { n / total } else { 0.0 };
    let points = edges
        .windows(2)
        .zip(counts)
        .flat_map(|(edge, n)| [[edge[0], share(*n)], [edge[1], share(*n)]])
        .collect();
    Series { name: name.to_owned(), points, color, filled: true, ..Series::default() }
}

fn stroke(series: &Series) -> String {
    let dash = if series.dashed { r#" stroke-dasharray="5 3""# } else { "" };
    format!(r#"fill="none" stroke="{}" stroke-width="1.8"{dash}"#, color(series.color))
}

fn draw_series(canvas: &mut Canvas, series: &Series, x_axis: &Axis, y_axis: &Axis) {
    let place = |x: f64, y: f64| Some([x_axis.pixel(x)?, y_axis.pixel(y)?]);
    let band: Vec<[[f64; 2]; 2]> =
        series.band.iter().filter_map(|b| Some([place(b[0], b[1])?, place(b[0], b[2])?])).collect();
    if band.len() > 1 {
        let outline: Vec<[f64; 2]> =
            band.iter().map(|b| b[0]).chain(band.iter().rev().map(|b| b[1])).collect();
        canvas.path(&outline, &format!(r#"fill="{}" fill-opacity="0.18""#, color(series.color)));
    }
    let placed: Vec<Option<[f64; 2]>> = series.points.iter().map(|p| place(p[0], p[1])).collect();
    for piece in placed.split(Option::is_none) {
        let piece: Vec<[f64; 2]> = piece.iter().flatten().copied().collect();
        if let (true, Some(first), Some(last)) = (series.filled, piece.first(), piece.last()) {
            let bottom = HEIGHT - BOTTOM;
            let mut area = vec![[first[0], bottom]];
            area.extend(&piece);
            area.push([last[0], bottom]);
            canvas.path(&area, &format!(r#"fill="{}" fill-opacity="0.12""#, color(series.color)));
        }
        if piece.len() > 1 {
            canvas.path(&piece, &stroke(series));
        }
        if series.dots || piece.len() == 1 {
            for point in &piece {
                canvas.circle(*point, 2.6, &format!(r#"fill="{}""#, color(series.color)));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plot_holds_its_texts_escaped_and_no_broken_numbers() {
        let plot = LinePlot {
            title: "A < B & C".into(),
            x_label: "x".into(),
            y_label: "y".into(),
            log_y: true,
            series: vec![
                Series {
                    name: "real".into(),
                    points: vec![[0.0, 1.0], [1.0, 0.0], [2.0, f64::NAN], [3.0, 5.0]],
                    ..Series::default()
                },
                Series { band: vec![[0.0, 1.0, 2.0], [3.0, 1.5, 4.0]], ..Series::default() },
            ],
            ..LinePlot::default()
        };
        let svg = plot.to_svg();
        assert!(svg.contains("A &lt; B &amp; C") && svg.contains(">real</text>"));
        assert!(!svg.contains("NaN") && !svg.contains("inf"));
        assert!(svg.starts_with("<svg") && svg.trim_end().ends_with("</svg>"));
        assert!(LinePlot::default().to_svg().contains("</svg>"));
    }

    #[test]
    fn histograms_show_shares() {
        let series = histogram("h", &[0.0, 1.0, 2.0], &[3.0, 1.0], 0);
        assert_eq!(series.points, [[0.0, 0.75], [1.0, 0.75], [1.0, 0.25], [2.0, 0.25]]);
        assert_eq!(histogram("h", &[0.0, 1.0], &[0.0], 0).points, [[0.0, 0.0], [1.0, 0.0]]);
    }
}
