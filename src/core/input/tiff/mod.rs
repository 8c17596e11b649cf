//! Grey pages of TIFF files, as cameras and Fiji write them.
//!
//! A page that could be read wrongly is refused with an error that names the reason, such as an inverted image. Which
//! pages a file has, and what they show, is found in `stack`.

use std::fs::File;
use std::io::{BufReader, Cursor};
use std::path::Path;

use ndarray::ArrayView2;
use tiff::ColorType;
use tiff::decoder::{ChunkType, Decoder, DecodingResult, Limits};
use tiff::encoder::{Compression, DeflateLevel, TiffEncoder, colortype};
use tiff::tags::Tag;

use crate::error::DataError;
use crate::input::capacity::{self, DEFLATE, Declared};
use crate::input::image_file::{Depth, Grey, Header, Pixels};

pub(super) mod first_at;
mod following;
mod refused;
pub(super) mod stack;

use first_at::FirstAt;
pub(super) use refused::broken;
use refused::{compressed, describe, packed as packed_otherwise};

/// Which image of a TIFF file is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Page {
    /// The only one; a file with more is refused.
    Only,
    /// The one whose directory begins at this byte.
    Directory(u64),
    /// Plane `index` of those that follow each other without a gap, where one directory stands for all of them.
    Following(u64),
}

/// Reads a page of a TIFF file. `[H, W]`
///
/// # Errors
/// [`DataError`] naming the file and what it holds, where that is no single grey page or cannot be decoded.
pub(super) fn read(path: &Path, which: Page) -> Result<Grey, DataError> {
    let (decoder, page) = open(path, which)?;
    let _room = page.declared.take_room(path)?;
    // All sizes were compared with file and memory: the decoder's own limits would keep out honest large frames.
    let mut decoder = decoder.with_limits(limits(page.declared.bytes(), page.length));
    if let Some(bits) = page.packed {
        let bytes = following::strips(&mut decoder, path, &page)?;
        return Grey::new(path, page.header.size, Pixels::Bits16(unpack(&bytes, page.header.size, bits)));
    }
    if let Page::Following(index) = which {
        let pixels = following::read(&mut decoder, path, &page, index)?;
        return Grey::new(path, page.header.size, pixels);
    }
    let wide = |v: Vec<i64>| Pixels::Wide(v);
    let pixels = match decoder.read_image().map_err(broken(path))? {
        DecodingResult::U8(v) => Pixels::Bits8(v),
        DecodingResult::U16(v) => Pixels::Bits16(v),
        DecodingResult::U32(v) => wide(v.into_iter().map(i64::from).collect()),
        DecodingResult::I8(v) => wide(v.into_iter().map(i64::from).collect()),
        DecodingResult::I16(v) => wide(v.into_iter().map(i64::from).collect()),
        DecodingResult::I32(v) => wide(v.into_iter().map(i64::from).collect()),
        DecodingResult::I64(v) => wide(v),
        DecodingResult::U64(_) => return Err(DataError::pixel_type(path, "64-bit unsigned integers")),
        DecodingResult::F16(v) => Pixels::Float(v.into_iter().map(f32::from).collect()),
        DecodingResult::F32(v) => Pixels::Float(v),
        DecodingResult::F64(v) => Pixels::Float(v.into_iter().map(|v| v as f32).collect()),
    };
    Grey::new(path, page.header.size, pixels)
}

/// Reads what a TIFF file says about a page, and whether pixels are said to lie behind the end of the file.
///
/// # Errors
/// As [`read`].
pub(super) fn header(path: &Path, which: Page) -> Result<(Header, bool), DataError> {
    let (_, page) = open(path, which)?;
    page.declared.check(path)?;
    Ok((page.header, page.cut))
}

/// What a TIFF file says about a page.
pub(super) struct About {
    header: Header,
    pub(super) declared: Declared,
    /// Whether pixels are said to lie behind the end of the file.
    cut: bool,
    /// Bytes of the file.
    length: u64,
    /// Bits of pixels that begin within bytes.
    packed: Option<u8>,
    /// First byte and length of every strip.
    strips: Vec<(u64, u64)>,
}

/// A file of which a page is decoded.
type Opened = Decoder<FirstAt<BufReader<File>>>;

/// Opens a TIFF file at a page that is grey, and checks what it says about its pixels.
fn open(path: &Path, which: Page) -> Result<(Opened, About), DataError> {
    let broken = broken(path);
    let (file, length) = capacity::open(path)?;
    let first = if let Page::Directory(offset) = which { Some(offset) } else { None };
    let file = FirstAt::new(BufReader::new(file), first).map_err(DataError::decode(path))?;
    let mut decoder = Decoder::new(file).map_err(broken)?.with_limits(limits(0, length));
    if which == Page::Only {
        let pages = stack::pages(&mut decoder);
        if pages > 1 {
            return Err(DataError::Stack { path: path.to_owned(), pages });
        }
    }
    let (bits, packed) = match decoder.colortype().map_err(broken)? {
        ColorType::Gray(bits @ (8 | 16 | 32 | 64)) => (bits, None),
        ColorType::Gray(bits @ (10 | 12 | 14)) => (bits, Some(bits)),
        ColorType::Gray(bits @ 9..) => return Err(packed_otherwise(path, bits)),
        other => return Err(DataError::pixel_type(path, &describe(other))),
    };
    let photometric = decoder.find_tag_unsigned::<u16>(Tag::PhotometricInterpretation).map_err(broken)?;
    if photometric == Some(0) {
        return Err(DataError::pixel_type(
            path,
            "an inverted image (photometric interpretation WhiteIsZero)",
        ));
    }
    let method = decoder.find_tag_unsigned::<u16>(Tag::Compression).map_err(broken)?.unwrap_or(1);
    let ratio = most_per_byte(method).ok_or_else(|| compressed(path, method))?;
    let tiled = decoder.get_chunk_type() == ChunkType::Tile;
    if let Some(bits) = packed.filter(|_| method != 1 || tiled) {
        return Err(packed_otherwise(path, bits));
    }
    let mut numbers = |tag| decoder.find_tag_unsigned_vec::<u64>(tag).ok().flatten().unwrap_or_default();
    let depth = match (numbers(Tag::SampleFormat).first(), bits) {
        (None | Some(1), 8) => Depth::Bits8,
        (None | Some(1), 10..=16) => Depth::Bits16,
        (None | Some(1), 64) => return Err(DataError::pixel_type(path, "64-bit unsigned integers")),
        (None | Some(1 | 2), _) if packed.is_none() => Depth::Wide,
        (Some(3), _) => Depth::Float,
        (other, _) => {
            let kind = other.copied().unwrap_or(1);
            return Err(DataError::pixel_type(path, &format!("{bits}-bit pixels of sample format {kind}")));
        }
    };
    let parts: Vec<(u64, u64)> =
        [(Tag::StripOffsets, Tag::StripByteCounts), (Tag::TileOffsets, Tag::TileByteCounts)]
            .into_iter()
            .flat_map(|(offsets, counts)| numbers(offsets).into_iter().zip(numbers(counts)))
            .collect();
    let mut cut = parts.iter().any(|(offset, count)| offset.saturating_add(*count) > length);
    // Strips may share their bytes, and some writers count them carelessly.
    let counted = parts.iter().fold(0, |sum: u64, (_, count)| sum.saturating_add(*count.min(&length)));
    let (width, height) = decoder.dimensions().map_err(broken)?;
    let header = Header { size: (height as usize, width as usize), depth };
    let size = (u64::from(height), u64::from(width));
    let declared = Declared { size, bits: bits.into(), stored: counted.max(length), ratio };
    if let Page::Following(index) = which {
        if method != 1 {
            return Err(compressed(path, method));
        }
        let start = parts.first().map_or(0, |(offset, _)| *offset);
        let end = declared.bytes().saturating_mul(index.saturating_add(1)).saturating_add(start);
        cut = end > length;
    }
    Ok((decoder, About { header, declared, cut, length, packed, strips: parts }))
}

/// Returns pixels that follow each other without gaps within a row, the highest bit first. Rows begin with a byte.
fn unpack(bytes: &[u8], (height, width): (usize, usize), bits: u8) -> Vec<u16> {
    let bits = usize::from(bits);
    let row = (width * bits).div_ceil(8);
    let mut pixels = Vec::with_capacity(height * width);
    for row in bytes.chunks_exact(row.max(1)).take(height) {
        let (mut buffer, mut there, mut next) = (0_u32, 0, row.iter());
        for _ in 0..width {
            while there < bits {
                buffer = buffer << 8 | u32::from(next.next().copied().unwrap_or(0));
                there += 8;
            }
            there -= bits;
            pixels.push((buffer >> there & ((1 << bits) - 1)) as u16);
        }
    }
    pixels
}

/// Returns limits that let the decoder take `bytes` for a page, and for lists of numbers as many as the file can hold.
pub(super) fn limits(bytes: u64, length: u64) -> Limits {
    let mut limits = Limits::default();
    // A number of a list takes 32 bytes in memory, and at least one in the file.
    let lists = length.saturating_mul(32).saturating_add(4096).min(limits.decoding_buffer_size as u64);
    limits.decoding_buffer_size = usize::try_from(bytes.max(lists)).unwrap_or(usize::MAX);
    // Compressed parts are read bit by bit.
    limits.intermediate_buffer_size = usize::MAX;
    limits
}

/// Returns how many bytes can come of one at most, by method of compression; `None` for one that cannot be read.
fn most_per_byte(method: u16) -> Option<u64> {
    match method {
        1 => Some(1),
        // LZW: 12 bits stand for at most 4,096 bytes. JPEG: two bits for a block of 64 pixels at most.
        5 => Some(4096),
        7 => Some(1024),
        8 | 0x80B2 => Some(DEFLATE),
        0x8005 => Some(64),
        // Zstandard: a block of 128 KiB that repeats one byte takes four.
        0xC350 => Some(32_768),
        _ => None,
    }
}

/// Writes a grey page, deflate-compressed. `[H, W]`
///
/// # Errors
/// [`DataError::Io`] with the file.
pub fn write(path: &Path, counts: ArrayView2<'_, u16>) -> Result<(), DataError> {
    let (height, width) = counts.dim();
    let pixels: Vec<u16> = counts.iter().copied().collect();
    let mut bytes = Cursor::new(Vec::new());
    let encoded = TiffEncoder::new(&mut bytes).and_then(|encoder| {
        encoder
            .with_compression(Compression::Deflate(DeflateLevel::Balanced))
            .write_image::<colortype::Gray16>(width as u32, height as u32, &pixels)
    });
    encoded.map_err(|e| DataError::Io { path: path.to_owned(), source: std::io::Error::other(e) })?;
    crate::plate::store::write(path, bytes.get_ref()).map_err(DataError::io(path))
}

/// Returns a plane as TIFF bytes of any colour type, for tests.
#[cfg(test)]
pub(crate) fn encode<C>(size: (u32, u32), pages: &[Vec<C::Inner>]) -> Vec<u8>
where
    C: colortype::ColorType,
    [C::Inner]: tiff::encoder::TiffValue,
{
    let mut bytes = Cursor::new(Vec::new());
    let mut encoder = TiffEncoder::new(&mut bytes).unwrap();
    for page in pages {
        encoder.write_image::<C>(size.1, size.0, page).unwrap();
    }
    bytes.into_inner()
}

#[cfg(test)]
mod tests;
