//! Whether what the header of an image declares fits into its file and into memory, asked before memory is taken.
//!
//! A header of a few bytes can declare a plane of any size. Compression has an upper limit, so a file can hold only so
//! many pixels; and what it can hold must fit into the memory that is left, since running out of it ends a program
//! without a word.

use std::fs::File;
use std::path::Path;
use std::sync::{Condvar, Mutex, PoisonError};

use crate::error::DataError;
use crate::memory;

/// Planes that need less than this many bytes are not compared with memory: asking the system takes longer.
const SMALL: u64 = 16 << 20;

/// Bytes that deflate makes of one byte at most: 258 of two bits.
pub(super) const DEFLATE: u64 = 1032;

/// What a header says, before it is believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Declared {
    /// Rows and columns.
    pub(super) size: (u64, u64),
    /// Bits per pixel.
    pub(super) bits: u64,
    /// Bytes of the file that can hold pixels, those counted twice that stand for two parts of the plane.
    pub(super) stored: u64,
    /// Bytes that can come of one of them at most.
    pub(super) ratio: u64,
}

/// Memory that a plane in work may take; it is given back when this is dropped.
#[derive(Debug)]
#[must_use = "dropping it lets others take the memory"]
pub(super) struct Room(u64);

/// Bytes that planes in work may take together, and the word that some were given back.
static IN_WORK: Mutex<u64> = Mutex::new(0);
static GIVEN_BACK: Condvar = Condvar::new();

impl Declared {
    /// Returns the bytes of all pixels as they come from the decoder.
    pub(super) fn bytes(&self) -> u64 {
        let row = self.size.1.saturating_mul(self.bits).div_ceil(8);
        row.saturating_mul(self.size.0)
    }

    /// Checks a plane of a file with this many bytes.
    ///
    /// # Errors
    /// [`DataError::Unusable`] with both sizes where the file cannot hold the plane, or memory cannot.
    pub(super) fn check(&self, path: &Path) -> Result<(), DataError> {
        self.check_in(path, if self.memory() < SMALL { None } else { memory::available() })
    }

    /// Waits until other planes in work leave enough memory for this one.
    ///
    /// # Errors
    /// As [`Self::check`].
    pub(super) fn take_room(&self, path: &Path) -> Result<Room, DataError> {
        self.check_in(path, None)?;
        let need = self.memory();
        if need < SMALL {
            return Ok(Room(0));
        }
        let mut in_work = IN_WORK.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            let left = memory::available();
            // What others may take, they may not have taken yet.
            if left.is_none_or(|left| need <= left.saturating_sub(*in_work)) {
                *in_work += need;
                return Ok(Room(need));
            }
            if *in_work == 0 {
                self.check_in(path, left)?;
            }
            in_work = GIVEN_BACK.wait(in_work).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Returns the bytes that are needed at once: as decoded, as numbers, and as counts or ids.
    fn memory(&self) -> u64 {
        let per_pixel = if self.bits <= 16 { 8 } else { 20 };
        self.size.0.saturating_mul(self.size.1).saturating_mul(per_pixel)
    }

    fn check_in(&self, path: &Path, left: Option<u64>) -> Result<(), DataError> {
        let what = format!("{} x {} pixels of {} bits", self.size.1, self.size.0, self.bits);
        let most = self.stored.saturating_mul(self.ratio);
        if self.bytes() > most {
            return Err(DataError::Unusable {
                path: path.to_owned(),
                found: format!("its header declares {what}, which are {}", in_words(self.bytes())),
                expected: format!(
                    "at most {}, as more cannot come of its {} bytes",
                    in_words(most),
                    self.stored
                ),
                hint: "the file is cut or damaged: copy it again from the microscope".into(),
            });
        }
        match left {
            Some(left) if left < self.memory() => Err(no_memory(path, &what, self.memory(), left)),
            _ => Ok(()),
        }
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        if self.0 > 0 {
            *IN_WORK.lock().unwrap_or_else(PoisonError::into_inner) -= self.0;
            GIVEN_BACK.notify_all();
        }
    }
}

/// Checks that `need` bytes can be had for `what`, which begins at `path`.
///
/// # Errors
/// [`DataError::Unusable`] with both sizes.
pub(super) fn expect_memory(path: &Path, what: &str, need: u64) -> Result<(), DataError> {
    match memory::available().filter(|_| need >= SMALL) {
        Some(left) if left < need => Err(no_memory(path, what, need, left)),
        _ => Ok(()),
    }
}

fn no_memory(path: &Path, what: &str, need: u64, left: u64) -> DataError {
    DataError::Unusable {
        path: path.to_owned(),
        found: format!("{what} need {} of memory", in_words(need)),
        expected: format!("at most the {} that are left", in_words(left)),
        hint: "take a machine or job with more memory, or cut the frames into smaller ones before".into(),
    }
}

/// Opens a file of an image, but no pipe or device, which would be read for ever.
///
/// # Errors
/// [`DataError`] of a file that is not there, may not be read, or is no regular one.
pub(super) fn open(path: &Path) -> Result<(File, u64), DataError> {
    let about = std::fs::metadata(path).map_err(DataError::read(path))?;
    if !about.is_file() {
        return Err(DataError::Unusable {
            path: path.to_owned(),
            found: if about.is_dir() { "is a folder" } else { "is a pipe or device" }.into(),
            expected: "an image file".into(),
            hint: "give folders of TIFF or PNG files, one per frame".into(),
        });
    }
    Ok((File::open(path).map_err(DataError::read(path))?, about.len()))
}

/// Returns a number of bytes as people write it.
fn in_words(bytes: u64) -> String {
    match bytes {
        0..10_000 => format!("{bytes} bytes"),
        10_000..1_000_000 => format!("{:.1} kB", bytes as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} MB", bytes as f64 / 1e6),
        _ => format!("{:.1} GB", bytes as f64 / 1e9),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::{Advice, Exit};

    const PLANE: Declared = Declared { size: (2_147_483_647, 32), bits: 16, stored: 190, ratio: DEFLATE };

    #[test]
    fn a_plane_that_the_file_or_memory_cannot_hold_is_refused_with_both_sizes() {
        let path = Path::new("m.png");
        let error = PLANE.check(path).unwrap_err();
        assert_eq!(error.exit(), Exit::BadInput);
        let text = error.to_string();
        for part in ["m.png", "32 x 2147483647 pixels of 16 bits", "137.4 GB", "196.1 kB", "190 bytes"] {
            assert!(text.contains(part), "{part}: {text}");
        }
        let large = Declared { size: (60_000, 60_000), bits: 8, stored: 4_000_000, ratio: DEFLATE };
        let text = large.check_in(path, Some(6_000_000_000)).unwrap_err().to_string();
        assert!(text.contains("28.8 GB of memory, expected at most the 6.0 GB"), "{text}");
        assert!(large.check_in(path, Some(28_800_000_000)).is_ok() && large.check_in(path, None).is_ok());
        let most = Declared { size: (u64::MAX, u64::MAX), bits: 64, stored: 1 << 40, ratio: DEFLATE };
        assert!(most.check(path).is_err());
    }

    #[test]
    fn planes_in_work_wait_for_each_other() {
        let left = memory::available().unwrap();
        // Two of them never fit at once, one always does.
        let side = ((left * 6 / 10 / 8) as f64).sqrt() as u64;
        let plane = Declared { size: (side, side), bits: 16, stored: side * side * 2, ratio: 1 };
        let most = std::sync::atomic::AtomicUsize::new(0);
        let now = std::sync::atomic::AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    let _room = plane.take_room(Path::new("a.tif")).unwrap();
                    most.fetch_max(
                        now.fetch_add(1, std::sync::atomic::Ordering::SeqCst) + 1,
                        std::sync::atomic::Ordering::SeqCst,
                    );
                    std::thread::sleep(std::time::Duration::from_millis(20));
                    now.fetch_sub(1, std::sync::atomic::Ordering::SeqCst);
                });
            }
        });
        assert_eq!(most.into_inner(), 1);
    }
}
