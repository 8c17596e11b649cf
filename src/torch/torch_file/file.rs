//! An opened file: what its pickle says, and its tensors one at a time.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek};
use std::path::Path;

use tch::{Kind, Tensor};

use super::container::{Container, Fault, read_at};
use super::legacy::{self, Place};
use super::pickle::{self, Storages};
use super::value::{Pickle, Scalar, TensorRef};
use super::{TorchFileError, opcodes};

/// An opened file. Only names and shapes are in memory.
#[derive(Debug)]
pub struct TorchFile<R> {
    name: String,
    store: Store<R>,
    scripted: bool,
    pub(super) pickle: Pickle,
}

/// Where the storages are.
#[derive(Debug)]
enum Store<R> {
    /// In entries of this folder, with a slash.
    Zip { container: Container<R>, folder: String },
    /// One after the other, as torch before 1.6 wrote them.
    Legacy { reader: R, length: u64, places: BTreeMap<String, Place> },
}

impl TorchFile<File> {
    /// Opens a file.
    ///
    /// # Errors
    /// [`TorchFileError`] naming file, place and what was expected there.
    pub fn open(path: &Path) -> Result<Self, TorchFileError> {
        let name = path.display().to_string();
        // A folder can be opened on Linux, but not read; the opening of a pipe waits for somebody who writes.
        let opened = std::fs::metadata(path).and_then(|about| match about.file_type() {
            kind if kind.is_dir() => Err(std::io::ErrorKind::IsADirectory.into()),
            kind if kind.is_file() => File::open(path),
            _ => Err(std::io::Error::new(std::io::ErrorKind::InvalidInput, "is a pipe or device")),
        });
        match opened {
            Ok(reader) => Self::read(reader, name),
            Err(source) => Err(TorchFileError::Io { file: name, source }),
        }
    }
}

impl<R: Read + Seek> TorchFile<R> {
    /// Reads the pickle of a file; `name` is its name in messages.
    ///
    /// # Errors
    /// As [`TorchFile::open`].
    pub fn read(mut reader: R, name: String) -> Result<Self, TorchFileError> {
        if legacy::is_legacy(&mut reader).map_err(|fault| error(&name, fault))? {
            let (pickle, places, length) = legacy::read(&mut reader, &name)?;
            return Ok(Self {
                name,
                store: Store::Legacy { reader, length, places },
                scripted: false,
                pickle,
            });
        }
        let mut container = Container::open(reader).map_err(|fault| error(&name, fault))?;
        let (folder, scripted) = folder(&container, &name)?;
        let entry = format!("{folder}data.pkl");
        let size = container.size(&entry).unwrap_or(0);
        if size > pickle::MOST_BYTES {
            let problem = format!("{entry} has {size} bytes, at most {} are read", pickle::MOST_BYTES);
            return Err(TorchFileError::Container { file: name, problem });
        }
        expect_little_endian(&mut container, &folder, &name)?;
        let bytes = container.read(&entry, 0, size).map_err(|fault| error(&name, fault))?;
        let storage_bytes = |key: &str| container.size(&format!("{folder}data/{key}"));
        let pickle = pickle::load(&bytes, Storages::Entries(&storage_bytes), scripted)
            .map_err(|fault| refused(&name, &entry, &fault))?;
        Ok(Self { name, store: Store::Zip { container, folder }, scripted, pickle })
    }

    /// Returns the name of the file, for messages.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns whether it is a TorchScript archive.
    pub fn is_scripted(&self) -> bool {
        self.scripted
    }

    /// Returns what the pickle holds.
    pub(crate) fn pickle(&self) -> &Pickle {
        &self.pickle
    }

    /// Checks that tensors need no more memory than the file is long: many names for one storage would make a small
    /// file fill the memory.
    ///
    /// # Errors
    /// [`TorchFileError::Layout`] where they do.
    pub fn expect_bounded<'a>(
        &self,
        tensors: impl Iterator<Item = &'a TensorRef>,
    ) -> Result<(), TorchFileError> {
        let length = match &self.store {
            Store::Zip { container, .. } => container.length(),
            Store::Legacy { length, .. } => *length,
        };
        let wanted = tensors.map(|t| t.bytes().max(t.span * t.storage.scalar.bytes())).sum::<u64>();
        if wanted <= length {
            return Ok(());
        }
        let problem = format!("tensors of {wanted} bytes in a file of {length}: storages are shared");
        Err(TorchFileError::Layout { file: self.name.clone(), place: "tensors".into(), problem })
    }

    /// Reads a tensor, contiguous, in its own type.
    ///
    /// # Errors
    /// [`TorchFileError::Container`] where the storage is damaged.
    pub fn tensor(&mut self, view: &TensorRef) -> Result<Tensor, TorchFileError> {
        let (kind, width) = (kind(view.storage.scalar), view.storage.scalar.bytes());
        let (start, len) = (view.offset * width, view.span * width);
        let key = &view.storage.key;
        let bytes = match &mut self.store {
            Store::Zip { container, folder } => container.read(&format!("{folder}data/{key}"), start, len),
            Store::Legacy { reader, places, .. } => match places.get(key) {
                Some(place) if start + len <= place.bytes => {
                    read_at(reader, place.start + start, len).map_err(Fault::from)
                }
                _ => Err(Fault::Zip(format!("storage {key} is missing"))),
            },
        };
        let bytes = bytes.map_err(|fault| error(&self.name, fault))?;
        let wrong = |e: tch::TchError| TorchFileError::Container {
            file: self.name.clone(),
            problem: format!("storage {key}: {e}"),
        };
        if view.span == 0 {
            return Tensor::f_zeros(&view.size[..], (kind, tch::Device::Cpu)).map_err(wrong);
        }
        let flat = Tensor::f_from_data_size(&bytes, &[view.span as i64], kind).map_err(wrong)?;
        drop(bytes);
        let tensor = flat.f_as_strided(&view.size[..], &view.stride[..], 0).map_err(wrong)?;
        tensor.f_contiguous().map_err(wrong)
    }
}

/// Runs a bare pickle as [`TorchFile::read`] would, without a container; `storages` are the lengths of its storages in
/// bytes, by number.
///
/// # Errors
/// As [`TorchFile::open`].
pub(crate) fn check_pickle(bytes: &[u8], storages: &[u64], file: &str) -> Result<Pickle, TorchFileError> {
    let storage_bytes = |key: &str| storages.get(key.parse::<usize>().ok()?).copied();
    pickle::load(bytes, Storages::Entries(&storage_bytes), false)
        .map_err(|fault| refused(file, "data.pkl", &fault))
}

/// Returns the error of a pickle that was refused.
pub(super) fn refused(file: &str, entry: &str, fault: &pickle::Fault) -> TorchFileError {
    TorchFileError::Pickle {
        file: file.into(),
        entry: entry.into(),
        offset: fault.offset,
        opcode: opcodes::name(fault.opcode),
        code: fault.opcode,
        problem: fault.problem.clone(),
    }
}

/// Returns the folder in which `data.pkl` is, which torch names after the file, and whether the archive is TorchScript's.
fn folder<R: Read + Seek>(container: &Container<R>, file: &str) -> Result<(String, bool), TorchFileError> {
    let inside =
        |name: &str| container.names().any(|n| n.split_once('/').is_some_and(|(_, rest)| rest == name));
    let scripted = inside("constants.pkl") || container.names().any(|n| n.contains("/code/"));
    let mut folders = container.names().filter_map(|n| n.strip_suffix("data.pkl"));
    match (folders.next(), folders.next()) {
        (Some(folder), None) if folder.ends_with('/') || folder.is_empty() => {
            Ok((folder.to_owned(), scripted))
        }
        (Some(_), _) => Err(TorchFileError::Container {
            file: file.into(),
            problem: "more than one data.pkl, expected one checkpoint".into(),
        }),
        _ => Err(TorchFileError::OtherForm {
            file: file.into(),
            found: "a zip file without data.pkl".into(),
            hint: "give the .pt file itself, not an archive that holds it",
        }),
    }
}

fn expect_little_endian<R: Read + Seek>(
    container: &mut Container<R>,
    folder: &str,
    file: &str,
) -> Result<(), TorchFileError> {
    let entry = format!("{folder}byteorder");
    let Some(size) = container.size(&entry) else { return Ok(()) };
    let order = container.read(&entry, 0, size.min(16)).map_err(|fault| error(file, fault))?;
    if order == b"little" {
        return Ok(());
    }
    Err(TorchFileError::Container {
        file: file.into(),
        problem: format!("{entry} is {:?}, expected little", String::from_utf8_lossy(&order)),
    })
}

fn kind(scalar: Scalar) -> Kind {
    match scalar {
        Scalar::Float => Kind::Float,
        Scalar::Half => Kind::Half,
        Scalar::BFloat16 => Kind::BFloat16,
        Scalar::Double => Kind::Double,
        Scalar::Long => Kind::Int64,
        Scalar::Int => Kind::Int,
    }
}

/// Returns the error of a container.
pub(super) fn error(file: &str, fault: Fault) -> TorchFileError {
    let file = file.to_owned();
    match fault {
        Fault::Io(source) => TorchFileError::Io { file, source },
        Fault::Zip(problem) => TorchFileError::Container { file, problem },
        Fault::NoZip(head) => {
            let (found, hint) = if head.is_empty() {
                ("an empty file", "copy or download it again")
            } else if head.starts_with(b"\x80") {
                ("a bare pickle", "give a file that torch.save wrote")
            } else {
                ("no zip file", "give the .pt file itself; a download may have saved a web page in its place")
            };
            TorchFileError::OtherForm { file, found: found.into(), hint }
        }
    }
}
