//! Zip containers and pickles written by hand, right and wrong ones.

use std::collections::BTreeMap;

/// Entries of a container by name.
pub(crate) type Entries = BTreeMap<String, Vec<u8>>;

/// Returns a zip file of stored entries.
pub(crate) fn zip(entries: &Entries) -> Vec<u8> {
    let (mut out, mut table) = (Vec::new(), Vec::new());
    for (name, bytes) in entries {
        let header = out.len() as u32;
        let mut fields = Vec::new();
        fields.extend([0_u8; 8]); // flags, method 0, time, date
        fields.extend(crc32fast::hash(bytes).to_le_bytes());
        fields.extend((bytes.len() as u32).to_le_bytes());
        fields.extend((bytes.len() as u32).to_le_bytes());
        fields.extend((name.len() as u16).to_le_bytes());
        fields.extend([0; 2]);
        out.extend(b"PK\x03\x04\x14\x00");
        out.extend(&fields);
        out.extend(name.as_bytes());
        out.extend(bytes);
        table.extend(b"PK\x01\x02\x14\x00\x14\x00");
        table.extend(&fields);
        table.extend([0; 10]); // comment, disk, attributes
        table.extend(header.to_le_bytes());
        table.extend(name.as_bytes());
    }
    let count = (entries.len() as u16).to_le_bytes();
    let start = out.len() as u32;
    out.extend(&table);
    out.extend(b"PK\x05\x06\x00\x00\x00\x00");
    out.extend(count);
    out.extend(count);
    out.extend((table.len() as u32).to_le_bytes());
    out.extend(start.to_le_bytes());
    out.extend([0; 2]);
    out
}

/// Returns the entries of a zip file that torch wrote (small enough for 32 bits).
pub(crate) fn unzip(bytes: &[u8]) -> Entries {
    let u16_at = |at: usize| usize::from(u16::from_le_bytes([bytes[at], bytes[at + 1]]));
    let u32_at = |at: usize| u16_at(at) | u16_at(at + 2) << 16;
    let end = bytes.len() - 22;
    let mut at = u32_at(end + 16);
    let mut entries = Entries::new();
    while bytes[at..].starts_with(b"PK\x01\x02") {
        let (size, name, extra) = (u32_at(at + 24), u16_at(at + 28), u16_at(at + 30));
        let header = u32_at(at + 42);
        let data = header + 30 + u16_at(header + 26) + u16_at(header + 28);
        let text = String::from_utf8(bytes[at + 46..at + 46 + name].to_vec()).unwrap();
        entries.insert(text, bytes[data..data + size].to_vec());
        at += 46 + name + extra + u16_at(at + 32);
    }
    entries
}

/// Returns a container with this pickle and storages `0`, `1`, ... of these lengths in bytes.
pub(crate) fn container(pickle: &[u8], storages: &[usize]) -> Entries {
    let mut entries = Entries::new();
    entries.insert("archive/data.pkl".into(), pickle.to_vec());
    entries.insert("archive/version".into(), b"3\n".to_vec());
    for (key, &length) in storages.iter().enumerate() {
        entries.insert(format!("archive/data/{key}"), vec![0; length]);
    }
    entries
}

/// Returns a pickle of protocol 2.
pub(crate) fn pickle(body: &[u8]) -> Vec<u8> {
    [b"\x80\x02", body].concat()
}

/// Returns the opcodes of a text.
pub(crate) fn text(text: &str) -> Vec<u8> {
    [b"X", &(text.len() as u32).to_le_bytes()[..], text.as_bytes()].concat()
}

/// Returns the opcodes of a whole number.
pub(crate) fn number(value: i64) -> Vec<u8> {
    [b"\x8a\x08", &value.to_le_bytes()[..]].concat()
}

/// Returns the opcodes of a tuple of numbers.
pub(crate) fn numbers(values: &[i64]) -> Vec<u8> {
    let items: Vec<u8> = values.iter().flat_map(|&v| number(v)).collect();
    [b"(", &items[..], b"t"].concat()
}

/// Returns the opcodes of a storage of floats.
pub(crate) fn storage(key: &str, len: i64) -> Vec<u8> {
    [b"(", &text("storage")[..], b"ctorch\nFloatStorage\n", &text(key), &text("cpu"), &number(len), b"tQ"]
        .concat()
}

/// Returns the opcodes of a tensor over a storage.
pub(crate) fn tensor(storage: &[u8], offset: i64, size: &[i64], stride: &[i64]) -> Vec<u8> {
    let hooks = b"ccollections\nOrderedDict\n)R";
    [
        b"ctorch._utils\n_rebuild_tensor_v2\n(",
        storage,
        &number(offset),
        &numbers(size),
        &numbers(stride),
        b"\x89",
        hooks,
        b"tR",
    ]
    .concat()
}
