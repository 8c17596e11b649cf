//! Where a group or an array lies: in a folder, or in a store that is one zipped file (`.ozx`).

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use zarrs::filesystem::FilesystemStore;
use zarrs::storage::byte_range::{ByteRangeIterator, InvalidByteRangeError};
use zarrs::storage::{Bytes, MaybeBytes, MaybeBytesIterator, ReadableStorageTraits, StorageError, StoreKey};
use zip::result::ZipError;
use zip::{CompressionMethod, ZipArchive};

use crate::error::DataError;
use crate::input::capacity::expect_memory;
use crate::input::file_names::{list_folders, name};
use crate::plate::store::{slices, write};
use crate::side_file;

/// What a byte of a deflated file becomes at most.
const MOST_DEFLATED: u64 = 1032;

/// A folder of a store.
#[derive(Clone)]
pub(super) enum Place {
    /// On disk.
    Folder(PathBuf),
    /// In a zipped file, below a path that is empty or ends with a slash.
    Zipped(Arc<Archive>, String),
}

/// A zipped file that is open.
pub(super) struct Archive {
    path: PathBuf,
    entries: Mutex<ZipArchive<BufReader<File>>>,
    names: BTreeSet<String>,
    /// The same file, for reading at places.
    file: File,
}

impl std::fmt::Debug for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.path().fmt(f)
    }
}

impl Place {
    /// Opens a store that is a folder or a zipped file.
    ///
    /// # Errors
    /// [`DataError`] of a file that is no zip, or holds no store.
    pub(super) fn open(path: &Path) -> Result<Self, DataError> {
        if path.is_dir() {
            return Ok(Self::Folder(path.to_owned()));
        }
        let file = File::open(path).map_err(DataError::read(path))?;
        let again = file.try_clone().map_err(DataError::read(path))?;
        let entries = ZipArchive::new(BufReader::new(again)).map_err(|e| damaged(path, &e))?;
        let names: BTreeSet<String> =
            entries.file_names().filter_map(Result::ok).map(std::borrow::Cow::into_owned).collect();
        // `zip -r store.zip store.zarr` keeps the folder.
        let tops: BTreeSet<&str> =
            names.iter().filter_map(|n| n.split_once('/')).map(|(top, _)| top).collect();
        let only = tops.first().filter(|_| tops.len() == 1).map(|top| format!("{top}/"));
        let is_root = |prefix: &String| {
            ["zarr.json", ".zattrs", ".zgroup"].iter().any(|file| names.contains(&format!("{prefix}{file}")))
        };
        let prefix = [Some(String::new()), only].into_iter().flatten().find(is_root);
        let archive = Arc::new(Archive { path: path.to_owned(), entries: Mutex::new(entries), names, file });
        prefix.map(|prefix| Self::Zipped(archive, prefix)).ok_or_else(|| DataError::Unusable {
            path: path.to_owned(),
            found: "is a zip file without an OME-Zarr at its root".into(),
            expected: "a zipped OME-Zarr (.ozx)".into(),
            hint: "unpack it, and name what is in it".into(),
        })
    }

    /// Returns a folder below this one.
    pub(super) fn join(&self, path: &str) -> Self {
        match self {
            Self::Folder(folder) => Self::Folder(folder.join(path)),
            Self::Zipped(archive, prefix) => Self::Zipped(archive.clone(), format!("{prefix}{path}/")),
        }
    }

    /// Returns the path as people write it.
    pub(super) fn path(&self) -> PathBuf {
        match self {
            Self::Folder(folder) => folder.clone(),
            Self::Zipped(archive, prefix) if prefix.is_empty() => archive.path.clone(),
            Self::Zipped(archive, prefix) => archive.path.join(prefix.trim_end_matches('/')),
        }
    }

    /// Reads a file of metadata; `None` where it is not there.
    pub(super) fn metadata(&self, file: &str) -> Result<Option<Vec<u8>>, DataError> {
        match self {
            Self::Folder(folder) => {
                let path = folder.join(file);
                if path.is_file() { side_file::read(&path, side_file::METADATA).map(Some) } else { Ok(None) }
            }
            Self::Zipped(archive, prefix) => archive
                .whole(&format!("{prefix}{file}"), side_file::METADATA)
                .map_err(|e| archive.error(&format!("{prefix}{file}"), e)),
        }
    }

    /// Returns whether there is such a folder.
    pub(super) fn is_there(&self) -> bool {
        match self {
            Self::Folder(folder) => folder.is_dir(),
            Self::Zipped(archive, prefix) => archive.below(prefix).next().is_some(),
        }
    }

    /// Returns the names of the folders in it.
    pub(super) fn folders(&self) -> Result<Vec<String>, DataError> {
        match self {
            Self::Folder(folder) => Ok(list_folders(folder)?.iter().map(|folder| name(folder)).collect()),
            Self::Zipped(archive, prefix) => {
                let folders = archive.below(prefix).filter_map(|name| name[prefix.len()..].split_once('/'));
                let folders: BTreeSet<&str> = folders.map(|(folder, _)| folder).collect();
                Ok(folders.into_iter().map(str::to_owned).collect())
            }
        }
    }

    /// Copies all files in it to a folder.
    ///
    /// # Errors
    /// [`DataError`] of a file whose name leads elsewhere, that is damaged, or that cannot be written.
    fn copy_to(&self, folder: &Path) -> Result<(), DataError> {
        let Self::Zipped(archive, prefix) = self else { return Ok(()) };
        for name in archive.below(prefix).filter(|name| !name.ends_with('/')) {
            let below = &name[prefix.len()..];
            if below.split('/').any(|part| ["", ".", ".."].contains(&part) || part.contains('\\')) {
                return Err(archive.error(name, io::Error::other("is a name that leads out of the store")));
            }
            let bytes = archive.whole(name, u64::MAX).map_err(|e| archive.error(name, e))?;
            let path = folder.join(below);
            write(&path, &bytes.unwrap_or_default()).map_err(DataError::io(&path))?;
        }
        Ok(())
    }

    /// Returns the files in it as zarrs reads them.
    pub(super) fn storage(&self) -> Result<Arc<dyn ReadableStorageTraits>, String> {
        Ok(match self {
            Self::Folder(folder) => Arc::new(FilesystemStore::new(folder).map_err(|e| e.to_string())?),
            Self::Zipped(archive, prefix) => {
                Arc::new(Zipped { archive: archive.clone(), prefix: prefix.clone() })
            }
        })
    }
}

/// Copies what a zipped store holds to an empty folder.
///
/// # Errors
/// [`DataError`] of a file that is no zip, holds no store, or is damaged.
pub fn unpack(path: &Path, folder: &Path) -> Result<(), DataError> {
    Place::open(path)?.copy_to(folder)
}

impl Archive {
    fn lock(&self) -> std::sync::MutexGuard<'_, ZipArchive<BufReader<File>>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the names of the files below a path.
    fn below<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = &'a String> {
        self.names.range(prefix.to_owned()..).take_while(move |name| name.starts_with(prefix))
    }

    fn error(&self, name: &str, e: io::Error) -> DataError {
        if e.raw_os_error().is_some() {
            return DataError::read(&self.path)(e);
        }
        DataError::DamagedPixels { path: self.path.join(name), found: e.to_string() }
    }

    /// Reads a whole file of at most `most` bytes, and compares it with its checksum; `None` where it is not there.
    fn whole(&self, name: &str, most: u64) -> io::Result<Option<Vec<u8>>> {
        let mut entries = self.lock();
        let mut entry = match entries.by_name(name) {
            Ok(entry) => entry,
            Err(ZipError::FileNotFound) => return Ok(None),
            Err(e) => return Err(io::Error::other(e.to_string())),
        };
        let size = entry.size();
        let can_be = match entry.compression() {
            CompressionMethod::Stored => entry.compressed_size(),
            _ => entry.compressed_size().saturating_mul(MOST_DEFLATED),
        };
        if size > most || size > can_be {
            return Err(io::Error::other(format!(
                "declares {size} bytes, and can hold at most {}",
                most.min(can_be)
            )));
        }
        expect_memory(&self.path, name, size).map_err(|e| io::Error::other(e.to_string()))?;
        let mut bytes = Vec::new();
        entry.by_ref().take(size + 1).read_to_end(&mut bytes).map_err(|e| io::Error::other(e.to_string()))?;
        if bytes.len() as u64 != size {
            return Err(io::Error::other(format!("holds {} bytes, and declares {size}", bytes.len())));
        }
        Ok(Some(bytes))
    }

    /// Returns where a file begins that is stored as it is, and its size; `None` for all others.
    fn stored(&self, name: &str) -> Option<(u64, u64)> {
        let mut entries = self.lock();
        let entry = entries.by_name(name).ok()?;
        let begin = entry.data_start()?;
        (entry.compression() == CompressionMethod::Stored && !entry.encrypted())
            .then_some((begin, entry.compressed_size()))
    }
}

/// The files of a zipped store below a path.
struct Zipped {
    archive: Arc<Archive>,
    prefix: String,
}

impl Zipped {
    fn name(&self, key: &StoreKey) -> String {
        format!("{}{}", self.prefix, key.as_str())
    }
}

impl ReadableStorageTraits for Zipped {
    fn get(&self, key: &StoreKey) -> Result<MaybeBytes, StorageError> {
        let bytes =
            self.archive.whole(&self.name(key), u64::MAX).map_err(|e| StorageError::from(Arc::new(e)))?;
        Ok(bytes.map(Bytes::from))
    }

    fn get_partial_many<'a>(
        &'a self,
        key: &StoreKey,
        ranges: ByteRangeIterator<'a>,
    ) -> Result<MaybeBytesIterator<'a>, StorageError> {
        if let Some((begin, size)) = self.archive.stored(&self.name(key)) {
            return Ok(Some(Box::new(ranges.map(move |range| {
                let (start, end) = (range.start(size), range.end(size));
                if start > end || end > size {
                    return Err(InvalidByteRangeError::new(range, size).into());
                }
                let read = read_at(&self.archive.file, begin + start, (end - start) as usize);
                read.map(Bytes::from).map_err(|e| StorageError::from(Arc::new(e)))
            }))));
        }
        let Some(bytes) = self.get(key)? else { return Ok(None) };
        Ok(Some(slices(bytes, ranges)))
    }

    fn size_key(&self, key: &StoreKey) -> Result<Option<u64>, StorageError> {
        match self.archive.lock().by_name(&self.name(key)) {
            Ok(entry) => Ok(Some(entry.size())),
            Err(ZipError::FileNotFound) => Ok(None),
            Err(e) => Err(Arc::new(io::Error::other(e.to_string())).into()),
        }
    }

    fn supports_get_partial(&self) -> bool {
        true
    }
}

/// Reads `length` bytes, which the size of the file bounds.
fn read_at(file: &File, start: u64, length: usize) -> io::Result<Vec<u8>> {
    if start.saturating_add(length as u64) > file.metadata()?.len() {
        return Err(io::Error::other("ends before its data do"));
    }
    let mut bytes = vec![0; length];
    std::os::unix::fs::FileExt::read_exact_at(file, &mut bytes, start)?;
    Ok(bytes)
}

fn damaged(path: &Path, e: &ZipError) -> DataError {
    DataError::Unusable {
        path: path.to_owned(),
        found: format!("cannot be opened as a zip file ({e})"),
        expected: "a zipped OME-Zarr (.ozx)".into(),
        hint: "the file is cut or damaged: copy it again".into(),
    }
}
