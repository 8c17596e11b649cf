//! Sequences of a plate on a contact sheet, which lies in every plate that is made.

use crate::data::axes::channels_first;
use crate::data::plate::{PlateMeta, Sequence};
use crate::report::Panel;

/// Name of the contact sheet in a synthetic plate.
pub const CONTACT_SHEET: &str = "contact_sheet.png";
/// Sequences on it.
pub const SHEET_SEQUENCES: usize = 24;

/// Returns a sequence as the networks see it, with the outlines of the plate's first label.
pub fn panel(caption: String, plate: &PlateMeta, sequence: &Sequence) -> Panel {
    let labels = plate.labels.first().and_then(|name| sequence.labels.get(name));
    Panel {
        planes: channels_first(sequence.normalised(plate).view()),
        colors: plate.channels.iter().map(|c| c.color).collect(),
        outline: labels.map(|l| l.ids.clone()),
        caption,
    }
}
