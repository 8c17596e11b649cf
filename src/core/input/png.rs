//! Grey PNG files, 8 and 16 bits: the usual form of label images.

use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use ndarray::ArrayView2;
use png::{BitDepth, ColorType, Decoder, DecodingError, Encoder, Reader, Transformations};

use crate::error::DataError;
use crate::input::capacity::{self, DEFLATE, Declared};
use crate::input::image_file::{Depth, Grey, Header, Pixels};

/// Bytes before the first chunk.
const SIGNATURE: u64 = 8;
/// Bytes of a chunk besides its data: length, name, checksum.
const CHUNK: u64 = 12;

/// Reads a grey PNG file. `[H, W]`
///
/// # Errors
/// [`DataError`] naming the file and what it holds, where that is not grey or cannot be decoded.
pub fn read(path: &Path) -> Result<Grey, DataError> {
    let broken = broken(path);
    let (mut reader, Header { size, depth }, declared) = open(path)?;
    let _room = declared.take_room(path)?;
    let mut bytes = vec![0; reader.output_buffer_size().unwrap_or(0)];
    let frame = reader.next_frame(&mut bytes).map_err(broken)?;
    bytes.truncate(frame.buffer_size());
    let pixels = if depth == Depth::Bits16 {
        Pixels::Bits16(bytes.chunks_exact(2).map(|b| u16::from_be_bytes([b[0], b[1]])).collect())
    } else {
        Pixels::Bits8(bytes)
    };
    Grey::new(path, size, pixels)
}

/// Reads what a PNG file says about itself, and whether it ends before its end mark.
///
/// # Errors
/// As [`read`].
pub(super) fn header(path: &Path) -> Result<(Header, bool), DataError> {
    let (_, header, declared) = open(path)?;
    declared.check(path)?;
    let mut file = BufReader::new(capacity::open(path)?.0);
    Ok((header, !is_whole(&mut file).map_err(DataError::read(path))?))
}

/// Returns whether the chunks of a PNG file follow each other up to its end mark.
fn is_whole(file: &mut (impl Read + Seek)) -> std::io::Result<bool> {
    let length = file.seek(SeekFrom::End(0))?;
    let mut at = file.seek(SeekFrom::Start(SIGNATURE))?;
    let mut head = [0; 8];
    while at + CHUNK <= length {
        file.read_exact(&mut head)?;
        let [a, b, c, d, name @ ..] = head;
        at += CHUNK + u64::from(u32::from_be_bytes([a, b, c, d]));
        if &name == b"IEND" {
            return Ok(at <= length);
        }
        file.seek(SeekFrom::Start(at))?;
    }
    Ok(false)
}

/// A PNG file before its pixels are read, what it says about them, and how many they are.
type Opened = (Reader<BufReader<File>>, Header, Declared);

/// Opens a grey PNG file of 8 or 16 bits.
fn open(path: &Path) -> Result<Opened, DataError> {
    let broken = broken(path);
    let (file, length) = capacity::open(path)?;
    let mut decoder = Decoder::new(BufReader::new(file));
    decoder.set_transformations(Transformations::IDENTITY);
    // Comments and colour profiles may be compressed beyond measure.
    decoder.set_ignore_text_chunk(true);
    decoder.set_ignore_iccp_chunk(true);
    let reader = decoder.read_info().map_err(broken)?;
    let (color, depth) = reader.output_color_type();
    let bits = depth as u8;
    if color != ColorType::Grayscale || bits < 8 {
        let found = match color {
            ColorType::Grayscale => format!("{bits}-bit grey"),
            ColorType::Rgb => "RGB colour".into(),
            ColorType::Rgba => "RGBA colour".into(),
            ColorType::Indexed => format!("a {bits}-bit colour palette"),
            ColorType::GrayscaleAlpha => "grey with transparency".into(),
        };
        return Err(DataError::pixel_type(path, &found));
    }
    let (width, height) = reader.info().size();
    let depth = if depth == BitDepth::Sixteen { Depth::Bits16 } else { Depth::Bits8 };
    let size = (u64::from(height), u64::from(width));
    let declared = Declared { size, bits: u64::from(bits), stored: length, ratio: DEFLATE };
    Ok((reader, Header { size: (height as usize, width as usize), depth }, declared))
}

/// Returns the error of a file that the decoder refuses.
fn broken(path: &Path) -> impl Fn(DecodingError) -> DataError + Copy {
    move |e: DecodingError| match e {
        DecodingError::IoError(e) => DataError::decode(path)(e),
        e => DataError::Undecodable { path: path.to_owned(), found: e.to_string() },
    }
}

/// Writes a 16-bit grey PNG file. `[H, W]`
///
/// # Errors
/// [`DataError::Io`] with the file.
pub fn write(path: &Path, values: ArrayView2<'_, u16>) -> Result<(), DataError> {
    let (height, width) = values.dim();
    let pixels: Vec<u8> = values.iter().flat_map(|v| v.to_be_bytes()).collect();
    let mut bytes = Vec::new();
    let mut encoder = Encoder::new(&mut bytes, width as u32, height as u32);
    encoder.set_color(ColorType::Grayscale);
    encoder.set_depth(BitDepth::Sixteen);
    let encoded = encoder.write_header().and_then(|mut writer| {
        writer.write_image_data(&pixels)?;
        writer.finish()
    });
    encoded.map_err(|e| DataError::Io { path: path.to_owned(), source: std::io::Error::other(e) })?;
    crate::plate::store::write(path, &bytes).map_err(DataError::io(path))
}

#[cfg(test)]
mod tests {
    use ndarray::Array2;

    use super::*;
    use crate::error::{Advice, Exit};

    #[test]
    fn what_is_written_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("m.png");
        let plane = Array2::from_shape_fn((4, 3), |(y, x)| (y * 20000 + x) as u16);
        write(&path, plane.view()).unwrap();
        assert_eq!(read(&path).unwrap().ids(&path).unwrap(), plane.mapv(u32::from));
        assert_eq!(header(&path).unwrap(), (Header { size: (4, 3), depth: Depth::Bits16 }, false));
    }

    #[test]
    fn a_header_that_declares_more_than_the_file_can_hold_takes_no_memory() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("m.png");
        write(&path, Array2::from_elem((32, 32), 1).view()).unwrap();
        let good = std::fs::read(&path).unwrap();
        for (width, height) in [(32, i32::MAX), (i32::MAX, 32), (60_000, 60_000), (i32::MAX, i32::MAX)] {
            let mut bytes = good.clone();
            bytes[16..20].copy_from_slice(&width.to_be_bytes());
            bytes[20..24].copy_from_slice(&height.to_be_bytes());
            let checksum = crc32fast::hash(&bytes[12..29]);
            bytes[29..33].copy_from_slice(&checksum.to_be_bytes());
            std::fs::write(&path, &bytes).unwrap();
            for error in [read(&path).unwrap_err(), crate::input::image_file::header(&path).unwrap_err()] {
                let text = error.to_string();
                assert_eq!(error.exit(), Exit::BadInput, "{text}");
                assert!(text.contains("m.png") && error.hint().is_some(), "{text}");
                assert!(width == i32::MAX || text.contains(&format!("{width} x {height}")), "{text}");
            }
        }
    }

    #[test]
    fn colour_and_cut_files_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("m.png");
        let mut bytes = Vec::new();
        let mut encoder = Encoder::new(&mut bytes, 1, 1);
        encoder.set_color(ColorType::Indexed);
        encoder.set_palette(vec![1, 2, 3]);
        encoder.write_header().unwrap().write_image_data(&[0]).unwrap();
        std::fs::write(&path, &bytes).unwrap();
        assert!(read(&path).unwrap_err().to_string().contains("palette"));
        write(&path, Array2::from_elem((9, 9), 300).view()).unwrap();
        let good = std::fs::read(&path).unwrap();
        for cut in [0, 5, 40, good.len() - 20] {
            std::fs::write(&path, &good[..cut]).unwrap();
            assert!(matches!(read(&path), Err(DataError::Undecodable { .. })), "cut to {cut}");
            assert!(crate::input::image_file::header(&path).is_err(), "cut to {cut}");
        }
    }
}
