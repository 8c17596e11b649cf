//! Which symmetries of the square a scene has, as its training sequences show them.
//!
//! A trap, a channel or uneven light gives every image the same direction; then a mirrored or turned image is one that
//! could not have been recorded. The test is one of signs: where a symmetry holds, an image less its mirror image is as
//! likely as its negative, so the mean over independent places is no longer than with signs drawn at random.

use std::collections::BTreeMap;

use rand::Rng;
use tch::{Kind, Tensor};

use super::config::{Symmetries, TrainingConfig};
use super::loader::Dataset;
use lapsegan_core::seed::{self, Stream};

/// Draws of signs; the smallest probability that they can show is one in so many and one.
const DRAWS: usize = 499;
/// A symmetry is given up where its absence is this improbable to be chance.
const IMPROBABLE: f64 = 0.01;
/// Fewer places cannot tell.
const FEW_PLACES: usize = 8;

/// What the sequences show.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SceneSymmetries {
    /// Independent places that were compared.
    pub places: usize,
    /// Probability of differences as large as those between images and their images with columns mirrored, rows mirrored,
    /// and rows and columns exchanged, where there are none.
    pub p_values: [f64; 3],
}

/// Compares the training sequences with their images.
pub fn find(dataset: &Dataset) -> SceneSymmetries {
    let mut places: BTreeMap<String, (Tensor, f64)> = BTreeMap::new();
    for index in 0..dataset.len() {
        // [C, T, H, W] -> [C, H, W]
        let mean = dataset.image(index).mean_dim(Some([1_i64].as_slice()), false, Kind::Float);
        let entry = places.entry(dataset.place(index).to_owned()).or_insert_with(|| (mean.zeros_like(), 0.0));
        entry.0 += mean;
        entry.1 += 1.0;
    }
    let means: Vec<Tensor> = places.into_values().map(|(sum, n)| sum / n).collect();
    let means = Tensor::stack(&means, 0); // [P, C, H, W]
    // Channels of different contrast count alike.
    let spread = means.std_dim(Some([0_i64, 2, 3].as_slice()), false, true).clamp_min(1e-6);
    let means = means / spread;
    let images = [means.flip([-1]), means.flip([-2]), means.transpose(-1, -2)];
    SceneSymmetries {
        places: means.size()[0] as usize,
        p_values: images.map(|image| p_value(&(&means - image).flatten(1, -1))),
    }
}

/// Returns the share of drawn signs under which the sum of differences `[P, K]` is at least as long as it is.
fn p_value(differences: &Tensor) -> f64 {
    let places = differences.size()[0] as usize;
    let mut rng = seed::rng(Stream::Symmetries, &[places as u64]);
    let mut signs = vec![1.0_f32; places];
    signs.extend((0..DRAWS * places).map(|_| if rng.random_bool(0.5) { 1.0 } else { -1.0 }));
    let signs = Tensor::from_slice(&signs).view([-1, places as i64]);
    let lengths =
        signs.matmul(differences).square().sum_dim_intlist(Some([1_i64].as_slice()), false, Kind::Double);
    let lengths = Vec::<f64>::try_from(lengths).expect("one length per draw");
    // Equal ones, of scenes without any difference, count as longer.
    lengths.iter().filter(|length| **length >= lengths[0] * (1.0 - 1e-6)).count() as f64
        / lengths.len() as f64
}

impl SceneSymmetries {
    /// Returns whether columns may be mirrored, and whether all symmetries of the square hold.
    pub fn hold(&self) -> [bool; 2] {
        let [columns, rows, exchanged] = self.p_values.map(|p| p > IMPROBABLE);
        // What cannot be told is not taken for granted, but for the mirror that every preset has.
        let can_tell = self.places >= FEW_PLACES;
        [columns || !can_tell, can_tell && columns && rows && exchanged]
    }

    /// Sets what follows from them.
    pub fn decide(&self, config: &mut TrainingConfig) {
        let [mirror, all] = self.hold();
        (config.mirror, config.dihedral, config.ada.turns) = (mirror, all, all);
        config.symmetries = Symmetries::Set;
    }

    /// Says what was found.
    pub fn sentence(&self) -> String {
        let Self { places, p_values: [columns, rows, exchanged] } = self;
        let says = match self.hold() {
            _ if *places < FEW_PLACES => {
                "too few places to tell a direction: sequences are mirrored, not turned"
            }
            [_, true] => "the scene has no direction: sequences are mirrored and turned",
            [true, false] => "the scene has a direction: sequences are mirrored, not turned",
            [false, _] => "the scene has a direction: sequences are neither mirrored nor turned",
        };
        format!(
            "{says} ({places} places; p = {columns:.3} columns, {rows:.3} rows, {exchanged:.3} exchanged)"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tensor_rng::randn;

    fn found(differences: impl Fn(&Tensor) -> Tensor) -> f64 {
        p_value(&differences(&randn(Stream::Symmetries, &[7], &[24, 40])))
    }

    #[test]
    fn only_a_common_difference_is_found() {
        assert!(found(Tensor::shallow_clone) > 0.05);
        assert!(found(|noise| noise + 0.5) < IMPROBABLE);
        assert!((found(|noise| noise * 0.0) - 1.0).abs() < 1e-12);
    }

    #[test]
    fn few_places_and_any_direction_forbid_turns() {
        let hold = |places, p_values| SceneSymmetries { places, p_values }.hold();
        assert_eq!(hold(7, [0.5; 3]), [true, false]);
        assert_eq!(hold(40, [0.5; 3]), [true, true]);
        assert_eq!(hold(40, [0.5, 0.002, 0.5]), [true, false]);
        assert_eq!(hold(40, [0.002, 0.5, 0.5]), [false, false]);
    }
}
