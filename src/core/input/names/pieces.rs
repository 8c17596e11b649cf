//! A file name, taken apart: words, numbers, dates with a time of day, and durations, in chunks between marks.

use std::ops::Range;
use std::sync::LazyLock;

use regex::{Captures, Regex};

/// Something in a name that may differ from file to file.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Piece {
    pub(super) kind: Kind,
    /// Where it stands in the stem.
    pub(super) span: Range<usize>,
    pub(super) text: String,
}

/// What a piece is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Kind {
    /// Letters.
    Word,
    /// A number in thousandths, as names hold `0.5` as well.
    Number(i64),
    /// A date with a time of day, in milliseconds since 1970.
    Clock(i64),
    /// Hours, minutes and the like, in milliseconds.
    Duration(i64),
}

impl Kind {
    /// Returns whether two pieces are of one kind, whatever their values.
    pub(super) fn is_like(self, other: Self) -> bool {
        std::mem::discriminant(&self) == std::mem::discriminant(&other)
    }
}

/// What stands between two marks, such as `w1GFP` in `exp_w1GFP_t3`.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Chunk {
    pub(super) pieces: Vec<Piece>,
    pub(super) span: Range<usize>,
}

/// What counts as a piece; a set of names is read in one way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Reading {
    /// Whether `+` and `-` before a number are its sign, not a mark.
    pub(super) signs: bool,
    /// Whether dates with a time of day are one piece.
    pub(super) clocks: bool,
}

/// Date and time of day, with marks or without: `20230115_235000`, `2023-01-15T23h50`.
static CLOCK: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(
        r"^(?P<y>19\d\d|20\d\d)[-._]?(?P<mo>0[1-9]|1[0-2])[-._]?(?P<d>0[1-9]|[12]\d|3[01])[-_T .]?(?P<h>[01]\d|2[0-3])(?:(?P<mi>[0-5]\d)(?P<s>[0-5]\d)|[-:.h_](?P<mi2>[0-5]\d)(?:[-:.m_](?P<s2>[0-5]\d)s?)?)(?:[.,](?P<f>\d{1,6}))?",
    )
    .expect("the expression is constant")
});

/// At least two of days, hours, minutes and seconds: `00d06h00m`, `05m30s`.
static DURATION: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"^(?:(?P<d>\d{1,4})d)?(?:(?P<h>\d{1,5})h)?(?:(?P<m>\d{1,6})m(?:in)?)?(?:(?P<s>\d{1,7})s)?")
        .expect("the expression is constant")
});

/// Takes a stem apart.
pub(super) fn chunks(stem: &str, reading: Reading) -> Vec<Chunk> {
    let mut chunks: Vec<Chunk> = Vec::new();
    let mut open = false;
    let mut at = 0;
    while at < stem.len() {
        let Some(piece) = piece(stem, at, reading) else {
            open = false;
            at += stem[at..].chars().next().map_or(1, char::len_utf8);
            continue;
        };
        at = piece.span.end;
        match chunks.last_mut().filter(|_| open) {
            Some(chunk) => {
                chunk.span.end = at;
                chunk.pieces.push(piece);
            }
            None => chunks.push(Chunk { span: piece.span.clone(), pieces: vec![piece] }),
        }
        open = true;
    }
    chunks
}

/// Returns the piece that begins at `at`; a mark is none.
fn piece(stem: &str, at: usize, reading: Reading) -> Option<Piece> {
    let rest = &stem[at..];
    let digit_before = stem[..at].ends_with(|c: char| c.is_ascii_digit());
    let letter_before = stem[..at].ends_with(char::is_alphabetic);
    let made =
        |kind, length: usize| Some(Piece { kind, span: at..at + length, text: rest[..length].to_owned() });
    if rest.starts_with(|c: char| c.is_ascii_digit()) {
        if reading.clocks
            && !digit_before
            && let Some((length, ms)) = clock(rest)
        {
            return made(Kind::Clock(ms), length);
        }
        if !letter_before && let Some((length, ms)) = duration(rest) {
            return made(Kind::Duration(ms), length);
        }
        let (length, value) = number(stem, at);
        return made(Kind::Number(value), length);
    }
    let signed = reading.signs && rest.starts_with(['+', '-']) && !digit_before;
    if signed && rest[1..].starts_with(|c: char| c.is_ascii_digit()) {
        let (length, value) = number(stem, at + 1);
        let value = if rest.starts_with('-') { -value } else { value };
        return made(Kind::Number(value), length + 1);
    }
    let length: usize = rest.chars().take_while(|c| c.is_alphabetic()).map(char::len_utf8).sum();
    if length == 0 { None } else { made(Kind::Word, length) }
}

/// Returns the number at `at` in thousandths, and its length; more digits than fit are cut off at the front.
fn number(stem: &str, at: usize) -> (usize, i64) {
    let digits = |from: usize| stem[from..].bytes().take_while(u8::is_ascii_digit).count();
    let whole = digits(at);
    let last = &stem[at + whole.saturating_sub(15)..at + whole];
    let value = 1000 * last.parse::<i64>().unwrap_or(0);
    // `0.5` is one number, `2023.01.15` is none.
    let after_point = if stem[at + whole..].starts_with('.') { digits(at + whole + 1) } else { 0 };
    let end = at + whole + 1 + after_point;
    let more = after_point > 0 && stem[end..].starts_with('.') && digits(end + 1) > 0;
    let within = stem[..at].ends_with('.') && stem[..at - 1].ends_with(|c: char| c.is_ascii_digit());
    if after_point == 0 || more || within {
        return (whole, value);
    }
    let decimals = &stem[at + whole + 1..end];
    let thousandths: String = decimals.chars().chain("000".chars()).take(3).collect();
    (end - at, value + thousandths.parse::<i64>().unwrap_or(0))
}

fn clock(text: &str) -> Option<(usize, i64)> {
    let found = CLOCK.captures(text)?;
    let length = found.get(0)?.len();
    if text[length..].starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let of = |name: &str| found.name(name).and_then(|m| m.as_str().parse::<i64>().ok());
    let days = days(of("y")?, of("mo")?, of("d")?);
    let minutes = (days * 24 + of("h")?) * 60 + of("mi").or_else(|| of("mi2"))?;
    let seconds = minutes * 60 + of("s").or_else(|| of("s2")).unwrap_or(0);
    let part: String =
        found.name("f").map_or("", |m| m.as_str()).chars().chain("000".chars()).take(3).collect();
    Some((length, 1000 * seconds + part.parse::<i64>().unwrap_or(0)))
}

fn duration(text: &str) -> Option<(usize, i64)> {
    let found: Captures<'_> = DURATION.captures(text)?;
    let length = found.get(0)?.len();
    if text[length..].starts_with(char::is_alphanumeric) {
        return None;
    }
    let units = [("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)];
    let parts: Vec<i64> = units
        .iter()
        .filter_map(|(name, seconds)| Some(found.name(name)?.as_str().parse::<i64>().ok()? * seconds))
        .collect();
    (parts.len() > 1).then(|| (length, 1000 * parts.iter().sum::<i64>()))
}

/// Returns the days from 1970 to a date of the Gregorian calendar.
fn days(year: i64, month: i64, day: i64) -> i64 {
    // Years that begin with March have the day of a leap year at their end.
    let y = if month <= 2 { year - 1 } else { year };
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    365 * y + y / 4 - y / 100 + y / 400 + of_year - 719_468
}

/// Returns milliseconds of a text that is a date with a time of day or a duration as a whole.
pub(super) fn moment(text: &str) -> Option<(i64, bool)> {
    let whole = |found: Option<(usize, i64)>| found.filter(|(n, _)| *n == text.len()).map(|(_, ms)| ms);
    whole(clock(text)).map(|ms| (ms, true)).or_else(|| whole(duration(text)).map(|ms| (ms, false)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: Reading = Reading { signs: false, clocks: true };

    /// Returns chunks as text, `W` and `N` before words and numbers.
    fn taken(stem: &str, reading: Reading) -> Vec<String> {
        let text = |piece: &Piece| match piece.kind {
            Kind::Word => format!("W{}", piece.text),
            Kind::Number(n) => format!("N{}", n as f64 / 1000.0),
            Kind::Clock(ms) => format!("C{}", ms / 1000),
            Kind::Duration(ms) => format!("D{}", ms / 1000),
        };
        chunks(stem, reading)
            .iter()
            .map(|c| c.pieces.iter().map(text).collect::<Vec<_>>().join(" "))
            .collect()
    }

    #[test]
    fn names_come_apart_at_marks_letters_and_digits() {
        assert_eq!(taken("exp_w1GFP_s1_t12", PLAIN), ["Wexp", "Ww N1 WGFP", "Ws N1", "Wt N12"]);
        assert_eq!(taken("img (4)", PLAIN), ["Wimg", "N4"]);
        assert_eq!(taken("exp001xy01t003", PLAIN), ["Wexp N1 Wxy N1 Wt N3"]);
        assert_eq!(taken("Bläschen-t007", PLAIN), ["WBläschen", "Wt N7"]);
        assert_eq!(taken("frame_0.5s", PLAIN), ["Wframe", "N0.5 Ws"]);
        assert_eq!(taken("v1.2.3", PLAIN), ["Wv N1", "N2", "N3"]);
        assert_eq!(taken("t-2", PLAIN), ["Wt", "N2"]);
        assert_eq!(taken("t-2", Reading { signs: true, clocks: true }), ["Wt N-2"]);
        assert!(taken("", PLAIN).is_empty() && taken("__", PLAIN).is_empty());
    }

    #[test]
    fn dates_with_a_time_of_day_are_one_moment() {
        for (name, seconds) in [
            ("19700102_000001", 86_401),
            ("2023-01-15T23h50m00s", 1_673_826_600),
            ("20230115_235000", 1_673_826_600),
            ("2023-01-15 23-50", 1_673_826_600),
            ("20230115235000", 1_673_826_600),
            ("20240229_120000", 1_709_208_000),
        ] {
            assert_eq!(taken(name, PLAIN), [format!("C{seconds}")], "{name}");
        }
        // Neither a number of four digits, nor an impossible hour, nor more digits are a time of day.
        assert_eq!(taken("20230115_0001", PLAIN), ["N20230115", "N1"]);
        assert_eq!(taken("20230115_990001", PLAIN), ["N20230115", "N990001"]);
        assert_eq!(taken("202301152350001", PLAIN), ["N202301152350001"]);
        let plain = Reading { signs: false, clocks: false };
        assert_eq!(taken("20230115_235000", plain), ["N20230115", "N235000"]);
    }

    #[test]
    fn durations_have_two_units_at_least() {
        assert_eq!(taken("VID1_A1_1_00d06h00m", PLAIN), ["WVID N1", "WA N1", "N1", "D21600"]);
        assert_eq!(taken("x_05m30s", PLAIN), ["Wx", "D330"]);
        assert_eq!(taken("x_06h", PLAIN), ["Wx", "N6 Wh"]);
        assert_eq!(moment("01d00h"), Some((86_400_000, false)));
        assert_eq!(moment("19700102_000000"), Some((86_400_000, true)));
        assert_eq!(moment("01d00hx"), None);
    }
}
