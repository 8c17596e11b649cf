//! Middles of tiles that are given as a table: `position,y,x`, in pixels of the recording.

use std::path::{Path, PathBuf};

use crate::error::DataError;

/// Columns that every table has; `position` is needed where the recording has several.
const COLUMNS: [&str; 2] = ["y", "x"];

/// A table of coordinates.
#[derive(Clone, Debug)]
pub struct Centres {
    path: PathBuf,
    rows: Vec<Row>,
    /// Rows and columns were divided by this.
    downscale: usize,
}

#[derive(Clone, Debug)]
struct Row {
    line: u64,
    position: Option<String>,
    y: usize,
    x: usize,
}

impl Centres {
    /// Reads a table (CSV); its pixels are those before frames are downscaled.
    ///
    /// # Errors
    /// [`DataError::Io`], or [`DataError::Unusable`] naming line and column of what is no such table.
    pub fn read(path: &Path, downscale: usize) -> Result<Self, DataError> {
        let text = std::fs::read(path).map_err(DataError::io(path))?;
        let text = text.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(&text);
        let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(text);
        let wrong = |found: String| {
            DataError::Unusable {
            path: path.to_owned(),
            found,
            expected: "a table position,y,x in pixels, with commas".into(),
            hint: "such as: position,y,x on the first line, pos0,120,388 on the next; position may be left out where \
                   there is one"
                .into(),
        }
        };
        let header = reader.headers().map_err(|e| wrong(e.to_string()))?.clone();
        let column = |name: &str| header.iter().position(|h| h.eq_ignore_ascii_case(name));
        let [Some(y), Some(x)] = COLUMNS.map(column) else {
            let there: Vec<String> = header.iter().map(|h| format!("`{h:.40}`")).collect();
            return Err(wrong(format!("line 1 has the columns {}", there.join(", "))));
        };
        let position = column("position");
        let mut rows = Vec::new();
        for record in reader.records() {
            let record = record.map_err(|e| wrong(e.to_string()))?;
            let line = record.position().map_or(0, csv::Position::line);
            let text = |at: usize| record.get(at).unwrap_or("");
            let number = |name: &str, at: usize| {
                let value = text(at).parse::<f64>().ok().filter(|v| (0.0..1e9).contains(v));
                value
                    .map(|v| v as usize)
                    .ok_or_else(|| wrong(format!("line {line}: {name} is `{:.40}`", text(at))))
            };
            let (y, x) = (number("y", y)?, number("x", x)?);
            let position = position.map(|at| text(at).to_owned()).filter(|name| !name.is_empty());
            rows.push(Row { line, position, y: y / downscale, x: x / downscale });
        }
        if rows.is_empty() {
            return Err(wrong("holds no line of coordinates".into()));
        }
        Ok(Self { path: path.to_owned(), rows, downscale })
    }

    /// Returns rows and columns by position, for frames of `size` pixels.
    pub(super) fn by_position(
        &self,
        positions: &[&str],
        size: (usize, usize),
    ) -> Result<Vec<Vec<(usize, usize)>>, DataError> {
        let wrong = |row: &Row, found: String, expected: String| DataError::Unusable {
            path: self.path.clone(),
            found: format!("line {}: {found}", row.line),
            expected,
            hint: "coordinates are pixels of the recording, rows and columns counted from 0".into(),
        };
        let mut centres = vec![Vec::new(); positions.len()];
        for row in &self.rows {
            let at = match &row.position {
                Some(name) => positions.iter().position(|p| p == name).ok_or_else(|| {
                    wrong(row, format!("position `{name:.40}` is not in the recording"), one_of(positions))
                })?,
                None if positions.len() == 1 => 0,
                None => return Err(wrong(row, "tells no position".into(), one_of(positions))),
            };
            if row.y >= size.0 || row.x >= size.1 {
                let found =
                    format!("y {}, x {} lies outside", row.y * self.downscale, row.x * self.downscale);
                let (h, w) = (size.0 * self.downscale, size.1 * self.downscale);
                return Err(wrong(row, found, format!("y below {h} and x below {w}")));
            }
            centres[at].push((row.y, row.x));
        }
        Ok(centres)
    }
}

fn one_of(positions: &[&str]) -> String {
    let names = &positions[..positions.len().min(5)];
    let more = if positions.len() > names.len() { ", ..." } else { "" };
    format!("one of {}{more}", names.join(", "))
}
