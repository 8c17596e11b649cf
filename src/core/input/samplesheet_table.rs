//! The samplesheet as a table: rows of named columns out of a CSV file, and problems by line and column.

use std::path::Path;

use crate::error::DataError;

/// Columns a sheet must have, then those it may have.
const COLUMNS: [&str; 6] = ["sample", "kind", "name", "path", "pixel_size", "frame_interval"];
const NEEDED: usize = 4;
pub(super) const SAMPLE: usize = 0;
pub(super) const KIND: usize = 1;
pub(super) const NAME: usize = 2;
pub(super) const PATH: usize = 3;
pub(super) const PIXEL_SIZE: usize = 4;
pub(super) const FRAME_INTERVAL: usize = 5;
/// Problems that are listed before it is said how many more there are.
const LISTED: usize = 50;

/// A problem in a place.
struct Problem {
    line: u64,
    /// Column from 1, and its name.
    column: Option<(usize, &'static str)>,
    text: String,
    missing: bool,
}

/// All problems of a sheet.
#[derive(Default)]
pub(super) struct Problems(Vec<Problem>);

impl Problems {
    /// Adds a problem of a line.
    fn line(&mut self, line: u64, text: impl Into<String>) {
        self.0.push(Problem { line, column: None, text: text.into(), missing: false });
    }

    /// Adds a problem of a field.
    pub(super) fn field(&mut self, row: &Fields, column: usize, text: impl Into<String>) {
        let column = Some((row.columns[column].map_or(0, |at| at + 1), COLUMNS[column]));
        self.0.push(Problem { line: row.line, column, text: text.into(), missing: false });
    }

    /// Adds a path that is not there.
    pub(super) fn missing(&mut self, row: &Fields, column: usize, text: impl Into<String>) {
        self.field(row, column, text);
        if let Some(last) = self.0.last_mut() {
            last.missing = true;
        }
    }

    /// Returns the problems as an error, in the order of lines and columns.
    pub(super) fn into_result(mut self, path: &Path) -> Result<(), DataError> {
        if self.0.is_empty() {
            return Ok(());
        }
        self.0.sort_by_key(|p| (p.line, p.column.map_or(0, |c| c.0)));
        let mut lines: Vec<String> = self.0.iter().take(LISTED).map(Problem::sentence).collect();
        if self.0.len() > LISTED {
            lines.push(format!("and {} more", self.0.len() - LISTED));
        }
        let n = self.0.len();
        let head = if n == 1 { "1 problem".to_owned() } else { format!("{n} problems") };
        Err(DataError::Samplesheet {
            path: path.to_owned(),
            problems: format!("{head}\n  {}", lines.join("\n  ")),
            only_missing: self.0.iter().all(|p| p.missing),
        })
    }
}

impl Problem {
    fn sentence(&self) -> String {
        match self.column {
            Some((at, name)) => format!("line {}, column {at} ({name}): {}", self.line, self.text),
            None => format!("line {}: {}", self.line, self.text),
        }
    }
}

/// A row's fields by [`COLUMNS`], still text.
pub(super) struct Fields {
    /// Line it begins on, from 1.
    pub(super) line: u64,
    /// Index of each column in the file; `None` where the file does not have it.
    columns: [Option<usize>; 6],
    /// Their text, empty where there is none.
    pub(super) texts: [String; 6],
}

/// Returns the rows, or `None` where the text or the header cannot be used.
pub(super) fn parse(bytes: &[u8], problems: &mut Problems) -> Option<Vec<Fields>> {
    // Spreadsheets put a byte order mark before the text.
    let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(e) => {
            let line = bytes[..e.valid_up_to()].split(|&b| b == b'\n').count() as u64;
            problems.line(line, "is no UTF-8 text; save the sheet as CSV UTF-8, with commas");
            return None;
        }
    };
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .trim(csv::Trim::All)
        .from_reader(text.as_bytes());
    let mut lines = Lines { rest: text, byte: 0, line: 1 };
    let mut columns = None;
    let mut width = 0;
    let mut rows = Vec::new();
    for record in reader.records() {
        let record = match record {
            Ok(record) => record,
            Err(e) => {
                problems.line(e.position().map_or(1, csv::Position::line), e.to_string());
                return None;
            }
        };
        let line = lines.of(&record);
        let Some(columns) = columns else {
            columns = Some(header(&record, line, problems)?);
            width = record.len();
            continue;
        };
        if record.iter().all(str::is_empty) {
            continue;
        }
        if record.len() != width {
            problems.line(line, format!("has {} fields, expected {width} as in the header", record.len()));
            continue;
        }
        let texts =
            columns.map(|at: Option<usize>| at.and_then(|at| record.get(at)).unwrap_or("").to_owned());
        rows.push(Fields { line, columns, texts });
    }
    if rows.is_empty() && problems.0.is_empty() {
        problems.line(1, format!("no rows, expected a header ({}) and one row per input", COLUMNS.join(",")));
    }
    Some(rows)
}

/// Line numbers of the records; the CSV reader's own count leaves out the empty lines that it skips.
struct Lines<'a> {
    /// Text that follows the beginning of the last record asked for.
    rest: &'a str,
    byte: usize,
    line: u64,
}

impl Lines<'_> {
    /// Returns the line a record begins on; records come in their order.
    fn of(&mut self, record: &csv::StringRecord) -> u64 {
        let start = record.position().map_or(0, |p| p.byte() as usize).saturating_sub(self.byte);
        let after = self.rest.get(start..).unwrap_or("");
        let begins = self.rest.len() - after.trim_start_matches(['\r', '\n']).len();
        let (passed, rest) = self.rest.split_at(begins);
        self.line += passed.matches('\n').count() as u64;
        (self.rest, self.byte) = (rest, self.byte + begins);
        self.line
    }
}

/// Returns where each of [`COLUMNS`] stands.
fn header(record: &csv::StringRecord, line: u64, problems: &mut Problems) -> Option<[Option<usize>; 6]> {
    let names: Vec<&str> = record.iter().collect();
    if names.len() == 1 && names[0].contains(';') {
        problems.line(line, "columns are parted by semicolons, expected commas");
        return None;
    }
    let before = problems.0.len();
    for (at, name) in names.iter().enumerate() {
        if !COLUMNS.contains(name) {
            problems.line(
                line,
                format!("column {} is called `{name:.40}`, expected one of {}", at + 1, COLUMNS.join(", ")),
            );
        } else if names[..at].contains(name) {
            problems.line(line, format!("column {} is called {name} as well", at + 1));
        }
    }
    let columns = COLUMNS.map(|wanted| names.iter().position(|name| *name == wanted));
    for (name, _) in COLUMNS.iter().zip(columns).take(NEEDED).filter(|(_, at)| at.is_none()) {
        problems.line(line, format!("the header has no column {name}"));
    }
    (problems.0.len() == before).then_some(columns)
}
