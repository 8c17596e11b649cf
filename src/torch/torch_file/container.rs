//! The zip container of `torch.save`: stored entries only, every length checked before it is used.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read, Seek, SeekFrom};

/// Most bytes of the table of entries. The published checkpoint has about a thousand entries of 100 bytes.
const MOST_TABLE: u64 = 16 << 20;
/// Length of the record that ends a zip file, without its comment.
const END_RECORD: u64 = 22;
/// Longest comment after it.
const MOST_COMMENT: u64 = 65_535;
/// Bytes read at a time.
const BLOCK: usize = 1 << 20;

/// A zip file whose table of entries has been read.
#[derive(Debug)]
pub(super) struct Container<R> {
    reader: R,
    length: u64,
    entries: BTreeMap<String, Entry>,
    verified: BTreeSet<String>,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    header: u64,
    size: u64,
    crc: u32,
}

/// Why a container cannot be read.
#[derive(Debug)]
pub(super) enum Fault {
    /// The system.
    Io(io::Error),
    /// No zip file at all; holds its first bytes.
    NoZip(Vec<u8>),
    /// A zip file with something wrong.
    Zip(String),
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::UnexpectedEof {
            return Self::Zip("ends in the middle of a record: incomplete".into());
        }
        Self::Io(error)
    }
}

fn zip<T>(problem: impl Into<String>) -> Result<T, Fault> {
    Err(Fault::Zip(problem.into()))
}

impl<R: Read + Seek> Container<R> {
    /// Reads the table of entries at the end of the file.
    pub(super) fn open(mut reader: R) -> Result<Self, Fault> {
        let length = reader.seek(SeekFrom::End(0))?;
        let head = read_at(&mut reader, 0, length.min(16))?;
        if !head.starts_with(b"PK\x03\x04") {
            return Err(Fault::NoZip(head));
        }
        let (count, offset, size) = table_place(&mut reader, length)?;
        if size > MOST_TABLE || offset.checked_add(size).is_none_or(|end| end > length) {
            return zip(format!("its table of {size} bytes at {offset} does not fit into {length} bytes"));
        }
        let table = read_at(&mut reader, offset, size)?;
        let entries = read_table(&table, count, length)?;
        Ok(Self { reader, length, entries, verified: BTreeSet::new() })
    }

    /// Returns the names of all entries, sorted.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.entries.keys().map(String::as_str)
    }

    /// Returns the length of the whole file.
    pub(super) fn length(&self) -> u64 {
        self.length
    }

    /// Returns the length of an entry, `None` where there is none of that name.
    pub(super) fn size(&self, name: &str) -> Option<u64> {
        self.entries.get(name).map(|entry| entry.size)
    }

    /// Reads `len` bytes of an entry from `start`. The first time, the whole entry is compared with its checksum.
    pub(super) fn read(&mut self, name: &str, start: u64, len: u64) -> Result<Vec<u8>, Fault> {
        let Some(&entry) = self.entries.get(name) else {
            return zip(format!("entry {name} is missing"));
        };
        if start.checked_add(len).is_none_or(|end| end > entry.size) {
            return zip(format!("entry {name} has {} bytes, not {len} from {start}", entry.size));
        }
        let local = read_at(&mut self.reader, entry.header, 30)?;
        if !local.starts_with(b"PK\x03\x04") {
            return zip(format!("entry {name}: no header at byte {}", entry.header));
        }
        let data = entry.header + 30 + u64::from(u16_at(&local, 26)) + u64::from(u16_at(&local, 28));
        if data + entry.size > self.length {
            return zip(format!("entry {name} ends behind the end of the file"));
        }
        if !self.verified.contains(name) {
            self.verify(name, data, entry)?;
            self.verified.insert(name.to_owned());
        }
        Ok(read_at(&mut self.reader, data + start, len)?)
    }

    fn verify(&mut self, name: &str, data: u64, entry: Entry) -> Result<(), Fault> {
        self.reader.seek(SeekFrom::Start(data))?;
        let mut hash = crc32fast::Hasher::new();
        let mut block = vec![0; BLOCK.min(entry.size as usize)];
        let mut left = entry.size;
        while left > 0 {
            let n = left.min(block.len() as u64) as usize;
            self.reader.read_exact(&mut block[..n])?;
            hash.update(&block[..n]);
            left -= n as u64;
        }
        if hash.finalize() != entry.crc {
            return zip(format!("entry {name} does not match its checksum: damaged"));
        }
        Ok(())
    }
}

/// Returns number of entries, offset and length of the table.
fn table_place<R: Read + Seek>(reader: &mut R, length: u64) -> Result<(u64, u64, u64), Fault> {
    let tail_length = length.min(END_RECORD + MOST_COMMENT);
    let tail = read_at(reader, length - tail_length, tail_length)?;
    let end = (0..=tail.len().saturating_sub(END_RECORD as usize)).rev().find(|&at| {
        tail[at..].starts_with(b"PK\x05\x06")
            && tail.len() - at >= END_RECORD as usize
            && at + END_RECORD as usize + usize::from(u16_at(&tail, at + 20)) == tail.len()
    });
    let Some(end) = end else {
        return zip("has no table of entries at its end: incomplete");
    };
    let small = (
        u64::from(u16_at(&tail, end + 10)),
        u64::from(u32_at(&tail, end + 16)),
        u64::from(u32_at(&tail, end + 12)),
    );
    // Offsets beyond 4 GB stand in a second record, named by the 20 bytes before; torch always writes it.
    let Some(locator) = end.checked_sub(20).filter(|&at| tail[at..].starts_with(b"PK\x06\x07")) else {
        return Ok(small);
    };
    let at = u64_at(&tail, locator + 8);
    if at.checked_add(56).is_none_or(|end| end > length) {
        return zip("its zip64 record lies behind the end of the file");
    }
    let large = read_at(reader, at, 56)?;
    if !large.starts_with(b"PK\x06\x06") {
        return zip(format!("no zip64 record at byte {at}"));
    }
    Ok((u64_at(&large, 32), u64_at(&large, 48), u64_at(&large, 40)))
}

fn read_table(table: &[u8], count: u64, length: u64) -> Result<BTreeMap<String, Entry>, Fault> {
    let mut entries = BTreeMap::new();
    let mut at = 0;
    while at < table.len() {
        let record = &table[at..];
        if record.len() < 46 || !record.starts_with(b"PK\x01\x02") {
            return zip(format!("its table of entries is damaged at byte {at}"));
        }
        let [name, extra, comment] = [28, 30, 32].map(|field| usize::from(u16_at(record, field)));
        let end = 46 + name + extra + comment;
        if record.len() < end {
            return zip(format!("its table of entries is cut at byte {at}"));
        }
        let Ok(file) = std::str::from_utf8(&record[46..46 + name]) else {
            return zip(format!("its table of entries holds a name that is no text at byte {at}"));
        };
        let stored = u16_at(record, 8) & 1 == 0 && u16_at(record, 10) == 0;
        // TorchScript compresses its code, which is never read.
        if !stored && !file.contains("/code/") {
            return zip(format!("entry {file} is compressed or encrypted, torch.save stores its entries"));
        }
        let [packed, size, header] = wide_fields(record, &record[46 + name..46 + name + extra]);
        let size = if stored { size } else { packed };
        if packed != size
            || header.checked_add(30).and_then(|h| h.checked_add(size)).is_none_or(|end| end > length)
        {
            return zip(format!("entry {file} of {size} bytes at {header} does not fit into {length} bytes"));
        }
        if entries.insert(file.to_owned(), Entry { header, size, crc: u32_at(record, 16) }).is_some() {
            return zip(format!("entry {file} is there twice"));
        }
        at += end;
    }
    // Entries that lie upon each other would be read once for each name.
    let all: u64 = entries.values().map(|entry: &Entry| entry.size).fold(0, u64::saturating_add);
    if all > length {
        return zip(format!("entries of {all} bytes in {length} bytes: they overlap"));
    }
    if entries.len() as u64 != count {
        return zip(format!("{} entries in its table, expected {count}", entries.len()));
    }
    Ok(entries)
}

/// Returns packed size, size and header offset; those that need more than 32 bits stand in the zip64 extra field.
fn wide_fields(record: &[u8], mut extra: &[u8]) -> [u64; 3] {
    let mut wide: &[u8] = &[];
    while extra.len() >= 4 {
        let (id, len) = (u16_at(extra, 0), usize::from(u16_at(extra, 2)));
        let Some(field) = extra.get(4..4 + len) else { break };
        if id == 1 {
            wide = field;
        }
        extra = &extra[4 + len..];
    }
    let mut take = |narrow: u32| {
        if narrow == u32::MAX && wide.len() >= 8 {
            let value = u64_at(wide, 0);
            wide = &wide[8..];
            return value;
        }
        u64::from(narrow)
    };
    // The extra field holds the size before the packed size.
    let size = take(u32_at(record, 24));
    let packed = take(u32_at(record, 20));
    [packed, size, take(u32_at(record, 42))]
}

/// Reads exactly `len` bytes; callers have checked that the file is long enough.
pub(super) fn read_at<R: Read + Seek>(reader: &mut R, start: u64, len: u64) -> io::Result<Vec<u8>> {
    reader.seek(SeekFrom::Start(start))?;
    let mut bytes = vec![0; len as usize];
    reader.read_exact(&mut bytes)?;
    Ok(bytes)
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from(u16_at(bytes, at)) | u32::from(u16_at(bytes, at + 2)) << 16
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from(u32_at(bytes, at)) | u64::from(u32_at(bytes, at + 4)) << 32
}
