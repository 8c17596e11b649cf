//! Labels that the generator drew: maps of the label domain to tracked ids.

use std::collections::BTreeMap;

use ndarray::{Array2, Array4, ArrayView2, Axis};

use crate::data::labels::codec::{DecodeSettings, Maps, decode};
use crate::data::labels::components::components;
use crate::data::labels::link::link;
use crate::data::labels::{Neighbours, STRUCTURE};
use crate::data::plate::Labels;
use crate::model::LabelMap;

/// How labels came about: drawn jointly with the images.
pub const ROUTE: &str = "joint";

/// Decodes the label maps of a sequence, which follow its `domains` image channels: objects by watershed and linked over
/// the frames, structure by threshold and connected components.
///
/// # Shapes
/// `sequence` `[T, C, H, W]` in [0, 1]; labels by name, ids `[T, H, W]`. Objects are called `objects`.
pub fn decode_labels(
    sequence: &Array4<f32>,
    domains: usize,
    maps: &[LabelMap],
    objects: &str,
    settings: &DecodeSettings,
) -> BTreeMap<String, Labels> {
    let channel = |map: LabelMap| maps.iter().position(|m| *m == map).map(|i| domains + i);
    let mut labels = BTreeMap::new();
    if let (Some(foreground), Some(distance)) = (channel(LabelMap::Foreground), channel(LabelMap::Distance)) {
        let frames: Vec<Array2<u32>> = sequence
            .outer_iter()
            .map(|frame| {
                let plane = |channel| frame.index_axis(Axis(0), channel).to_owned();
                decode(&Maps { foreground: plane(foreground), distance: plane(distance) }, settings)
            })
            .collect();
        labels.insert(objects.to_owned(), link(&frames));
    }
    if let Some(structure) = channel(LabelMap::Structure) {
        let frames: Vec<Array2<u32>> =
            sequence.outer_iter().map(|frame| parts(frame.index_axis(Axis(0), structure))).collect();
        labels.insert(STRUCTURE.to_owned(), link(&frames));
    }
    labels
}

/// Returns the connected parts of what is more structure than not.
fn parts(plane: ArrayView2<f32>) -> Array2<u32> {
    components(plane.mapv(|value| value > 0.5).view(), Neighbours::Eight).0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drawn_maps_become_tracked_objects_and_structure() {
        // Two frames of one disc that moves by a pixel, and a bar.
        let sequence = Array4::from_shape_fn((2, 4, 16, 16), |(t, c, y, x)| {
            let far = (y as f32 - 8.0).hypot(x as f32 - 6.0 - t as f32);
            match c {
                1 => f32::from(u8::from(far < 4.0)),
                2 => (1.0 - far / 4.0).max(0.0),
                3 => f32::from(u8::from(x > 13)),
                _ => 0.3,
            }
        });
        let maps = [LabelMap::Foreground, LabelMap::Distance, LabelMap::Structure];
        let labels = decode_labels(&sequence, 1, &maps, "cells", &DecodeSettings::learned());
        let cells = &labels["cells"].ids;
        assert_eq!([cells[[0, 8, 6]], cells[[1, 8, 7]], cells[[1, 0, 0]]], [1, 1, 0]);
        assert_eq!(labels["structure"].ids[[1, 3, 15]], 1);
    }
}
