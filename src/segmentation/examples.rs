//! Labelled sequences as the segmenter sees them.

use ndarray::{Array3, Array4, ArrayView2, ArrayView4, Axis};
use tch::{Device, Tensor};

use crate::data::labels::codec::encode;

/// Percentiles of a frame that become 0 and 1, as Cellpose and `StarDist` normalise.
const LOW_PERCENT: f64 = 1.0;
/// Above the brightest 0.2 %, so that a hot pixel does not decide.
const HIGH_PERCENT: f64 = 99.8;

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
    /// Normalises every frame and channel on its own: a segmenter must not depend on exposure.
    ///
    /// # Shapes
    /// `counts` `[T, C, H, W]`, `labels` `[T, H, W]`.
    pub fn new(name: String, group: String, counts: ArrayView4<u16>, labels: Array3<u32>) -> Self {
        let mut image = Array4::zeros(counts.dim());
        for (mut to_frame, frame) in image.outer_iter_mut().zip(counts.outer_iter()) {
            for (mut to, plane) in to_frame.outer_iter_mut().zip(frame.outer_iter()) {
                let [low, high] = percentiles(plane);
                let range = f32::from(high) - f32::from(low);
                if range > 0.0 {
                    to.zip_mut_with(&plane, |to, &x| *to = (f32::from(x) - f32::from(low)) / range);
                }
            }
        }
        Self { name, group, image, labels }
    }
}

fn percentiles(plane: ArrayView2<u16>) -> [u16; 2] {
    let mut values: Vec<u16> = plane.iter().copied().collect();
    values.sort_unstable();
    let last = values.len().saturating_sub(1) as f64;
    [LOW_PERCENT, HIGH_PERCENT].map(|p| values.get((p / 100.0 * last).round() as usize).copied().unwrap_or(0))
}

/// All frames of several sequences as tensors.
#[derive(Debug)]
pub struct Pool {
    /// Input. `[N, C, H, W]`
    pub images: Tensor,
    /// Foreground and normalised distance. `[N, 2, H, W]`
    pub targets: Tensor,
}

impl Pool {
    /// Joins the frames of sequences of one size.
    ///
    /// # Panics
    /// Without sequences, or where sizes differ; the caller checks plates for that.
    pub fn new<'a>(sequences: impl IntoIterator<Item = &'a Labelled>, device: Device) -> Self {
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
            images: Tensor::cat(&images, 0).to_device(device),
            targets: Tensor::stack(&targets, 0).to_device(device),
        }
    }

    /// Returns the same frames for another thread; pixels are shared.
    #[must_use]
    pub fn share(&self) -> Self {
        Self { images: self.images.shallow_clone(), targets: self.targets.shallow_clone() }
    }

    /// Returns the number of frames.
    pub fn len(&self) -> usize {
        self.images.size()[0] as usize
    }

    /// Returns whether there is no frame.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
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
    use rand::Rng;

    /// Returns `count` sequences of 2 frames with 3 to 5 discs on 32x32 pixels, in `groups` groups.
    pub(crate) fn discs(count: usize, groups: usize, seed: u64) -> Vec<Labelled> {
        (0..count)
            .map(|i| {
                let mut draws = crate::seed::stream(&[seed, i as u64]);
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
                Labelled::new(format!("A/{i}"), format!("g{}", i % groups), counts.view(), labels)
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exposure_does_not_change_what_the_segmenter_sees() {
        let counts = Array4::from_shape_fn((1, 1, 8, 8), |(_, _, y, x)| (100 + 10 * y + x) as u16);
        let labels = Array3::zeros((1, 8, 8));
        let make = |counts: &Array4<u16>| {
            Labelled::new(String::new(), String::new(), counts.view(), labels.clone()).image
        };
        let (dim, bright) = (make(&counts), make(&counts.mapv(|v| 7 * v + 1000)));
        assert!(dim.iter().zip(&bright).all(|(a, b)| (a - b).abs() < 1e-5));
        assert!(make(&Array4::from_elem((1, 1, 8, 8), 9)).iter().all(|v| *v == 0.0));
    }

    #[test]
    fn a_pool_holds_every_frame_with_its_maps() {
        let pool = Pool::new(&drawn::discs(3, 1, 1), Device::Cpu);
        assert_eq!(pool.images.size(), [6, 1, 32, 32]);
        assert_eq!(pool.targets.size(), [6, 2, 32, 32]);
        assert!(!pool.is_empty());
    }
}
