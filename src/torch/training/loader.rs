//! Training batches: the whole training split in one tensor, in the networks' axis order and range.
//!
//! A time-lapse data set of this kind is a gigabyte at most, so it stays on the device and a batch is an index.

use crate::transfer::{download, upload};
use ndarray::Array4;
use rand::Rng;
use rand::seq::SliceRandom;
use tch::{Device, Kind, Tensor};

use lapsegan_core::error::{DataError, LabelError};
use lapsegan_core::labels::maps::{LabelMap, MappedLabels, encode};
use lapsegan_core::plate::axes;
use lapsegan_core::plate::labels::structure;
use lapsegan_core::plate::{Plate, Sequence, Split};
use lapsegan_core::seed::{self, Stream};

/// Transformations after which a training sequence could still have been recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Symmetry {
    /// Mirror columns, with probability 1/2.
    pub mirror: bool,
    /// Mirror rows and transpose as well, for scenes without a preferred direction.
    pub dihedral: bool,
}

/// The training split on a device.
#[derive(Debug)]
pub struct Dataset {
    /// `[S, C, T, H, W]`, values in [0, 1].
    images: Tensor,
    /// Weight of every pixel in the pixel losses: 1 plus a gain on the trap. `[H, W]`
    pub trap_weights: Option<Tensor>,
    seed: u64,
}

impl Dataset {
    /// Reads the training split of a plate; `progress` is called with the number of sequences read.
    ///
    /// `label_maps` are drawn from the labels that `mapped` names and follow the image channels; `trap_gain` above 0 asks
    /// for `trap_weights`, which need labels of structure.
    ///
    /// # Errors
    /// What reading says, and [`DataError::Label`] where labels are missing.
    pub fn load(
        plate: &Plate,
        label_maps: &[LabelMap],
        mapped: &MappedLabels,
        trap_gain: f64,
        seed: u64,
        device: Device,
        progress: &dyn Fn(u64),
    ) -> Result<Self, DataError> {
        let mut images = Vec::new();
        let mut structure = None;
        for (done, index) in plate.indices(Split::Train).into_iter().enumerate() {
            let sequence = plate.read(index)?;
            if trap_gain > 0.0 {
                let share = structure_share(plate, &sequence)?;
                structure = Some(structure.map_or_else(|| share.shallow_clone(), |sum: Tensor| sum + &share));
            }
            let values = axes::channels_first(sequence.normalised(&plate.meta).view()); // [T, C, H, W] -> [C, T, H, W]
            let image = tensor(&values);
            let maps = label_maps.iter().map(|map| label_map(plate, &sequence, mapped, *map));
            let channels = std::iter::once(Ok(image)).chain(maps).collect::<Result<Vec<_>, _>>()?;
            images.push(Tensor::cat(&channels, 0));
            progress(done as u64 + 1);
        }
        if images.is_empty() {
            return Err(DataError::EmptySplit { path: plate.path.clone(), split: "train" });
        }
        let trap_weights =
            structure.map(|sum| upload(&(sum * (trap_gain / images.len() as f64) + 1.0), device));
        Ok(Self { images: upload(&Tensor::stack(&images, 0), device), trap_weights, seed })
    }

    /// Returns the number of training sequences.
    pub fn len(&self) -> usize {
        self.images.size()[0] as usize
    }

    /// Returns whether there is none; never true for a loaded data set.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the first sequences, at most `count`. `[N, C, T, H, W]`
    pub fn some(&self, count: i64) -> Tensor {
        download(&self.images.narrow(0, 0, count.min(self.len() as i64)))
    }

    /// Returns mean and standard deviation of every channel. They are rounded to four decimals, so that they do not
    /// depend on the order of summation.
    pub fn range(&self) -> Vec<[f64; 2]> {
        let rounded = |value: f64| (value * 1e4).round() / 1e4;
        (0..self.images.size()[1])
            .map(|channel| {
                let values = self.images.select(1, channel);
                let mean = values.mean(Kind::Double).double_value(&[]);
                let square = values.square().mean(Kind::Double).double_value(&[]);
                // A constant channel stays as it is.
                let std = (square - mean * mean).max(0.0).sqrt();
                [rounded(mean), if std < 1e-3 { 1.0 } else { rounded(std) }]
            })
            .collect()
    }

    /// Returns the batch of an iteration: `count` sequences from position `iteration * count` of the shuffled epochs.
    ///
    /// `-> [N, C, T, H, W]`, values in [0, 1].
    pub fn batch(&self, iteration: u64, count: usize, symmetry: Symmetry) -> Tensor {
        let total = self.len() as u64;
        let mut order: Option<(u64, Vec<i64>)> = None;
        let mut rng = seed::rng(Stream::Symmetries, &[self.seed, iteration]);
        let samples: Vec<Tensor> = (0..count as u64)
            .map(|i| {
                let position = iteration * count as u64 + i;
                let epoch = position / total;
                if order.as_ref().is_none_or(|(known, _)| *known != epoch) {
                    let mut indices: Vec<i64> = (0..total as i64).collect();
                    indices.shuffle(&mut seed::rng(Stream::EpochOrder, &[self.seed, epoch]));
                    order = Some((epoch, indices));
                }
                let index = order.as_ref().map_or(0, |(_, o)| o[(position % total) as usize]);
                transform(&self.images.select(0, index), symmetry, rng.random_range(0..8))
            })
            .collect();
        Tensor::stack(&samples, 0)
    }
}

/// Returns the share of a sequence's frames that show structure at a pixel. `[H, W]`
fn structure_share(plate: &Plate, sequence: &Sequence) -> Result<Tensor, DataError> {
    let wrong = |source| DataError::Label { path: plate.path.clone(), source };
    let label = structure(&plate.meta.labels).map_err(wrong)?.ok_or_else(|| {
        let there = plate.meta.label_names().into_iter().map(str::to_owned).collect();
        wrong(LabelError::NoStructure { there })
    })?;
    let on = tensor(&encode(&sequence.labels[&label.name], LabelMap::Structure));
    Ok(on.mean_dim(Some([0_i64, 1].as_slice()), false, Kind::Float))
}

/// Returns a map of a sequence's labels. `[1, T, H, W]`
fn label_map(
    plate: &Plate,
    sequence: &Sequence,
    mapped: &MappedLabels,
    map: LabelMap,
) -> Result<Tensor, DataError> {
    let labels = mapped.shown_by(map).and_then(|label| sequence.labels.get(&label.name));
    let labels = labels.ok_or_else(|| {
        let there = plate.meta.label_names().into_iter().map(str::to_owned).collect();
        let source = match map {
            LabelMap::Structure => LabelError::NoStructure { there },
            _ => LabelError::None { there },
        };
        DataError::Label { path: plate.path.clone(), source }
    })?;
    Ok(tensor(&encode(labels, map)))
}

/// Returns an array as a tensor.
fn tensor(values: &Array4<f32>) -> Tensor {
    let shape: Vec<i64> = values.shape().iter().map(|&n| n as i64).collect();
    let flat: Vec<f32> = values.iter().copied().collect();
    Tensor::from_slice(&flat).reshape(shape)
}

/// Applies one of the eight symmetries of the square to rows and columns, as far as they are allowed.
fn transform(sequence: &Tensor, symmetry: Symmetry, draw: u32) -> Tensor {
    let mut out = sequence.shallow_clone();
    if (symmetry.mirror || symmetry.dihedral) && draw & 1 == 1 {
        out = out.flip([-1]);
    }
    if symmetry.dihedral && draw & 2 == 2 {
        out = out.flip([-2]);
    }
    if symmetry.dihedral && draw & 4 == 4 {
        out = out.transpose(-1, -2);
    }
    out
}
