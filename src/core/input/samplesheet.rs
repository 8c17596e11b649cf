//! The samplesheet of the workflows: a CSV file with one row per input folder or plate, and its problems.
//!
//! The sheet is checked, and that its paths exist; `prepare` checks the content of the folders.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::samplesheet_table::{
    FRAME_INTERVAL, Fields, KIND, NAME, PATH, PIXEL_SIZE, Problems, SAMPLE, parse,
};
use crate::error::DataError;
use crate::input::image_file::is_image;
use crate::input::split_part;
use crate::plate::is_zipped;
use crate::plate::names::{PLAIN, is_plain};
use crate::side_file;

/// A samplesheet without problems.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Samplesheet {
    /// Samples in the order of their first rows.
    pub samples: Vec<Sample>,
    /// Warnings to show to the user.
    pub warnings: Vec<String>,
}

/// All rows of one id.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Sample {
    /// Its id.
    pub sample: String,
    /// `recording`, `plate` or `phantom`.
    pub kind: &'static str,
    /// Pixel size in micrometres, where one of the rows gives it.
    pub pixel_size: Option<f64>,
    /// Time between frames in seconds, where one of the rows gives it.
    pub frame_interval: Option<f64>,
    /// Its rows in their order.
    pub rows: Vec<Row>,
}

/// One row.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Row {
    /// Line in the file, from 1.
    pub line: u64,
    /// `channel`, `labels`, `plate` or `phantom`.
    pub kind: Kind,
    /// Channel or label name.
    pub name: Option<String>,
    /// Path as it stands in the sheet.
    pub path: Option<String>,
    /// The same path below the base folder, as the program opens it, without the part.
    pub resolved: Option<PathBuf>,
    /// Which channel or label of what the path holds, from `PATH@PART`.
    pub part: Option<String>,
}

/// What a row is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Folder of frames.
    Channel,
    /// Folder of label images.
    Labels,
    /// A plate that is prepared already.
    Plate,
    /// To be simulated.
    Phantom,
}

impl Kind {
    /// Returns the kind of a word.
    fn of(word: &str) -> Option<Self> {
        match word {
            "channel" => Some(Self::Channel),
            "labels" => Some(Self::Labels),
            "plate" => Some(Self::Plate),
            "phantom" => Some(Self::Phantom),
            _ => None,
        }
    }
}

/// Reads and checks a samplesheet; relative paths start at `base`, or else at the folder of the sheet.
///
/// # Errors
/// [`DataError::Samplesheet`] with all problems at once, by line and column; [`DataError::Missing`] without a sheet.
pub fn read(path: &Path, base: Option<&Path>, missing_ok: bool) -> Result<Samplesheet, DataError> {
    let expected = "a samplesheet (CSV)";
    if !path.exists() {
        return Err(DataError::Missing { path: path.to_owned(), expected: expected.into() });
    }
    let base = base.unwrap_or_else(|| path.parent().unwrap_or(Path::new("")));
    let bytes = side_file::read(path, side_file::SHEET)?;
    let mut problems = Problems::default();
    let sheet = parse(&bytes, &mut problems).map(|rows| {
        let rows: Vec<Checked> =
            rows.iter().map(|row| check_row(row, base, missing_ok, &mut problems)).collect();
        samples(rows, &mut problems)
    });
    problems.into_result(path)?;
    Ok(sheet.unwrap_or(Samplesheet { samples: Vec::new(), warnings: Vec::new() }))
}

/// A row after the check of its fields; invalid fields are `None`.
struct Checked<'a> {
    fields: &'a Fields,
    kind: Option<Kind>,
    numbers: [Option<f64>; 2],
    resolved: Option<PathBuf>,
    part: Option<String>,
}

fn check_row<'a>(row: &'a Fields, base: &Path, missing_ok: bool, problems: &mut Problems) -> Checked<'a> {
    let field = |column: usize| row.texts[column].as_str();
    if !is_plain(field(SAMPLE)) {
        problems.field(row, SAMPLE, format!("is `{:.80}`, expected an id of {PLAIN}", field(SAMPLE)));
    }
    let kind = Kind::of(field(KIND));
    match kind {
        None => problems.field(
            row,
            KIND,
            format!("is `{:.80}`, expected channel, labels, plate or phantom", field(KIND)),
        ),
        Some(Kind::Channel | Kind::Labels) if !is_plain(field(NAME)) => {
            problems.field(row, NAME, format!("is `{:.80}`, expected a name of {PLAIN}", field(NAME)));
        }
        Some(Kind::Plate | Kind::Phantom) if !field(NAME).is_empty() => {
            problems.field(
                row,
                NAME,
                format!("is `{:.80}`, expected nothing for a {}", field(NAME), field(KIND)),
            );
        }
        Some(_) => {}
    }
    let (mut resolved, mut part) = (None, None);
    match (kind, field(PATH)) {
        (Some(Kind::Phantom), "") | (None, _) => {}
        (Some(Kind::Phantom), path) => {
            problems.field(row, PATH, format!("is `{path:.200}`, expected nothing for a phantom"));
        }
        (Some(_), "") => problems.field(row, PATH, "is empty, expected a folder"),
        (Some(kind), path) => {
            let below = |path: &str| if path.contains("://") { PathBuf::from(path) } else { base.join(path) };
            let whole = kind == Kind::Plate || below(path).exists();
            let (path, named) = if whole { (path, None) } else { split_part(path) };
            let full = below(path);
            check_path(row, kind, &full, missing_ok, problems);
            (resolved, part) = (Some(full), named.map(str::to_owned));
        }
    }
    let numbers = [PIXEL_SIZE, FRAME_INTERVAL].map(|column| {
        let text = field(column);
        let number = text.parse::<f64>().ok().filter(|v| v.is_finite() && *v > 0.0);
        if number.is_none() && !text.is_empty() {
            problems.field(row, column, format!("is `{text:.80}`, expected a number above 0, or nothing"));
        }
        number
    });
    Checked { fields: row, kind, numbers, resolved, part }
}

fn check_path(row: &Fields, kind: Kind, path: &Path, missing_ok: bool, problems: &mut Problems) {
    let shown = path.display();
    if !path.exists() {
        if !missing_ok {
            problems.missing(row, PATH, format!("{shown} is not there"));
        }
    } else if !path.is_dir() && (kind == Kind::Plate || !(is_image(path) || is_zipped(path))) {
        let expected = if kind == Kind::Plate { "a folder" } else { "a folder, a TIFF stack or an OME-Zarr" };
        problems.field(row, PATH, format!("{shown} is a file, expected {expected}"));
    } else if kind == Kind::Plate && !path.join("zarr.json").is_file() {
        problems.field(row, PATH, format!("{shown} is no plate: it holds no zarr.json"));
    }
}

/// Groups rows into samples and checks the rules that concern all rows of a sample.
fn samples(rows: Vec<Checked>, problems: &mut Problems) -> Samplesheet {
    let mut order: Vec<&str> = Vec::new();
    let mut groups: BTreeMap<&str, Vec<&Checked>> = BTreeMap::new();
    for row in &rows {
        let id = row.fields.texts[SAMPLE].as_str();
        let group = groups.entry(id).or_default();
        if group.is_empty() {
            order.push(id);
        }
        group.push(row);
    }
    let mut sheet = Samplesheet { samples: Vec::new(), warnings: Vec::new() };
    for id in order {
        let group = &groups[id];
        check_group(id, group, problems);
        let number = |which: usize| group.iter().find_map(|row| row.numbers[which]);
        let (pixel_size, frame_interval) = (number(0), number(1));
        let kind = match group[0].kind {
            Some(Kind::Plate) => "plate",
            Some(Kind::Phantom) => "phantom",
            _ => "recording",
        };
        if kind != "recording" && (pixel_size.is_some() || frame_interval.is_some()) {
            sheet.warnings.push(format!(
                "line {}: pixel_size and frame_interval are not used, the {kind} has its own",
                group[0].fields.line
            ));
        }
        let filled = |text: &String| (!text.is_empty()).then(|| text.clone());
        let rows = group.iter().map(|row| Row {
            line: row.fields.line,
            // A row without a kind is a problem already noted, and then no row is returned.
            kind: row.kind.unwrap_or(Kind::Channel),
            name: filled(&row.fields.texts[NAME]),
            path: filled(&row.fields.texts[PATH]),
            resolved: row.resolved.clone(),
            part: row.part.clone(),
        });
        let rows = rows.collect();
        sheet.samples.push(Sample { sample: id.to_owned(), kind, pixel_size, frame_interval, rows });
    }
    sheet
}

fn check_group(id: &str, group: &[&Checked], problems: &mut Problems) {
    let whole = group.iter().find(|row| matches!(row.kind, Some(Kind::Plate | Kind::Phantom)));
    if let Some(whole) = whole {
        for row in group.iter().filter(|row| row.fields.line != whole.fields.line) {
            let kind = &whole.fields.texts[KIND];
            let text =
                format!("sample {id} is a {kind} (line {}), which is a sample's only row", whole.fields.line);
            problems.field(row.fields, KIND, text);
        }
        return;
    }
    if group.iter().all(|row| row.kind == Some(Kind::Labels)) {
        problems.field(group[0].fields, KIND, format!("sample {id} has labels but no channel"));
    }
    for (at, row) in group.iter().enumerate() {
        let before = &group[..at];
        let text = |column: usize| row.fields.texts[column].as_str();
        let same = |other: &&&Checked, columns: &[usize]| {
            columns.iter().all(|&c| !text(c).is_empty() && other.fields.texts[c] == text(c))
        };
        if let Some(other) = before.iter().find(|other| row.kind.is_some() && same(other, &[KIND, NAME])) {
            let what = format!(
                "{} {} of sample {id} is on line {} already",
                text(KIND),
                text(NAME),
                other.fields.line
            );
            problems.field(row.fields, NAME, what);
        } else if let Some(other) = before.iter().find(|other| same(other, &[PATH])) {
            let what = format!("is the path of line {} already", other.fields.line);
            problems.field(row.fields, PATH, what);
        }
        for (which, column) in [PIXEL_SIZE, FRAME_INTERVAL].into_iter().enumerate() {
            let first = before.iter().find_map(|o| Some((o.fields.line, o.numbers[which]?)));
            if let (Some((line, first)), Some(value)) = (first, row.numbers[which])
                && first != value
            {
                problems.field(
                    row.fields,
                    column,
                    format!("is {value}, but {first} on line {line} of the same sample"),
                );
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &[u8]) -> Result<Samplesheet, String> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s.csv");
        std::fs::write(&path, text).unwrap();
        read(&path, None, true).map_err(|e| e.to_string().replace(&path.display().to_string(), "s.csv"))
    }

    #[test]
    fn columns_come_in_any_order_with_the_habits_of_spreadsheets() {
        let text = "\u{feff}path,kind,sample,name,frame_interval\r\n\"a, b/phase\",channel,A,phase,\r\n\r\nm/gfp , channel,A,gfp,300\r\n,phantom,B,,\r\n,,,,\r\n";
        let sheet = check(text.as_bytes()).unwrap();
        assert_eq!(sheet.samples.len(), 2);
        let [a, b] = [&sheet.samples[0], &sheet.samples[1]];
        assert_eq!((a.kind, a.frame_interval, a.pixel_size), ("recording", Some(300.0), None));
        assert_eq!(a.rows[0].path.as_deref(), Some("a, b/phase"));
        assert_eq!((a.rows[1].line, a.rows[1].name.as_deref()), (4, Some("gfp")));
        assert_eq!((b.kind, b.rows[0].line, &b.rows[0].resolved), ("phantom", 5, &None));
    }

    #[test]
    fn channels_of_one_file_are_its_parts() {
        let text = b"sample,kind,name,path
A,channel,phase,movie.ome.tif@BF
A,channel,gfp,movie.ome.tif@GFP
A,channel,rfp,movie.ome.tif@GFP
";
        let error = check(text).unwrap_err();
        assert!(error.contains("line 4, column 4 (path): is the path of line 3 already"), "{error}");
        let sheet = check(&text[..text.len() - 32]).unwrap();
        let [phase, gfp] = [&sheet.samples[0].rows[0], &sheet.samples[0].rows[1]];
        assert_eq!([phase.part.as_deref(), gfp.part.as_deref()], [Some("BF"), Some("GFP")]);
        assert!(gfp.resolved == phase.resolved && gfp.resolved.as_ref().unwrap().ends_with("movie.ome.tif"));
    }

    #[test]
    fn all_problems_are_listed_by_line_and_column() {
        let text = b"sample,kind,name,path,pixel_size,frame_interval
a b,channel,phase,x,0.1,
A,chanel,phase,x,,
A,channel,gfp,y,-1,nan
A,channel,gfp,z,,10
A,labels,cells,z,,20
P,plate,,p,,
P,phantom,,,,
L,labels,cells,q,,
M,channel,phase
";
        let error = check(text).unwrap_err();
        for part in [
            "line 2, column 1 (sample): is `a b`",
            "line 3, column 2 (kind): is `chanel`",
            "line 4, column 5 (pixel_size): is `-1`",
            "line 4, column 6 (frame_interval): is `nan`",
            "line 5, column 3 (name): channel gfp of sample A is on line 4 already",
            "line 6, column 4 (path): is the path of line 5 already",
            "line 6, column 6 (frame_interval): is 20, but 10 on line 5",
            "line 8, column 2 (kind): sample P is a plate (line 7)",
            "line 9, column 2 (kind): sample L has labels but no channel",
            "line 10: has 3 fields, expected 6",
        ] {
            assert!(error.contains(part), "`{part}` not in\n{error}");
        }
        assert!(error.starts_with("s.csv: 10 problems\n"), "{error}");
    }

    #[test]
    fn headers_that_make_no_sense_are_refused() {
        for (text, part) in [
            (&b""[..], "no rows"),
            (b"sample,kind,name,path\n", "no rows"),
            (b"sample;kind;name;path\n", "semicolons"),
            (b"sample,kind,name,file\n", "`file`, expected one of sample"),
            (b"sample,kind,name\n", "no column path"),
            (b"sample,kind,name,path,path\n", "column 5 is called path as well"),
            (b"sample,kind,name,path\nA,channel,\xe9,x\n", "line 2: is no UTF-8"),
        ] {
            let error = check(text).unwrap_err();
            assert!(error.contains(part), "`{part}` not in\n{error}");
        }
    }
}
