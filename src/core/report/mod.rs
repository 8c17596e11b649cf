//! Reports: contact sheets, plots, self-contained HTML pages.
//!
//! This module knows arrays, colours and text, but no plate, network or metric, so every program may use it. Start with
//! [`mod@contact_sheet`] for pictures of sequences and [`html`] for a page that holds everything in one file.

pub mod animation;
pub mod contact_sheet;
mod font;
pub mod html;
pub mod plots;
pub mod png;
pub mod summary;

use std::path::PathBuf;

use crate::error::{Advice, Exit};

pub use animation::{Animation, AnimationForm};
pub use contact_sheet::{Panel, contact_sheet, grid, overview};
pub use html::{Figure, Page, Table, TableCell};
pub use plots::{IntervalPlot, LinePlot};
pub use png::RgbImage;

/// What can go wrong with a picture or a page.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReportError {
    /// Writing failed.
    #[error("{path}: {source}", path = path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Pixels and size of a picture do not belong together.
    #[error("picture of {width}x{height} pixels has {actual} bytes, expected {expected}")]
    Size {
        /// Columns.
        width: usize,
        /// Rows.
        height: usize,
        /// Bytes that are there.
        actual: usize,
        /// Bytes that the size asks for.
        expected: usize,
    },
    /// The PNG encoder refused a picture.
    #[error("cannot encode a picture of {width}x{height} pixels as PNG: {message}")]
    Encode {
        /// Columns.
        width: usize,
        /// Rows.
        height: usize,
        /// What the encoder said.
        message: String,
    },
}

impl Advice for ReportError {
    fn exit(&self) -> Exit {
        match self {
            Self::Io { source, .. } if source.kind() == std::io::ErrorKind::NotFound => Exit::InputMissing,
            _ => Exit::Failed,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Io { source, .. } => match source.kind() {
                std::io::ErrorKind::NotFound => {
                    Some("the folder must exist before a picture is written into it".into())
                }
                std::io::ErrorKind::StorageFull => {
                    Some("free space on that disk, or choose another --output".into())
                }
                _ => None,
            },
            Self::Size { .. } => None,
            Self::Encode { .. } => {
                Some("show fewer or smaller panels: a PNG holds at most 2^31 pixels per side".into())
            }
        }
    }
}
