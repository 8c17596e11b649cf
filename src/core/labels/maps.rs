//! Label maps: labels in a form that networks can draw, both ways, and the colour in which people see them.
//!
//! A network cannot draw ids, whose numbers mean nothing. It draws smooth maps instead, one plane per frame and map;
//! [`encode`] makes them from ids and [`decode`] finds ids in them again.

use std::collections::BTreeMap;

use ndarray::{Array2, Array4, ArrayView2, Axis};
use serde::{Deserialize, Serialize};

use super::Neighbours;
use super::codec::{self, DecodeSettings, Maps};
use super::components::components;
use super::link::link;
use crate::error::LabelError;
use crate::plate::labels::{objects, structure};
use crate::plate::{LabelMeta, Labels};

/// How labels came about: drawn jointly with the images.
pub const ROUTE: &str = "joint";

/// Colour of label maps on sample grids: orange, as no channel.
pub const COLOR: [u8; 3] = [255, 160, 0];

/// A map of the label domain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LabelMap {
    /// 1 on objects, 0 on background.
    Foreground,
    /// Distance to the object's own boundary, over the largest in the object.
    Distance,
    /// 1 on structure such as the trap.
    Structure,
}

/// Which labels the maps show.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MappedLabels {
    /// Shown by [`LabelMap::Foreground`] and [`LabelMap::Distance`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub objects: Option<LabelMeta>,
    /// Shown by [`LabelMap::Structure`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub structure: Option<LabelMeta>,
}

impl MappedLabels {
    /// Chooses from the labels of a plate: the objects named `wanted` or the only ones, and the structure.
    ///
    /// # Errors
    /// [`LabelError`] with the names, where several could be meant, or none is there at all.
    pub fn choose(labels: &[LabelMeta], wanted: Option<&str>) -> Result<Self, LabelError> {
        let structure = structure(labels)?.cloned();
        let objects = match objects(labels, wanted) {
            Err(LabelError::None { .. }) if structure.is_some() => None,
            chosen => Some(chosen?.clone()),
        };
        Ok(Self { objects, structure })
    }

    /// Returns the maps that these labels give, in the order of the label domain.
    pub fn maps(&self) -> Vec<LabelMap> {
        let objects = self.objects.iter().flat_map(|_| [LabelMap::Foreground, LabelMap::Distance]);
        objects.chain(self.structure.iter().map(|_| LabelMap::Structure)).collect()
    }

    /// Returns the label that a map shows.
    pub fn shown_by(&self, map: LabelMap) -> Option<&LabelMeta> {
        match map {
            LabelMap::Foreground | LabelMap::Distance => self.objects.as_ref(),
            LabelMap::Structure => self.structure.as_ref(),
        }
    }
}

/// Draws a map of tracked labels, frame by frame. `[1, T, H, W]`, values in [0, 1]
pub fn encode(labels: &Labels, map: LabelMap) -> Array4<f32> {
    let plane = |frame: ArrayView2<u32>| match map {
        LabelMap::Foreground => codec::encode(frame).foreground,
        LabelMap::Distance => codec::encode(frame).distance,
        LabelMap::Structure => frame.mapv(|id| f32::from(u8::from(id != 0))),
    };
    let planes: Vec<Array2<f32>> = labels.ids.outer_iter().map(plane).collect();
    let views: Vec<_> = planes.iter().map(|plane| plane.view()).collect();
    // [T, H, W] -> [1, T, H, W]
    ndarray::stack(Axis(0), &views).expect("frames of one size").insert_axis(Axis(0))
}

/// Finds the labels in the maps of a sequence, which follow its `domains` image channels: objects by watershed, linked
/// over the frames; structure by threshold and connected components.
///
/// # Shapes
/// `sequence` `[T, C, H, W]` in [0, 1]; labels by name, ids `[T, H, W]`.
pub fn decode(
    sequence: &Array4<f32>,
    domains: usize,
    maps: &[LabelMap],
    labels: &MappedLabels,
    settings: &DecodeSettings,
) -> BTreeMap<String, Labels> {
    let channel = |map: LabelMap| maps.iter().position(|m| *m == map).map(|i| domains + i);
    let frames = |one: &dyn Fn(ndarray::ArrayView3<f32>) -> Array2<u32>| -> Labels {
        link(&sequence.outer_iter().map(one).collect::<Vec<_>>())
    };
    let mut found = BTreeMap::new();
    if let (Some(foreground), Some(distance), Some(label)) =
        (channel(LabelMap::Foreground), channel(LabelMap::Distance), &labels.objects)
    {
        let objects = frames(&|frame| {
            let plane = |channel| frame.index_axis(Axis(0), channel).to_owned();
            codec::decode(&Maps { foreground: plane(foreground), distance: plane(distance) }, settings)
        });
        found.insert(label.name.clone(), objects);
    }
    if let (Some(structure), Some(label)) = (channel(LabelMap::Structure), &labels.structure) {
        let parts = frames(&|frame| {
            let on = frame.index_axis(Axis(0), structure).mapv(|value| value > 0.5);
            components(on.view(), Neighbours::Eight).0
        });
        // Nothing of a trap is born.
        found.insert(label.name.clone(), Labels { parents: BTreeMap::new(), ..parts });
    }
    found
}

/// Returns how clearly the maps of a sequence say what objects were decoded from them, the mean over frames of
/// [`codec::margin`]; `None` without maps of objects.
pub fn margin(
    sequence: &Array4<f32>,
    domains: usize,
    maps: &[LabelMap],
    objects: &Labels,
    settings: &DecodeSettings,
) -> Option<f64> {
    let channel = |map: LabelMap| maps.iter().position(|m| *m == map).map(|i| domains + i);
    let (foreground, distance) = (channel(LabelMap::Foreground)?, channel(LabelMap::Distance)?);
    let of_frame = |(frame, ids): (ndarray::ArrayView3<f32>, ArrayView2<u32>)| {
        let plane = |channel| frame.index_axis(Axis(0), channel).to_owned();
        codec::margin(&Maps { foreground: plane(foreground), distance: plane(distance) }, ids, settings)
    };
    let margins: Vec<f64> = sequence.outer_iter().zip(objects.ids.outer_iter()).map(of_frame).collect();
    Some(margins.iter().sum::<f64>() / margins.len() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::{Advice, Exit};
    use crate::plate::LabelKind;

    fn label(name: &str) -> LabelMeta {
        LabelMeta { name: name.into(), kind: LabelKind::of_name(name), route: None }
    }

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
        let mapped = MappedLabels::choose(&[label("cells"), label("structure")], None).unwrap();
        let labels = decode(&sequence, 1, &mapped.maps(), &mapped, &DecodeSettings::learned());
        let cells = &labels["cells"].ids;
        assert_eq!([cells[[0, 8, 6]], cells[[1, 8, 7]], cells[[1, 0, 0]]], [1, 1, 0]);
        assert_eq!(labels["structure"].ids[[1, 3, 15]], 1);
        let drawn = encode(&labels["structure"], LabelMap::Structure);
        assert_eq!(drawn.dim(), (1, 2, 16, 16));
        assert_eq!([drawn[[0, 1, 3, 15]], drawn[[0, 1, 3, 3]]], [1.0, 0.0]);
    }

    #[test]
    fn maps_follow_from_the_labels_there_are() {
        let maps = |names: &[&str], wanted| {
            let labels: Vec<_> = names.iter().map(|name| label(name)).collect();
            MappedLabels::choose(&labels, wanted).map(|chosen| chosen.maps())
        };
        assert_eq!(maps(&["structure"], None).unwrap(), [LabelMap::Structure]);
        assert_eq!(maps(&["b", "a"], Some("a")).unwrap(), [LabelMap::Foreground, LabelMap::Distance]);
        assert_eq!(maps(&["b", "a"], None).unwrap_err().exit(), Exit::Usage);
        assert_eq!(maps(&[], None).unwrap_err().exit(), Exit::BadInput);
        assert!(maps(&["structure"], Some("cells")).is_err());
    }
}
