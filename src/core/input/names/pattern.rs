//! A pattern that says what the fields of names are, where the names do not: `img_{channel}_{time:d}_{z:d}.tif`.

use regex::Regex;

use super::pieces::moment;
use crate::error::DataError;

/// Fields of a pattern.
const FIELDS: [&str; 6] = ["time", "clock", "channel", "position", "well", "z"];

/// Patterns of well-known programs, by name.
const PRESETS: [(&str, &str); 7] = [
    ("micromanager1", r"^img_(?P<time>\d+)_(?P<channel>.*?)_(?P<z>\d+)$"),
    (
        "micromanager2",
        r"^img(?:_channel(?P<channel>\d+))?(?:_position(?P<position>\d+))?(?:_time(?P<time>\d+))?(?:_z(?P<z>\d+))?$",
    ),
    ("lasx", r"^(?P<position>.+?)(?:_t(?P<time>\d+))?(?:_z(?P<z>\d+))?(?:_ch(?P<channel>\d+))?$"),
    ("nis", r"(?i)^.*?(?:t(?P<time>\d+)|xy(?P<position>\d+)|z(?P<z>\d+)|c(?P<channel>\d+))+$"),
    ("metamorph", r"^.+?(?:_w\d+(?P<channel>[^_]*))?(?:_s(?P<position>\d+))?(?:_t(?P<time>\d+))?$"),
    ("incucyte", r"^.+?_(?P<well>[A-P]\d{1,2})_(?P<position>\d+)_(?P<clock>(?:\d+[yY])?\d+d\d+h\d+m)$"),
    (
        "multi-stylegan",
        r"^(?:.*(?P<position>trap\d{4}))?.*-(?P<channel>BF|GFP|RFP)\d*(?:_(?P<z>00\d))?(?:_.*(?P<position2>trap\d{4}))?.*_(?P<time>\d+)$",
    ),
];

/// A pattern, ready for use.
#[derive(Clone, Debug)]
pub struct Pattern {
    /// As it was given.
    pub text: String,
    expression: Regex,
}

/// What a pattern finds in a name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Match {
    pub(super) time: Option<Time>,
    pub(super) clock_ms: Option<i64>,
    pub(super) channel: Option<String>,
    /// Position and well.
    pub(super) position: Option<String>,
    pub(super) z: Option<i64>,
}

/// A time as a name gives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Time {
    /// In thousandths.
    Number(i64),
    Milliseconds(i64),
}

impl Pattern {
    /// Reads a pattern: the name of a preset, a name with fields in braces, or a regular expression with named groups.
    ///
    /// # Errors
    /// [`DataError::Setting`] where a field is unknown or the expression cannot be read.
    pub fn parse(text: &str) -> Result<Self, DataError> {
        let wrong = |found: String| DataError::Setting {
            field: "--pattern",
            found,
            expected: format!(
                "a name with fields such as img_{{channel}}_{{time:d}}_{{z:d}}.tif (fields: {}), a regular expression \
                 with such groups, or one of {}",
                FIELDS.join(", "),
                PRESETS.map(|(name, _)| name).join(", ")
            ),
        };
        let preset =
            PRESETS.iter().find(|(name, _)| *name == text).map(|(_, expression)| (*expression).to_owned());
        let expression = match preset {
            Some(expression) => expression,
            None if text.contains("(?P<") || text.contains("(?<") => format!("^(?:{text})$"),
            None => braces(text).map_err(wrong)?,
        };
        let expression = Regex::new(&expression).map_err(|e| {
            let last = e.to_string().lines().last().unwrap_or_default().trim().to_owned();
            wrong(format!("`{text}`, which is no pattern ({last})"))
        })?;
        let known = |name: &str| FIELDS.contains(&name.trim_end_matches(|c: char| c.is_ascii_digit()));
        let mut groups = expression.capture_names().flatten();
        if let Some(unknown) = groups.find(|name| !known(name)) {
            return Err(wrong(format!("`{text}` with the field {unknown}")));
        }
        if expression.capture_names().flatten().next().is_none() {
            return Err(wrong(format!("`{text}`, which has no field")));
        }
        Ok(Self { text: text.to_owned(), expression })
    }

    /// Returns whether names have a field.
    pub(super) fn has(&self, field: &str) -> bool {
        let plain = |name: &str| name.trim_end_matches(|c: char| c.is_ascii_digit()) == field;
        self.expression.capture_names().flatten().any(plain)
    }

    /// Returns what the pattern finds in a name; with its ending or without.
    pub(super) fn read(&self, name: &str, stem: &str) -> Option<Match> {
        let found = self.expression.captures(stem).or_else(|| self.expression.captures(name))?;
        let groups: Vec<(&str, &str)> = self
            .expression
            .capture_names()
            .flatten()
            .filter_map(|group| Some((group, found.name(group)?.as_str())))
            .collect();
        let of = |field: &str| {
            let plain = |name: &str| name.trim_end_matches(|c: char| c.is_ascii_digit()) == field;
            groups.iter().find(|(name, _)| plain(name)).map(|(_, text)| *text)
        };
        let mut read = Match { channel: of("channel").map(str::to_owned), ..Match::default() };
        for field in ["time", "clock"] {
            let Some(text) = of(field) else { continue };
            let time = match moment(text) {
                Some((ms, _)) => Time::Milliseconds(ms),
                None => Time::Number(thousandths(text)?),
            };
            match (field, time) {
                ("clock", Time::Milliseconds(ms)) => read.clock_ms = Some(ms),
                _ => read.time = Some(time),
            }
        }
        if let Some(text) = of("z") {
            read.z = Some(thousandths(text)? / 1000);
        }
        let position: Vec<&str> = [of("well"), of("position")].into_iter().flatten().collect();
        read.position = (!position.is_empty()).then(|| position.join("_"));
        Some(read)
    }
}

/// Turns `img_{channel}_{time:d}.tif` into a regular expression.
fn braces(text: &str) -> Result<String, String> {
    let mut expression = String::from("^");
    let mut rest = text;
    while let Some(open) = rest.find('{') {
        expression += &literal(&rest[..open]);
        let close =
            rest[open..].find('}').ok_or_else(|| format!("`{text}`, in which a brace is not closed"))?;
        let field = &rest[open + 1..open + close];
        let (name, kind) = field.split_once(':').unwrap_or((field, ""));
        let content = match (name, kind) {
            ("" | "any", _) => "[^/]*?",
            (_, "d") | ("z", "") => r"[+-]?\d+",
            ("time", "") => r"[+-]?\d+(?:\.\d+)?|\d[\d._:T -]*|\d+[dhms][\ddhms]*",
            (_, "") => "[^/]+?",
            (_, kind) => {
                return Err(format!(
                    "`{text}`, in which `:{kind}` is no kind of field (only `:d`, a number)"
                ));
            }
        };
        let known = name.trim_end_matches(|c: char| c.is_ascii_digit());
        match known {
            "" | "any" => expression += content,
            known if FIELDS.contains(&known) => expression += &["(?P<", name, ">", content, ")"].concat(),
            _ => return Err(format!("`{text}` with the field {name}")),
        }
        rest = &rest[open + close + 1..];
    }
    expression += &literal(rest);
    Ok(expression + "$")
}

/// Text stands for itself, but for `*` and `?`.
fn literal(text: &str) -> String {
    regex::escape(text).replace(r"\*", "[^/]*?").replace(r"\?", "[^/]")
}

/// Reads a number as thousandths.
fn thousandths(text: &str) -> Option<i64> {
    let number: f64 = text.parse().ok()?;
    (number.abs() < 1e15).then(|| (number * 1000.0).round() as i64)
}

/// Returns the regular expression of a name with `*` and `?`.
pub(crate) fn glob(text: &str) -> Option<Regex> {
    Regex::new(&format!("^{}$", literal(text))).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pattern: &str, name: &str) -> Option<Match> {
        let stem = name.split_once(".tif").map_or(name, |(stem, _)| stem);
        Pattern::parse(pattern).unwrap().read(name, stem)
    }

    fn of(time: Option<i64>, channel: &str, position: &str, z: Option<i64>) -> Option<Match> {
        let text = |t: &str| (!t.is_empty()).then(|| t.to_owned());
        let time = time.map(|t| Time::Number(1000 * t));
        let read = Match { time, clock_ms: None, channel: text(channel), position: text(position), z };
        (read != Match::default()).then_some(read)
    }

    #[test]
    fn fields_in_braces_are_found() {
        assert_eq!(
            read("img_{channel}_{time:d}_{z:d}.tif", "img_GFP_007_2.tif"),
            of(Some(7), "GFP", "", Some(2))
        );
        assert_eq!(read("{position}_{}_{time:d}", "p1_x_3.tif"), of(Some(3), "", "p1", None));
        assert_eq!(read("t{time}.tif", "t0.5.tif").unwrap().time, Some(Time::Number(500)));
        assert_eq!(read("*_{time:d}.tif", "any thing_3.tif"), of(Some(3), "", "", None));
        assert_eq!(read("img_{time:d}.tif", "other_3.tif"), None);
        assert_eq!(read(r"(?P<channel>\w+)-(?P<time>\d+)", "bf-12.tif"), of(Some(12), "bf", "", None));
    }

    #[test]
    fn presets_read_the_names_of_their_programs() {
        for (preset, name, expected) in [
            ("micromanager1", "img_000000012_GFP_003.tif", of(Some(12), "GFP", "", Some(3))),
            (
                "micromanager2",
                "img_channel001_position002_time000000003_z004.tif",
                of(Some(3), "001", "002", Some(4)),
            ),
            ("micromanager2", "img_channel001.tif", of(None, "001", "", None)),
            ("lasx", "Series001_t03_z1_ch00.tif", of(Some(3), "00", "Series001", Some(1))),
            ("nis", "exp001xy02t003c1.tif", of(Some(3), "1", "02", None)),
            ("nis", "exp001T003C2.tif", of(Some(3), "2", "", None)),
            ("metamorph", "exp_w1GFP_s2_t3.TIF", of(Some(3), "GFP", "2", None)),
            ("multi-stylegan", "x_trap0007-BF0_000_12_5.tif", of(Some(5), "BF", "trap0007", Some(0))),
            ("multi-stylegan", "60x-GFP_1_trap0007_5.tif", of(Some(5), "GFP", "trap0007", None)),
        ] {
            let stem = name.rsplit_once('.').unwrap().0;
            assert_eq!(Pattern::parse(preset).unwrap().read(name, stem), expected, "{preset}: {name}");
        }
        let incucyte = read("incucyte", "VID1_A1_1_01d06h00m.tif").unwrap();
        assert_eq!((incucyte.position.unwrap(), incucyte.clock_ms), ("A1_1".into(), Some(108_000_000)));
    }

    #[test]
    fn what_is_no_pattern_is_refused() {
        for text in ["img.tif", "{tme:d}", "{time:x}", "{time", r"(?P<time>\d+", r"(?P<colour>\d+)", ""] {
            let error = Pattern::parse(text).unwrap_err().to_string();
            assert!(error.contains("--pattern") && error.contains("micromanager1"), "{text}: {error}");
        }
    }
}
