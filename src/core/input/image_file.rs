//! One plane in one file, whatever its format: as camera counts or as object ids.

use std::path::Path;

use ndarray::Array2;

use super::conversion::Conversion;
use super::{png, tiff};
use crate::error::DataError;

/// Pixels as they stand in a file, row by row.
#[derive(Clone, Debug)]
pub enum Pixels {
    /// 8-bit grey.
    Bits8(Vec<u8>),
    /// 16-bit grey.
    Bits16(Vec<u16>),
    /// Signed or wider integers, fit for labels only.
    Wide(Vec<i64>),
    /// Floating point numbers.
    Float(Vec<f32>),
}

/// A grey plane as read from a file.
#[derive(Clone, Debug)]
pub struct Grey {
    /// Rows and columns.
    pub size: (usize, usize),
    /// Values.
    pub pixels: Pixels,
}

/// How wide the numbers in a file are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// 8-bit grey.
    Bits8,
    /// 16-bit grey.
    Bits16,
    /// Signed or wider integers, fit for labels only.
    Wide,
    /// Floating point numbers.
    Float,
}

impl Depth {
    /// Returns the depth in words.
    pub(super) fn words(self) -> &'static str {
        match self {
            Self::Bits8 => "8 bits per pixel",
            Self::Bits16 => "16 bits per pixel",
            Self::Wide => "signed or 32-bit integers",
            Self::Float => "floating point numbers",
        }
    }
}

/// What a file says about its plane before any pixel is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Rows and columns.
    pub size: (usize, usize),
    /// Width of the numbers.
    pub depth: Depth,
}

impl Grey {
    /// Returns a plane after checking that it holds as many pixels as its size says.
    pub(super) fn new(path: &Path, size: (usize, usize), pixels: Pixels) -> Result<Self, DataError> {
        let found = match &pixels {
            Pixels::Bits8(v) => v.len(),
            Pixels::Bits16(v) => v.len(),
            Pixels::Wide(v) => v.len(),
            Pixels::Float(v) => v.len(),
        };
        if found != size.0 * size.1 || found == 0 {
            let found = format!("{found} pixels, expected {} x {}", size.1, size.0);
            return Err(DataError::Undecodable { path: path.to_owned(), found });
        }
        Ok(Self { size, pixels })
    }

    /// Returns whether the file holds 8 bits a pixel.
    pub fn is_8_bit(&self) -> bool {
        matches!(self.pixels, Pixels::Bits8(_))
    }

    /// Returns the plane as camera counts; other numbers than unsigned ones of 8 or 16 bits need a conversion. `[H, W]`
    ///
    /// # Errors
    /// [`DataError::PixelType`] for other numbers without a conversion, and for such that are not finite.
    pub fn counts(self, path: &Path, conversion: Option<Conversion>) -> Result<Array2<u16>, DataError> {
        let convert = |v: f64| conversion.map(|c| c.count(v));
        let other = |what: &str| DataError::pixel_type(path, what);
        let counts: Option<Vec<u16>> = match self.pixels {
            Pixels::Bits8(v) => return Ok(array(self.size, v.into_iter().map(u16::from).collect())),
            Pixels::Bits16(v) => return Ok(array(self.size, v)),
            Pixels::Wide(v) => v.into_iter().map(|v| convert(v as f64)).collect(),
            Pixels::Float(v) => {
                if v.iter().any(|v| !v.is_finite()) {
                    return Err(other("numbers that are not finite (NaN or infinity)"));
                }
                v.into_iter().map(|v| convert(v.into())).collect()
            }
        };
        counts.map(|v| array(self.size, v)).ok_or_else(|| other("signed, 32-bit or floating point numbers"))
    }

    /// Returns the plane as object ids. `[H, W]`
    ///
    /// # Errors
    /// [`DataError::PixelType`] for negative ids or such above 32 bits.
    pub fn ids(self, path: &Path) -> Result<Array2<u32>, DataError> {
        match self.pixels {
            Pixels::Bits8(v) => Ok(array(self.size, v.into_iter().map(u32::from).collect())),
            Pixels::Bits16(v) => Ok(array(self.size, v.into_iter().map(u32::from).collect())),
            Pixels::Wide(v) => {
                let ids: Result<Vec<u32>, i64> =
                    v.into_iter().map(|id| u32::try_from(id).map_err(|_| id)).collect();
                ids.map(|v| array(self.size, v))
                    .map_err(|id| DataError::pixel_type(path, &format!("an object id {id}")))
            }
            // Some programs write whole numbers this way.
            Pixels::Float(v) => {
                let whole = |v: &f32| v.fract() == 0.0 && (0.0..=16_777_216.0).contains(v);
                match v.iter().find(|v| !whole(v)) {
                    Some(v) => Err(DataError::pixel_type(path, &format!("the floating point number {v}"))),
                    None => Ok(array(self.size, v.into_iter().map(|v| v as u32).collect())),
                }
            }
        }
    }
}

fn array<A>(size: (usize, usize), pixels: Vec<A>) -> Array2<A> {
    Array2::from_shape_vec(size, pixels).expect("the length was checked in Grey::new")
}

/// Reads a TIFF or PNG file by its extension. `[H, W]`
///
/// # Errors
/// [`DataError`] naming the file and what is wrong with it.
pub fn read(path: &Path) -> Result<Grey, DataError> {
    match extension(path).as_deref() {
        Some("tif" | "tiff") => tiff::read(path, tiff::Page::Only),
        Some("png") => png::read(path),
        other => Err(DataError::pixel_type(path, &format!("a .{} file", other.unwrap_or("")))),
    }
}

/// Reads the header of a TIFF or PNG file and looks whether the file holds all of its pixels, without decoding them.
///
/// # Errors
/// As [`read`].
pub fn header(path: &Path) -> Result<Header, DataError> {
    let (header, cut) = match extension(path).as_deref() {
        Some("tif" | "tiff") => tiff::header(path, tiff::Page::Only)?,
        Some("png") => png::header(path)?,
        _ => (Header { size: (0, 0), depth: Depth::Bits8 }, true),
    };
    // Some writers count bytes carelessly: what looks cut is decoded, and that decides.
    if cut || header.size.0 == 0 || header.size.1 == 0 {
        read(path)?;
    }
    Ok(header)
}

/// Reads a label image. `[H, W]`
///
/// # Errors
/// As [`read`], with a hint for labels.
pub fn read_labels(path: &Path) -> Result<Array2<u32>, DataError> {
    read(path).and_then(|grey| grey.ids(path)).map_err(as_labels)
}

/// Returns an error with the hint for labels where pixels are of another kind.
pub(super) fn as_labels(error: DataError) -> DataError {
    match error {
        DataError::PixelType { path, found, .. } => {
            DataError::PixelType { path, found, expected: "integer object ids" }
        }
        other => other,
    }
}

/// Returns whether a file name is that of an image this package reads.
pub(super) fn is_image(path: &Path) -> bool {
    matches!(extension(path).as_deref(), Some("tif" | "tiff" | "png"))
}

/// Returns whether a file name is that of a TIFF file.
pub(super) fn is_tiff(path: &Path) -> bool {
    matches!(extension(path).as_deref(), Some("tif" | "tiff"))
}

fn extension(path: &Path) -> Option<String> {
    path.extension().map(|e| e.to_string_lossy().to_ascii_lowercase())
}
