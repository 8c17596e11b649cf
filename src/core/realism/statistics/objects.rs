//! Statistics of the objects of a sequence.

use std::collections::{BTreeMap, BTreeSet};

use crate::labels::properties::{Shape, shapes};
use crate::plate::Labels;

/// Smallest object whose shape means something, in pixels.
const LEAST_AREA: f64 = 9.0;

/// The objects of one sequence.
#[derive(Clone, Debug)]
pub struct Objects {
    /// Shapes by frame.
    frames: Vec<Vec<Shape>>,
    /// Objects that have a mother.
    daughters: BTreeSet<u32>,
}

impl Objects {
    /// Measures label images.
    pub fn of(labels: &Labels) -> Self {
        Self {
            frames: labels.ids.outer_iter().map(shapes).collect(),
            daughters: labels.parents.keys().copied().collect(),
        }
    }

    fn all(&self) -> impl Iterator<Item = &Shape> {
        self.frames.iter().flatten()
    }

    /// Returns every object with itself in the next frame.
    fn steps(&self) -> impl Iterator<Item = (&Shape, &Shape)> {
        self.frames.windows(2).flat_map(|pair| {
            let next: BTreeMap<u32, &Shape> = pair[1].iter().map(|shape| (shape.id, shape)).collect();
            pair[0].iter().filter_map(move |shape| Some((shape, *next.get(&shape.id)?)))
        })
    }
}

/// Objects in every frame.
pub fn count(objects: &Objects) -> Vec<f64> {
    objects.frames.iter().map(|frame| frame.len() as f64).collect()
}

/// Area of every object, in pixels.
pub fn area(objects: &Objects) -> Vec<f64> {
    objects.all().map(|shape| shape.area).collect()
}

/// Eccentricity of every object but specks.
pub fn eccentricity(objects: &Objects) -> Vec<f64> {
    objects.all().filter(|s| s.area >= LEAST_AREA).map(|shape| shape.eccentricity).collect()
}

/// Solidity of every object but specks.
pub fn solidity(objects: &Objects) -> Vec<f64> {
    objects.all().filter(|s| s.area >= LEAST_AREA).map(|shape| shape.solidity).collect()
}

/// Share of the objects in every frame that touch another one.
pub fn touching(objects: &Objects) -> Vec<f64> {
    let frames = objects.frames.iter().filter(|frame| !frame.is_empty());
    frames.map(|f| f.iter().filter(|shape| shape.touching).count() as f64 / f.len() as f64).collect()
}

/// Logarithm of the ratio of areas, of every object and step.
pub fn growth(objects: &Objects) -> Vec<f64> {
    objects.steps().map(|(a, b)| (b.area / a.area).ln()).collect()
}

/// Movement of every object and step, in pixels.
pub fn displacement(objects: &Objects) -> Vec<f64> {
    objects.steps().map(|(a, b)| (b.centre[0] - a.centre[0]).hypot(b.centre[1] - a.centre[1])).collect()
}

/// Divisions by objects and steps at which one could divide; one number per sequence.
pub fn births(objects: &Objects) -> Vec<f64> {
    let (mut born, mut could) = (0, 0);
    for pair in objects.frames.windows(2) {
        let before: BTreeSet<u32> = pair[0].iter().map(|shape| shape.id).collect();
        could += pair[0].len();
        born +=
            pair[1].iter().filter(|s| objects.daughters.contains(&s.id) && !before.contains(&s.id)).count();
    }
    if could == 0 { Vec::new() } else { vec![born as f64 / could as f64] }
}

#[cfg(test)]
mod tests {
    use ndarray::{Array3, s};

    use super::*;

    #[test]
    fn objects_are_counted_measured_and_followed() {
        let mut ids = Array3::zeros((2, 12, 12));
        ids.slice_mut(s![0, 1..4, 1..4]).fill(1);
        ids.slice_mut(s![0, 8..11, 8..11]).fill(2);
        ids.slice_mut(s![1, 1..4, 4..10]).fill(1);
        ids.slice_mut(s![1, 4..5, 4..5]).fill(7);
        let labels = Labels { ids, parents: [(7, 1)].into() };
        let objects = Objects::of(&labels);
        assert_eq!(count(&objects), [2.0, 2.0]);
        assert_eq!(area(&objects), [9.0, 9.0, 18.0, 1.0]);
        assert_eq!(touching(&objects), [0.0, 1.0]);
        assert_eq!(growth(&objects), [2.0_f64.ln()]);
        assert_eq!(displacement(&objects), [4.5]);
        assert_eq!(births(&objects), [0.5]);
        // The speck has no shape.
        assert_eq!(eccentricity(&objects).len(), 3);
        assert_eq!(solidity(&objects), [1.0; 3]);
        let none = Objects::of(&Labels { ids: Array3::zeros((2, 4, 4)), parents: BTreeMap::new() });
        assert_eq!((count(&none), births(&none), touching(&none)), (vec![0.0, 0.0], vec![], vec![]));
    }
}
