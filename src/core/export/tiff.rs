//! TIFF files of one or several pages, with a description and the pixel size.

use std::fmt::Write as _;
use std::io::{Cursor, Seek, Write};
use std::path::Path;

use ndarray::ArrayView2;
use tiff::encoder::colortype::{ColorType, Gray16, Gray32};
use tiff::encoder::{Compression, DeflateLevel, Rational, TiffEncoder, TiffKind, TiffValue};
use tiff::tags::Tag;

use crate::error::DataError;

/// What a TIFF file says of its pages.
#[derive(Clone, Debug, Default)]
pub(super) struct About {
    /// Image description of the first page.
    pub(super) description: String,
    /// Micrometres.
    pub(super) pixel_size_um: Option<f64>,
}

/// Pages of counts or ids.
pub(super) enum Pages<'a> {
    /// 16-bit.
    Counts(Vec<ArrayView2<'a, u16>>),
    /// 32-bit.
    Ids(Vec<ArrayView2<'a, u32>>),
}

/// Writes a file, deflate-compressed.
///
/// # Errors
/// [`DataError::Io`] with the file.
pub(super) fn write(path: &Path, pages: &Pages<'_>, about: &About) -> Result<(), DataError> {
    let mut bytes = Cursor::new(Vec::new());
    let encoded = TiffEncoder::new(&mut bytes).and_then(|encoder| {
        let mut encoder = encoder.with_compression(Compression::Deflate(DeflateLevel::Balanced));
        match pages {
            Pages::Counts(pages) => all::<Gray16, _, _>(&mut encoder, pages, about),
            Pages::Ids(pages) => all::<Gray32, _, _>(&mut encoder, pages, about),
        }
    });
    encoded.map_err(|e| DataError::Io { path: path.to_owned(), source: std::io::Error::other(e) })?;
    crate::plate::store::write(path, bytes.get_ref()).map_err(DataError::io(path))
}

fn all<C: ColorType, W: Write + Seek, K: TiffKind>(
    encoder: &mut TiffEncoder<W, K>,
    pages: &[ArrayView2<'_, C::Inner>],
    about: &About,
) -> tiff::TiffResult<()>
where
    C::Inner: Copy,
    [C::Inner]: TiffValue,
{
    for (n, page) in pages.iter().enumerate() {
        let (height, width) = page.dim();
        let pixels: Vec<C::Inner> = page.iter().copied().collect();
        let mut image = encoder.new_image::<C>(width as u32, height as u32)?;
        if n == 0 && !about.description.is_empty() {
            image.encoder().write_tag(Tag::ImageDescription, about.description.as_str())?;
        }
        if let Some(um) = about.pixel_size_um {
            // Pixels per centimetre for OME-TIFF and others, per micrometre for ImageJ, which tells its own unit.
            let imagej = about.description.starts_with("ImageJ=");
            let (resolution, unit) = if imagej { (rational(1.0, um), 1_u16) } else { (rational(1e4, um), 3) };
            image.encoder().write_tag(Tag::XResolution, resolution.clone())?;
            image.encoder().write_tag(Tag::YResolution, resolution)?;
            image.encoder().write_tag(Tag::ResolutionUnit, unit)?;
        }
        image.write_data(&pixels)?;
    }
    Ok(())
}

/// Returns `unit / um` as a fraction of which the lower part is the size in decimals, so that 0.42 stays 0.42.
fn rational(unit: f64, um: f64) -> Rational {
    let most = f64::from(u32::MAX);
    let scale =
        (0..=6).rev().map(|k| 10_f64.powi(k)).find(|scale| unit * scale <= most && um * scale <= most);
    let scale = scale.unwrap_or(1.0);
    Rational { n: (unit * scale) as u32, d: (um * scale).round().clamp(1.0, most) as u32 }
}

/// Returns ImageJ's description of pages: channels, times, sizes.
pub(super) fn imagej(channels: usize, frames: usize, meta: &crate::plate::PlateMeta) -> About {
    let mut text = format!("ImageJ=1.54f\nimages={}\n", channels * frames);
    if channels > 1 {
        let _ = writeln!(text, "channels={channels}");
    }
    if frames > 1 {
        let _ = writeln!(text, "frames={frames}");
    }
    if channels * frames > 1 {
        text += "hyperstack=true\nmode=grayscale\n";
    }
    if let Some(s) = meta.frame_interval_s {
        let _ = writeln!(text, "finterval={s}");
    }
    if meta.pixel_size_um.is_some() {
        text += "unit=um\n";
    }
    About { description: text, pixel_size_um: meta.pixel_size_um }
}
