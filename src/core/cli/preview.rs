//! Sequences of a plate on a contact sheet, which lies in every plate that is made.

use crate::plate::axes::channels_first;
use crate::plate::labels::of_kind;
use crate::plate::{LabelKind, PlateMeta, Sequence};
use crate::report::Panel;

/// Name of the contact sheet in a synthetic plate.
pub const CONTACT_SHEET: &str = "contact_sheet.png";
/// Sequences on it.
pub const SHEET_SEQUENCES: usize = 24;

/// Returns a sequence as the networks see it, with the outlines of the plate's objects, or of its first label.
pub fn panel(caption: String, plate: &PlateMeta, sequence: &Sequence) -> Panel {
    let shown = of_kind(&plate.labels, LabelKind::Objects).next().or(plate.labels.first());
    let labels = shown.and_then(|label| sequence.labels.get(&label.name));
    Panel {
        planes: channels_first(sequence.normalised(plate).view()),
        colors: plate.channels.iter().map(|c| c.color).collect(),
        outline: labels.map(|l| l.ids.clone()),
        caption,
    }
}
