//! The small U-Net as a segmenter: its training, and what it finds afterwards.

use ndarray::{Array2, Array3, ArrayView4, Axis};
use serde::{Deserialize, Serialize};
use tch::nn::OptimizerConfig;
use tch::{Device, Tensor, nn};

use super::BenchmarkError;
use super::augment::example;
use super::crops::{Frames, Pool, tensor};
use super::segmenter::{Fitted, Lesson, Segmenter};
use super::unet::{UNet, UNetConfig};
use crate::transfer::{download, upload};
use lapsegan_core::labels::codec::{DecodeSettings, Maps, decode};
use lapsegan_core::seed::{self, Stream};

/// Part of the steps in which the learning rate rises.
const WARM_UP: f64 = 0.1;
/// Share of the learning rate with which a network that was trained before goes on.
const FINE_TUNING: f64 = 0.3;
/// Frames put through the network at once where nothing is learned.
const PREDICT_BATCH: usize = 16;

/// Settings of one training.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainSettings {
    /// Optimiser steps, equal in every arm.
    pub steps: usize,
    /// Crops per step, at least 2.
    pub batch: usize,
    /// Largest learning rate of Adam; it rises over a tenth of the steps, then falls to 0 along a cosine.
    pub learning_rate: f64,
    /// Side of the square crops in pixels; smaller frames are taken whole.
    pub crop_px: usize,
    /// Channels at full resolution, a multiple of 4.
    pub base_channels: usize,
    /// Resolutions of the U-Net, 1 to 6.
    pub levels: usize,
}

/// A small [`UNet`] that learns label maps, trained anew for every arm and seed.
#[derive(Clone, Debug)]
pub struct UNetSegmenter {
    /// How it is trained.
    pub train: TrainSettings,
    /// How its maps become labels.
    pub decode: DecodeSettings,
    /// Where it is trained. On a CPU let libtorch use one thread: a network this small gains nothing from more.
    pub device: Device,
}

impl Segmenter for UNetSegmenter {
    fn name(&self) -> &'static str {
        "U-Net"
    }

    fn steps(&self) -> usize {
        self.train.steps
    }

    fn fit(
        &self,
        lesson: &Lesson,
        seed: u64,
        on_step: &mut dyn FnMut(),
    ) -> Result<Box<dyn Fitted>, BenchmarkError> {
        let network = train(lesson, &self.train, self.device, seed, on_step);
        Ok(Box::new(FittedUNet { network, decode: self.decode }))
    }
}

/// A trained network.
struct FittedUNet {
    network: UNet,
    decode: DecodeSettings,
}

impl Fitted for FittedUNet {
    fn predict(&self, images: &[ArrayView4<f32>]) -> Result<Vec<Array3<u32>>, BenchmarkError> {
        Ok(images.iter().map(|image| predict(&self.network, *image, &self.decode)).collect())
    }
}

/// Trains a network on the frames of pools in turn. Weights and draws follow from `seed` alone. `on_step` is called after
/// every step.
fn train(
    lesson: &Lesson,
    settings: &TrainSettings,
    device: Device,
    seed: u64,
    on_step: &mut dyn FnMut(),
) -> UNet {
    let frames = |pools: &[&Pool]| -> Vec<Frames> { pools.iter().map(|pool| pool.frames(device)).collect() };
    let (before, pools) = (frames(&lesson.before), frames(&lesson.pools));
    let in_channels = pools[0].images.size()[1] as usize;
    let config = UNetConfig { in_channels, base_channels: settings.base_channels, levels: settings.levels };
    let network = UNet::new(&config, device, seed);
    let mut draws = seed::rng(Stream::SegmenterCrops, &[seed]);
    let smallest = before.iter().chain(&pools).flat_map(|p| p.images.size()[2..].to_vec()).min().unwrap_or(1);
    let crop = smallest.min(settings.crop_px as i64);
    let mut adam =
        nn::Adam::default().build(&network.vs, settings.learning_rate).expect("Adam takes any parameters");
    let first = if before.is_empty() { 0 } else { settings.steps / 2 };
    for step in 0..settings.steps {
        // Each part of the training rises and falls by itself; the second one changes what is there, gently.
        let (pools, rate) = if step < first {
            (&before, schedule(step, first))
        } else {
            let gentle = if first == 0 { 1.0 } else { FINE_TUNING };
            (&pools, gentle * schedule(step - first, settings.steps - first))
        };
        let (mut images, mut targets) = (Vec::new(), Vec::new());
        for slot in 0..settings.batch {
            let (image, target) = example(
                &pools[(step * settings.batch + slot) % pools.len()],
                crop,
                lesson.augmentation,
                &mut draws,
            );
            images.push(image);
            targets.push(target);
        }
        // [C, h, h] each -> [N, C, h, h]
        let (images, targets) = (Tensor::stack(&images, 0), Tensor::stack(&targets, 0));
        let loss = loss(&network.forward(&images), &targets);
        adam.set_lr(settings.learning_rate * rate);
        adam.backward_step(&loss);
        on_step();
    }
    network
}

/// Cross entropy plus soft Dice, each over both maps: both are in [0, 1], so that the soft one is fitted as well.
///
/// Where objects are rare, cross entropy alone is small for a network that finds nothing anywhere. Dice is taken over the whole batch, as
/// most crops may be empty.
fn loss(logits: &Tensor, targets: &Tensor) -> Tensor {
    let entropy =
        logits.binary_cross_entropy_with_logits::<Tensor>(targets, None, None, tch::Reduction::Mean);
    let maps = logits.sigmoid();
    // [N, 2, h, w] -> [2]
    let sum = |x: &Tensor| x.sum_dim_intlist([0, 2, 3].as_slice(), false, tch::Kind::Float);
    let dice = sum(&(&maps * targets)) * 2.0 / (sum(&maps) + sum(targets) + 1.0);
    entropy + 1.0 - dice.mean(tch::Kind::Float)
}

/// Returns the share of the largest learning rate at a step, in (0, 1].
fn schedule(step: usize, steps: usize) -> f64 {
    let done = (step as f64 + 0.5) / steps as f64;
    if done < WARM_UP {
        return done / WARM_UP;
    }
    0.5 + 0.5 * (std::f64::consts::PI * (done - WARM_UP) / (1.0 - WARM_UP)).cos()
}

/// Returns the labels a network finds in the frames of a sequence; ids are not linked over frames.
///
/// # Shapes
/// `image` `[T, C, H, W]`, result `[T, H, W]`.
fn predict(network: &UNet, image: ArrayView4<f32>, settings: &DecodeSettings) -> Array3<u32> {
    let (frames, _, height, width) = image.dim();
    let mut labels = Array3::zeros((frames, height, width));
    for start in (0..frames).step_by(PREDICT_BATCH) {
        let stop = (start + PREDICT_BATCH).min(frames);
        let part = upload(&tensor(image.slice(ndarray::s![start..stop, .., .., ..])), network.vs.device());
        let maps = Vec::<f32>::try_from(download(&network.maps(&part)).contiguous().view([-1]))
            .expect("maps are floats");
        let plane = |at: usize| {
            let values = maps[at * height * width..(at + 1) * height * width].to_vec();
            Array2::from_shape_vec((height, width), values).expect("one value per pixel")
        };
        for frame in start..stop {
            // [n, 2, H, W], flat
            let at = 2 * (frame - start);
            let maps = Maps { foreground: plane(at), distance: plane(at + 1) };
            labels.index_axis_mut(Axis(0), frame).assign(&decode(&maps, settings));
        }
    }
    labels
}

#[cfg(test)]
mod tests {
    use super::super::arms::AugmentationStrength;
    use super::super::crops::drawn::discs;
    use super::*;
    use lapsegan_core::scores::counts::Counts;
    use rand::Rng;

    fn settings() -> TrainSettings {
        TrainSettings { steps: 150, batch: 8, learning_rate: 1e-2, crop_px: 64, base_channels: 8, levels: 3 }
    }

    fn lesson<'a>(pools: &[&'a Pool<'a>]) -> Lesson<'a> {
        Lesson { before: Vec::new(), pools: pools.to_vec(), augmentation: AugmentationStrength::Standard }
    }

    fn segmenter() -> UNetSegmenter {
        UNetSegmenter { train: settings(), decode: DecodeSettings::learned(), device: Device::Cpu }
    }

    #[test]
    fn drawn_discs_are_learned() {
        // Threads that wait for each other on a busy machine would take most of the time.
        tch::set_num_threads(1);
        let mut steps = 0;
        let sequences = discs(12, 1, 1);
        let segmenter = segmenter();
        let fitted = segmenter.fit(&lesson(&[&Pool::new(&sequences)]), 7, &mut || steps += 1).unwrap();
        assert_eq!(steps, segmenter.steps());
        let counts: Counts = discs(8, 1, 2)
            .iter()
            .map(|s| {
                let found = fitted.predict(&[s.image.view()]).unwrap().remove(0);
                Counts::of_frames(s.labels.view(), found.view()).unwrap()
            })
            .sum();
        let ap = counts.scores().ap[0].unwrap();
        assert!(ap > 0.6, "AP50 {ap}");
    }

    #[test]
    fn rare_objects_are_learned_where_most_frames_are_empty() {
        tch::set_num_threads(1);
        let mut sequences = discs(24, 1, 1);
        let mut draws = seed::rng(Stream::SegmenterCrops, &[3]);
        for sequence in sequences.iter_mut().skip(3) {
            // Frames with nothing but background.
            sequence.image.mapv_inplace(|_| draws.random_range(0.0..0.38));
            sequence.labels.fill(0);
        }
        let fitted = segmenter().fit(&lesson(&[&Pool::new(&sequences)]), 7, &mut || ()).unwrap();
        let found: usize = discs(4, 1, 2)
            .iter()
            .map(|s| fitted.predict(&[s.image.view()]).unwrap()[0].iter().filter(|id| **id > 0).count())
            .sum();
        assert!(found > 1000, "{found} pixels");
    }

    #[test]
    fn the_loss_counts_a_missed_object_however_small_it_is() {
        let targets = Tensor::from_slice(&[1.0_f32, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0]).view([1, 2, 2, 2]);
        let at = |logits: Tensor| loss(&logits, &targets).double_value(&[]);
        let right = (&targets * 2.0 - 1.0) * 30.0;
        // 1 - 2 / (1 + 1 + 1): the constant that keeps empty batches finite.
        assert!((at(right.shallow_clone()) - 1.0 / 3.0).abs() < 1e-6);
        // One pixel of four is missed in each map: cross entropy 30 / 4, no Dice at all.
        assert!((at(right.ones_like() * -30.0) - 8.5).abs() < 1e-6);
    }

    #[test]
    fn equal_seeds_give_equal_networks() {
        let sequences = discs(2, 1, 1);
        let pool = Pool::new(&sequences);
        let short = TrainSettings { steps: 3, ..settings() };
        let weights = |seed| {
            let network = train(&lesson(&[&pool, &pool]), &short, Device::Cpu, seed, &mut || ());
            let mut all: Vec<_> = network.vs.variables().into_iter().collect();
            all.sort_by(|a, b| a.0.cmp(&b.0));
            all.into_iter()
                .flat_map(|(_, w)| Vec::<f32>::try_from(w.detach().view([-1])).unwrap())
                .collect::<Vec<f32>>()
        };
        assert_eq!(weights(1), weights(1));
        assert_ne!(weights(1), weights(2));
    }

    #[test]
    fn a_training_in_two_parts_sees_both_and_differs_from_one() {
        let (first, second) = (discs(2, 1, 1), discs(2, 1, 2));
        let (first, second) = (Pool::new(&first), Pool::new(&second));
        let short = TrainSettings { steps: 4, ..settings() };
        let weight = |before: &[&Pool<'_>]| {
            let lesson = Lesson { before: before.to_vec(), ..lesson(&[&second]) };
            let mut steps = 0;
            let network = train(&lesson, &short, Device::Cpu, 1, &mut || steps += 1);
            assert_eq!(steps, 4);
            network
                .vs
                .variables()
                .values()
                .map(|w| w.abs().sum(tch::Kind::Double).double_value(&[]))
                .sum::<f64>()
        };
        assert_ne!(weight(&[&first]), weight(&[]));
    }

    #[test]
    fn the_learning_rate_rises_and_falls() {
        assert!(schedule(0, 100) < 0.1);
        assert!(schedule(10, 100) > 0.99);
        assert!(schedule(99, 100) < 0.01);
    }
}
