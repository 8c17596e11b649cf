//! 8-bit pictures in memory and as PNG.
//!
//! For display only; 16-bit label images and camera counts are written by `input`.

use std::fs;
use std::path::Path;

use super::ReportError;

/// An 8-bit RGB picture, row by row from the top left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RgbImage {
    /// Columns.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// `3 * width * height` bytes, red green blue.
    pub pixels: Vec<u8>,
}

impl RgbImage {
    /// Returns a picture of one colour.
    pub fn filled(width: usize, height: usize, color: [u8; 3]) -> Self {
        Self { width, height, pixels: color.repeat(width * height) }
    }

    /// Sets a pixel; outside of the picture it does nothing.
    pub fn set(&mut self, y: usize, x: usize, color: [u8; 3]) {
        if y < self.height && x < self.width {
            let at = 3 * (y * self.width + x);
            self.pixels[at..at + 3].copy_from_slice(&color);
        }
    }

    /// Returns the colour of a pixel, or `None` outside of the picture.
    pub fn get(&self, y: usize, x: usize) -> Option<[u8; 3]> {
        if y >= self.height || x >= self.width {
            return None;
        }
        let at = 3 * (y * self.width + x);
        Some([self.pixels[at], self.pixels[at + 1], self.pixels[at + 2]])
    }

    /// Returns the picture as a PNG file.
    ///
    /// # Errors
    /// [`ReportError::Size`] where `pixels` does not fit the size, [`ReportError::Encode`] for an empty or huge one.
    pub fn to_png_bytes(&self) -> Result<Vec<u8>, ReportError> {
        encode(self.width, self.height, &self.pixels, png::ColorType::Rgb)
    }

    /// Writes the picture as a PNG file. The folder must be there; an existing file is replaced.
    ///
    /// # Errors
    /// As [`Self::to_png_bytes`], and [`ReportError::Io`].
    pub fn write_png(&self, path: &Path) -> Result<(), ReportError> {
        write(path, &self.to_png_bytes()?)
    }
}

/// Returns an 8-bit grey picture as a PNG file.
///
/// # Shapes
/// `pixels`: `width * height` bytes, row by row.
///
/// # Errors
/// As [`RgbImage::to_png_bytes`].
pub fn grey_png_bytes(width: usize, height: usize, pixels: &[u8]) -> Result<Vec<u8>, ReportError> {
    encode(width, height, pixels, png::ColorType::Grayscale)
}

/// Writes an 8-bit grey picture as a PNG file.
///
/// # Errors
/// As [`RgbImage::write_png`].
pub fn write_grey_png(path: &Path, width: usize, height: usize, pixels: &[u8]) -> Result<(), ReportError> {
    write(path, &grey_png_bytes(width, height, pixels)?)
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), ReportError> {
    fs::write(path, bytes).map_err(|source| ReportError::Io { path: path.to_owned(), source })
}

fn encode(width: usize, height: usize, pixels: &[u8], color: png::ColorType) -> Result<Vec<u8>, ReportError> {
    let expected = width * height * color.samples();
    if pixels.len() != expected {
        return Err(ReportError::Size { width, height, actual: pixels.len(), expected });
    }
    let failed = |message: String| ReportError::Encode { width, height, message };
    let side = |n: usize| u32::try_from(n).map_err(|e| failed(e.to_string()));
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, side(width)?, side(height)?);
    encoder.set_color(color);
    encoder.set_depth(png::BitDepth::Eight);
    let mut writer = encoder.write_header().map_err(|e| failed(e.to_string()))?;
    writer.write_image_data(pixels).map_err(|e| failed(e.to_string()))?;
    writer.finish().map_err(|e| failed(e.to_string()))?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(bytes: &[u8]) -> (png::OutputInfo, Vec<u8>) {
        let mut reader = png::Decoder::new(std::io::Cursor::new(bytes)).read_info().unwrap();
        let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
        let info = reader.next_frame(&mut pixels).unwrap();
        (info, pixels)
    }

    #[test]
    fn a_written_picture_reads_back_equal() {
        let mut image = RgbImage::filled(3, 2, [1, 2, 3]);
        image.set(1, 2, [200, 100, 50]);
        image.set(9, 9, [0, 0, 0]);
        let (info, pixels) = decode(&image.to_png_bytes().unwrap());
        assert_eq!((info.width, info.height, info.color_type), (3, 2, png::ColorType::Rgb));
        assert_eq!(pixels, image.pixels);
        assert_eq!(image.get(1, 2), Some([200, 100, 50]));
        assert_eq!(image.get(2, 0), None);

        let (info, pixels) = decode(&grey_png_bytes(2, 2, &[0, 9, 200, 255]).unwrap());
        assert_eq!(info.color_type, png::ColorType::Grayscale);
        assert_eq!(pixels, [0, 9, 200, 255]);
    }

    #[test]
    fn pixels_that_do_not_fit_the_size_are_refused() {
        let image = RgbImage { width: 2, height: 2, pixels: vec![0; 11] };
        assert!(image.to_png_bytes().unwrap_err().to_string().contains("11 bytes, expected 12"));
        assert!(RgbImage::filled(0, 0, [0; 3]).to_png_bytes().is_err());
    }
}
