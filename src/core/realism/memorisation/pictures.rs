//! The worst pairs as pictures: a synthetic sequence, and its nearest real ones laid upon it.

use ndarray::{Array4, Axis, s};

use super::result::{Neighbour, WorstPair};
use super::symmetry::{Alignment, Symmetry};
use crate::plate::{Calibration, Plate};
use crate::realism::EvaluationError;
use crate::realism::protocol::Plates;
use crate::report::{Panel, RgbImage, contact_sheet};

/// Frames of a sequence that are shown.
const FRAMES: usize = 3;

/// Longest side of a shown frame in pixels; larger ones are averaged over blocks, smaller ones enlarged.
const SIDE: usize = 96;

/// Draws one pair: the synthetic sequence, its nearest training sequence, its nearest held-out one.
///
/// # Errors
/// [`EvaluationError::Data`] where a sequence cannot be read.
pub fn picture(plates: &Plates, pair: &WorstPair) -> Result<RgbImage, EvaluationError> {
    let as_it_is = Alignment { symmetry: Symmetry::NONE, shift: [0, 0] };
    let real = |of: &str, neighbour: &Neighbour| {
        let caption = format!("{of} {:.2}", neighbour.distance);
        panel(plates, plates.real, neighbour.index, neighbour.alignment, caption)
    };
    let panels = [
        panel(plates, plates.synthetic, pair.index, as_it_is, format!("synthetic {}", pair.synthetic))?,
        real("training", &pair.training)?,
        real("held out", &pair.held_out)?,
    ];
    let longest = panels.iter().map(|p| p.planes.dim().2.max(p.planes.dim().3)).max().unwrap_or(1);
    Ok(contact_sheet(&panels, panels.len(), (SIDE / longest.max(1)).max(1)))
}

fn panel(
    plates: &Plates,
    plate: &Plate,
    index: usize,
    alignment: Alignment,
    caption: String,
) -> Result<Panel, EvaluationError> {
    let channels = &plates.real.meta.channels;
    let image = plate.read(index)?.image;
    let frames = image.dim().0.min(FRAMES);
    // [T, C, H, W] -> [C, T, H, W]
    let counts = image.slice(s![..frames, .., .., ..]);
    let mut planes = Array4::from_elem((channels.len(), frames, image.dim().2, image.dim().3), f32::NAN);
    for (c, mut plane) in planes.outer_iter_mut().enumerate() {
        let calibration: Calibration = channels[c].calibration;
        let channel = counts.index_axis(Axis(1), c).mapv(|v| calibration.normalise(f32::from(v)));
        let moved = alignment.symmetry.of(channel.view());
        for ((t, y, x), to) in plane.indexed_iter_mut() {
            let from = [y as i64 - alignment.shift[0], x as i64 - alignment.shift[1]];
            if let [Ok(y), Ok(x)] = from.map(usize::try_from)
                && let Some(value) = moved.get([t, y, x])
            {
                *to = *value;
            }
        }
    }
    Ok(Panel {
        planes: smaller(&planes),
        colors: channels.iter().map(|c| c.color).collect(),
        outline: None,
        caption,
    })
}

/// Returns means over blocks, so that no side is longer than [`SIDE`].
fn smaller(planes: &Array4<f32>) -> Array4<f32> {
    let (channels, frames, height, width) = planes.dim();
    let block = height.max(width).div_ceil(SIDE).max(1).min(height.min(width).max(1));
    Array4::from_shape_fn((channels, frames, height / block, width / block), |(c, t, y, x)| {
        let part = planes.slice(s![c, t, y * block..(y + 1) * block, x * block..(x + 1) * block]);
        part.sum() / part.len() as f32
    })
}
