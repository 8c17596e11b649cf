//! Sequences in memory, channel by channel, with what is worth computing only once.

use std::collections::BTreeMap;

use ndarray::{Array2, Array3, Array4, Axis, s};
use rayon::prelude::*;

use super::spectrum::{self, Taper};
use crate::error::DataError;
use crate::plate::{Calibration, Plate};

/// One channel of several sequences.
#[derive(Clone, Debug)]
pub struct Stack {
    /// Camera counts. `[N, T, H, W]`
    pub counts: Array4<u16>,
    /// Radial power spectrum of each sequence, the mean over its frames. `[N, bins]`
    pub power: Array2<f64>,
    /// Range that the networks see.
    pub calibration: Calibration,
}

impl Stack {
    /// Computes what is computed once. Spectra are those of the normalised frames with a Hann window.
    pub fn new(counts: Array4<u16>, calibration: Calibration) -> Self {
        let (n, frames, height, width) = counts.dim();
        let mut stack = Self { counts, power: Array2::zeros((n, height.min(width) / 2 + 1)), calibration };
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
            calibration: self.calibration,
        }
    }

    /// Returns the number of sequences.
    pub fn len(&self) -> usize {
        self.counts.dim().0
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
    /// Split group of each sequence, as a number: sequences of one group resemble each other. `[N]`
    pub groups: Vec<usize>,
}

impl Pool {
    /// Returns a pool whose sequences are all independent.
    pub fn independent(stacks: Vec<Stack>) -> Self {
        let n = stacks.first().map_or(0, Stack::len);
        Self { stacks, groups: (0..n).collect() }
    }

    /// Returns some of the sequences, the same of all channels, so that these still belong together.
    #[must_use]
    pub fn select(&self, picks: &[usize]) -> Self {
        Self {
            stacks: self.stacks.iter().map(|s| s.select(picks)).collect(),
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

/// Reads sequences of a plate, one stack per channel, normalised by `calibrations` (those of the real plate).
///
/// `tick` is called after each sequence, from several threads.
///
/// # Errors
/// [`DataError`] of the first sequence that cannot be read.
pub fn read(
    plate: &Plate,
    indices: &[usize],
    calibrations: &[Calibration],
    tick: &(dyn Fn() + Sync),
) -> Result<Pool, DataError> {
    let images: Vec<Array4<u16>> = indices
        .par_iter()
        .map(|index| {
            let image = plate.read(*index)?.image;
            tick();
            Ok(image)
        })
        .collect::<Result<_, DataError>>()?;
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
    Ok(Pool {
        stacks: calibrations.iter().enumerate().map(stack_of).collect(),
        groups: names.iter().map(|name| numbers[name]).collect(),
    })
}
