//! From microscope files to windows of T frames in an OME-Zarr plate, and back from the plate to arrays.
//!
//! Arrays here are `ndarray`, images `[T, C, H, W]` in camera counts, labels `[T, H, W]`. Nothing here knows a network.
//! Start with [`plate`], the contract that all five programs share.

pub mod assembly;
pub mod axes;
pub mod differences;
mod file_names;
mod grid;
pub mod image_file;
pub mod intensity;
pub mod labels;
pub mod merge;
mod ome_zarr;
pub mod output;
mod pairing;
pub mod plate;
mod plate_writer;
pub mod png;
pub mod recording;
pub mod samplesheet;
pub mod sequence;
mod sheet;
pub mod source;
mod store;
pub mod tiff;

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
    /// An image file with pixels of a kind that cannot be used.
    #[error("{path}: holds {found}, expected {expected}", path = path.display())]
    PixelType {
        /// Image file.
        path: PathBuf,
        /// What its pixels are.
        found: String,
        /// What they should be.
        expected: &'static str,
    },
    /// A TIFF file with more than one page.
    #[error("{path}: holds a stack of {pages} pages, expected one frame per file", path = path.display())]
    Stack {
        /// Image file.
        path: PathBuf,
        /// Number of pages.
        pages: usize,
    },
    /// An image file that is cut or damaged.
    #[error("{path}: cannot be decoded: {found}, expected a whole image", path = path.display())]
    Undecodable {
        /// Image file.
        path: PathBuf,
        /// What the decoder said.
        found: String,
    },
    /// An image of another size than its companions.
    #[error("{path}: is {found}, expected {expected} as {of}", path = path.display())]
    Size {
        /// Image file.
        path: PathBuf,
        /// Width x height.
        found: String,
        /// Width x height wanted, and other sizes that would do.
        expected: String,
        /// The image that set the size.
        of: String,
        /// What to do about it.
        hint: &'static str,
    },
    /// A frame that one channel or label folder has and another lacks.
    #[error("{path}: {found}, expected {expected}", path = path.display())]
    Frames {
        /// Folder.
        path: PathBuf,
        /// What is missing.
        found: String,
        /// What should be there.
        expected: String,
    },
    /// A channel whose training pixels all have one value.
    #[error("channel {channel}: every training pixel is {value} counts, expected an image")]
    Constant {
        /// Channel name.
        channel: String,
        /// Its only value.
        value: u16,
    },
    /// A setting that does not suit the recording.
    #[error("{field}: is {found}, expected {expected}")]
    Setting {
        /// Setting, as the flag is called.
        field: &'static str,
        /// Its value.
        found: String,
        /// Values that would do.
        expected: String,
    },
    /// A samplesheet with something wrong in it.
    #[error("{path}: {problems}", path = path.display())]
    Samplesheet {
        /// The file.
        path: PathBuf,
        /// Every problem, with line and column.
        problems: String,
        /// True where all that is wrong is that paths are not there.
        only_missing: bool,
    },
    /// Parts of a run that make no whole.
    #[error("{found}")]
    Parts {
        /// Which parts, and what is wrong with them.
        found: String,
        /// What to do about it.
        hint: &'static str,
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
    pub fn io(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { path, source }
    }
}

impl DataError {
    pub(crate) fn pixel_type(path: &std::path::Path, found: &str) -> Self {
        let expected = "8-bit or 16-bit unsigned grey";
        Self::PixelType { path: path.to_owned(), found: found.to_owned(), expected }
    }
}

impl Advice for DataError {
    fn exit(&self) -> Exit {
        match self {
            Self::Io { source, .. } if source.kind() == std::io::ErrorKind::NotFound => Exit::InputMissing,
            Self::Missing { .. } | Self::Samplesheet { only_missing: true, .. } => Exit::InputMissing,
            Self::OutputExists { .. } => Exit::OutputExists,
            Self::Setting { .. } => Exit::Usage,
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
            Self::PixelType { expected, .. } if expected.contains("ids") => {
                Some("save label images as 16-bit integers, one number per object".into())
            }
            Self::PixelType { .. } => {
                Some("save one grey channel per file as 16-bit TIFF, as it came from the camera".into())
            }
            Self::Stack { .. } => Some("save the stack as an image sequence (Fiji: File > Save As > Image Sequence)".into()),
            Self::Undecodable { .. } => Some("copy the file again from the microscope; hidden files are passed over".into()),
            Self::Samplesheet { only_missing: true, .. } => {
                Some("paths are relative to the samplesheet, or to --base; --missing-ok checks the rest".into())
            }
            Self::Samplesheet { .. } => Some("prepare check --help says what a samplesheet looks like".into()),
            Self::Size { hint, .. } | Self::Parts { hint, .. } => Some((*hint).into()),
            Self::Frames { .. } => {
                Some("every channel and label folder needs one file per frame with the same number in its name".into())
            }
            Self::Constant { .. } => Some("leave this channel out, or check that the right folder was given".into()),
            Self::Setting { field, .. } => Some(format!("change {field}, or see prepare --help")),
            Self::Unfit { .. } => None,
        }
    }
}
