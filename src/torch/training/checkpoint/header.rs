//! The list at the start of a safetensors file, read without libtorch: what the file says it holds, against its length.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use serde::Deserialize;

/// Largest list that is read. That of a network of thousands of tensors is below 1 MiB.
const MOST_BYTES: u64 = 64 << 20;

/// Kinds that are written, with the bytes of an element.
const KINDS: [(&str, u64); 5] = [("F16", 2), ("BF16", 2), ("F32", 4), ("F64", 8), ("I64", 8)];

/// Kind and shape of every tensor by name, as in `F32 [64, 64, 3, 3]`.
pub(super) type Listed = BTreeMap<String, String>;

#[derive(Deserialize)]
struct Entry {
    dtype: String,
    shape: Vec<u64>,
    data_offsets: [u64; 2],
}

/// Returns the number of elements of a tensor of the list.
pub(super) fn elements(listed: &str) -> u64 {
    let shape = listed.split_once('[').map_or("", |(_, shape)| shape.trim_end_matches(']'));
    shape.split(", ").filter_map(|n| n.parse::<u64>().ok()).product()
}

/// Reads the list of a file and checks that every tensor lies inside of it and is as long as its shape says.
///
/// # Errors
/// What is wrong with the file.
pub(super) fn read(path: &Path) -> Result<Listed, String> {
    let cut = |e: std::io::Error| format!("the list of tensors cannot be read: {e}");
    let mut file = File::open(path).map_err(cut)?;
    let total = file.metadata().map_err(cut)?.len();
    let mut length = [0; 8];
    file.read_exact(&mut length).map_err(cut)?;
    let length = u64::from_le_bytes(length);
    if length > MOST_BYTES || length > total.saturating_sub(8) {
        return Err(format!("the list of tensors is {length} bytes long in a file of {total}"));
    }
    let mut text = vec![0; length as usize];
    file.read_exact(&mut text).map_err(cut)?;
    parse(&text, total - 8 - length)
}

/// Returns the tensors of a list whose data are `room` bytes.
fn parse(text: &[u8], room: u64) -> Result<Listed, String> {
    let mut all: BTreeMap<String, serde_json::Value> =
        serde_json::from_slice(text).map_err(|e| format!("the list of tensors is no JSON: {e}"))?;
    all.remove("__metadata__");
    let mut listed = Listed::new();
    for (name, value) in all {
        let entry: Entry = serde_json::from_value(value).map_err(|e| format!("tensor {name}: {e}"))?;
        let Some((_, bytes)) = KINDS.iter().find(|(kind, _)| *kind == entry.dtype) else {
            return Err(format!("tensor {name}: unknown kind {}", entry.dtype));
        };
        let wanted = entry.shape.iter().try_fold(*bytes, |product, &n| product.checked_mul(n));
        let [begin, end] = entry.data_offsets;
        if end > room || begin.checked_add(wanted.unwrap_or(u64::MAX)) != Some(end) {
            let Entry { dtype, shape, .. } = entry;
            return Err(format!(
                "tensor {name}: {dtype} {shape:?} does not fit bytes {begin} to {end} of {room}"
            ));
        }
        listed.insert(name, format!("{} {:?}", entry.dtype, entry.shape));
    }
    Ok(listed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tensors_that_do_not_fit_their_bytes_are_named() {
        let entry = |shape: &str, offsets: &str, kind: &str| {
            format!(
                r#"{{"__metadata__":{{}},"a":{{"dtype":"{kind}","shape":{shape},"data_offsets":{offsets}}}}}"#
            )
        };
        let good = parse(entry("[2,3]", "[0,24]", "F32").as_bytes(), 24).unwrap();
        assert_eq!(good["a"], "F32 [2, 3]");
        assert_eq!((elements(&good["a"]), elements("F64 []")), (6, 1));
        for (shape, offsets, kind) in [
            ("[2,3]", "[0,20]", "F32"),
            ("[2,3]", "[8,32]", "F32"),
            ("[2,3]", "[24,0]", "F32"),
            ("[18446744073709551615,2]", "[0,24]", "F32"),
            ("[-1]", "[0,4]", "F32"),
            ("[6]", "[0,24]", "F8"),
        ] {
            let error = parse(entry(shape, offsets, kind).as_bytes(), 24).unwrap_err();
            assert!(error.contains("tensor a"), "{error}");
        }
        assert!(parse(b"[1]", 24).unwrap_err().contains("no JSON"));
    }

    #[test]
    fn the_length_of_the_list_is_not_believed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.safetensors");
        for bytes in [&[][..], &[1, 2, 3], &[255; 12], &[100, 0, 0, 0, 0, 0, 0, 0, b'{', b'}']] {
            std::fs::write(&path, bytes).unwrap();
            assert!(read(&path).is_err(), "{bytes:?}");
        }
    }
}
