//! What is said of TIFF files that are not read: what they hold, and how they come into a form that is.

use std::path::Path;

use tiff::tags::PhotometricInterpretation;
use tiff::{ColorType, TiffError, TiffUnsupportedError};

use crate::error::DataError;

/// Returns the error of a page compressed in a way that is not read.
pub(super) fn compressed(path: &Path, method: u16) -> DataError {
    let name = match method {
        2 | 3 | 4 | 0x8003 => "CCITT fax coding",
        6 => "JPEG of the old kind",
        9 | 10 | 34661 => "JBIG",
        33003 | 33004 | 33005 | 34712 => "JPEG 2000",
        34887 => "LERC",
        34892 => "lossy JPEG",
        34925 => "LZMA",
        50001 => "WebP",
        50002 | 52546 => "JPEG XL",
        _ => "an unknown method",
    };
    DataError::Unusable {
        path: path.to_owned(),
        found: format!("its pixels are compressed with {name} (method {method})"),
        expected: "no compression, or deflate, LZW, Zstandard, PackBits or JPEG".into(),
        hint: "open it in the program that wrote it, or in Fiji with Bio-Formats, and save it without compression".into(),
    }
}

/// Returns the error of a page with pixels that begin within bytes.
pub(super) fn packed(path: &Path, bits: u8) -> DataError {
    DataError::Unusable {
        path: path.to_owned(),
        found: format!("its pixels are packed with {bits} bits each"),
        expected: "8, 10, 12, 14 or 16 bits each, those between 8 and 16 in strips without compression".into(),
        hint: "export it as 16-bit TIFF, unpacked, which keeps every count; Fiji reads it with Bio-Formats and saves it so"
            .into(),
    }
}

/// Returns the error of a file that the decoder refuses.
pub(in crate::input) fn broken(path: &Path) -> impl Fn(TiffError) -> DataError + Copy {
    move |e: TiffError| match e {
        TiffError::UnsupportedError(e) => unsupported(path, &e),
        TiffError::IoError(e) => DataError::decode(path)(e),
        TiffError::LimitsExceeded | TiffError::IntSizeError => DataError::Undecodable {
            path: path.to_owned(),
            found: "a length in its header is larger than the file".into(),
        },
        e => DataError::Undecodable { path: path.to_owned(), found: e.to_string() },
    }
}

/// Returns the error of a page of a kind that the decoder does not know.
fn unsupported(path: &Path, error: &TiffUnsupportedError) -> DataError {
    let found = match error {
        TiffUnsupportedError::InterpretationWithBits(PhotometricInterpretation::RGBPalette, bits) => {
            format!("a {}-bit colour palette", bits.first().copied().unwrap_or_default())
        }
        TiffUnsupportedError::InterpretationWithBits(PhotometricInterpretation::TransparencyMask, _) => {
            "a transparency mask".into()
        }
        TiffUnsupportedError::InterpretationWithBits(kind, _)
        | TiffUnsupportedError::UnsupportedInterpretation(kind) => format!("pixels of the kind {kind:?}"),
        TiffUnsupportedError::UnknownInterpretation => {
            "pixels of an unknown kind (no known photometric interpretation)".into()
        }
        error => format!("what this program does not read ({error})"),
    };
    DataError::pixel_type(path, &found)
}

/// Returns a kind of pixels in words.
pub(super) fn describe(color: ColorType) -> String {
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
