//! Grey PNG files, 8 and 16 bits: the usual form of label images.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use ndarray::ArrayView2;
use png::{BitDepth, ColorType, Decoder, DecodingError, Encoder, Transformations};

use super::DataError;
use super::image_file::{Grey, Pixels};

/// Reads a grey PNG file. `[H, W]`
///
/// # Errors
/// [`DataError`] naming the file and what it holds, where that is not grey or cannot be decoded.
pub fn read(path: &Path) -> Result<Grey, DataError> {
    let broken = |e: DecodingError| match e {
        DecodingError::IoError(e) if e.kind() != std::io::ErrorKind::UnexpectedEof => {
            DataError::Io { path: path.to_owned(), source: e }
        }
        e => DataError::Undecodable { path: path.to_owned(), found: e.to_string() },
    };
    let file = File::open(path).map_err(DataError::io(path))?;
    let mut decoder = Decoder::new(BufReader::new(file));
    decoder.set_transformations(Transformations::IDENTITY);
    let mut reader = decoder.read_info().map_err(broken)?;
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
    let mut bytes = vec![0; reader.output_buffer_size().unwrap_or(0)];
    let frame = reader.next_frame(&mut bytes).map_err(broken)?;
    bytes.truncate(frame.buffer_size());
    let pixels = if depth == BitDepth::Sixteen {
        Pixels::Bits16(bytes.chunks_exact(2).map(|b| u16::from_be_bytes([b[0], b[1]])).collect())
    } else {
        Pixels::Bits8(bytes)
    };
    Grey::new(path, (height as usize, width as usize), pixels)
}

/// Writes a 16-bit grey PNG file. `[H, W]`
///
/// # Errors
/// What the system says.
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
    super::store::write(path, &bytes).map_err(DataError::io(path))
}

#[cfg(test)]
mod tests {
    use ndarray::Array2;

    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("m.png");
        let plane = Array2::from_shape_fn((4, 3), |(y, x)| (y * 20000 + x) as u16);
        write(&path, plane.view()).unwrap();
        assert_eq!(read(&path).unwrap().ids(&path).unwrap(), plane.mapv(u32::from));
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
        }
    }
}
