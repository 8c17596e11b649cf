//! Stacks and hyperstacks of ImageJ and Fiji: channels change fastest, then focal planes, then times.

use std::collections::BTreeMap;
use std::path::Path;

use super::{InFilePlace, Layout, Pages, contradiction, pages, unnamed};
use crate::error::DataError;
use crate::input::listing::Scale;
use crate::input::tiff::stack::Stack;
use crate::input::units::{micrometres, positive, seconds, seven_digits};

/// Returns what the pages of an ImageJ file show, where `what` does not say otherwise; `None` for other files.
pub(super) fn layout(path: &Path, stack: &Stack, what: Option<Pages>) -> Result<Option<Layout>, DataError> {
    if !stack.description.starts_with("ImageJ=") {
        return Ok(None);
    }
    let words: BTreeMap<&str, &str> =
        stack.description.lines().filter_map(|line| line.split_once('=')).collect();
    let number = |key: &str| words.get(key).and_then(|v| v.trim().parse::<f64>().ok());
    let count = |key: &str| number(key).filter(|n| *n >= 1.0 && n.fract() == 0.0).map_or(1, |n| n as usize);
    let (channels, slices, frames) = (count("channels"), count("slices"), count("frames"));
    let n = stack.pages.len();
    let told = channels.saturating_mul(slices).saturating_mul(frames);
    // `images=30` alone is a stack of slices, which time-lapses often are, saved without their dimensions.
    let dimensions = match what {
        Some(Pages::T) if channels == 1 => (1, 1, n),
        Some(Pages::Z) if channels == 1 => (1, n, 1),
        Some(Pages::C) => (n, 1, 1),
        _ if told == 1 => (1, 1, n),
        _ => (channels, slices, frames),
    };
    if told > 1 && told != n {
        return Err(contradiction(
            path,
            format!(
                "its description tells of {channels} channel(s), {slices} slice(s) and {frames} frame(s)"
            ),
            format!("{n} of them in all, as there are pages"),
        ));
    }
    let (channels, slices, frames) = dimensions;
    let planes = pages(path, stack, |page| {
        let (c, z, t) = (page % channels, page / channels % slices, page / channels / slices);
        InFilePlace {
            channel: (channels > 1).then(|| unnamed(c)),
            z: (slices > 1).then_some(z as i64),
            t: (frames > 1).then_some(t as i64),
        }
    });
    let unit = words.get("unit").copied().unwrap_or("");
    let pixel_size_um = match (micrometres(unit), stack.resolution) {
        (Some(um), Some((per_unit, _))) => seven_digits(um / per_unit),
        _ => None,
    };
    let tunit = words.get("tunit").and_then(|unit| seconds(unit)).unwrap_or(1.0);
    let interval = number("finterval")
        .or_else(|| number("fps").filter(|fps| *fps > 0.0 && *fps < 1.0).map(|fps| 1.0 / fps));
    let mut layout = Layout {
        what: if n > 1 { "ImageJ stack" } else { "ImageJ image" },
        planes,
        channels: if channels > 1 { (0..channels).map(unnamed).collect() } else { Vec::new() },
        scale: Scale { pixel_size_um, frame_interval_s: interval.and_then(|s| positive(s * tunit)) },
        ..Layout::default()
    };
    if n > 1 && slices > 1 && frames == 1 {
        layout.notes.push(format!(
            "{}: its {slices} pages are slices (z), as the file says; where they are times, set that in Fiji (Image > \
             Properties) or pass --pages t",
            path.display()
        ));
    }
    Ok(Some(layout))
}
