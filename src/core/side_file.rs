//! Files that are read whole: settings, sheets, metadata. A limit keeps a wrong path from filling memory, and a pipe or
//! device is refused, since reading it might never end.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read};
use std::path::Path;

use crate::error::DataError;

/// Longest file of settings.
pub const SETTINGS: u64 = 1 << 20;
/// Longest samplesheet.
pub const SHEET: u64 = 16 << 20;
/// Longest file of metadata: a plate of a million sequences has about 100 MiB.
pub const METADATA: u64 = 512 << 20;

/// Reads a file of at most `most` bytes.
///
/// # Errors
/// [`DataError`] of a file that is missing, may not be read, is no regular one, or longer.
pub fn read(path: &Path, most: u64) -> Result<Vec<u8>, DataError> {
    bytes(path, most).map_err(|e| {
        // An error without a code of the system is one of ours.
        if e.raw_os_error().is_some() || e.kind() != ErrorKind::InvalidInput {
            return DataError::read(path)(e);
        }
        DataError::Unusable {
            path: path.to_owned(),
            found: e.to_string(),
            expected: format!("a file of at most {}", in_words(most)),
            hint: "check that this is the file you meant".into(),
        }
    })
}

/// Reads a file of at most `most` bytes.
///
/// # Errors
/// What the system says; for what is no regular file, or a longer one, an error without a code of the system.
pub fn bytes(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let about = fs::metadata(path)?;
    if !about.is_file() {
        let what = if about.is_dir() { "is a folder" } else { "is a pipe or device" };
        return Err(io::Error::new(ErrorKind::InvalidInput, what));
    }
    let long = |length| io::Error::new(ErrorKind::InvalidInput, format!("is {} long", in_words(length)));
    if about.len() > most {
        return Err(long(about.len()));
    }
    let mut bytes = Vec::new();
    bytes.try_reserve_exact(usize::try_from(about.len()).unwrap_or(usize::MAX))?;
    // It may grow while it is read.
    File::open(path)?.take(most.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most { Err(long(bytes.len() as u64)) } else { Ok(bytes) }
}

fn in_words(bytes: u64) -> String {
    match bytes {
        0..1024 => format!("{bytes} bytes"),
        1024..0x10_0000 => format!("{:.0} KiB", bytes as f64 / 1024.0),
        _ => format!("{:.0} MiB", bytes as f64 / f64::from(1 << 20)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::{Advice, Exit};

    #[test]
    fn only_regular_files_up_to_the_limit_are_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.toml");
        fs::write(&path, "12345678").unwrap();
        assert_eq!(read(&path, 8).unwrap(), b"12345678");
        for (path, most, part) in [
            (path.as_path(), 7, "is 8 bytes long, expected a file of at most 7 bytes"),
            (dir.path(), 8, "is a folder, expected a file"),
            (Path::new("/dev/zero"), SETTINGS, "is a pipe or device, expected a file of at most 1 MiB"),
        ] {
            let error = read(path, most).unwrap_err();
            assert_eq!(error.exit(), Exit::BadInput, "{error}");
            assert!(error.to_string().contains(part) && error.hint().is_some(), "{error}");
        }
        // A file of the system says that it is empty, and is not.
        assert!(read(Path::new("/proc/self/status"), 8).is_err());
        assert_eq!(read(&dir.path().join("gone"), 8).unwrap_err().exit(), Exit::InputMissing);
        assert_eq!(read(&path.join("below"), 8).unwrap_err().exit(), Exit::InputMissing);
    }
}
