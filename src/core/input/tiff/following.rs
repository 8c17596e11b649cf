//! Bytes as they lie in a file: planes that follow each other without a directory of their own, as ImageJ writes stacks
//! above 4 GB, and strips of packed pixels.

use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use tiff::decoder::Decoder;
use tiff::tags::ByteOrder;

use super::About;
use crate::error::DataError;
use crate::input::image_file::{Depth, Pixels};

/// Reads the strips of a page one behind the other, as many bytes as the page declares.
pub(super) fn strips<R: Read + Seek>(
    decoder: &mut Decoder<R>,
    path: &Path,
    page: &About,
) -> Result<Vec<u8>, DataError> {
    let mut bytes = Vec::with_capacity(page.declared.bytes() as usize);
    let file = decoder.inner();
    for (offset, count) in &page.strips {
        let left = page.declared.bytes() - bytes.len() as u64;
        let read = file
            .seek(SeekFrom::Start(*offset))
            .and_then(|_| file.take((*count).min(left)).read_to_end(&mut bytes));
        read.map_err(DataError::decode(path))?;
    }
    if (bytes.len() as u64) < page.declared.bytes() {
        let found = format!("its strips hold {} bytes of {}", bytes.len(), page.declared.bytes());
        return Err(DataError::Undecodable { path: path.to_owned(), found });
    }
    Ok(bytes)
}

/// Reads plane `index` behind the first.
pub(super) fn read<R: Read + Seek>(
    decoder: &mut Decoder<R>,
    path: &Path,
    page: &About,
    index: u64,
) -> Result<Pixels, DataError> {
    let bytes = page.declared.bytes();
    let big = decoder.byte_order() == ByteOrder::BigEndian;
    let start = page.strips.first().map_or(0, |(offset, _)| *offset);
    let place = start.saturating_add(index.saturating_mul(bytes));
    let mut raw = vec![0; bytes as usize];
    let file = decoder.inner();
    let read = file.seek(SeekFrom::Start(place)).and_then(|_| file.read_exact(&mut raw));
    read.map_err(DataError::decode(path))?;
    match (page.header.depth, page.declared.bits) {
        (Depth::Bits8, _) => Ok(Pixels::Bits8(raw)),
        (Depth::Bits16, 16) => {
            let number = |b: &[u8]| {
                if big { u16::from_be_bytes([b[0], b[1]]) } else { u16::from_le_bytes([b[0], b[1]]) }
            };
            Ok(Pixels::Bits16(raw.chunks_exact(2).map(number).collect()))
        }
        (Depth::Float, 32) => {
            let number = |b: &[u8]| {
                let b = [b[0], b[1], b[2], b[3]];
                if big { f32::from_be_bytes(b) } else { f32::from_le_bytes(b) }
            };
            Ok(Pixels::Float(raw.chunks_exact(4).map(number).collect()))
        }
        (depth, bits) => {
            let found = format!("a stack without directories of {} ({bits} bits)", depth.words());
            Err(DataError::pixel_type(path, &found))
        }
    }
}
