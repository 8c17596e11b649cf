//! Which pages a TIFF file has, and what it says of them: the description, the resolution, metadata of each page.

use std::io::{BufReader, Read, Seek};
use std::path::Path;

use tiff::decoder::Decoder;
use tiff::decoder::ifd::Value;
use tiff::tags::{Tag, Type, ValueBuffer};

use super::first_at::FirstAt;
use super::{Page, broken, limits};
use crate::error::DataError;
use crate::input::capacity;

/// Micro-Manager's JSON of a page.
const MICRO_MANAGER: Tag = Tag::Unknown(51123);
/// Pages that a file may have: a directory takes more than a hundred bytes.
const LEAST_BYTES: u64 = 18;

/// The pages of a TIFF file.
#[derive(Clone, Debug)]
pub(crate) struct Stack {
    /// Pages in their order.
    pub(crate) pages: Vec<Page>,
    /// Image description of the first page; bytes that are no UTF-8 are taken for Latin-1.
    pub(crate) description: String,
    /// Pixels per unit, and the unit: 2 is an inch, 3 a centimetre.
    pub(crate) resolution: Option<(f64, u16)>,
    /// Micro-Manager's JSON of each page; empty where there is none.
    pub(crate) micro_manager: Vec<String>,
}

/// Reads what a file says of its pages.
///
/// # Errors
/// [`DataError`] naming the file where it is no TIFF, or where its directories cannot be followed.
pub(crate) fn read(path: &Path) -> Result<Stack, DataError> {
    let (file, length) = capacity::open(path)?;
    let broken = broken(path);
    let file = FirstAt::new(BufReader::new(file), None).map_err(DataError::decode(path))?;
    let mut decoder = Decoder::new(file).map_err(broken)?.with_limits(limits(0, length));
    let description = text(&mut decoder, Tag::ImageDescription).unwrap_or_default();
    let resolution = decoder.find_tag(Tag::XResolution).ok().flatten().and_then(|value| match value {
        Value::Rational(a, b) => Some(f64::from(a) / f64::from(b)),
        value => value.into_f64().ok(),
    });
    let unit = decoder.find_tag_unsigned::<u16>(Tag::ResolutionUnit).ok().flatten().unwrap_or(2);
    let mut stack = Stack {
        pages: Vec::new(),
        description,
        resolution: resolution.filter(|r| r.is_finite() && *r > 0.0).map(|r| (r, unit)),
        micro_manager: Vec::new(),
    };
    loop {
        if let Some(pointer) = decoder.ifd_pointer() {
            stack.pages.push(Page::Directory(pointer.0));
        }
        stack.micro_manager.extend(text(&mut decoder, MICRO_MANAGER));
        if !decoder.more_images() || stack.pages.len() as u64 > length / LEAST_BYTES {
            break;
        }
        decoder.next_image().map_err(broken)?;
    }
    if stack.micro_manager.len() != stack.pages.len() {
        stack.micro_manager.clear();
    }
    if stack.pages.len() == 1 {
        // One directory may stand for many planes.
        let planes = planes_in_words(&stack.description).unwrap_or(1);
        let (width, height) = decoder.dimensions().map_err(broken)?;
        let bits = decoder.find_tag_unsigned::<u64>(Tag::BitsPerSample).ok().flatten().unwrap_or(1);
        let plane = (u64::from(width) * u64::from(height)).saturating_mul(bits).div_ceil(8).max(1);
        if planes > 1 && planes <= length / plane {
            stack.pages = (0..planes).map(Page::Following).collect();
        } else if planes > 1 {
            return Err(DataError::Undecodable {
                path: path.to_owned(),
                found: format!("its description tells of {planes} planes, and the file has {length} bytes"),
            });
        }
    }
    Ok(stack)
}

/// Returns the number of pages, or of planes where one page stands for a whole stack.
pub(super) fn pages<R: Read + Seek>(decoder: &mut Decoder<R>) -> usize {
    if decoder.more_images() {
        let mut pages = 1;
        while decoder.more_images() && decoder.next_image().is_ok() {
            pages += 1;
        }
        return pages.max(2);
    }
    let mut head = [0; 1024];
    let length = decoder.image_ifd().find_tag_bytes(Tag::ImageDescription, &mut head, 0);
    let length = length.ok().flatten().unwrap_or(0).min(head.len());
    planes_in_words(&String::from_utf8_lossy(&head[..length])).unwrap_or(1) as usize
}

/// Returns how many planes a description tells of: ImageJ's `images=6`, or the shape that tifffile writes.
fn planes_in_words(description: &str) -> Option<u64> {
    if description.starts_with("ImageJ=") {
        return description.lines().find_map(|line| line.strip_prefix("images=")?.trim().parse().ok());
    }
    if !description.starts_with("{\"shape\"") {
        return None;
    }
    let value: serde_json::Value = serde_json::from_str(description.trim_end_matches('\0')).ok()?;
    let shape: Option<Vec<u64>> = value["shape"].as_array()?.iter().map(serde_json::Value::as_u64).collect();
    let shape = shape.filter(|s| s.len() > 2)?;
    shape[..shape.len() - 2].iter().try_fold(1_u64, |n, side| n.checked_mul(*side))
}

fn text<R: Read + Seek>(decoder: &mut Decoder<R>, tag: Tag) -> Option<String> {
    let mut buffer = ValueBuffer::empty(Type::BYTE);
    decoder.image_ifd().find_tag_buf(tag, &mut buffer).ok().flatten()?;
    let bytes = buffer.as_bytes();
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        // Every byte of Latin-1 is the character of the same number.
        Err(_) => bytes.iter().map(|&b| char::from(b)).collect(),
    };
    Some(text.trim_end_matches('\0').to_owned())
}
