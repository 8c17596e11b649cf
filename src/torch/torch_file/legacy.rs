//! The form that torch wrote before 1.6: magic number, version, machine, the pickle, the keys of the storages, and their
//! numbers, one after the other. Many published weights still have it.

use std::collections::BTreeMap;
use std::io::{Read, Seek, SeekFrom};

use super::TorchFileError;
use super::container::{Fault, read_at};
use super::file::{error, refused};
use super::pickle::{self, Storages};
use super::value::{Pickle, Value};

/// Pickles of the magic number and of the version 1001.
const HEAD: &[u8] = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19\x2e\x80\x02M\xe9\x03.";

/// Where a storage is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    /// Its first byte in the file.
    pub(super) start: u64,
    /// Its length.
    pub(super) bytes: u64,
}

/// Returns whether a file has this form.
pub(super) fn is_legacy<R: Read + Seek>(reader: &mut R) -> Result<bool, Fault> {
    let length = reader.seek(SeekFrom::End(0))?;
    Ok(read_at(reader, 0, length.min(HEAD.len() as u64))? == HEAD)
}

/// Reads the pickle of a file, the places of its storages, and its length.
pub(super) fn read<R: Read + Seek>(
    reader: &mut R,
    file: &str,
) -> Result<(Pickle, BTreeMap<String, Place>, u64), TorchFileError> {
    let io = |e: std::io::Error| error(file, Fault::from(e));
    let wrong = |problem: String| TorchFileError::Container { file: file.into(), problem };
    let length = reader.seek(SeekFrom::End(0)).map_err(io)?;
    let bytes = read_at(reader, 0, length.min(pickle::MOST_BYTES)).map_err(io)?;
    let mut at = HEAD.len();
    let mut next = |entry: &str| {
        let run = pickle::load_first(&bytes[at..], Storages::Within(length), false);
        let (pickle, end) = run.map_err(|mut fault| {
            fault.offset += at;
            refused(file, entry, &fault)
        })?;
        at += end;
        Ok::<_, TorchFileError>(pickle)
    };
    let machine = next("machine")?;
    let little = machine.dict(&machine.root).and_then(|about| about.get("little_endian"));
    if !matches!(little, Some(Value::Bool(true))) {
        return Err(wrong("numbers in another order than little-endian".into()));
    }
    let pickle = next("data")?;
    let listed = next("keys of the storages")?;
    let keys = listed.list(&listed.root).ok_or_else(|| wrong("no list of storages".into()))?;
    let mut start = at as u64;
    let mut places = BTreeMap::new();
    for key in keys {
        let Value::Text(key) = key else { return Err(wrong("a storage without a name".into())) };
        let Some(storage) = pickle.storages.get(key.as_ref()) else {
            return Err(wrong(format!("storage {key:.40}, which no tensor uses")));
        };
        let bytes = storage.len * storage.scalar.bytes();
        let end = start.checked_add(8).and_then(|at| at.checked_add(bytes)).filter(|&end| end <= length);
        let Some(end) = end else {
            return Err(wrong(format!(
                "storage {key:.40} of {bytes} bytes ends behind the end of the file: incomplete"
            )));
        };
        let head = read_at(reader, start, 8).map_err(io)?;
        if head != storage.len.to_le_bytes() {
            return Err(wrong(format!(
                "storage {key:.40} has not the {} numbers that it should",
                storage.len
            )));
        }
        places.insert(storage.key.clone(), Place { start: start + 8, bytes });
        start = end;
    }
    if let Some(missing) = pickle.storages.keys().find(|key| !places.contains_key(*key)) {
        return Err(wrong(format!("storage {missing} is missing")));
    }
    if start != length {
        return Err(wrong(format!("{} bytes follow the storages", length - start)));
    }
    Ok((pickle, places, length))
}
