//! What file names say: which time, position, channel and focal plane each file shows.
//!
//! One rule for all files: names are taken apart (`pieces`), compared (`fields`), and what differs is told by the words
//! before it (`labels`, `roles`). What can be read in two ways is refused with the `--pattern` that settles it.

mod fields;
mod labels;
pub mod matching;
pub(crate) mod pattern;
mod pieces;
mod roles;
mod table;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use fields::{Field, Key};
use labels::{Label, is_channel, known_label};
use pattern::{Match, Time};
use pieces::{Kind, Reading, chunks};
use roles::Role;

pub use pattern::Pattern;
pub(super) use table::time_text;
pub use table::{FieldRow, NamesTable};

use super::file_names::name;
use crate::error::DataError;

/// An image file whose name is to be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) path: PathBuf,
    /// Name of the sub-folder it lies in.
    pub(super) folder: Option<String>,
}

/// What the name of a file says of it; `None` where names do not differ in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Named {
    pub(super) path: PathBuf,
    pub(super) position: Option<String>,
    pub(super) channel: Option<String>,
    pub(super) z: Option<i64>,
    /// In [`Names::unit`].
    pub(super) time: Option<i64>,
    /// When it was recorded, in milliseconds.
    pub(super) clock_ms: Option<i64>,
}

/// What times count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TimeUnit {
    /// Frames, in thousandths.
    Frames,
    Milliseconds,
}

/// The names of a set of files, read.
#[derive(Clone, Debug)]
pub(super) struct Names {
    pub(super) files: Vec<Named>,
    pub(super) unit: TimeUnit,
    pub(super) table: NamesTable,
}

/// Endings of names by which tools mark their masks.
const SUFFIXES: [&str; 12] = [
    "_cp_masks",
    "_cp_mask",
    "_masks",
    "_mask",
    "_segmentation",
    "_seg",
    "_labels",
    "_label",
    "_pred",
    "_prediction",
    "_instances",
    "_gt",
];

/// Returns a file name without its ending, and without what tools put behind the name of an image.
pub(crate) fn stem(path: &Path) -> String {
    let mut stem = path.file_stem().map_or_else(String::new, |s| s.to_string_lossy().into_owned());
    if stem.to_ascii_lowercase().ends_with(".ome") {
        stem.truncate(stem.len() - 4);
    }
    for suffix in SUFFIXES {
        let end = stem.len().saturating_sub(suffix.len());
        if end > 0 && stem.is_char_boundary(end) && stem[end..].eq_ignore_ascii_case(suffix) {
            stem.truncate(end);
            break;
        }
    }
    stem
}

/// Returns what makes two stems the same: no case, no zeros before numbers, no marks between.
pub(crate) fn plain(stem: &str) -> String {
    let chunks = chunks(stem, Reading { signs: false, clocks: false });
    let text = |piece: &pieces::Piece| match piece.kind {
        Kind::Number(_) => match piece.text.trim_start_matches('0') {
            "" => "0".to_owned(),
            digits => digits.to_owned(),
        },
        _ => piece.text.to_lowercase(),
    };
    let words = chunks.iter().map(|c| c.pieces.iter().map(text).collect::<Vec<_>>().join("."));
    words.collect::<Vec<_>>().join("_")
}

/// Reads the names of all files of an input.
///
/// # Errors
/// [`DataError::Unusable`] where names can be read in two ways, or where two files would be one frame.
pub(super) fn read(
    input: &Path,
    entries: &[Entry],
    pattern: Option<&Pattern>,
    warnings: &mut Vec<String>,
) -> Result<Names, DataError> {
    match pattern {
        Some(pattern) => by_pattern(input, entries, pattern, warnings),
        None => by_rule(input, entries),
    }
}

fn by_rule(input: &Path, entries: &[Entry]) -> Result<Names, DataError> {
    let stems: Vec<String> = entries.iter().map(|e| stem(&e.path)).collect();
    let mut fields = fields::fields(&stems).map_err(|[a, b]| unlike(input, &entries[a], &entries[b]))?;
    let folders: Option<Vec<String>> = entries.iter().map(|e| e.folder.clone()).collect();
    if let Some(folders) = &folders {
        fields.insert(0, fields::of_words(folders, folder_label(folders)));
    }
    let roles = roles::roles(&fields);
    if roles.contains(&Role::Unknown) {
        return Err(unclear(input, entries, &stems, &fields, &roles));
    }
    let of = |role: Role| -> Vec<&Field> {
        fields.iter().zip(&roles).filter(|(_, r)| **r == role).map(|(field, _)| field).collect()
    };
    let (times, clocks) = (of(Role::Time), of(Role::Clock));
    let constant = constant_time(&fields, &roles);
    let time = times.first().copied().or(constant);
    let (positions, channels, planes) = (of(Role::Position), of(Role::Channel), of(Role::Z));
    let mut unit = TimeUnit::Frames;
    let mut files = Vec::with_capacity(entries.len());
    for (i, entry) in entries.iter().enumerate() {
        let mut place: Vec<String> = positions.iter().map(|f| position_text(f, i)).collect();
        if place.is_empty() && (folders.is_none() || roles[0] == Role::Constant) {
            place.extend(entry.folder.clone());
        }
        let milliseconds = |field: &Field| match (field.values[i].kind, field.unit) {
            (Kind::Clock(ms) | Kind::Duration(ms), _) => Some(ms),
            (Kind::Number(n), Some(unit)) => Some((n as f64 * unit).round() as i64),
            _ => None,
        };
        let time = time.map(|field| match (milliseconds(field), field.values[i].kind) {
            (Some(ms), _) => {
                unit = TimeUnit::Milliseconds;
                ms
            }
            (None, Kind::Number(n)) => n,
            (None, _) => 0,
        });
        files.push(Named {
            path: entry.path.clone(),
            position: (!place.is_empty()).then(|| place.join("_")),
            channel: channels.first().map(|f| channel_text(&f.values[i].text)),
            z: planes.first().map(|f| if let Kind::Number(n) = f.values[i].kind { n / 1000 } else { 0 }),
            time,
            clock_ms: clocks.first().and_then(|field| milliseconds(field)),
        });
    }
    let shown = pattern_of(entries, &stems, &fields, &roles);
    finish(input, files, unit, shown)
}

fn by_pattern(
    input: &Path,
    entries: &[Entry],
    pattern: &Pattern,
    warnings: &mut Vec<String>,
) -> Result<Names, DataError> {
    let mut files = Vec::new();
    let mut unit = TimeUnit::Frames;
    let mut other: Vec<String> = Vec::new();
    for entry in entries {
        let (file, stem) = (name(&entry.path), stem(&entry.path));
        let within = entry.folder.as_ref().map(|folder| format!("{folder}/{file}"));
        let found = pattern.read(&file, &stem).or_else(|| pattern.read(within.as_deref()?, &file));
        let Some(Match { time, clock_ms, channel, position, z }) = found else {
            other.push(file);
            continue;
        };
        // A field that a name lacks is zero: some programs leave such fields out.
        let or_zero = |field: &str| pattern.has(field).then_some(0);
        let time = match (time, clock_ms) {
            (Some(Time::Number(n)), _) => Some(n),
            (Some(Time::Milliseconds(ms)), _) | (None, Some(ms)) => {
                unit = TimeUnit::Milliseconds;
                Some(ms)
            }
            (None, None) => or_zero("time"),
        };
        let place: Vec<String> = entry.folder.iter().cloned().chain(position).collect();
        files.push(Named {
            path: entry.path.clone(),
            position: (!place.is_empty()).then(|| place.join("_")),
            channel: channel
                .map(|text| channel_text(&text))
                .or_else(|| pattern.has("channel").then(|| channel_text("0"))),
            z: z.or_else(|| or_zero("z")),
            time,
            clock_ms,
        });
    }
    if files.is_empty() {
        return Err(DataError::Unusable {
            path: input.to_owned(),
            found: format!("none of its {} files is named {}, such as {}", entries.len(), pattern.text, other[0]),
            expected: "names that the pattern fits".into(),
            hint: "fields are {time}, {channel}, {position}, {z}, {well}, {clock} and {} for anything; {time:d} takes \
                   digits only"
                .into(),
        });
    }
    if let Some(first) = other.first() {
        warnings.push(format!(
            "{}: {} file(s) are not named {} and left out, such as {first}",
            input.display(),
            other.len(),
            pattern.text
        ));
    }
    finish(input, files, unit, pattern.text.clone())
}

/// Checks that no two files are the same frame, and makes the table.
fn finish(input: &Path, files: Vec<Named>, unit: TimeUnit, shown: String) -> Result<Names, DataError> {
    let mut seen: BTreeMap<_, &Named> = BTreeMap::new();
    for file in &files {
        let place = (&file.position, &file.channel, file.z, file.time);
        if let Some(other) = seen.insert(place, file) {
            return Err(DataError::Unusable {
                path: input.to_owned(),
                found: format!(
                    "two files of one frame, {} and {} (names were read as {shown})",
                    name(&other.path),
                    name(&file.path)
                ),
                expected: "one file per position, channel, focal plane and time".into(),
                hint: "say what the names mean, as in --pattern 'img_{channel}_{time:d}.tif', or take some files only, \
                       as in --channel gfp='movie/*_GFP.tif'"
                    .into(),
            });
        }
    }
    let table = NamesTable::of(input, &files, unit, shown);
    Ok(Names { files, unit, table })
}

/// Returns the field that holds the time of files that do not differ in it: it is needed to compare with other folders.
fn constant_time<'a>(fields: &'a [Field], roles: &[Role]) -> Option<&'a Field> {
    let constant = || fields.iter().zip(roles).filter(|(_, r)| **r == Role::Constant).map(|(f, _)| f);
    let is_number = |f: &&Field| matches!(f.values[0].kind, Kind::Number(_));
    let labelled = constant().find(|f| f.label == Label::Time && is_number(f));
    labelled.or_else(|| {
        let mut numbers = constant().filter(|f| f.label == Label::None && is_number(f));
        numbers.next().filter(|_| numbers.next().is_none())
    })
}

/// Returns what sub-folders are: channels where all are named like channels, else positions.
fn folder_label(folders: &[String]) -> Label {
    let channel = |folder: &String| {
        let chunks = chunks(folder, Reading { signs: false, clocks: false });
        let labelled = match chunks.last().map(|c| &c.pieces[..]) {
            Some([.., word, number]) if matches!(number.kind, Kind::Number(_)) => {
                known_label(&word.text, true) == Label::Channel
            }
            _ => false,
        };
        is_channel(folder) || labelled
    };
    if folders.iter().all(channel) { Label::Channel } else { Label::Position }
}

/// Returns a position as its name is written: with the word before its number.
fn position_text(field: &Field, i: usize) -> String {
    let text = &field.values[i].text;
    match field.label {
        Label::Position if matches!(field.values[i].kind, Kind::Number(_)) => {
            format!("position-{text}")
        }
        _ => text.clone(),
    }
}

/// Returns a channel as its name is written; a number alone is none.
fn channel_text(text: &str) -> String {
    let is_number = text.bytes().all(|b| b.is_ascii_digit());
    if is_number { format!("channel-{text}") } else { text.to_owned() }
}

/// Returns the first name with fields in braces.
fn pattern_of(entries: &[Entry], stems: &[String], fields: &[Field], roles: &[Role]) -> String {
    let file = name(&entries[0].path);
    let mut spans: Vec<_> = fields
        .iter()
        .zip(roles)
        .filter_map(|(field, role)| {
            let number = matches!(field.values[0].kind, Kind::Number(n) if n % 1000 == 0);
            let text = match role {
                Role::Constant => return None,
                Role::Time if number => "{time:d}",
                Role::Time => "{time}",
                Role::Clock => "{clock}",
                Role::Channel => "{channel}",
                Role::Position => "{position}",
                Role::Z => "{z:d}",
                Role::Same => "{}",
                Role::Unknown => "{?}",
            };
            field.span.clone().map(|span| (span, text))
        })
        .collect();
    spans.sort_by_key(|(span, _)| span.start);
    let mut shown = String::new();
    let mut at = 0;
    for (span, text) in spans {
        if span.start < at || span.end > stems[0].len() {
            continue;
        }
        shown += &stems[0][at..span.start];
        shown += text;
        at = span.end;
    }
    shown + file.get(at..).unwrap_or_default()
}

/// Returns the error of names that could be read in two ways, with the pattern that says in which.
fn unclear(input: &Path, entries: &[Entry], stems: &[String], fields: &[Field], roles: &[Role]) -> DataError {
    let mut guesses = roles.to_vec();
    let mut found = Vec::new();
    for (i, field) in fields.iter().enumerate().filter(|(i, _)| roles[*i] == Role::Unknown) {
        let distinct = field.distinct();
        let is_number = distinct.keys().all(|key| !matches!(key, Key::Word(_)));
        let shown: Vec<&str> = distinct.values().copied().collect();
        let values = match &shown[..] {
            [a, b, c, .., last] if shown.len() > 4 => format!("{a}, {b}, {c} ... {last}"),
            all => all.join(", "),
        };
        found.push(format!("a {} ({values})", if is_number { "number" } else { "word" }));
        guesses[i] = match (is_number, guesses.contains(&Role::Time), guesses.contains(&Role::Position)) {
            (true, false, _) => Role::Time,
            (true, true, false) | (false, _, false) if is_number || guesses.contains(&Role::Channel) => {
                Role::Position
            }
            (true, true, true) if !guesses.contains(&Role::Z) => Role::Z,
            (false, ..) if !guesses.contains(&Role::Channel) => Role::Channel,
            _ => Role::Unknown,
        };
    }
    let example = pattern_of(entries, stems, fields, &guesses).replace("{?}", "{}");
    DataError::Unusable {
        path: input.to_owned(),
        found: format!(
            "names such as {} differ in {}, and nothing says what that is",
            name(&entries[0].path),
            found.join(" and in ")
        ),
        expected: "names in which the time is the only number, or in which labels tell (t, xy, ch, z)".into(),
        hint: format!(
            "say it: --pattern '{example}' if it is so (fields: time, channel, position, z, well, clock, {{}} for \
             anything), or take some files only, as in --channel gfp='{}/*_GFP.tif'",
            input.display()
        ),
    }
}

fn unlike(input: &Path, a: &Entry, b: &Entry) -> DataError {
    DataError::Unusable {
        path: input.to_owned(),
        found: format!("names of two kinds, such as {} and {}", name(&a.path), name(&b.path)),
        expected: "names of one form".into(),
        hint: format!(
            "take those of one form only, as in --channel gfp='{}/*_GFP.tif', or say what they mean with --pattern",
            input.display()
        ),
    }
}

#[cfg(test)]
mod tests;
