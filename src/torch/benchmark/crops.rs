//! Labelled sequences as the segmenter sees them.

use std::sync::{Mutex, PoisonError};

use ndarray::{Array3, Array4, ArrayView4, Axis};
use tch::{Device, Tensor};

use crate::transfer::upload;
use lapsegan_core::labels::codec::encode;
use lapsegan_core::plate::Calibration;

/// Lowest and highest input value. Wider than [0, 1], since what the calibration clips is still picture; not open, so
/// that a hot pixel does not decide.
pub(super) const LIMITS: [f64; 2] = [-0.5, 1.5];

/// A sequence with labels.
#[derive(Clone, Debug)]
pub struct Labelled {
    /// Well path, or another name for people.
    pub name: String,
    /// Its split group, the unit that the interval resamples.
    pub group: String,
    /// Normalised input channels. `[T, C, H, W]`
    pub image: Array4<f32>,
    /// Object ids. `[T, H, W]`
    pub labels: Array3<u32>,
}

impl Labelled {
    /// Brings counts into the range of a calibration, one per channel: `lo` becomes 0 and `hi` becomes 1.
    ///
    /// All sequences of a benchmark get the same calibration, that of the real plate, as counts of a real and a synthetic
    /// plate mean the same. Frames are not stretched one by one: that would make the noise of an empty frame look like
    /// the cells of a full one.
    ///
    /// # Shapes
    /// `counts` `[T, C, H, W]`, `labels` `[T, H, W]`.
    pub fn new(
        name: String,
        group: String,
        counts: ArrayView4<u16>,
        labels: Array3<u32>,
        calibration: &[Calibration],
    ) -> Self {
        let mut image = counts.mapv(f32::from);
        for (mut plane, calibration) in image.axis_iter_mut(Axis(1)).zip(calibration) {
            let [least, most] = LIMITS;
            plane.mapv_inplace(|x| calibration.unit(f64::from(x)).clamp(least, most) as f32);
        }
        Self { name, group, image, labels }
    }
}

/// Sequences of one kind to train on.
#[derive(Debug)]
pub struct Pool<'a> {
    /// The sequences, all of one size.
    pub sequences: Vec<&'a Labelled>,
    /// Their frames as tensors, once a segmenter has asked for them.
    frames: Mutex<Option<Frames>>,
}

/// All frames of a pool as tensors, with the maps that a network can learn instead of ids.
#[derive(Debug)]
pub struct Frames {
    /// Input. `[N, C, H, W]`
    pub images: Tensor,
    /// Foreground and normalised distance. `[N, 2, H, W]`
    pub targets: Tensor,
}

impl<'a> Pool<'a> {
    /// Joins sequences of one size.
    pub fn new(sequences: impl IntoIterator<Item = &'a Labelled>) -> Self {
        Self { sequences: sequences.into_iter().collect(), frames: Mutex::default() }
    }

    /// Returns all frames as tensors on a device. They are made once per pool; later calls, from other threads as well,
    /// share the pixels.
    ///
    /// # Panics
    /// Without sequences, or where sizes differ; the caller checks plates for that.
    pub fn frames(&self, device: Device) -> Frames {
        let mut made = self.frames.lock().unwrap_or_else(PoisonError::into_inner);
        let frames = made.get_or_insert_with(|| Frames::new(&self.sequences, device));
        Frames { images: upload(&frames.images, device), targets: upload(&frames.targets, device) }
    }
}

impl Frames {
    fn new(sequences: &[&Labelled], device: Device) -> Self {
        let (mut images, mut targets) = (Vec::new(), Vec::new());
        for sequence in sequences {
            images.push(tensor(sequence.image.view()));
            for frame in sequence.labels.axis_iter(Axis(0)) {
                let (height, width) = frame.dim();
                let maps = encode(frame);
                let plane = |map: &ndarray::Array2<f32>| {
                    Tensor::from_slice(map.as_slice().expect("maps are made row by row"))
                };
                targets.push(Tensor::cat(&[plane(&maps.foreground), plane(&maps.distance)], 0).view([
                    2,
                    height as i64,
                    width as i64,
                ]));
            }
        }
        Self {
            images: upload(&Tensor::cat(&images, 0), device),
            targets: upload(&Tensor::stack(&targets, 0), device),
        }
    }

    /// Returns the number of frames.
    pub fn count(&self) -> usize {
        self.images.size()[0] as usize
    }
}

/// Returns an array as a tensor. `[T, C, H, W]`
pub(super) fn tensor(image: ArrayView4<f32>) -> Tensor {
    let shape: Vec<i64> = image.shape().iter().map(|&n| n as i64).collect();
    let values: Vec<f32> = image.iter().copied().collect();
    Tensor::from_slice(&values).view(shape.as_slice())
}

#[cfg(test)]
pub(super) mod drawn {
    //! Drawn discs: sequences with exact labels for tests.

    use super::*;
    use lapsegan_core::seed::{self, Stream};
    use rand::Rng;

    /// What discs and background are drawn with.
    pub(crate) const RANGE: Calibration =
        Calibration { lo: 450.0, hi: 1750.0, clipped_low: 0.0, clipped_high: 0.0 };

    /// Returns `count` sequences of 2 frames with 3 to 5 discs on 32x32 pixels, in `groups` groups.
    pub(crate) fn discs(count: usize, groups: usize, seed: u64) -> Vec<Labelled> {
        (0..count)
            .map(|i| {
                let mut draws = seed::rng(Stream::SegmenterCrops, &[seed, i as u64]);
                let n = draws.random_range(3..6);
                let discs: Vec<[f64; 3]> = (0..n)
                    .map(|_| {
                        let mut place = || draws.random_range(4.0..28.0);
                        let (y, x) = (place(), place());
                        [y, x, draws.random_range(3.0..5.5)]
                    })
                    .collect();
                let labels = Array3::from_shape_fn((2, 32, 32), |(t, y, x)| {
                    let inside = |[v, u, r]: &[f64; 3]| (y as f64 - v).hypot(x as f64 - u - t as f64) <= *r;
                    discs.iter().position(inside).map_or(0, |at| at as u32 + 1)
                });
                let counts = Array4::from_shape_fn((2, 1, 32, 32), |(t, _, y, x)| {
                    let light = if labels[[t, y, x]] > 0 { 1500.0 } else { 700.0 };
                    (light + draws.random_range(-250.0..250.0)) as u16
                });
                Labelled::new(format!("A/{i}"), format!("g{}", i % groups), counts.view(), labels, &[RANGE])
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_frame_stays_dark_and_a_hot_pixel_does_not_decide() {
        let range = |lo, hi| Calibration { lo, hi, clipped_low: 0.0, clipped_high: 0.0 };
        // Frame 0 holds a cell in channel 0; frame 1 holds noise and a hot pixel.
        let counts = Array4::from_shape_fn((2, 2, 8, 8), |(t, c, y, x)| match (t, c) {
            (0, 0) if y < 4 => 1100,
            (1, 0) if (y, x) == (7, 7) => 65000,
            (_, 0) => 100 + (x % 2) as u16,
            _ => 40,
        });
        let labels = Array3::zeros((2, 8, 8));
        let calibration = [range(100.0, 1100.0), range(50.0, 60.0)];
        let image = Labelled::new(String::new(), String::new(), counts.view(), labels, &calibration).image;
        assert_eq!((image[[0, 0, 0, 0]], image[[0, 0, 7, 0]]), (1.0, 0.0));
        assert!((image[[1, 0, 0, 1]] - 0.001).abs() < 1e-6);
        assert_eq!((image[[1, 0, 7, 7]], image[[1, 1, 0, 0]]), (1.5, -0.5));
    }

    #[test]
    fn a_pool_holds_every_frame_with_its_maps() {
        let sequences = drawn::discs(3, 1, 1);
        let pool = Pool::new(&sequences);
        let frames = pool.frames(Device::Cpu);
        assert_eq!(frames.images.size(), [6, 1, 32, 32]);
        assert_eq!(frames.targets.size(), [6, 2, 32, 32]);
        assert_eq!(frames.images.data_ptr(), pool.frames(Device::Cpu).images.data_ptr());
    }
}
