//! The files below one folder as a store of zarrs.
//!
//! The store of zarrs calls `fsync` on every key, which makes a plate of small images three times slower. A plate is
//! written under a temporary name and named only when all of it is on disk, so one sync at the end is enough.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use zarrs::storage::byte_range::{ByteRangeIterator, InvalidByteRangeError};
use zarrs::storage::{
    Bytes, MaybeBytes, MaybeBytesIterator, OffsetBytesIterator, ReadableStorageTraits, StorageError,
    StoreKey, StorePrefix, WritableStorageTraits,
};

use crate::side_file;

/// Plain files below a folder. Reads and writes whole files, since a shard is always read as a whole.
#[derive(Debug)]
pub(crate) struct Files {
    root: PathBuf,
    /// What was written, by its path below the root, where it is kept.
    kept: Option<Mutex<BTreeMap<PathBuf, Bytes>>>,
}

impl Files {
    /// Returns the store of the files below `root`.
    pub(crate) fn new(root: &Path) -> Arc<Self> {
        Arc::new(Self { root: root.to_owned(), kept: None })
    }

    /// Returns the store of the files below `root`, which keeps in memory what is written, for its digest: the files
    /// need not be read back.
    pub(super) fn keeping(root: &Path) -> Arc<Self> {
        Arc::new(Self { root: root.to_owned(), kept: Some(Mutex::default()) })
    }

    /// Returns the folder.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Writes the file at `path` below the root, and the folders above it.
    pub(crate) fn write(&self, path: &str, bytes: Bytes) -> io::Result<()> {
        write(&self.root.join(path), &bytes)?;
        if let Some(kept) = &self.kept {
            kept.lock().unwrap_or_else(PoisonError::into_inner).insert(path.into(), bytes);
        }
        Ok(())
    }

    /// Returns what was written until now, sorted by path, and forgets it.
    pub(super) fn take_kept(&self) -> BTreeMap<PathBuf, Bytes> {
        let take =
            |kept: &Mutex<_>| std::mem::take(&mut *kept.lock().unwrap_or_else(PoisonError::into_inner));
        self.kept.as_ref().map(take).unwrap_or_default()
    }

    fn path(&self, key: &StoreKey) -> PathBuf {
        self.root.join(key.as_str())
    }
}

impl ReadableStorageTraits for Files {
    fn get(&self, key: &StoreKey) -> Result<MaybeBytes, StorageError> {
        match side_file::bytes(&self.path(key), u64::MAX) {
            Ok(bytes) => Ok(Some(bytes.into())),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(Arc::new(e).into()),
        }
    }

    fn get_partial_many<'a>(
        &'a self,
        key: &StoreKey,
        ranges: ByteRangeIterator<'a>,
    ) -> Result<MaybeBytesIterator<'a>, StorageError> {
        let Some(bytes) = self.get(key)? else { return Ok(None) };
        Ok(Some(slices(bytes, ranges)))
    }

    fn size_key(&self, key: &StoreKey) -> Result<Option<u64>, StorageError> {
        match fs::metadata(self.path(key)) {
            Ok(metadata) => Ok(Some(metadata.len())),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(Arc::new(e).into()),
        }
    }

    fn supports_get_partial(&self) -> bool {
        false
    }
}

impl WritableStorageTraits for Files {
    fn set(&self, key: &StoreKey, value: Bytes) -> Result<(), StorageError> {
        self.write(key.as_str(), value).map_err(|e| Arc::new(e).into())
    }

    fn set_partial_many(&self, _: &StoreKey, _: OffsetBytesIterator) -> Result<(), StorageError> {
        Err(StorageError::Unsupported("partial writes".into()))
    }

    fn erase(&self, _: &StoreKey) -> Result<(), StorageError> {
        Err(StorageError::Unsupported("erasing".into()))
    }

    fn erase_prefix(&self, _: &StorePrefix) -> Result<(), StorageError> {
        Err(StorageError::Unsupported("erasing".into()))
    }

    fn supports_set_partial(&self) -> bool {
        false
    }
}

/// Returns whether a file has the name of a zipped store (`.ozx`, `.zip`).
pub fn is_zipped(path: &Path) -> bool {
    let ending = path.extension().map(|e| e.to_string_lossy().to_ascii_lowercase());
    matches!(ending.as_deref(), Some("ozx" | "zip")) && path.is_file()
}

/// Returns ranges of bytes that are in memory.
pub(crate) fn slices(
    bytes: Bytes,
    ranges: ByteRangeIterator<'_>,
) -> Box<dyn Iterator<Item = Result<Bytes, StorageError>> + '_> {
    let size = bytes.len() as u64;
    Box::new(ranges.map(move |range| {
        if range.end(size) > size || range.start(size) > size {
            return Err(InvalidByteRangeError::new(range, size).into());
        }
        Ok(bytes.slice(range.start(size) as usize..range.end(size) as usize))
    }))
}

/// Writes a file and the folders above it.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let _change = crate::output::changing();
    match fs::write(path, bytes) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            if let Some(parent) = path.parent() {
                fs::create_dir_all(parent)?;
            }
            fs::write(path, bytes)
        }
        done => done,
    }
}

/// Waits until everything written to the file system of `folder` is on disk.
pub(super) fn sync(folder: &Path) -> io::Result<()> {
    let folder = fs::File::open(folder)?;
    #[cfg(target_os = "linux")]
    rustix::fs::syncfs(&folder)?;
    #[cfg(not(target_os = "linux"))]
    folder.sync_all()?;
    Ok(())
}
