//! Single-page grey TIFF files, as cameras and Fiji write them.
//!
//! Whatever cannot be read for certain is refused by name: a stack of which only the first page would be seen, or an
//! inverted image, is worse than an error.

use std::fs::File;
use std::io::{BufReader, Cursor};
use std::path::Path;

use ndarray::ArrayView2;
use tiff::decoder::{Decoder, DecodingResult};
use tiff::encoder::{Compression, DeflateLevel, TiffEncoder, colortype};
use tiff::tags::Tag;
use tiff::{ColorType, TiffError};

use super::DataError;
use super::image_file::{Grey, Pixels};

/// Reads the only page of a TIFF file. `[H, W]`
///
/// # Errors
/// [`DataError`] naming the file and what it holds, where that is no single grey page or cannot be decoded.
pub fn read(path: &Path) -> Result<Grey, DataError> {
    let broken = |e: TiffError| match e {
        TiffError::UnsupportedError(e) => DataError::pixel_type(path, &e.to_string()),
        TiffError::IoError(e) if e.kind() != std::io::ErrorKind::UnexpectedEof => {
            DataError::Io { path: path.to_owned(), source: e }
        }
        e => DataError::Undecodable { path: path.to_owned(), found: e.to_string() },
    };
    let file = File::open(path).map_err(DataError::io(path))?;
    let mut decoder = Decoder::new(BufReader::new(file)).map_err(broken)?;
    let pages = pages(&mut decoder);
    if pages > 1 {
        return Err(DataError::Stack { path: path.to_owned(), pages });
    }
    let color = decoder.colortype().map_err(broken)?;
    match color {
        ColorType::Gray(8 | 16 | 32 | 64) => {}
        other => return Err(DataError::pixel_type(path, &describe(other))),
    }
    let photometric = decoder.find_tag_unsigned::<u16>(Tag::PhotometricInterpretation).map_err(broken)?;
    if photometric == Some(0) {
        return Err(DataError::pixel_type(
            path,
            "an inverted image (photometric interpretation WhiteIsZero)",
        ));
    }
    let (width, height) = decoder.dimensions().map_err(broken)?;
    let pixels = match decoder.read_image().map_err(broken)? {
        DecodingResult::U8(v) => Pixels::Bits8(v),
        DecodingResult::U16(v) => Pixels::Bits16(v),
        // Label programs write wide integers; images of that kind are refused by the caller.
        DecodingResult::U32(v) => Pixels::Wide(v.into_iter().map(i64::from).collect()),
        DecodingResult::I8(v) => Pixels::Wide(v.into_iter().map(i64::from).collect()),
        DecodingResult::I16(v) => Pixels::Wide(v.into_iter().map(i64::from).collect()),
        DecodingResult::I32(v) => Pixels::Wide(v.into_iter().map(i64::from).collect()),
        DecodingResult::I64(v) => Pixels::Wide(v),
        DecodingResult::U64(_) => return Err(DataError::pixel_type(path, "64-bit unsigned integers")),
        DecodingResult::F16(_) => return Err(DataError::pixel_type(path, "16-bit floating point numbers")),
        DecodingResult::F32(_) => return Err(DataError::pixel_type(path, "32-bit floating point numbers")),
        DecodingResult::F64(_) => return Err(DataError::pixel_type(path, "64-bit floating point numbers")),
    };
    Grey::new(path, (height as usize, width as usize), pixels)
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

fn describe(color: ColorType) -> String {
    match color {
        ColorType::Gray(bits) => format!("{bits}-bit grey"),
        ColorType::RGB(bits) => format!("RGB colour, {bits} bits each"),
        ColorType::RGBA(bits) => format!("RGBA colour, {bits} bits each"),
        ColorType::Palette(bits) => format!("a {bits}-bit colour palette"),
        ColorType::GrayA(bits) => format!("grey with transparency, {bits} bits each"),
        ColorType::CMYK(_) | ColorType::CMYKA(_) => "CMYK colour".into(),
        ColorType::YCbCr(_) => "YCbCr colour".into(),
        ColorType::Multiband { num_samples, .. } => format!("{num_samples} channels in one page"),
        other => format!("{other:?}"),
    }
}

/// Writes a grey page, deflate-compressed. `[H, W]`
///
/// # Errors
/// What the system says.
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
    super::store::write(path, bytes.get_ref()).map_err(DataError::io(path))
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
}
