//! Ways to damage bytes, JSON, TIFF, PNG and settings, each from random numbers and with a word on what was done.

use rand::Rng;
use rand::seq::IndexedRandom;
use rand_chacha::ChaCha8Rng;
use serde_json::{Map, Value, json};

const EXTREMES: [u64; 9] =
    [0, 1, 0x7F, 0xFFFF, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF, 0x7FFF_FFFF_FFFF_FFFF, u64::MAX];

/// Returns a place in a file of `length` bytes; lengths and sizes stand near both ends.
fn place(rng: &mut ChaCha8Rng, length: usize) -> usize {
    let near = length.min(256);
    match rng.random_range(0..4) {
        0 => rng.random_range(0..near.max(1)),
        1 => length - rng.random_range(0..near.max(1)).min(length).max(1).min(length),
        _ => rng.random_range(0..length.max(1)),
    }
}

/// Damages bytes: flipped, overwritten, cut, put in, doubled, taken out, or a number made extreme.
pub(super) fn bytes(rng: &mut ChaCha8Rng, bytes: &mut Vec<u8>) -> String {
    if bytes.is_empty() {
        bytes.push(rng.random());
        return "a byte in an empty file".into();
    }
    let at = place(rng, bytes.len());
    let end = (at + rng.random_range(1..64)).min(bytes.len());
    match rng.random_range(0..9) {
        0 | 1 => {
            let bit = rng.random_range(0..8);
            bytes[at] ^= 1 << bit;
            format!("bit {bit} of byte {at} flipped")
        }
        2 => {
            let end = (at + rng.random_range(1..8)).min(bytes.len());
            bytes[at..end].fill_with(|| rng.random());
            format!("bytes {at}..{end} made random")
        }
        3 => {
            bytes.truncate(at);
            format!("cut to {at} bytes")
        }
        4 => {
            let more: Vec<u8> = (0..rng.random_range(1..64)).map(|_| rng.random()).collect();
            bytes.splice(at..at, more);
            format!("random bytes put in at {at}")
        }
        5 => {
            let twice = bytes[at..end].to_vec();
            bytes.splice(at..at, twice);
            format!("bytes {at}..{end} doubled")
        }
        6 => {
            bytes.drain(at..end);
            format!("bytes {at}..{end} taken out")
        }
        7 => {
            bytes[at..end].fill(0);
            format!("bytes {at}..{end} made zero")
        }
        _ => {
            let value = *EXTREMES.choose(rng).unwrap();
            let length = *[2, 4, 8].choose(rng).unwrap();
            let number = if rng.random() {
                value.to_le_bytes()[..length].to_vec()
            } else {
                value.to_be_bytes()[8 - length..].to_vec()
            };
            let end = (at + length).min(bytes.len());
            bytes[at..end].copy_from_slice(&number[..end - at]);
            format!("a number of {length} bytes at {at} made {value:#x}")
        }
    }
}

/// Damages a TIFF: an entry of its first page made extreme, or its bytes.
pub(super) fn tiff(rng: &mut ChaCha8Rng, file: &mut Vec<u8>) -> String {
    let number = |at: usize, n: usize, file: &[u8]| {
        let bytes = file.get(at..at + n)?;
        Some(bytes.iter().rev().fold(0, |sum, &b| sum << 8 | usize::from(b)))
    };
    let first = number(4, 4, file).filter(|_| file.starts_with(b"II*\0") && rng.random());
    let entries = first.and_then(|at| Some((at, number(at, 2, file)?))).filter(|(_, n)| *n > 0);
    let Some((at, n)) = entries else { return bytes(rng, file) };
    let entry = at + 2 + 12 * rng.random_range(0..n);
    let (offset, length) = *[(0, 2), (2, 2), (4, 4), (8, 4), (8, 4), (8, 4)].choose(rng).unwrap();
    let value = if rng.random() { *EXTREMES.choose(rng).unwrap() } else { rng.random_range(0..70_000) };
    let Some(field) = file.get_mut(entry + offset..entry + offset + length) else {
        return bytes(rng, file);
    };
    field.copy_from_slice(&value.to_le_bytes()[..length]);
    format!("{length} bytes at {offset} of the entry at {entry} made {value:#x}")
}

/// Damages a PNG: its header with a right checksum, or its bytes.
pub(super) fn png(rng: &mut ChaCha8Rng, file: &mut Vec<u8>) -> String {
    if file.len() < 33 || rng.random() {
        return bytes(rng, file);
    }
    let (at, length) = *[(16, 4), (20, 4), (16, 8), (24, 1), (25, 1), (28, 1)].choose(rng).unwrap();
    let value = if rng.random() { *EXTREMES.choose(rng).unwrap() } else { rng.random_range(0..70_000) };
    file[at..at + length].copy_from_slice(&value.to_be_bytes()[8 - length..]);
    let checksum = crc32fast::hash(&file[12..29]);
    file[29..33].copy_from_slice(&checksum.to_be_bytes());
    format!("{length} bytes at {at} made {value:#x}, checksum right")
}

/// Damages JSON: a value of another kind or size, a field taken out, put in twice or exchanged with its neighbour.
pub(super) fn json(rng: &mut ChaCha8Rng, root: &mut Value) -> String {
    let mut places = Vec::new();
    pointers(root, String::new(), &mut places);
    let at = places.choose(rng).cloned().unwrap_or_default();
    let what = rng.random_range(0..6);
    let Some(value) = root.pointer_mut(&at) else { return "nothing".into() };
    match (what, &mut *value) {
        (0, Value::Object(fields)) if !fields.is_empty() => {
            let name = fields.keys().nth(rng.random_range(0..fields.len())).unwrap().clone();
            fields.remove(&name);
            format!("{at}/{name} taken out")
        }
        (0, Value::Array(items)) if !items.is_empty() => {
            items.remove(rng.random_range(0..items.len()));
            format!("an item of {at} taken out")
        }
        (1, Value::Array(items)) if !items.is_empty() => {
            let item = items[rng.random_range(0..items.len())].clone();
            items.push(item);
            format!("an item of {at} doubled")
        }
        (1, Value::Object(fields)) if fields.len() > 1 => {
            let names: Vec<String> = fields.keys().cloned().collect();
            let i = rng.random_range(1..names.len());
            let other = fields[&names[i - 1]].clone();
            let one = std::mem::replace(&mut fields[&names[i]], other);
            fields[&names[i - 1]] = one;
            format!("{at}/{} and its neighbour exchanged", names[i])
        }
        (2, Value::Number(n)) => {
            let number = n.as_f64().unwrap_or(1.0);
            *value = json!(number * *[-1.0, 0.5, 10.0, 1e3, 1e6, 1e30].choose(rng).unwrap());
            format!("{at} made {value}")
        }
        (3, Value::Number(n)) if n.is_u64() => {
            let number = n.as_u64().unwrap_or(0);
            let other = [number.wrapping_add(1), number.wrapping_sub(1), number.wrapping_mul(1 << 20)];
            *value = json!(other.choose(rng).unwrap());
            format!("{at} made {value}")
        }
        (3, Value::String(text)) if !text.is_empty() => {
            let at_char = rng.random_range(0..text.chars().count());
            *text = text.chars().enumerate().map(|(i, c)| if i == at_char { 'µ' } else { c }).collect();
            format!("{at} made {text:.60}")
        }
        _ => {
            let mut deep = json!([]);
            (0..100).for_each(|_| deep = json!([deep]));
            let others = [
                Value::Null,
                json!(true),
                json!(""),
                json!("x"),
                json!("NaN"),
                json!("z".repeat(10_000)),
                json!(0),
                json!(-1),
                json!(1_u64 << 31),
                json!(1_u64 << 53),
                json!(i64::MIN),
                json!(u64::MAX),
                json!(0.5),
                json!(1e308),
                json!([]),
                Value::Object(Map::new()),
                json!(vec![0; 1000]),
                deep,
            ];
            *value = others.choose(rng).unwrap().clone();
            format!("{at} made {:.60}", value.to_string())
        }
    }
}

fn pointers(value: &Value, at: String, places: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                pointers(field, format!("{at}/{}", name.replace('~', "~0").replace('/', "~1")), places);
            }
        }
        Value::Array(items) => {
            // Long lists of numbers would draw nearly all damage.
            for (i, item) in items.iter().enumerate().take(8) {
                pointers(item, format!("{at}/{i}"), places);
            }
        }
        _ => {}
    }
    places.push(at);
}

/// Damages a JSON file: what it says, or its bytes.
pub(super) fn json_file(rng: &mut ChaCha8Rng, file: &mut Vec<u8>) -> String {
    match serde_json::from_slice::<Value>(file) {
        Ok(mut value) if rng.random_bool(0.75) => {
            let what = json(rng, &mut value);
            *file = serde_json::to_vec_pretty(&value).unwrap();
            if rng.random_bool(0.05) {
                let text = String::from_utf8_lossy(file).replacen(": 0", ": NaN", 1);
                *file = text.into_bytes();
                return format!("{what}, a 0 made NaN");
            }
            what
        }
        _ => bytes(rng, file),
    }
}

/// A value of settings that is not what was there.
pub(super) fn setting(rng: &mut ChaCha8Rng) -> &'static str {
    const VALUES: [&str; 22] = [
        "-1",
        "0",
        "1",
        "3",
        "1000",
        "99999999",
        "9223372036854775807",
        "18446744073709551616",
        "1e400",
        "1e30",
        "-0.5",
        "nan",
        "inf",
        "\"x\"",
        "\"\"",
        "[]",
        "[[]]",
        "[0]",
        "[99999999,8,8,8]",
        "true",
        "{}",
        "[1,",
    ];
    VALUES.choose(rng).unwrap()
}

/// Damages settings: a value, a line, or bytes.
pub(super) fn toml(rng: &mut ChaCha8Rng, file: &mut Vec<u8>) -> String {
    let text = String::from_utf8_lossy(file).into_owned();
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let settings: Vec<usize> = (0..lines.len()).filter(|&i| lines[i].contains(" = ")).collect();
    let Some(&at) = settings.choose(rng) else { return bytes(rng, file) };
    let what = match rng.random_range(0..5) {
        0 => return bytes(rng, file),
        1 => format!("`{}` taken out", lines.remove(at)),
        2 => {
            lines.insert(at, lines[at].clone());
            format!("`{}` doubled", lines[at])
        }
        _ => {
            let key = lines[at].split(" = ").next().unwrap_or_default().to_owned();
            lines[at] = format!("{key} = {}", setting(rng));
            format!("`{}`", lines[at])
        }
    };
    *file = (lines.join("\n") + "\n").into_bytes();
    what
}
