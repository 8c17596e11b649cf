//! What the benchmark asks of a segmenter: to learn from labelled sequences, and to label others.
//!
//! Trials, scores and reports know only these two traits. The small U-Net of [`train`](super::train) is one segmenter.

use ndarray::{Array3, ArrayView4};

use super::BenchmarkError;
use super::arms::AugmentationStrength;
use super::crops::Pool;

/// What a segmenter learns from.
#[derive(Clone, Debug)]
pub struct Lesson<'a> {
    /// Pools of the first half of the steps; none where the whole training is alike.
    pub before: Vec<&'a Pool<'a>>,
    /// Pools that examples are drawn from in turn, so that each has the same share whatever its size; a pool that is there
    /// twice has twice the share.
    pub pools: Vec<&'a Pool<'a>>,
    /// What is done to examples.
    pub augmentation: AugmentationStrength,
}

/// A method that can be trained again and again, with settings that are the same in every arm.
pub trait Segmenter: Sync {
    /// Returns the name for people, such as `U-Net`.
    fn name(&self) -> &str;

    /// Returns how often [`fit`](Self::fit) calls `on_step`, whatever it is given.
    fn steps(&self) -> usize;

    /// Trains anew.
    ///
    /// Everything random follows from `seed`: equal lessons and seeds give equal labels. Trials call this from several
    /// threads at once.
    ///
    /// # Errors
    /// [`BenchmarkError`] where training failed.
    fn fit(
        &self,
        lesson: &Lesson,
        seed: u64,
        on_step: &mut dyn FnMut(),
    ) -> Result<Box<dyn Fitted>, BenchmarkError>;
}

/// A trained segmenter.
pub trait Fitted {
    /// Returns the labels of the frames of sequences; ids need not be linked over frames.
    ///
    /// # Shapes
    /// `images` `[T, C, H, W]` each, as in [`Labelled`](super::crops::Labelled); results `[T, H, W]`, 0 for background.
    ///
    /// # Errors
    /// [`BenchmarkError`] where no labels can be made.
    fn predict(&self, images: &[ArrayView4<f32>]) -> Result<Vec<Array3<u32>>, BenchmarkError>;
}

#[cfg(test)]
pub(super) mod otsu {
    //! A segmenter without a network: one threshold over all training pixels, and connected components.

    use ndarray::Axis;

    use super::*;
    use lapsegan_core::labels::components::components;
    use lapsegan_core::labels::{Neighbours, otsu::threshold};

    /// Learns Otsu's threshold of the first channel.
    pub(crate) struct Otsu;

    struct Threshold(f32);

    impl Segmenter for Otsu {
        fn name(&self) -> &'static str {
            "Otsu"
        }

        fn steps(&self) -> usize {
            1
        }

        fn fit(
            &self,
            lesson: &Lesson,
            _seed: u64,
            on_step: &mut dyn FnMut(),
        ) -> Result<Box<dyn Fitted>, BenchmarkError> {
            let sequences = lesson.pools.iter().flat_map(|pool| &pool.sequences);
            let pixels: Vec<f32> = sequences
                .flat_map(|s| s.image.index_axis(Axis(1), 0).iter().copied().collect::<Vec<_>>())
                .collect();
            on_step();
            Ok(Box::new(Threshold(threshold(&pixels).map_or(f32::INFINITY, |t| t.value))))
        }
    }

    impl Fitted for Threshold {
        fn predict(&self, images: &[ArrayView4<f32>]) -> Result<Vec<Array3<u32>>, BenchmarkError> {
            let one = |image: &ArrayView4<f32>| {
                let bright = image.index_axis(Axis(1), 0).mapv(|value| value > self.0);
                let mut labels = Array3::zeros(bright.dim());
                for (mut to, frame) in labels.axis_iter_mut(Axis(0)).zip(bright.axis_iter(Axis(0))) {
                    to.assign(&components(frame, Neighbours::Four).0);
                }
                labels
            };
            Ok(images.iter().map(one).collect())
        }
    }
}
