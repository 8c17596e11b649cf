//! TIFF files of several pages that say nothing of them.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{InFilePlace, Layout, pages, unnamed};
use crate::input::listing::Scale;
use crate::input::tiff::stack::Stack;
use crate::input::units::seven_digits;

/// What the pages of a file are that says nothing of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Pages {
    /// Times.
    T,
    /// Focal planes.
    Z,
    /// Channels.
    C,
}

impl Pages {
    /// The words of the settings, with what they mean.
    pub const WORDS: [(&'static str, &'static str); 3] =
        [("t", "Times"), ("z", "Focal planes"), ("c", "Channels")];
}

/// Micrometres of a pixel that a resolution may stand for; what lies outside is that of a screen or printer.
const PIXEL_SIZES_UM: std::ops::Range<f64> = 0.005..50.0;

/// Returns what the pages show: times, where nothing else is said.
pub(super) fn layout(path: &Path, stack: &Stack, what: Option<Pages>) -> Layout {
    let n = stack.pages.len();
    let planes = pages(path, stack, |page| {
        let here = |axis: Pages| n > 1 && what.unwrap_or(Pages::T) == axis;
        InFilePlace {
            channel: here(Pages::C).then(|| unnamed(page)),
            z: here(Pages::Z).then_some(page as i64),
            t: here(Pages::T).then_some(page as i64),
        }
    });
    let mut layout = Layout {
        what: if n > 1 { "TIFF stack" } else { "TIFF image" },
        planes,
        scale: Scale { pixel_size_um: pixel_size(stack), frame_interval_s: None },
        ..Layout::default()
    };
    if n > 1 && what == Some(Pages::C) {
        layout.channels = (0..n).map(unnamed).collect();
    }
    if n > 1 && what.is_none() {
        layout.notes.push(format!(
            "{}: its {n} pages are taken for times, as the file does not say what they are; --pages z or --pages c \
             says otherwise",
            path.display()
        ));
    }
    layout
}

/// Returns the pixel size of a resolution per centimetre; one per inch is that of a printer. One of exactly 1 µm is what
/// programs write that do not know it.
fn pixel_size(stack: &Stack) -> Option<f64> {
    let (per_cm, unit) = stack.resolution?;
    let um = seven_digits(1e4 / per_cm)?;
    let known = unit == 3 && PIXEL_SIZES_UM.contains(&um) && (um - 1.0).abs() > 1e-9;
    known.then_some(um)
}
