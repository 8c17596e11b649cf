//! An array of a store: what its metadata says, and whether all of its chunks can be read.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use zarrs::array::{Array, ArrayBytes, ArrayError, CodecOptions, ElementOwned, data_type};
use zarrs::filesystem::FilesystemStore;
use zarrs::storage::{ReadableStorageTraits, StorageError};

use super::Log;
use crate::error::DataError;
use crate::memory;

/// Chunks that are looked for, at most: metadata can declare any number.
const MOST_CHUNKS: u64 = 1 << 24;

/// What an array is.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct About {
    pub(super) shape: Vec<u64>,
    /// Name of the type, such as `uint16`.
    pub(super) kind: String,
    /// Names of the axes, where the array tells them.
    pub(super) axes: Option<Vec<Option<String>>>,
    /// Ids, where it was asked for them and the array holds integers.
    pub(super) ids: Option<BTreeSet<u64>>,
}

/// Opens an array and reads all chunks; `ours` says that every chunk is stored, `ids` that its values are wanted.
///
/// # Errors
/// [`DataError`] where the system cannot read a file.
pub(super) fn check(
    folder: &Path,
    path: &str,
    ours: bool,
    ids: bool,
    log: &Log,
) -> Result<Option<About>, DataError> {
    let opened = FilesystemStore::new(folder).map_err(|e| e.to_string()).and_then(|store| {
        let store: Arc<dyn ReadableStorageTraits> = Arc::new(store);
        Array::open(store, "/").map_err(|e| e.to_string())
    });
    let array = match opened {
        Ok(array) => array,
        Err(e) => {
            log.error(path, "metadata", format!("is no array that can be opened: {e}"));
            return Ok(None);
        }
    };
    log.with(|f| f.arrays += 1);
    let name = array.data_type().to_string().split(" / ").next().unwrap_or_default().to_owned();
    let mut about = About {
        shape: array.shape().to_vec(),
        kind: name,
        axes: array.dimension_names().clone(),
        ids: ids.then(BTreeSet::new),
    };
    let grid = array.chunk_grid_shape().to_vec();
    let count = grid.iter().try_fold(1_u64, |n, side| n.checked_mul(*side)).filter(|n| *n <= MOST_CHUNKS);
    let Some(count) = count else {
        log.error(path, "shape", format!("declares {grid:?} chunks, too many to have been stored"));
        return Ok(Some(about));
    };
    let first = array
        .chunk_shape(&vec![0; grid.len()])
        .map(|shape| shape.iter().map(|n| n.get()).collect::<Vec<u64>>());
    let pixels = first.unwrap_or_default().iter().fold(1_u64, |n, side| n.saturating_mul(*side));
    if memory::available().is_some_and(|left| pixels.saturating_mul(16) > left) {
        log.error(path, "shape", format!("has chunks of {pixels} pixels, more than memory can hold"));
        return Ok(Some(about));
    }
    let (mut stored, mut missing) = (0, 0);
    let mut broken = 0;
    for index in 0..count {
        let at = indices(index, &grid);
        let file = || format!("{path}/{}", array.chunk_key(&at).as_str()).trim_start_matches('/').to_owned();
        match chunk(&array, &at, about.ids.as_mut()) {
            Ok(true) => stored += 1,
            Ok(false) => {
                missing += 1;
                if ours {
                    log.error(&file(), "pixels", "is missing");
                }
            }
            Err(ArrayError::StorageError(StorageError::IOError(e))) if e.raw_os_error().is_some() => {
                let code = e.raw_os_error().unwrap_or(5);
                return Err(DataError::read(folder)(std::io::Error::from_raw_os_error(code)));
            }
            Err(e) => {
                broken += 1;
                if broken <= 3 {
                    log.error(&file(), "pixels", format!("is cut or changed: {e}"));
                }
            }
        }
    }
    if broken > 3 {
        log.error(path, "pixels", format!("{} more chunks are cut or changed", broken - 3));
    }
    log.with(|f| {
        f.chunks += stored;
        f.chunks_not_stored += missing;
    });
    if missing > 0 && !ours {
        log.warning(
            path,
            "pixels",
            format!("{missing} of {count} chunks are not stored and read as the fill value: they are empty, or lost"),
        );
    }
    Ok(Some(about))
}

/// Returns the indices of a chunk in a grid.
fn indices(mut index: u64, grid: &[u64]) -> Vec<u64> {
    let mut at = vec![0; grid.len()];
    for (place, side) in at.iter_mut().zip(grid).rev() {
        *place = index % side;
        index /= side;
    }
    at
}

/// Reads a chunk, and gathers its values; returns whether it is stored.
fn chunk(
    array: &Array<dyn ReadableStorageTraits>,
    at: &[u64],
    ids: Option<&mut BTreeSet<u64>>,
) -> Result<bool, ArrayError> {
    let options = CodecOptions::default().with_concurrent_target(1);
    let kind = array.data_type();
    if let Some(ids) = ids {
        if *kind == data_type::uint8() {
            return gather::<u8>(array, at, &options, ids);
        } else if *kind == data_type::uint16() {
            return gather::<u16>(array, at, &options, ids);
        } else if *kind == data_type::uint32() {
            return gather::<u32>(array, at, &options, ids);
        } else if *kind == data_type::uint64() {
            return gather::<u64>(array, at, &options, ids);
        } else if *kind == data_type::int32() {
            return gather::<i32>(array, at, &options, ids);
        } else if *kind == data_type::int64() {
            return gather::<i64>(array, at, &options, ids);
        }
    }
    Ok(array.retrieve_chunk_if_exists_opt::<ArrayBytes<'static>>(at, &options)?.is_some())
}

/// Reads a chunk of integers, and gathers them.
fn gather<A: ElementOwned + Copy + TryInto<u64>>(
    array: &Array<dyn ReadableStorageTraits>,
    at: &[u64],
    options: &CodecOptions,
    ids: &mut BTreeSet<u64>,
) -> Result<bool, ArrayError> {
    let Some(values) = array.retrieve_chunk_if_exists_opt::<Vec<A>>(at, options)? else {
        return Ok(false);
    };
    let mut last = None;
    for value in values.into_iter().filter_map(|v| v.try_into().ok()) {
        if last.replace(value) != Some(value) {
            ids.insert(value);
        }
    }
    Ok(true)
}
