//! Sequences in memory, channel by channel, with what is worth computing only once.

use std::collections::BTreeMap;

use ndarray::{Array2, Array3, Array4, ArrayView3, Axis, s};
use rayon::prelude::*;

use super::spectrum::{self, Taper};
use super::statistics::objects::Objects;
use super::statistics::{ChannelFrames, OF_CHANNEL, OF_CHANNELS, OF_OBJECTS, Samples};
use crate::error::DataError;
use crate::plate::{Calibration, Plate};

/// One channel of several sequences.
#[derive(Clone, Debug)]
pub struct Stack {
    /// Camera counts. `[N, T, H, W]`
    pub counts: Array4<u16>,
    /// Radial power spectrum of each sequence, the mean over its frames. `[N, bins]`
    pub power: Array2<f64>,
    /// Samples of [`OF_CHANNEL`].
    pub samples: Samples,
    /// Range that the networks see.
    pub calibration: Calibration,
}

impl Stack {
    /// Computes what is computed once. Spectra are those of the normalised frames with a Hann window.
    pub fn new(counts: Array4<u16>, calibration: Calibration) -> Self {
        let (n, frames, height, width) = counts.dim();
        let samples: Vec<Samples> = (0..n)
            .into_par_iter()
            .map(|i| {
                let frames = ChannelFrames { counts: counts.index_axis(Axis(0), i), calibration };
                Samples::of(OF_CHANNEL.iter().map(|(_, statistic)| statistic(frames)))
            })
            .collect();
        let power = Array2::zeros((n, height.min(width) / 2 + 1));
        let mut stack = Self { counts, power, samples: Samples::concat(samples), calibration };
        for i in 0..n {
            let mut sequence = Array3::zeros((frames, height, width));
            for (t, mut frame) in sequence.outer_iter_mut().enumerate() {
                frame.assign(&stack.frame(i * frames + t));
            }
            let power = spectrum::radial_power(sequence.view(), Taper::Hann);
            if let Some(mean) = power.mean_axis(Axis(0)) {
                stack.power.row_mut(i).assign(&mean);
            }
        }
        stack
    }

    /// Returns some of the sequences.
    #[must_use]
    pub fn select(&self, picks: &[usize]) -> Self {
        Self {
            counts: self.counts.select(Axis(0), picks),
            power: self.power.select(Axis(0), picks),
            samples: self.samples.select(picks),
            calibration: self.calibration,
        }
    }

    /// Returns one sequence. `[T, H, W]`
    fn sequence(&self, index: usize) -> ArrayView3<'_, u16> {
        self.counts.index_axis(Axis(0), index)
    }

    /// Returns the number of sequences.
    pub fn len(&self) -> usize {
        self.counts.dim().0
    }

    /// Returns the shorter side of the images, in pixels.
    pub fn side(&self) -> usize {
        self.counts.dim().2.min(self.counts.dim().3)
    }

    /// Returns whether there is no sequence.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns a frame in [0, 1]; frames of all sequences are numbered through. `[H, W]`
    pub fn frame(&self, index: usize) -> Array2<f64> {
        let frames = self.counts.dim().1;
        let counts = self.counts.slice(s![index / frames, index % frames, .., ..]);
        counts.mapv(|v| self.calibration.unit(f64::from(v)).clamp(0.0, 1.0))
    }
}

/// All channels of several sequences.
#[derive(Clone, Debug)]
pub struct Pool {
    /// One stack per channel.
    pub stacks: Vec<Stack>,
    /// Samples of [`OF_CHANNELS`].
    pub together: Samples,
    /// Samples of [`OF_OBJECTS`], where the sequences have labels.
    pub objects: Option<Samples>,
    /// Split group of each sequence, as a number: sequences of one group resemble each other. `[N]`
    pub groups: Vec<usize>,
}

impl Pool {
    /// Returns a pool whose sequences are all independent.
    pub fn independent(stacks: Vec<Stack>) -> Self {
        let n = stacks.first().map_or(0, Stack::len);
        Self::new(stacks, None, (0..n).collect())
    }

    fn new(stacks: Vec<Stack>, objects: Option<Samples>, groups: Vec<usize>) -> Self {
        let together: Vec<Samples> = (0..groups.len())
            .into_par_iter()
            .map(|i| {
                let channels: Vec<ChannelFrames<'_>> = stacks
                    .iter()
                    .map(|stack| ChannelFrames { counts: stack.sequence(i), calibration: stack.calibration })
                    .collect();
                Samples::of(OF_CHANNELS.iter().map(|(_, statistic)| statistic(&channels)))
            })
            .collect();
        Self { stacks, together: Samples::concat(together), objects, groups }
    }

    /// Returns some of the sequences, the same of all channels, so that these still belong together.
    #[must_use]
    pub fn select(&self, picks: &[usize]) -> Self {
        Self {
            stacks: self.stacks.iter().map(|s| s.select(picks)).collect(),
            together: self.together.select(picks),
            objects: self.objects.as_ref().map(|objects| objects.select(picks)),
            groups: picks.iter().map(|i| self.groups[*i]).collect(),
        }
    }

    /// Returns the number of sequences.
    pub fn len(&self) -> usize {
        self.groups.len()
    }

    /// Returns whether there is no sequence.
    pub fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }
}

/// Reads sequences of a plate, one stack per channel, normalised by `calibrations` (those of the real plate), and the
/// objects of a label.
///
/// `tick` is called after each sequence, from several threads.
///
/// # Errors
/// [`DataError`] of the first sequence that cannot be read.
pub fn read(
    plate: &Plate,
    indices: &[usize],
    calibrations: &[Calibration],
    label: Option<&str>,
    tick: &(dyn Fn() + Sync),
) -> Result<Pool, DataError> {
    let read: Vec<(Array4<u16>, Option<Samples>)> = indices
        .par_iter()
        .map(|index| {
            let sequence = plate.read(*index)?;
            let objects = label.and_then(|label| sequence.labels.get(label)).map(Objects::of);
            let samples = |objects| Samples::of(OF_OBJECTS.iter().map(|(_, statistic)| statistic(objects)));
            tick();
            Ok((sequence.image, objects.as_ref().map(samples)))
        })
        .collect::<Result<_, DataError>>()?;
    let (images, objects): (Vec<_>, Vec<_>) = read.into_iter().unzip();
    let objects: Option<Vec<Samples>> = objects.into_iter().collect();
    let meta = &plate.meta;
    let stack_of = |(channel, calibration): (usize, &Calibration)| {
        let mut counts = Array4::zeros((images.len(), meta.frames, meta.height, meta.width));
        for (mut sequence, image) in counts.outer_iter_mut().zip(&images) {
            // [T, C, H, W] -> [T, H, W]
            sequence.assign(&image.index_axis(Axis(1), channel));
        }
        Stack::new(counts, *calibration)
    };
    let names: Vec<&str> = indices.iter().map(|i| plate.wells[*i].1.split_group.as_str()).collect();
    let numbers: BTreeMap<&str, usize> = names.iter().enumerate().map(|(i, name)| (*name, i)).collect();
    let stacks = calibrations.iter().enumerate().map(stack_of).collect();
    let groups = names.iter().map(|name| numbers[name]).collect();
    Ok(Pool::new(stacks, objects.map(Samples::concat), groups))
}
