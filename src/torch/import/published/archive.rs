//! A published checkpoint on disk: its parts, and its tensors one at a time.

use std::fs::File;
use std::io::{Read, Seek};
use std::path::Path;

use tch::{Kind, Tensor};

use super::container::{Container, Fault};
use super::layout::{self, Parts};
use super::value::{Pickle, Scalar, TensorRef};
use super::{PublishedError, opcodes, pickle};

/// First bytes of the form that torch wrote before 1.6: a pickle of its magic number.
const LEGACY_MAGIC: &[u8] = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19";

/// An opened checkpoint. Only names and shapes are in memory.
#[derive(Debug)]
pub struct Published<R> {
    file: String,
    container: Container<R>,
    /// Name of the folder inside the container, with a slash.
    folder: String,
    /// Networks and optimiser states.
    pub parts: Parts,
}

impl Published<File> {
    /// Opens a checkpoint file.
    ///
    /// # Errors
    /// [`PublishedError`] naming file, place and what was expected there.
    pub fn open(path: &Path) -> Result<Self, PublishedError> {
        let file = path.display().to_string();
        // A folder can be opened on Linux, but not read; the opening of a pipe waits for somebody who writes.
        let opened = std::fs::metadata(path).and_then(|about| match about.file_type() {
            kind if kind.is_dir() => Err(std::io::ErrorKind::IsADirectory.into()),
            kind if kind.is_file() => File::open(path),
            _ => Err(std::io::Error::new(std::io::ErrorKind::InvalidInput, "is a pipe or device")),
        });
        match opened {
            Ok(reader) => Self::read(reader, file),
            Err(source) => Err(PublishedError::Io { file, source }),
        }
    }
}

impl<R: Read + Seek> Published<R> {
    /// Reads the parts of a checkpoint; `file` is its name in messages.
    ///
    /// # Errors
    /// As [`Published::open`].
    pub fn read(reader: R, file: String) -> Result<Self, PublishedError> {
        let mut container = Container::open(reader).map_err(|fault| error(&file, fault))?;
        let folder = folder(&container, &file)?;
        let entry = format!("{folder}data.pkl");
        let size = container.size(&entry).unwrap_or(0);
        if size > pickle::MOST_BYTES {
            let problem = format!("{entry} has {size} bytes, at most {} are read", pickle::MOST_BYTES);
            return Err(PublishedError::Container { file, problem });
        }
        expect_little_endian(&mut container, &folder, &file)?;
        let bytes = container.read(&entry, 0, size).map_err(|fault| error(&file, fault))?;
        let storage_bytes = |key: &str| container.size(&format!("{folder}data/{key}"));
        let pickle = run(&bytes, &storage_bytes, &file, &entry)?;
        let parts = layout::find(&pickle).map_err(|wrong| PublishedError::Layout {
            file: file.clone(),
            place: wrong.place,
            problem: wrong.problem,
        })?;
        // Many names for one storage would make a small file fill the memory.
        let wanted = parts.tensors().map(|t| t.bytes().max(t.span * t.storage.scalar.bytes())).sum::<u64>();
        if wanted > container.length() {
            let problem =
                format!("tensors of {wanted} bytes in a file of {}: storages are shared", container.length());
            return Err(PublishedError::Layout { file, place: "tensors".into(), problem });
        }
        Ok(Self { file, container, folder, parts })
    }

    /// Returns the name of the file, for messages.
    pub fn file(&self) -> &str {
        &self.file
    }

    /// Reads a tensor, contiguous, in its own type.
    ///
    /// # Errors
    /// [`PublishedError::Container`] where the storage is damaged.
    pub fn tensor(&mut self, view: &TensorRef) -> Result<Tensor, PublishedError> {
        let (kind, width) = (kind(view.storage.scalar), view.storage.scalar.bytes());
        let entry = format!("{}data/{}", self.folder, view.storage.key);
        let bytes = self
            .container
            .read(&entry, view.offset * width, view.span * width)
            .map_err(|fault| error(&self.file, fault))?;
        let wrong = |e: tch::TchError| PublishedError::Container {
            file: self.file.clone(),
            problem: format!("entry {entry}: {e}"),
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

/// Checks a bare pickle as [`Published::read`] would, without a container; `storages` are the lengths of its storages
/// in bytes, by number. For tests and tools that look at hostile files.
///
/// # Errors
/// As [`Published::open`].
pub fn check_pickle(bytes: &[u8], storages: &[u64], file: &str) -> Result<Parts, PublishedError> {
    let storage_bytes = |key: &str| storages.get(key.parse::<usize>().ok()?).copied();
    let pickle = run(bytes, &storage_bytes, file, "data.pkl")?;
    layout::find(&pickle).map_err(|wrong| PublishedError::Layout {
        file: file.into(),
        place: wrong.place,
        problem: wrong.problem,
    })
}

fn run(
    bytes: &[u8],
    storage_bytes: &dyn Fn(&str) -> Option<u64>,
    file: &str,
    entry: &str,
) -> Result<Pickle, PublishedError> {
    pickle::load(bytes, storage_bytes).map_err(|fault| PublishedError::Pickle {
        file: file.into(),
        entry: entry.into(),
        offset: fault.offset,
        opcode: opcodes::name(fault.opcode),
        code: fault.opcode,
        problem: fault.problem,
    })
}

/// Returns the folder in which `data.pkl` is; torch names it after the file.
fn folder<R: Read + Seek>(container: &Container<R>, file: &str) -> Result<String, PublishedError> {
    let other =
        |found: &str, hint| PublishedError::OtherForm { file: file.into(), found: found.into(), hint };
    let inside =
        |name: &str| container.names().any(|n| n.split_once('/').is_some_and(|(_, rest)| rest == name));
    if inside("constants.pkl") || container.names().any(|n| n.contains("/code/")) {
        return Err(other(
            "a TorchScript archive",
            "give the checkpoint that the training program saved, not a traced or scripted network",
        ));
    }
    let mut folders = container.names().filter_map(|n| n.strip_suffix("data.pkl"));
    match (folders.next(), folders.next()) {
        (Some(folder), None) if folder.ends_with('/') || folder.is_empty() => Ok(folder.to_owned()),
        (Some(_), _) => Err(PublishedError::Container {
            file: file.into(),
            problem: "more than one data.pkl, expected one checkpoint".into(),
        }),
        _ => Err(other(
            "a zip file without data.pkl",
            "give the .pt file itself, not an archive that holds it",
        )),
    }
}

fn expect_little_endian<R: Read + Seek>(
    container: &mut Container<R>,
    folder: &str,
    file: &str,
) -> Result<(), PublishedError> {
    let entry = format!("{folder}byteorder");
    let Some(size) = container.size(&entry) else { return Ok(()) };
    let order = container.read(&entry, 0, size.min(16)).map_err(|fault| error(file, fault))?;
    if order == b"little" {
        return Ok(());
    }
    Err(PublishedError::Container {
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

fn error(file: &str, fault: Fault) -> PublishedError {
    let file = file.to_owned();
    match fault {
        Fault::Io(source) => PublishedError::Io { file, source },
        Fault::Zip(problem) => PublishedError::Container { file, problem },
        Fault::NoZip(head) => {
            let (found, hint) = if head.starts_with(LEGACY_MAGIC) {
                (
                    "a checkpoint in the form of torch before 1.6",
                    "save it again with a newer torch, on a machine where you trust the file: python -c \"import torch; torch.save(torch.load('old.pt', map_location='cpu', weights_only=True), 'new.pt')\"",
                )
            } else if head.is_empty() {
                ("an empty file", "copy or download it again")
            } else if head.starts_with(b"\x80") {
                ("a bare pickle", "give a file that torch.save wrote")
            } else {
                ("no zip file", "give the .pt file itself; a download may have saved a web page in its place")
            };
            PublishedError::OtherForm { file, found: found.into(), hint }
        }
    }
}
