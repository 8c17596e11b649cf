//! From microscope files to windows of T frames in an OME-Zarr plate, and back from the plate to arrays.
//!
//! Arrays here are `ndarray`, images `[T, C, H, W]` in camera counts, labels `[T, H, W]`. Nothing here knows a network.
//! Start with [`plate`], the contract that all five programs share.

pub mod axes;
pub mod loader;
mod ome_zarr;
pub mod output;
pub mod plate;
mod plate_writer;
mod store;

use std::path::PathBuf;

use crate::error::{Advice, Exit};

/// What can be wrong with files and plates.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DataError {
    /// Reading or writing failed.
    #[error("{path}: {source}", path = path.display())]
    Io {
        /// File or folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// An input is not there.
    #[error("{path} is not there, expected {expected}", path = path.display())]
    Missing {
        /// File or folder.
        path: PathBuf,
        /// What should be there.
        expected: String,
    },
    /// The output is there already.
    #[error("{path} already exists", path = path.display())]
    OutputExists {
        /// The output.
        path: PathBuf,
    },
    /// A folder or OME-Zarr store that is no plate of this package.
    #[error("{path}: not a LapseGAN plate: {found}", path = path.display())]
    NotAPlate {
        /// Folder.
        path: PathBuf,
        /// What it is instead.
        found: String,
    },
    /// An OME-Zarr or plate version that cannot be read.
    #[error("{path}: written as {found}, expected {expected}", path = path.display())]
    Version {
        /// Metadata file.
        path: PathBuf,
        /// Version found.
        found: String,
        /// Versions that can be read.
        expected: &'static str,
    },
    /// Metadata that is no JSON, lacks a field or contradicts itself.
    #[error("{path}: {field}: {found}", path = path.display())]
    Metadata {
        /// Metadata file.
        path: PathBuf,
        /// Field, dots between levels.
        field: String,
        /// What is wrong with it.
        found: String,
    },
    /// The file that holds an image's or label's pixels is gone.
    #[error("{path}: image data is missing, expected the pixels of all frames", path = path.display())]
    MissingPixels {
        /// Shard file.
        path: PathBuf,
    },
    /// The pixels do not match their checksum or length.
    #[error("{path}: image data is damaged: {found}", path = path.display())]
    DamagedPixels {
        /// Shard file.
        path: PathBuf,
        /// What the decoder said.
        found: String,
    },
    /// A plate without a sequence of a split that is needed.
    #[error("{path}: no sequence of split `{split}`", path = path.display())]
    EmptySplit {
        /// The plate.
        path: PathBuf,
        /// The split.
        split: &'static str,
    },
    /// A sequence that does not fit the plate it is written to.
    #[error("sequence {index}: {field} is {found}, expected {expected}")]
    Unfit {
        /// Index of the sequence.
        index: usize,
        /// What does not fit.
        field: &'static str,
        /// What it is.
        found: String,
        /// What the plate wants.
        expected: String,
    },
}

impl DataError {
    /// Returns the error of a system call on `path`.
    pub(crate) fn io(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { path, source }
    }
}

impl Advice for DataError {
    fn exit(&self) -> Exit {
        match self {
            Self::Io { source, .. } if source.kind() == std::io::ErrorKind::NotFound => Exit::InputMissing,
            Self::Missing { .. } => Exit::InputMissing,
            Self::OutputExists { .. } => Exit::OutputExists,
            Self::Io { .. } | Self::Unfit { .. } => Exit::Failed,
            _ => Exit::BadInput,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Io { source, .. } => match source.kind() {
                std::io::ErrorKind::NotFound => Some("check the path".into()),
                std::io::ErrorKind::StorageFull => Some(
                    "free space on that disk, or choose another --output; nothing was left under the final name".into(),
                ),
                std::io::ErrorKind::PermissionDenied => Some("check who may read and write there".into()),
                _ => None,
            },
            Self::Missing { .. } => Some("check the path".into()),
            Self::OutputExists { .. } => Some("choose another name or pass --overwrite".into()),
            Self::NotAPlate { .. } => Some("give a plate that prepare or generate wrote".into()),
            Self::Version { .. } => Some("convert it to OME-Zarr 0.5, or write the plate again with prepare".into()),
            Self::Metadata { .. } => Some("the plate was changed or is incomplete; write it again".into()),
            Self::MissingPixels { .. } | Self::DamagedPixels { .. } => {
                Some("copy the plate again, or write it again; nothing was read in its place".into())
            }
            Self::EmptySplit { .. } => Some("prepare a plate from more frames or positions".into()),
            Self::Unfit { .. } => None,
        }
    }
}
