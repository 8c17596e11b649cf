//! The fields of a set of names: what stands in the same place of all of them.
//!
//! Names with as many chunks are compared chunk by chunk; where the pieces of a chunk differ in kind (`BF`, `Cy5`), the
//! chunk as a whole is a word. Names with more or fewer chunks are compared by the labels of their numbers, as some
//! programs leave out what is zero (`img_channel001`, `img_channel001_time000000001`).

use std::collections::BTreeMap;
use std::ops::Range;

use super::labels::{Label, known_label, seconds_per_unit};
use super::pieces::{Chunk, Kind, Piece, Reading, chunks};

/// One field: its value in every name.
#[derive(Clone, Debug)]
pub(super) struct Field {
    /// What the word before it says it is.
    pub(super) label: Label,
    /// Values, one per name.
    pub(super) values: Vec<Value>,
    /// Seconds that a one stands for, where a unit stands behind it.
    pub(super) unit: Option<f64>,
    /// Where it stands in the first stem that has it; for the sub-folder there is none.
    pub(super) span: Option<Range<usize>>,
}

/// The value of a field in one name.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Value {
    pub(super) kind: Kind,
    pub(super) text: String,
}

impl Value {
    fn of(piece: &Piece) -> Self {
        Self { kind: piece.kind, text: piece.text.clone() }
    }

    fn word(text: &str) -> Self {
        Self { kind: Kind::Word, text: text.to_owned() }
    }

    /// Returns what makes two values the same: numbers without leading zeros, words without case.
    pub(super) fn key(&self) -> Key {
        match self.kind {
            Kind::Word => Key::Word(self.text.to_lowercase()),
            Kind::Number(n) => Key::Number(n),
            Kind::Clock(ms) | Kind::Duration(ms) => Key::Milliseconds(ms),
        }
    }
}

/// What makes two values the same, in an order.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Key {
    /// In thousandths.
    Number(i64),
    Milliseconds(i64),
    Word(String),
}

impl Field {
    /// Returns whether its value is not the same in all names.
    pub(super) fn varies(&self) -> bool {
        self.values.windows(2).any(|pair| pair[0].key() != pair[1].key())
    }

    /// Returns the values that occur, in order, each as it stands in the first name that has it.
    pub(super) fn distinct(&self) -> BTreeMap<Key, &str> {
        let mut distinct = BTreeMap::new();
        for value in &self.values {
            distinct.entry(value.key()).or_insert(value.text.as_str());
        }
        distinct
    }

    /// Returns whether each of its values goes with one value of the other and the other way round.
    pub(super) fn goes_with(&self, other: &Self) -> bool {
        let pairs = || self.values.iter().map(Value::key).zip(other.values.iter().map(Value::key));
        let (mut there, mut back) = (BTreeMap::new(), BTreeMap::new());
        pairs().all(|(a, b)| {
            *there.entry(a.clone()).or_insert_with(|| b.clone()) == b
                && *back.entry(b).or_insert(a.clone()) == a
        })
    }

    /// Returns whether the other one rises wherever this one does.
    pub(super) fn rises_with(&self, other: &Self) -> bool {
        let mut pairs: Vec<(Key, Key)> =
            self.values.iter().map(Value::key).zip(other.values.iter().map(Value::key)).collect();
        pairs.sort();
        self.goes_with(other) && pairs.windows(2).all(|p| p[0].1 <= p[1].1)
    }
}

/// Returns the fields of some stems, `None` where they are not of one form; then the stems of two forms are returned.
pub(super) fn fields(stems: &[String]) -> Result<Vec<Field>, [usize; 2]> {
    let signed = |sign: char| {
        let before_number = |stem: &String| {
            let mut pairs = stem.chars().zip(stem.chars().skip(1));
            pairs.any(|(a, b)| a == sign && b.is_ascii_digit())
        };
        stems.iter().any(before_number)
    };
    let signs = signed('+') && signed('-');
    let of = |reading| align(&stems.iter().map(|stem| chunks(stem, reading)).collect::<Vec<_>>(), stems);
    let with_clocks = of(Reading { signs, clocks: true });
    // A counter may look like a time of day; where some of the names cannot be one, none is.
    let is_counter = with_clocks.as_ref().is_ok_and(|fields| fields.iter().any(is_count_of_seconds));
    if with_clocks.is_err() || is_counter { of(Reading { signs, clocks: false }) } else { with_clocks }
}

/// Returns whether a field of times of day is rather a counter: 000000, 000001 and so on within the first minute.
fn is_count_of_seconds(field: &Field) -> bool {
    let all: Option<Vec<i64>> = field
        .values
        .iter()
        .map(|v| if let Kind::Clock(ms) = v.kind { Some(ms % 86_400_000) } else { None })
        .collect();
    let Some(mut all) = all else { return false };
    all.sort_unstable();
    all.dedup();
    let steps_of_one = all.windows(2).all(|p| p[1] - p[0] == 1000);
    all.last().is_some_and(|last| *last < 60_000) && all[0] <= 1000 && steps_of_one && all.len() > 1
}

/// A number's place: the chunk, and the piece in it.
fn align(names: &[Vec<Chunk>], stems: &[String]) -> Result<Vec<Field>, [usize; 2]> {
    let Some(first) = names.first() else { return Ok(Vec::new()) };
    match names.iter().position(|name| name.len() != first.len()) {
        None => Ok((0..first.len()).flat_map(|c| of_chunk(names, stems, c)).collect()),
        Some(other) => by_label(names, stems).ok_or([0, other]),
    }
}

/// Returns the fields of chunk `c` of names that have as many chunks each.
fn of_chunk(names: &[Vec<Chunk>], stems: &[String], c: usize) -> Vec<Field> {
    let first = &names[0][c];
    let alike = names.iter().all(|name| {
        let pieces = &name[c].pieces;
        pieces.len() == first.pieces.len()
            && pieces.iter().zip(&first.pieces).all(|(a, b)| a.kind.is_like(b.kind))
    });
    let whole = |c: usize| Field {
        label: Label::None,
        values: names
            .iter()
            .zip(stems)
            .map(|(name, stem)| Value::word(&stem[name[c].span.clone()]))
            .collect(),
        unit: None,
        span: Some(first.span.clone()),
    };
    if !alike {
        return vec![whole(c)];
    }
    if let Some(well) = well(names, c) {
        return vec![Field { label: Label::Well, ..whole_of(well, first) }];
    }
    (0..first.pieces.len())
        .map(|p| {
            let before = before(&names[0], c, p);
            let unit = units(names, c, p);
            let is_number = !matches!(first.pieces[p].kind, Kind::Word);
            Field {
                label: if is_number { before } else { Label::None },
                values: names.iter().map(|name| Value::of(&name[c].pieces[p])).collect(),
                unit,
                span: Some(first.pieces[p].span.clone()),
            }
        })
        .collect()
}

fn whole_of(values: Vec<Value>, chunk: &Chunk) -> Field {
    Field { label: Label::None, values, unit: None, span: Some(chunk.span.clone()) }
}

/// Returns the wells of a chunk that is a letter from A to P and a number up to 48 in all names; a letter that is the
/// same everywhere and labels other things (C, F, P ...) makes no well.
fn well(names: &[Vec<Chunk>], c: usize) -> Option<Vec<Value>> {
    let mut letters = Vec::new();
    let mut values = Vec::new();
    for name in names {
        let [letter, number] = &name[c].pieces[..] else { return None };
        let (Kind::Word, Kind::Number(n)) = (letter.kind, number.kind) else { return None };
        let one_of_16 = matches!(letter.text.as_bytes(), [b'A'..=b'P']);
        if !one_of_16 || !(1000..=48_000).contains(&n) || n % 1000 != 0 || number.text.len() > 2 {
            return None;
        }
        letters.push(letter.text.clone());
        values.push(Value::word(&format!("{}{:02}", letter.text, n / 1000)));
    }
    letters.dedup();
    let other = |letter: &str| known_label(letter, true) != Label::None;
    if letters.len() == 1 && other(&letters[0]) { None } else { Some(values) }
}

/// Returns what the word before piece `p` of chunk `c` says it is: one of the same chunk, or the whole chunk before.
fn before(name: &[Chunk], c: usize, p: usize) -> Label {
    if p > 0 {
        let word = &name[c].pieces[p - 1];
        return if word.kind == Kind::Word { known_label(&word.text, true) } else { Label::None };
    }
    match c.checked_sub(1).map(|b| &name[b].pieces[..]) {
        Some([.., word]) if word.kind == Kind::Word => known_label(&word.text, false),
        _ => Label::None,
    }
}

/// Returns the seconds of the unit behind a number, where it is the same in all names.
fn units(names: &[Vec<Chunk>], c: usize, p: usize) -> Option<f64> {
    let unit = |name: &Vec<Chunk>| {
        let behind = name[c].pieces.get(p + 1).filter(|_| name[c].pieces.len() == p + 2);
        behind.filter(|piece| piece.kind == Kind::Word).map(|piece| piece.text.clone())
    };
    let first = unit(&names[0])?;
    names.iter().all(|name| unit(name).as_ref() == Some(&first)).then(|| seconds_per_unit(&first)).flatten()
}

/// Compares names of unlike length by the labels of their numbers; a labelled number that a name lacks is zero there,
/// if no other name says zero.
fn by_label(names: &[Vec<Chunk>], stems: &[String]) -> Option<Vec<Field>> {
    // Chunks with a labelled number at their end, by label; all others in their order.
    let mut labelled: BTreeMap<String, Vec<Option<(usize, Piece)>>> = BTreeMap::new();
    let mut rest: Vec<Vec<Chunk>> = Vec::new();
    for (i, name) in names.iter().enumerate() {
        let mut others = Vec::new();
        for (c, chunk) in name.iter().enumerate() {
            let label = match &chunk.pieces[..] {
                [word, number] if matches!(number.kind, Kind::Number(_)) => {
                    (before(name, c, 1) != Label::None).then(|| (word.text.to_lowercase(), number.clone()))
                }
                _ => None,
            };
            let Some((label, number)) = label else {
                others.push(chunk.clone());
                continue;
            };
            let values = labelled.entry(label).or_default();
            values.resize(i, None);
            values.push(Some((c, number)));
        }
        rest.push(others);
    }
    if rest.iter().any(|others| others.len() != rest[0].len()) {
        return None;
    }
    let mut fields: Vec<Field> = (0..rest[0].len()).flat_map(|c| of_chunk(&rest, stems, c)).collect();
    for (label, mut values) in labelled {
        values.resize(names.len(), None);
        let says_zero = values.iter().flatten().any(|(_, n)| n.kind == Kind::Number(0));
        if says_zero && values.iter().any(Option::is_none) {
            return None;
        }
        let first = values[0].as_ref().map(|(_, piece)| piece.span.clone());
        let zero = Value { kind: Kind::Number(0), text: "(none)".into() };
        fields.push(Field {
            label: known_label(&label, true),
            values: values.iter().map(|v| v.as_ref().map_or(zero.clone(), |(_, p)| Value::of(p))).collect(),
            unit: None,
            span: first,
        });
    }
    Some(fields)
}

/// Returns a field of words that is no part of the names, such as that of their folders.
pub(super) fn of_words(words: &[String], label: Label) -> Field {
    Field { label, values: words.iter().map(|w| Value::word(w)).collect(), unit: None, span: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(stems: &[&str]) -> Vec<(Label, Vec<String>)> {
        let stems: Vec<String> = stems.iter().map(|s| (*s).to_owned()).collect();
        let texts = |f: &Field| f.values.iter().map(|v| v.text.clone()).collect();
        fields(&stems).unwrap().iter().filter(|f| f.varies()).map(|f| (f.label, texts(f))).collect()
    }

    fn field(label: Label, values: &[&str]) -> (Label, Vec<String>) {
        (label, values.iter().map(|v| (*v).to_owned()).collect())
    }

    #[test]
    fn fields_are_labelled_by_the_word_before_them() {
        assert_eq!(
            found(&["Pos0_t000_BF", "Pos1_t007_GFP"]),
            [
                field(Label::Position, &["0", "1"]),
                field(Label::Time, &["000", "007"]),
                field(Label::None, &["BF", "GFP"])
            ]
        );
        assert_eq!(found(&["exp001T001C2", "exp001T002C2"]), [field(Label::Time, &["001", "002"])]);
        assert_eq!(found(&["frame_0.5s", "frame_1.0s"]), [field(Label::Time, &["0.5", "1.0"])]);
        assert_eq!(found(&["t-2", "t+0"]), [field(Label::Time, &["-2", "+0"])]);
        assert_eq!(found(&["img 1", "img 2"]), [field(Label::None, &["1", "2"])]);
        assert_eq!(found(&["exp_MMStack_Pos0", "exp_MMStack_Pos1"]), [field(Label::Position, &["0", "1"])]);
    }

    #[test]
    fn words_of_another_build_are_one_word() {
        assert_eq!(found(&["t0_BF", "t0_Cy5"]), [field(Label::None, &["BF", "Cy5"])]);
    }

    #[test]
    fn wells_are_a_letter_and_a_number_unless_the_letter_says_other_things() {
        assert_eq!(found(&["B02_t0", "C11_t0"]), [field(Label::Well, &["B02", "C11"])]);
        assert_eq!(found(&["x_C1", "x_C2"]), [field(Label::Channel, &["1", "2"])]);
        assert_eq!(found(&["x_B1", "x_B2"]), [field(Label::Well, &["B01", "B02"])]);
        assert_eq!(found(&["x_B1", "x_B77"]), [field(Label::None, &["1", "77"])]);
    }

    #[test]
    fn what_a_program_leaves_out_is_zero() {
        let found_all = found(&["img_channel001", "img_channel001_time000000001"]);
        assert_eq!(found_all, [field(Label::Time, &["(none)", "000000001"])]);
        let stems = |s: &[&str]| s.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>();
        assert_eq!(fields(&stems(&["img", "img_time0", "img_time1"])).unwrap_err(), [0, 1]);
        assert_eq!(fields(&stems(&["a", "a_b"])).unwrap_err(), [0, 1]);
    }

    #[test]
    fn a_counter_behind_a_date_is_no_time_of_day() {
        let counter = found(&["20230115_000000", "20230115_000001"]);
        assert_eq!(counter, [field(Label::None, &["000000", "000001"])]);
        let mixed = found(&["20230115_000000", "20230115_000075"]);
        assert_eq!(mixed, [field(Label::None, &["000000", "000075"])]);
        let clock = found(&["m_20230115_230000", "m_20230116_001000"]);
        assert_eq!(clock, [field(Label::None, &["20230115_230000", "20230116_001000"])]);
    }

    #[test]
    fn fields_go_together_where_each_value_has_its_partner() {
        let stems: Vec<String> = ["w1BF_5", "w2GFP_6", "w1BF_7"].map(str::to_owned).to_vec();
        let fields = fields(&stems).unwrap();
        let varying: Vec<&Field> = fields.iter().filter(|f| f.varies()).collect();
        assert!(varying[0].goes_with(varying[1]) && !varying[0].goes_with(varying[2]));
        assert!(varying[2].rises_with(varying[2]));
    }
}
