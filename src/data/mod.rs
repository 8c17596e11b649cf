//! From microscope files to windows of T frames in an OME-Zarr plate, and back from the plate to arrays.
//!
//! Arrays here are `ndarray`, images `[T, C, H, W]` in camera counts, labels `[T, H, W]`. Nothing here knows a network.
//! Start with [`plate`], the contract that all five programs share.

pub mod labels;
pub mod output;
pub mod plate;

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
    /// The output is there already.
    #[error("{path} already exists", path = path.display())]
    OutputExists {
        /// The output.
        path: PathBuf,
    },
}

impl Advice for DataError {
    fn exit(&self) -> Exit {
        match self {
            Self::Io { source, .. } if source.kind() == std::io::ErrorKind::NotFound => Exit::InputMissing,
            Self::Io { .. } => Exit::Failed,
            Self::OutputExists { .. } => Exit::OutputExists,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Io { source, .. } => match source.kind() {
                std::io::ErrorKind::NotFound => Some("check the path".into()),
                std::io::ErrorKind::StorageFull => {
                    Some("free space on that disk, or choose another --output; nothing was left under the final name".into())
                }
                _ => None,
            },
            Self::OutputExists { .. } => Some("choose another name or pass --overwrite".into()),
        }
    }
}
