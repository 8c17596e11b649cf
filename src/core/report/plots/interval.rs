//! Dots with intervals, one row per thing compared: the plot for scores with uncertainty.

use super::WIDTH;
use super::axis::Axis;
use super::svg::{Canvas, color, legend_places};

const RIGHT: f64 = 16.0;
const TOP: f64 = 30.0;
const BOTTOM: f64 = 44.0;
const ROW: f64 = 26.0;
const LEGEND_ROW: f64 = 18.0;
/// A dot in the legend, with its distance to the name.
const MARK: f64 = 13.0;

/// A value with its interval.
#[derive(Clone, Copy, Debug)]
pub struct IntervalPoint {
    /// Index into [`IntervalPlot::legend`], which also gives the colour.
    pub series: usize,
    /// The value.
    pub value: f64,
    /// Ends of the interval; equal to the value where there is none.
    pub interval: [f64; 2],
}

/// One row of an [`IntervalPlot`].
#[derive(Clone, Debug)]
pub struct IntervalRow {
    /// Text on the left.
    pub label: String,
    /// Values, drawn slightly below each other.
    pub points: Vec<IntervalPoint>,
}

/// Values with intervals, one row per thing compared.
#[derive(Clone, Debug, Default)]
pub struct IntervalPlot {
    /// Text above.
    pub title: String,
    /// Text of the horizontal axis, with unit.
    pub x_label: String,
    /// Logarithmic horizontal axis.
    pub log_x: bool,
    /// Bars from 0 to the value instead of dots (ignored on a log axis).
    pub bars: bool,
    /// A vertical line, such as 0 for differences.
    pub reference: Option<f64>,
    /// Names of the series.
    pub legend: Vec<String>,
    /// The rows from top to bottom.
    pub rows: Vec<IntervalRow>,
}

impl IntervalPlot {
    /// Returns the plot as an SVG element; its height follows the number of rows.
    pub fn to_svg(&self) -> String {
        let bars = self.bars && !self.log_x;
        let longest = self.rows.iter().map(|r| r.label.chars().count()).max().unwrap_or(0) as f64;
        // A character is about 6.6 px wide at this size; labels never take more than half of the plot.
        let left = (longest * 6.6 + 16.0).clamp(40.0, WIDTH / 2.0);
        let names: Vec<&str> = self.legend.iter().map(String::as_str).collect();
        let (places, legend_rows) = legend_places(&names, MARK, left, WIDTH);
        let legend_height = legend_rows as f64 * LEGEND_ROW;
        let (top, bottom) = (TOP + legend_height, TOP + legend_height + ROW * self.rows.len().max(1) as f64);
        let values =
            self.rows.iter().flat_map(|r| &r.points).flat_map(|p| [p.value, p.interval[0], p.interval[1]]);
        let axis = Axis::around(
            values.chain(self.reference).chain(bars.then_some(0.0)),
            self.log_x,
            left,
            WIDTH - RIGHT,
        )
        .padded(0.04);

        let mut canvas = Canvas::new(WIDTH, bottom + BOTTOM);
        canvas.text([left, 18.0], "start", r#"font-weight="600" font-size="13""#, &self.title);
        for (i, (name, [x, row])) in names.iter().zip(places).enumerate() {
            let y = TOP + 2.0 + row * LEGEND_ROW;
            canvas.circle([x + 4.0, y], 4.0, &format!(r#"fill="{}""#, color(i)));
            canvas.text([x + MARK, y + 4.0], "start", r#"font-size="11""#, name);
        }
        for (value, text) in axis.ticks() {
            if let Some(x) = axis.pixel(value) {
                canvas.line([x, top], [x, bottom], r#"stroke="currentColor" stroke-opacity="0.12""#);
                canvas.text([x, bottom + 16.0], "middle", r#"opacity="0.8" font-size="11""#, &text);
            }
        }
        canvas.line([left, bottom], [WIDTH - RIGHT, bottom], r#"stroke="currentColor" stroke-opacity="0.5""#);
        if let Some(x) = self.reference.and_then(|v| axis.pixel(v)) {
            canvas.line(
                [x, top],
                [x, bottom],
                r#"stroke="currentColor" stroke-opacity="0.6" stroke-dasharray="4 3""#,
            );
        }
        canvas.text([f64::midpoint(left, WIDTH - RIGHT), bottom + BOTTOM - 8.0], "middle", "", &self.x_label);

        let zero = axis.pixel(0.0).unwrap_or(left);
        for (i, row) in self.rows.iter().enumerate() {
            let middle = top + ROW * (i as f64 + 0.5);
            canvas.text([left - 8.0, middle + 4.0], "end", "", &row.label);
            let step = (ROW - 8.0) / row.points.len().max(1) as f64;
            for (k, point) in row.points.iter().enumerate() {
                let y = middle + step * (k as f64 - (row.points.len() as f64 - 1.0) / 2.0);
                draw_point(&mut canvas, point, &axis, y, bars.then_some((zero, step)));
            }
        }
        canvas.finish(&self.title)
    }
}

/// Draws a dot or, from `zero` with a thickness, a bar, and the interval on top.
fn draw_point(canvas: &mut Canvas, point: &IntervalPoint, axis: &Axis, y: f64, bar: Option<(f64, f64)>) {
    let Some(x) = axis.pixel(point.value) else { return };
    let ink = color(point.series);
    if let Some((zero, thickness)) = bar {
        let style = format!(
            r#"stroke="{ink}" stroke-opacity="0.45" stroke-width="{:.1}""#,
            (thickness - 1.0).max(1.0)
        );
        canvas.line([zero, y], [x, y], &style);
    } else {
        canvas.circle([x, y], 3.6, &format!(r#"fill="{ink}""#));
    }
    if let (Some(low), Some(high)) = (axis.pixel(point.interval[0]), axis.pixel(point.interval[1]))
        && high > low
    {
        canvas.line([low, y], [high, y], &format!(r#"stroke="{ink}" stroke-width="1.8""#));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_and_name_appears_and_undefined_values_are_left_out() {
        let point = |series, value| IntervalPoint { series, value, interval: [value - 1.0, value + 1.0] };
        let plot = IntervalPlot {
            title: "scores".into(),
            bars: true,
            reference: Some(0.0),
            legend: vec!["real".into(), "synthetic".into()],
            rows: vec![
                IntervalRow { label: "first".into(), points: vec![point(0, 3.0), point(1, f64::NAN)] },
                IntervalRow { label: "second".into(), points: vec![] },
            ],
            ..IntervalPlot::default()
        };
        let svg = plot.to_svg();
        for text in ["scores", "first", "second", "synthetic"] {
            assert!(svg.contains(text), "{text}");
        }
        assert!(!svg.contains("NaN"));
        assert!(IntervalPlot::default().to_svg().contains("</svg>"));
    }
}
