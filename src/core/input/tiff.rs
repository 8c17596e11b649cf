//! Single-page grey TIFF files, as cameras and Fiji write them.
//!
//! A file that could be read wrongly is refused with an error that names the reason, such as an inverted image, or a
//! stack of which only the first page would be read.

use std::fs::File;
use std::io::{BufReader, Cursor};
use std::path::Path;

use ndarray::ArrayView2;
use tiff::ColorType;
use tiff::decoder::{Decoder, DecodingResult, Limits};
use tiff::encoder::{Compression, DeflateLevel, TiffEncoder, colortype};
use tiff::tags::Tag;

use crate::error::DataError;
use crate::input::capacity::{self, DEFLATE, Declared};
use crate::input::image_file::{Depth, Grey, Header, Pixels};
use crate::input::tiff_refused::{broken, compressed, describe, packed};

/// Reads the only page of a TIFF file. `[H, W]`
///
/// # Errors
/// [`DataError`] naming the file and what it holds, where that is no single grey page or cannot be decoded.
pub fn read(path: &Path) -> Result<Grey, DataError> {
    let (decoder, page) = open(path)?;
    let _room = page.declared.take_room(path)?;
    // All sizes were compared with file and memory: the decoder's own limits would keep out honest large frames.
    let mut decoder = decoder.with_limits(limits(page.declared.bytes(), page.length));
    let pixels = match decoder.read_image().map_err(broken(path))? {
        DecodingResult::U8(v) => Pixels::Bits8(v),
        DecodingResult::U16(v) => Pixels::Bits16(v),
        // Label programs write wide integers; images of that kind are refused by the caller.
        DecodingResult::U32(v) => Pixels::Wide(v.into_iter().map(i64::from).collect()),
        DecodingResult::I8(v) => Pixels::Wide(v.into_iter().map(i64::from).collect()),
        DecodingResult::I16(v) => Pixels::Wide(v.into_iter().map(i64::from).collect()),
        DecodingResult::I32(v) => Pixels::Wide(v.into_iter().map(i64::from).collect()),
        DecodingResult::I64(v) => Pixels::Wide(v),
        DecodingResult::U64(_) => return Err(DataError::pixel_type(path, "64-bit unsigned integers")),
        DecodingResult::F16(_) | DecodingResult::F32(_) | DecodingResult::F64(_) => {
            return Err(DataError::pixel_type(path, "floating point numbers"));
        }
    };
    Grey::new(path, page.header.size, pixels)
}

/// Reads what a TIFF file says about its only page, and whether pixels are said to lie behind the end of the file.
///
/// # Errors
/// As [`read`].
pub(super) fn header(path: &Path) -> Result<(Header, bool), DataError> {
    let (_, page) = open(path)?;
    page.declared.check(path)?;
    Ok((page.header, page.cut))
}

/// What a TIFF file says about its only page.
struct Page {
    header: Header,
    declared: Declared,
    /// Whether pixels are said to lie behind the end of the file.
    cut: bool,
    /// Bytes of the file.
    length: u64,
}

/// Opens a TIFF file whose only page is grey, and checks what it says about its pixels.
fn open(path: &Path) -> Result<(Decoder<BufReader<File>>, Page), DataError> {
    let broken = broken(path);
    let (file, length) = capacity::open(path)?;
    let mut decoder = Decoder::new(BufReader::new(file)).map_err(broken)?.with_limits(limits(0, length));
    let pages = pages(&mut decoder);
    if pages > 1 {
        return Err(DataError::Stack { path: path.to_owned(), pages });
    }
    let bits = match decoder.colortype().map_err(broken)? {
        ColorType::Gray(bits @ (8 | 16 | 32 | 64)) => bits,
        ColorType::Gray(bits @ 9..) => return Err(packed(path, bits)),
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
    let mut numbers = |tag| decoder.find_tag_unsigned_vec::<u64>(tag).ok().flatten().unwrap_or_default();
    let depth = match (numbers(Tag::SampleFormat).first(), bits) {
        (None | Some(1), 8) => Depth::Bits8,
        (None | Some(1), 16) => Depth::Bits16,
        (None | Some(1), 64) => return Err(DataError::pixel_type(path, "64-bit unsigned integers")),
        (None | Some(1 | 2), _) => Depth::Wide,
        (Some(3), _) => {
            return Err(DataError::pixel_type(path, &format!("{bits}-bit floating point numbers")));
        }
        (Some(other), _) => return Err(DataError::pixel_type(path, &format!("sample format {other}"))),
    };
    let parts: Vec<(u64, u64)> =
        [(Tag::StripOffsets, Tag::StripByteCounts), (Tag::TileOffsets, Tag::TileByteCounts)]
            .into_iter()
            .flat_map(|(offsets, counts)| numbers(offsets).into_iter().zip(numbers(counts)))
            .collect();
    let cut = parts.iter().any(|(offset, count)| offset.saturating_add(*count) > length);
    // Strips may share their bytes, and some writers count them carelessly.
    let counted = parts.iter().fold(0, |sum: u64, (_, count)| sum.saturating_add(*count.min(&length)));
    let (width, height) = decoder.dimensions().map_err(broken)?;
    let header = Header { size: (height as usize, width as usize), depth };
    let size = (u64::from(height), u64::from(width));
    let declared = Declared { size, bits: bits.into(), stored: counted.max(length), ratio };
    Ok((decoder, Page { header, declared, cut, length }))
}

/// Returns limits that let the decoder take `bytes` for a page, and for lists of numbers as many as the file can hold.
fn limits(bytes: u64, length: u64) -> Limits {
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

/// Returns the number of pages, or of planes where Fiji wrote one page for a whole stack.
fn pages<R: std::io::Read + std::io::Seek>(decoder: &mut Decoder<R>) -> usize {
    if decoder.more_images() {
        let mut pages = 1;
        while decoder.more_images() && decoder.next_image().is_ok() {
            pages += 1;
        }
        return pages.max(2);
    }
    // The text may be Latin-1 (the micro sign of old ImageJ); only digits matter here.
    let mut head = [0; 1024];
    let length = decoder.image_ifd().find_tag_bytes(Tag::ImageDescription, &mut head, 0);
    let length = length.ok().flatten().unwrap_or(0).min(head.len());
    let text = String::from_utf8_lossy(&head[..length]);
    if !text.starts_with("ImageJ=") {
        return 1;
    }
    text.lines().find_map(|line| line.strip_prefix("images=")?.trim().parse().ok()).unwrap_or(1)
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
mod tests {
    use ndarray::Array2;

    use super::*;
    use crate::error::{Advice, Exit};

    fn counts(path: &Path) -> Array2<u16> {
        read(path).unwrap().counts(path).unwrap()
    }

    fn error(bytes: &[u8]) -> DataError {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("t007.tif");
        std::fs::write(&path, bytes).unwrap();
        let error = read(&path).and_then(|g| g.counts(&path)).unwrap_err();
        assert_eq!(error.exit(), Exit::BadInput, "{error}");
        assert!(error.to_string().contains("t007.tif") && error.hint().is_some(), "{error}");
        error
    }

    #[test]
    fn what_is_written_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("sub/a.tif");
        let plane = Array2::from_shape_fn((5, 7), |(y, x)| (y * 9000 + x * 13) as u16);
        write(&path, plane.view()).unwrap();
        assert_eq!(counts(&path), plane);
        std::fs::write(&path, encode::<colortype::Gray8>((1, 3), &[vec![1, 2, 255]])).unwrap();
        assert_eq!(counts(&path).as_slice().unwrap(), [1, 2, 255]);
    }

    #[test]
    fn other_pixel_types_are_refused_by_name() {
        let rgb = encode::<colortype::RGB8>((1, 1), &[vec![1, 2, 3]]);
        assert!(error(&rgb).to_string().contains("RGB colour"));
        let float = encode::<colortype::Gray32Float>((1, 1), &[vec![0.5]]);
        assert!(error(&float).to_string().contains("32-bit floating point"));
        let wide = encode::<colortype::Gray32>((1, 1), &[vec![7]]);
        assert!(error(&wide).to_string().contains("integers"));
    }

    #[test]
    fn stacks_are_refused_also_where_fiji_wrote_one_page_for_all() {
        let two = encode::<colortype::Gray16>((1, 1), &[vec![1], vec![2]]);
        assert!(matches!(error(&two), DataError::Stack { pages: 2, .. }));

        let mut bytes = Cursor::new(Vec::new());
        let mut encoder = TiffEncoder::new(&mut bytes).unwrap();
        let mut page = encoder.new_image::<colortype::Gray16>(1, 1).unwrap();
        page.encoder().write_tag(Tag::ImageDescription, "ImageJ=1.54f\nimages=6\nunit=um\n").unwrap();
        page.write_data(&[1]).unwrap();
        let mut bytes = bytes.into_inner();
        assert!(matches!(error(&bytes), DataError::Stack { pages: 6, .. }));

        // The micro sign as old ImageJ wrote it is no UTF-8.
        let unit = bytes.windows(5).position(|w| w == b"unit=").unwrap();
        bytes[unit + 5] = 0xB5;
        assert!(matches!(error(&bytes), DataError::Stack { pages: 6, .. }));
    }

    #[test]
    fn a_cut_file_or_another_format_is_an_error_that_names_it() {
        let good = encode::<colortype::Gray16>((40, 40), &[vec![9; 1600]]);
        for cut in [0, 3, 8, 100, good.len() / 2] {
            error(&good[..cut]);
        }
        error(b"not a TIFF at all");
    }

    #[test]
    fn the_header_tells_size_depth_and_a_cut_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("t.tif");
        let of = |bytes: &[u8]| {
            std::fs::write(&path, bytes).unwrap();
            header(&path)
        };
        let good = encode::<colortype::Gray16>((3, 40), &[vec![9; 120]]);
        assert_eq!(of(&good).unwrap(), (Header { size: (3, 40), depth: Depth::Bits16 }, false));
        let wide = encode::<colortype::GrayI16>((1, 2), &[vec![-1, 2]]);
        assert_eq!(of(&wide).unwrap().0.depth, Depth::Wide);
        let float = encode::<colortype::Gray32Float>((1, 1), &[vec![0.5]]);
        assert!(of(&float).unwrap_err().to_string().contains("32-bit floating point"));
        let two = encode::<colortype::Gray8>((1, 1), &[vec![1], vec![2]]);
        assert!(matches!(of(&two), Err(DataError::Stack { pages: 2, .. })));
        // The page's entries stand behind its pixels here; a copy of them in front leaves pixels to be cut.
        let rows: Vec<u16> = (0..120).collect();
        let mut classic = entries_first((3, 40), 16, 1, &bytes(&rows));
        assert_eq!(of(&classic).unwrap(), (Header { size: (3, 40), depth: Depth::Bits16 }, false));
        classic.truncate(classic.len() - 7);
        assert!(of(&classic).unwrap().1);
        assert!(crate::input::image_file::header(&path).unwrap_err().to_string().contains("t.tif"));
    }

    #[test]
    fn what_is_packed_or_compressed_in_other_ways_is_said_in_words_and_by_a_dry_run_too() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("t.tif");
        for (bits, method, part, hint) in [
            (12, 1, "its pixels are packed with 12 bits each, expected 8 or 16 bits each", "unpacked"),
            (10, 1, "10 bits each", "unpacked"),
            (14, 1, "14 bits each", "unpacked"),
            (
                16,
                34925,
                "compressed with LZMA (method 34925), expected no compression",
                "without compression",
            ),
            (16, 34712, "compressed with JPEG 2000", "without compression"),
            (16, 77, "compressed with an unknown method (method 77)", "without compression"),
        ] {
            std::fs::write(&path, entries_first((2, 4), bits, method, &[1; 16])).unwrap();
            for error in [read(&path).unwrap_err(), header(&path).unwrap_err()] {
                let text = error.to_string();
                assert!(text.contains("t.tif: ") && text.contains(part), "{text}");
                assert!(!text.contains("Unknown(") && error.hint().unwrap().contains(hint), "{error:?}");
                assert_eq!(error.exit(), Exit::BadInput);
            }
        }
    }

    #[test]
    fn a_large_honest_frame_is_read_and_one_the_file_cannot_hold_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("t.tif");
        // 288 MB in one strip, more than the decoder allows by itself; the file is a hole, which takes no disk.
        let (side, behind) = (12_000, 8 + 2 + 8 * 12 + 4);
        let of = |method, length: u64| {
            std::fs::write(&path, entries_first((side, side), 16, method, &[])).unwrap();
            std::fs::File::options().append(true).open(&path).unwrap().set_len(behind + length).unwrap();
        };
        let all = 2 * u64::from(side) * u64::from(side);
        of(1, all);
        assert_eq!(header(&path).unwrap().0.size, (12_000, 12_000));
        assert_eq!(counts(&path).dim(), (12_000, 12_000));
        for (method, length) in [(1, all - 200), (8, all / 1100), (5, all / 4200), (50_000, all / 34_000)] {
            of(method, length);
            for error in [read(&path).unwrap_err(), header(&path).unwrap_err()] {
                let text = error.to_string();
                assert!(text.contains("declares 12000 x 12000 pixels of 16 bits"), "{method}: {text}");
                assert!(text.contains("288.0 MB") && error.exit() == Exit::BadInput, "{text}");
            }
        }
    }

    #[test]
    fn bytes_changed_in_compressed_pixels_are_a_matter_of_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("t.tif");
        let plane = Array2::from_shape_fn((40, 40), |(y, x)| (y * 977 + x * x * 131) as u16);
        write(&path, plane.view()).unwrap();
        let good = std::fs::read(&path).unwrap();
        let mut refused = 0;
        for at in 8..200 {
            let mut bytes = good.clone();
            bytes[at] ^= 0x5A;
            std::fs::write(&path, bytes).unwrap();
            if let Err(error) = read(&path) {
                assert_eq!(error.exit(), Exit::BadInput, "{error:?}");
                assert!(error.hint().is_some());
                refused += 1;
            }
        }
        assert!(refused > 20, "{refused}");
    }

    fn bytes(pixels: &[u16]) -> Vec<u8> {
        pixels.iter().flat_map(|v| v.to_le_bytes()).collect()
    }

    /// Returns a grey TIFF whose entries stand in front of its pixels, as most programs write it.
    fn entries_first((height, width): (u16, u16), bits: u32, method: u32, pixels: &[u8]) -> Vec<u8> {
        let row = u32::from(width) * bits / 8;
        let entries: [(u16, u16, u32); 8] = [
            (256, 3, width.into()),
            (257, 3, height.into()),
            (258, 3, bits),
            (259, 3, method),
            (262, 3, 1),
            (273, 4, 8 + 2 + 8 * 12 + 4),
            (278, 3, height.into()),
            (279, 4, u32::from(height) * row),
        ];
        let mut file = b"II*\0\x08\0\0\0\x08\0".to_vec();
        for (tag, kind, value) in entries {
            file.extend([tag.to_le_bytes(), kind.to_le_bytes()].concat());
            file.extend([1_u32.to_le_bytes(), value.to_le_bytes()].concat());
        }
        file.extend([0; 4]);
        file.extend(pixels);
        file
    }
}
