//! The few SVG elements that plots are made of.

use std::fmt::Write;

use crate::report::html::escape;

/// Colours of series on a light page; a page overrides them through `--s0` to `--s5`.
const COLORS: [&str; 6] = ["#2563eb", "#dc2626", "#6b7280", "#16a34a", "#9333ea", "#ea8a00"];

/// Returns the CSS colour of the series with index `i`.
pub(super) fn color(i: usize) -> String {
    let i = i % COLORS.len();
    format!("var(--s{i}, {})", COLORS[i])
}

/// Width of a character at the size of legends, in pixels; texts cannot be measured here.
pub(super) const CHARACTER: f64 = 6.1;

/// Returns where legend entries go, `[x, row]`, in rows as wide as `left` to `right`, and the number of rows.
pub(super) fn legend_places(names: &[&str], mark: f64, left: f64, right: f64) -> (Vec<[f64; 2]>, usize) {
    let (mut x, mut row, mut places) = (left, 0, Vec::new());
    for name in names {
        let width = mark + name.chars().count() as f64 * CHARACTER;
        if x > left && x + width > right {
            (x, row) = (left, row + 1);
        }
        places.push([x, row as f64]);
        x += width + 14.0;
    }
    (places, if names.is_empty() { 0 } else { row + 1 })
}

/// SVG text in the making. Numbers are rounded to a tenth of a pixel.
pub(super) struct Canvas {
    body: String,
    width: f64,
    height: f64,
}

impl Canvas {
    pub(super) fn new(width: f64, height: f64) -> Self {
        Self { body: String::new(), width, height }
    }

    /// Adds an element as it is.
    pub(super) fn raw(&mut self, element: &str) {
        self.body.push_str(element);
        self.body.push('\n');
    }

    pub(super) fn line(&mut self, from: [f64; 2], to: [f64; 2], style: &str) {
        let element = format!(
            r#"<line x1="{:.1}" y1="{:.1}" x2="{:.1}" y2="{:.1}" {style}/>"#,
            from[0], from[1], to[0], to[1]
        );
        self.raw(&element);
    }

    pub(super) fn circle(&mut self, at: [f64; 2], radius: f64, style: &str) {
        self.raw(&format!(r#"<circle cx="{:.1}" cy="{:.1}" r="{radius:.1}" {style}/>"#, at[0], at[1]));
    }

    /// Adds text; `anchor` is `start`, `middle` or `end`, `more` further attributes.
    pub(super) fn text(&mut self, at: [f64; 2], anchor: &str, more: &str, text: &str) {
        self.raw(&format!(
            r#"<text x="{:.1}" y="{:.1}" text-anchor="{anchor}" fill="currentColor" {more}>{}</text>"#,
            at[0],
            at[1],
            escape(text)
        ));
    }

    /// Adds straight lines through points.
    pub(super) fn path(&mut self, points: &[[f64; 2]], style: &str) {
        let d = points_of(points);
        self.raw(&format!(r#"<path d="{d}" {style}/>"#));
    }

    /// Ends the picture. `title` is what a screen reader says.
    pub(super) fn finish(self, title: &str) -> String {
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {w:.0} {h:.0}\" width=\"{w:.0}\" height=\"{h:.0}\" role=\"img\" font-family=\"system-ui, sans-serif\" font-size=\"12\">\n<title>{}</title>\n{}</svg>\n",
            escape(title),
            self.body,
            w = self.width,
            h = self.height,
        )
    }
}

fn points_of(points: &[[f64; 2]]) -> String {
    let mut d = String::new();
    for (i, [x, y]) in points.iter().enumerate() {
        // Writing to a string cannot fail.
        let _ = write!(d, "{}{x:.1} {y:.1}", if i == 0 { "M" } else { " L" });
    }
    d
}
