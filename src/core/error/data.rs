//! What can be wrong with files and plates.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::{Advice, Exit, LabelError, OutputError};

/// What can be wrong with files and plates.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DataError {
    /// No label, or several that could be meant.
    #[error("{path}: {source}", path = path.display())]
    Label {
        /// Plate or checkpoint.
        path: PathBuf,
        /// Which labels there are.
        source: LabelError,
    },
    /// Reading or writing failed.
    #[error("{path}: {source}", path = path.display())]
    Io {
        /// File or folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// An input is there, but cannot be read.
    #[error("{path} cannot be read: {source}", path = path.display())]
    Unreadable {
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
    /// The output is not written, or not under its name.
    #[error(transparent)]
    Output(#[from] OutputError),
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
    /// An input that is there, but is something else than what can be read.
    #[error("{path}: {found}, expected {expected}", path = path.display())]
    Unusable {
        /// File or folder.
        path: PathBuf,
        /// What it is or holds.
        found: String,
        /// What it should be or hold.
        expected: String,
        /// What to do about it.
        hint: String,
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
    #[error("channel {channel}: every training pixel is {value} counts{rest}, expected an image", rest = elsewhere.map_or_else(String::new, |(min, max)| format!(" (all frames together hold {min} to {max})")))]
    Constant {
        /// Channel name.
        channel: String,
        /// Its only value.
        value: u16,
        /// Smallest and largest count of all its frames, where they are not this value alone.
        elsewhere: Option<(u16, u16)>,
    },
    /// Label images that cannot be what they were given as.
    #[error("labels {labels}: {found}")]
    Labels {
        /// Their names.
        labels: String,
        /// What is wrong with them.
        found: String,
        /// What to do about it.
        hint: String,
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

    /// Returns the error of a system call that reads the input `path`.
    pub fn read(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| match source.kind() {
            ErrorKind::PermissionDenied
            | ErrorKind::IsADirectory
            | ErrorKind::NotADirectory
            | ErrorKind::InvalidFilename => Self::Unreadable { path, source },
            // Links that lead in a circle have no stable name in the standard library yet.
            _ if source.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error()) => {
                Self::Unreadable { path, source }
            }
            _ => Self::Io { path, source },
        }
    }

    /// Returns the error of a decoder that reads the input `path`: of the file's content, where it was not the system
    /// that failed.
    pub(crate) fn decode(path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |source| match source.raw_os_error() {
            // The system calls it an invalid argument where the file says to go on at an impossible place.
            Some(_) if source.kind() != ErrorKind::InvalidInput => Self::read(path)(source),
            _ => Self::Undecodable { path, found: source.to_string() },
        }
    }
}

impl DataError {
    pub(crate) fn pixel_type(path: &Path, found: &str) -> Self {
        let expected = "8-bit or 16-bit unsigned grey";
        Self::PixelType { path: path.to_owned(), found: found.to_owned(), expected }
    }
}

impl Advice for DataError {
    fn exit(&self) -> Exit {
        match self {
            Self::Io { source, .. } if source.kind() == ErrorKind::NotFound => Exit::InputMissing,
            Self::Missing { .. } | Self::Unreadable { .. } | Self::Samplesheet { only_missing: true, .. } => {
                Exit::InputMissing
            }
            Self::OutputExists { .. } => Exit::OutputExists,
            Self::Label { source, .. } => source.exit(),
            Self::Output(error) => error.exit(),
            Self::Setting { .. } => Exit::Usage,
            Self::Io { source, .. } if in_the_way(source) => Exit::BadInput,
            Self::Io { .. } | Self::Unfit { .. } => Exit::Failed,
            _ => Exit::BadInput,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Io { source, .. } => match source.kind() {
                ErrorKind::NotFound => Some("check the path".into()),
                ErrorKind::StorageFull => Some(
                    "free space on that disk, or choose another --output; nothing was left under the final name".into(),
                ),
                ErrorKind::PermissionDenied => Some("check who may read and write there".into()),
                _ if in_the_way(source) => {
                    Some("a folder stands where a file belongs, or a file where a folder does: move it away".into())
                }
                _ => None,
            },
            Self::Unreadable { source, .. } if source.kind() == ErrorKind::PermissionDenied => {
                Some("check who may read it: ls -l shows it, chmod changes it".into())
            }
            Self::Missing { .. } | Self::Unreadable { .. } => Some("check the path".into()),
            Self::Label { source, .. } => source.hint(),
            Self::Output(error) => error.hint(),
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
            Self::Unusable { hint, .. } | Self::Labels { hint, .. } => Some(hint.clone()),
            Self::Frames { .. } => {
                Some("every channel and label needs one image per frame with the same time in its name; --missing skip leaves out what some lack".into())
            }
            Self::Constant { elsewhere: Some(_), .. } => {
                Some("train on frames that show something: more positions, a longer movie, another --block or --seed".into())
            }
            Self::Constant { .. } => Some("leave this channel out, or check that the right folder was given".into()),
            Self::Setting { field, .. } => Some(format!("change {field}, or see prepare --help")),
            Self::Unfit { .. } => None,
        }
    }
}

/// Returns whether a folder stands in the way of a file, or the other way round.
fn in_the_way(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::IsADirectory | ErrorKind::NotADirectory)
}

#[cfg(test)]
mod tests {
    use std::io::Error;

    use super::*;

    #[test]
    fn input_that_cannot_be_read_is_told_from_input_that_makes_no_sense() {
        let read = |error: Error| DataError::read("rec/t0.tif")(error);
        // EACCES, EISDIR, ENOTDIR, ELOOP, ENAMETOOLONG, ENOENT; EIO is no fault of the call.
        for code in [13, 21, 20, 40, 36, 2] {
            let error = read(Error::from_raw_os_error(code));
            assert_eq!(error.exit(), Exit::InputMissing, "{error}");
            assert!(error.to_string().contains("rec/t0.tif") && error.hint().is_some(), "{error}");
        }
        assert!(read(Error::from_raw_os_error(13)).hint().unwrap().contains("who may read"));
        assert_eq!(read(Error::from_raw_os_error(5)).exit(), Exit::Failed);
        assert_eq!(DataError::io("out")(Error::from_raw_os_error(13)).exit(), Exit::Failed);
        for code in [20, 21] {
            let error = DataError::io("run/latest")(Error::from_raw_os_error(code));
            assert!(error.exit() == Exit::BadInput && error.hint().unwrap().contains("move it away"));
        }
        let decode = |error: Error| DataError::decode(Path::new("t0.tif"))(error);
        // What a decoder says, and EINVAL for a place behind all places; EACCES and EIO are the system's.
        for error in [
            Error::other("corrupt deflate stream"),
            Error::new(ErrorKind::InvalidInput, "corrupt deflate stream"),
            Error::new(ErrorKind::InvalidData, "invalid code"),
            ErrorKind::UnexpectedEof.into(),
            Error::from_raw_os_error(22),
        ] {
            let error = decode(error);
            assert!(matches!(error, DataError::Undecodable { .. }) && error.exit() == Exit::BadInput);
            assert!(error.hint().is_some());
        }
        assert_eq!(decode(Error::from_raw_os_error(13)).exit(), Exit::InputMissing);
        assert_eq!(decode(Error::from_raw_os_error(5)).exit(), Exit::Failed);
    }
}
