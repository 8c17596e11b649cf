//! Self-contained HTML pages: headings, notes, tables and figures in one file that opens anywhere, offline.
//!
//! Pictures are embedded as base64 PNG, plots as inline SVG. They hold no script and no clock time, so that
//! equal content gives equal bytes.
//! All text is escaped; only plots go in as they are.

use std::fmt::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::ReportError;
use super::plots::WIDTH;
use super::png::RgbImage;

/// Returns a text with the special characters of HTML and SVG replaced by entities.
pub fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}

/// Severity of a box of notes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Note {
    /// For information.
    Info,
    /// Limits what can be concluded.
    Warning,
}

/// One cell of a [`Table`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableCell {
    /// Text.
    pub text: String,
    /// Aligned to the right, with digits of equal width.
    pub number: bool,
    /// Shown in bold.
    pub strong: bool,
}

impl TableCell {
    /// Returns a cell of text.
    pub fn text(text: impl Into<String>) -> Self {
        Self { text: text.into(), number: false, strong: false }
    }

    /// Returns a cell with a number of about four digits, or an en dash for `None` and for what is not finite.
    pub fn number(value: Option<f64>) -> Self {
        Self { text: value.map_or_else(|| "–".to_owned(), short_number), number: true, strong: false }
    }

    /// Returns the cell in bold.
    #[must_use]
    pub fn strong(self) -> Self {
        Self { strong: true, ..self }
    }
}

/// Returns a number with about four significant digits, as tables show it.
pub fn short_number(value: f64) -> String {
    if !value.is_finite() {
        return "–".to_owned();
    }
    let size = value.abs();
    if size == 0.0 {
        "0".to_owned()
    } else if !(1e-4..1e6).contains(&size) {
        format!("{value:.2e}")
    } else {
        let digits = (3.0 - size.log10().floor()).clamp(0.0, 7.0) as usize;
        format!("{value:.digits$}")
    }
}

/// A table with a header row.
#[derive(Clone, Debug, Default)]
pub struct Table {
    /// Text above; empty for none.
    pub caption: String,
    /// Column names.
    pub header: Vec<String>,
    /// Rows; short ones leave cells empty.
    pub rows: Vec<Vec<TableCell>>,
}

/// A picture or plot with a caption.
#[derive(Clone, Debug)]
pub struct Figure {
    body: String,
}

impl Figure {
    /// Returns a figure of a plot. `svg` goes into the page as it is.
    pub fn plot(svg: &str, caption: &str) -> Self {
        Self { body: figure(svg, WIDTH as usize, caption) }
    }

    /// Returns a figure of a picture. `alt` is what a screen reader says.
    ///
    /// # Errors
    /// As [`RgbImage::to_png_bytes`].
    pub fn picture(image: &RgbImage, alt: &str, caption: &str) -> Result<Self, ReportError> {
        let data = STANDARD.encode(image.to_png_bytes()?);
        let img = format!(
            r#"<img alt="{}" width="{}" height="{}" src="data:image/png;base64,{data}">"#,
            escape(alt),
            image.width,
            image.height
        );
        Ok(Self { body: figure(&img, image.width, caption) })
    }
}

/// Returns a figure that is as wide as its content, so that a long caption breaks instead of widening it.
fn figure(content: &str, width: usize, caption: &str) -> String {
    let caption = if caption.is_empty() {
        String::new()
    } else {
        format!("<figcaption>{}</figcaption>\n", escape(caption))
    };
    format!("<figure style=\"width: {width}px\">\n{content}\n{caption}</figure>\n")
}

/// A page in the making, from top to bottom.
#[derive(Clone, Debug)]
pub struct Page {
    title: String,
    body: String,
}

impl Page {
    /// Starts a page with a title and one sentence below it.
    pub fn new(title: &str, lead: &str) -> Self {
        let body = format!("<header>\n<h1>{}</h1>\n<p>{}</p>\n</header>\n", escape(title), escape(lead));
        Self { title: title.to_owned(), body }
    }

    /// Adds a heading.
    pub fn heading(&mut self, text: &str) {
        self.push(&format!("<h2>{}</h2>\n", escape(text)));
    }

    /// Adds a paragraph.
    pub fn paragraph(&mut self, text: &str) {
        self.push(&format!("<p>{}</p>\n", escape(text)));
    }

    /// Adds a box of notes; without notes it adds nothing.
    pub fn notes(&mut self, kind: Note, title: &str, notes: &[String]) {
        if notes.is_empty() {
            return;
        }
        let class = match kind {
            Note::Info => "info",
            Note::Warning => "warning",
        };
        self.push(&format!("<aside class=\"{class}\">\n<strong>{}</strong>\n<ul>\n", escape(title)));
        for note in notes {
            self.push(&format!("<li>{}</li>\n", escape(note)));
        }
        self.push("</ul>\n</aside>\n");
    }

    /// Adds a table.
    pub fn table(&mut self, table: &Table) {
        let mut html = String::from("<div class=\"scroll\"><table>\n");
        if !table.caption.is_empty() {
            let _ = writeln!(html, "<caption>{}</caption>", escape(&table.caption));
        }
        html.push_str("<thead><tr>");
        for (i, name) in table.header.iter().enumerate() {
            let class = number_class(table.rows.iter().any(|r| r.get(i).is_some_and(|c| c.number)));
            let _ = write!(html, "<th scope=\"col\"{class}>{}</th>", escape(name));
        }
        html.push_str("</tr></thead>\n<tbody>\n");
        for row in &table.rows {
            html.push_str("<tr>");
            for cell in row {
                let text = escape(&cell.text);
                let text = if cell.strong { format!("<strong>{text}</strong>") } else { text };
                let _ = write!(html, "<td{}>{text}</td>", number_class(cell.number));
            }
            html.push_str("</tr>\n");
        }
        html.push_str("</tbody>\n</table></div>\n");
        self.push(&html);
    }

    /// Adds figures side by side, as many as fit.
    pub fn figures(&mut self, figures: &[Figure]) {
        self.push("<div class=\"figures\">\n");
        for figure in figures {
            self.push(&figure.body);
        }
        self.push("</div>\n");
    }

    /// Adds text that is folded away until it is clicked, such as a configuration.
    pub fn folded(&mut self, title: &str, text: &str) {
        self.push(&format!(
            "<details><summary>{}</summary>\n<pre>{}</pre>\n</details>\n",
            escape(title),
            escape(text)
        ));
    }

    /// Returns the finished page.
    pub fn finish(self) -> String {
        format!(
            "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>{}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main>\n{}<footer>LapseGAN {}</footer>\n</main>\n</body>\n</html>\n",
            escape(&self.title),
            self.body,
            env!("CARGO_PKG_VERSION")
        )
    }

    fn push(&mut self, html: &str) {
        self.body.push_str(html);
    }
}

fn number_class(number: bool) -> &'static str {
    if number { " class=\"number\"" } else { "" }
}

const STYLE: &str = "
:root { color-scheme: light dark; --bg: #fff; --fg: #18181b; --dim: #57606a; --line: #d8dee4; --box: #f6f8fa;
  --warn: #fff4d6; --warn-line: #d4a017;
  --s0: #2563eb; --s1: #dc2626; --s2: #6b7280; --s3: #16a34a; --s4: #9333ea; --s5: #d97706; }
@media (prefers-color-scheme: dark) { :root { --bg: #131316; --fg: #e4e4e7; --dim: #a1a1aa; --line: #34343a; --box: #1d1d21;
  --warn: #2e2608; --warn-line: #b58a10;
  --s0: #6ea8fe; --s1: #ff7b72; --s2: #a1a1aa; --s3: #56d364; --s4: #c297ff; --s5: #f0b04f; } }
body { margin: 0; background: var(--bg); color: var(--fg); font: 15px/1.5 system-ui, sans-serif; }
main { max-width: 1160px; margin: 0 auto; padding: 24px 20px 48px; }
header { border-bottom: 1px solid var(--line); margin-bottom: 20px; }
h1 { font-size: 26px; margin: 0 0 4px; } header p { margin: 0 0 14px; color: var(--dim); }
h2 { font-size: 19px; margin: 32px 0 8px; }
aside { border-left: 4px solid var(--line); background: var(--box); padding: 10px 16px; margin: 14px 0; border-radius: 4px; }
aside.warning { background: var(--warn); border-color: var(--warn-line); }
aside ul { margin: 4px 0 0; padding-left: 20px; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; margin: 10px 0 18px; font-size: 14px; }
caption { text-align: left; color: var(--dim); padding-bottom: 4px; }
th, td { text-align: left; padding: 5px 14px 5px 0; border-bottom: 1px solid var(--line); vertical-align: top; }
th { font-weight: 600; border-bottom-width: 2px; }
.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
.figures { display: flex; flex-wrap: wrap; gap: 18px; align-items: flex-start; }
figure { margin: 6px 0; max-width: 100%; }
figure svg, figure img { max-width: 100%; height: auto; display: block; }
figure img { image-rendering: pixelated; border-radius: 4px; }
figcaption { color: var(--dim); font-size: 13px; margin-top: 4px; }
details { margin: 14px 0; } summary { cursor: pointer; } pre { overflow-x: auto; background: var(--box); padding: 10px; font-size: 12.5px; }
footer { margin-top: 40px; color: var(--dim); font-size: 13px; border-top: 1px solid var(--line); padding-top: 10px; }
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_needs_no_other_file_and_text_cannot_break_out() {
        let mut page = Page::new("<b>", "lead");
        page.heading("Images & labels");
        page.notes(Note::Warning, "Careful", &["one movie".to_owned()]);
        page.notes(Note::Info, "never shown", &[]);
        page.table(&Table {
            caption: "scores".into(),
            header: vec!["name".into(), "value".into()],
            rows: vec![
                vec![TableCell::text("<script>"), TableCell::number(Some(0.123_456)).strong()],
                vec![TableCell::number(None)],
            ],
        });
        let picture = Figure::picture(&RgbImage::filled(2, 2, [9; 3]), "grey \"square\"", "caption").unwrap();
        page.figures(&[picture, Figure::plot("<svg></svg>", "")]);
        page.folded("settings", "a = 1");
        let html = page.finish();
        for text in [
            "&lt;b&gt;",
            "&lt;script&gt;",
            "Images &amp; labels",
            "0.1235",
            "data:image/png;base64,",
            "<svg>",
        ] {
            assert!(html.contains(text), "{text}");
        }
        for text in ["<script", "never shown", "http://", "https://"] {
            assert!(!html.contains(text), "{text}");
        }
    }

    #[test]
    fn numbers_keep_four_digits() {
        let texts = [0.0, 12_345.6, 1.234_56, 0.012_345, -3.0, 1e-9, f64::NAN].map(short_number);
        assert_eq!(texts, ["0", "12346", "1.235", "0.01235", "-3.000", "1.00e-9", "–"]);
    }
}
