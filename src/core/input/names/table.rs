//! How names were read, for people: the pattern, and for each field how many values it has and which are missing.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::path::Path;

use serde::Serialize;

use super::{Named, TimeUnit};

/// Missing combinations that are listed.
const LISTED: usize = 3;

/// How the names of an input were read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NamesTable {
    /// Folder or file.
    pub input: String,
    /// Number of files.
    pub files: usize,
    /// A name with its fields in braces.
    pub pattern: String,
    /// One row per field.
    pub fields: Vec<FieldRow>,
    /// Combinations of position, channel, focal plane and time that no file shows; the first few.
    pub missing: Vec<String>,
    /// How many there are.
    pub missing_count: usize,
}

/// One field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FieldRow {
    /// `time`, `position`, `channel` or `z`.
    pub meaning: &'static str,
    /// Number of values.
    pub count: usize,
    /// The first.
    pub first: String,
    /// The last.
    pub last: String,
}

impl NamesTable {
    pub(super) fn of(input: &Path, files: &[Named], unit: TimeUnit, pattern: String) -> Self {
        let times: BTreeSet<i64> = files.iter().filter_map(|f| f.time).collect();
        let planes: BTreeSet<i64> = files.iter().filter_map(|f| f.z).collect();
        let positions: BTreeSet<&String> = files.iter().filter_map(|f| f.position.as_ref()).collect();
        let channels: BTreeSet<&String> = files.iter().filter_map(|f| f.channel.as_ref()).collect();
        let time = |t: &i64| time_text(*t, unit);
        let mut fields = Vec::new();
        fields.extend(row("time", times.iter().map(time)));
        fields.extend(row("position", &positions));
        fields.extend(row("channel", &channels));
        fields.extend(row("z", &planes));
        let combinations = [times.len(), positions.len(), channels.len(), planes.len()]
            .map(|n| n.max(1))
            .iter()
            .product::<usize>();
        let missing_count = combinations.saturating_sub(files.len());
        let missing = if missing_count == 0 {
            Vec::new()
        } else {
            let there: BTreeSet<_> =
                files.iter().map(|f| (f.position.as_ref(), f.channel.as_ref(), f.z, f.time)).collect();
            let positions = or_none(positions.iter().copied());
            let channels = or_none(channels.iter().copied());
            let (planes, times) = (or_none(planes.iter().copied()), or_none(times.iter().copied()));
            let all = positions.iter().flat_map(|p| channels.iter().map(move |c| (*p, *c)));
            let all = all.flat_map(|(p, c)| planes.iter().map(move |z| (p, c, *z)));
            let all = all.flat_map(|(p, c, z)| times.iter().map(move |t| (p, c, z, *t)));
            all.filter(|place| !there.contains(place)).take(LISTED).map(|place| words(place, unit)).collect()
        };
        let input = input.display().to_string();
        Self { input, files: files.len(), pattern, fields, missing, missing_count }
    }

    /// Returns the table as lines of text.
    pub fn lines(&self) -> Vec<String> {
        let mut lines = vec![format!("{}: {} files, read as {}", self.input, self.files, self.pattern)];
        let width = |of: fn(&FieldRow) -> usize| self.fields.iter().map(of).max().unwrap_or(0);
        let (a, b) = (width(|r| r.meaning.len()), width(|r| r.first.chars().count()));
        for row in &self.fields {
            let FieldRow { meaning, count, first, last } = row;
            let (unit, to) =
                if *count == 1 { ("value", String::new()) } else { ("values", format!(" to {last}")) };
            lines.push(format!("  {meaning:a$}  {count:>6} {unit:6}  {first:b$}{to}"));
        }
        if self.missing_count > 0 {
            let more = if self.missing_count > self.missing.len() { " ..." } else { "" };
            lines.push(format!("  {} missing: {}{more}", self.missing_count, self.missing.join("; ")));
        }
        lines
    }
}

/// Returns all values, or the one that stands for no difference.
fn or_none<A>(values: impl Iterator<Item = A>) -> Vec<Option<A>> {
    let all: Vec<Option<A>> = values.map(Some).collect();
    if all.is_empty() { vec![None] } else { all }
}

/// Returns a combination in words.
fn words(place: (Option<&String>, Option<&String>, Option<i64>, Option<i64>), unit: TimeUnit) -> String {
    let (position, channel, z, time) = place;
    let words = [
        position.cloned(),
        channel.map(|c| format!("channel {c}")),
        z.map(|z| format!("z {z}")),
        time.map(|t| format!("time {}", time_text(t, unit))),
    ];
    words.into_iter().flatten().collect::<Vec<_>>().join(" ")
}

fn row<A: Display>(meaning: &'static str, values: impl IntoIterator<Item = A>) -> Option<FieldRow> {
    let texts: Vec<String> = values.into_iter().map(|v| v.to_string()).collect();
    let (first, last) = (texts.first()?.clone(), texts.last()?.clone());
    Some(FieldRow { meaning, count: texts.len(), first, last })
}

/// Returns a time as people write it.
pub(in crate::input) fn time_text(time: i64, unit: TimeUnit) -> String {
    match unit {
        TimeUnit::Frames if time % 1000 == 0 => (time / 1000).to_string(),
        TimeUnit::Frames => format!("{}", time as f64 / 1000.0),
        // Dates count from 1970; durations are shorter than a year.
        TimeUnit::Milliseconds if time.abs() > 31_536_000_000 => date_text(time),
        TimeUnit::Milliseconds => format!("{} s", time as f64 / 1000.0),
    }
}

/// Returns date and time of day.
fn date_text(ms: i64) -> String {
    let (mut day, seconds) = (ms.div_euclid(86_400_000), ms.rem_euclid(86_400_000) / 1000);
    let leap = |y: i64| y % 4 == 0 && (y % 100 != 0 || y % 400 == 0);
    let mut year = 1970;
    while day >= 365 + i64::from(leap(year)) {
        day -= 365 + i64::from(leap(year));
        year += 1;
    }
    let mut month = 1;
    for days in [31, 28 + i64::from(leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] {
        if day < days {
            break;
        }
        day -= days;
        month += 1;
    }
    let (h, m, s) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    format!("{year}-{month:02}-{:02} {h:02}:{m:02}:{s:02}", day + 1)
}
