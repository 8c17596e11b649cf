//! A TIFF file that begins with another of its pages.
//!
//! The decoder reaches a page by walking through all before it. Where the place of its directory is known, a head that
//! points there leads to it at once.

use std::io::{self, Read, Seek, SeekFrom};

/// A file whose head points to another directory.
pub(crate) struct FirstAt<R> {
    inner: R,
    /// The first bytes, as they are to be read.
    head: Vec<u8>,
    at: u64,
}

impl<R: Read + Seek> FirstAt<R> {
    /// Returns the file with the directory at `first` as its first; `None` leaves it as it is.
    pub(crate) fn new(mut inner: R, first: Option<u64>) -> io::Result<Self> {
        let mut head = Vec::new();
        if let Some(first) = first {
            inner.by_ref().take(16).read_to_end(&mut head)?;
            let little = head.starts_with(b"II");
            let big = matches!(head[..], [_, _, 43, 0, ..] | [_, _, 0, 43, ..]);
            head.truncate(if big { 16 } else { 8 });
            let (place, bytes) = if big {
                (8, if little { first.to_le_bytes() } else { first.to_be_bytes() }.to_vec())
            } else {
                let first = u32::try_from(first).unwrap_or(u32::MAX);
                (4, if little { first.to_le_bytes() } else { first.to_be_bytes() }.to_vec())
            };
            if let Some(pointer) = head.get_mut(place..place + bytes.len()) {
                pointer.copy_from_slice(&bytes);
            }
            inner.rewind()?;
        }
        Ok(Self { inner, head, at: 0 })
    }
}

impl<R: Read + Seek> Read for FirstAt<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.head.get(self.at as usize..).unwrap_or_default();
        let n = if left.is_empty() {
            self.inner.read(buffer)?
        } else {
            let n = left.len().min(buffer.len());
            buffer[..n].copy_from_slice(&left[..n]);
            self.inner.seek(SeekFrom::Start(self.at + n as u64))?;
            n
        };
        self.at += n as u64;
        Ok(n)
    }
}

impl<R: Read + Seek> Seek for FirstAt<R> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.at = self.inner.seek(to)?;
        Ok(self.at)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    #[test]
    fn the_head_points_elsewhere_and_all_else_is_as_it_was() {
        for (file, expected) in [
            (&b"II*\0\x08\0\0\0abcdefgh"[..], &b"II*\0\x63\0\0\0abcdefgh"[..]),
            (b"MM\0*\0\0\0\x08abcdefgh", b"MM\0*\0\0\0\x63abcdefgh"),
            (b"MM\0+\0\x08\0\0\0\0\0\0\0\0\0\x10abc", b"MM\0+\0\x08\0\0\0\0\0\0\0\0\0\x63abc"),
            (b"II", b"II"),
        ] {
            let mut read = Vec::new();
            let mut at = FirstAt::new(Cursor::new(file), Some(0x63)).unwrap();
            at.read_to_end(&mut read).unwrap();
            assert_eq!(read, expected);
            let mut byte = [0];
            at.seek(SeekFrom::Start(1)).unwrap();
            at.read_exact(&mut byte).unwrap();
            assert_eq!(byte[0], expected[1]);
            let mut plain = Vec::new();
            FirstAt::new(Cursor::new(file), None).unwrap().read_to_end(&mut plain).unwrap();
            assert_eq!(plain, file);
        }
    }
}
