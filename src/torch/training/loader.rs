//! Training batches, in the networks' axis order and range, from a training split that is held in memory.

use std::collections::BTreeMap;

use super::config::LabelsConfig;
use super::epochs::Epochs;
use crate::transfer::{download, upload};
use ndarray::Array4;
use rand::Rng;
use tch::{Device, Kind, Tensor};

use lapsegan_core::error::{DataError, LabelError};
use lapsegan_core::labels::maps::{LabelMap, MappedLabels, encode};
use lapsegan_core::plate::axes;
use lapsegan_core::plate::labels::structure;
use lapsegan_core::plate::{Plate, PlateMeta, Sequence, SequenceMeta, Split};
use lapsegan_core::seed::{self, Stream};

/// Transformations after which a training sequence could still have been recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Symmetry {
    /// Mirror columns, with probability 1/2.
    pub mirror: bool,
    /// Mirror rows and transpose as well, for scenes without a preferred direction.
    pub dihedral: bool,
}

/// The training split.
#[derive(Debug)]
pub struct Dataset {
    images: Images,
    /// Weight of every pixel in the pixel losses: 1 plus a gain on the trap. `[H, W]`
    pub trap_weights: Option<Tensor>,
    seed: u64,
    device: Device,
    /// Image channels; label maps follow them.
    domains: i64,
    places: Vec<String>,
    /// Which sequences have labels, where not all have them.
    labelled: Option<Vec<usize>>,
}

/// Where the sequences are.
#[derive(Debug)]
enum Images {
    /// On a GPU, ready. `[S, C, T, H, W]`, values in [0, 1]
    Ready(Tensor),
    /// In the machine's memory as 16-bit numbers, half of what they take when ready.
    Counts(Box<Counts>),
}

#[derive(Debug)]
struct Counts {
    plate: PlateMeta,
    sequences: Vec<Packed>,
    /// Label maps of a sequence with labels.
    maps: usize,
}

/// A sequence as it is kept.
#[derive(Debug)]
struct Packed {
    /// The camera's counts; without labels.
    counts: Sequence,
    /// Label maps, `[1, T, H, W]` each; 65535 is 1. Empty where the sequence has no labels.
    maps: Vec<Array4<u16>>,
}

impl Dataset {
    /// Reads the training split of a plate; `progress` is called with the number of sequences read.
    ///
    /// `label_maps` are drawn from the labels that `mapped` names and follow the image channels; `trap_gain` above 0 asks
    /// for `trap_weights`, which need labels of structure. Of the sequences that `labelled` leaves out, counted within the
    /// training part, no label is looked at. Sequences that are `ready_bytes` or less together are kept on
    /// the device as they are used, others in the machine's memory as 16-bit numbers.
    ///
    /// # Errors
    /// What reading says, and [`DataError::Label`] where labels are missing.
    pub fn load(
        plate: &Plate,
        (label_maps, mapped, labelled): (&[LabelMap], &MappedLabels, Option<&[usize]>),
        trap_gain: f64,
        seed: u64,
        (device, ready_bytes): (Device, u64),
        progress: &dyn Fn(u64),
    ) -> Result<Self, DataError> {
        let mut sequences = Vec::new();
        let mut structure = None;
        for (done, index) in plate.indices(Split::Train).into_iter().enumerate() {
            let sequence = plate.read(index)?;
            if trap_gain > 0.0 {
                let share = structure_share(plate, &sequence)?;
                structure = Some(structure.map_or_else(|| share.shallow_clone(), |sum: Tensor| sum + &share));
            }
            let packed = |map: &LabelMap| Ok(label_map(plate, &sequence, mapped, *map)?.mapv(packed));
            let has_labels = labelled.is_none_or(|labelled| labelled.contains(&done));
            let maps = label_maps.iter().filter(|_| has_labels).map(packed);
            let maps = maps.collect::<Result<_, DataError>>()?;
            sequences.push(Packed { counts: Sequence { labels: BTreeMap::new(), ..sequence }, maps });
            progress(done as u64 + 1);
        }
        if sequences.is_empty() {
            return Err(DataError::EmptySplit { path: plate.path.clone(), split: "train" });
        }
        let foreground = label_maps.iter().position(|map| *map == LabelMap::Foreground);
        if let Some((at, objects)) = foreground.zip(mapped.objects.as_ref()) {
            let learned: Vec<_> = sequences.iter().filter_map(|packed| packed.maps.get(at)).collect();
            if learned.iter().all(|map| map.iter().all(|&value| value == 0)) {
                let source = LabelError::AllEmpty { name: objects.name.clone(), sequences: learned.len() };
                return Err(DataError::Label { path: plate.path.clone(), source });
            }
        }
        let trap_weights =
            structure.map(|sum| upload(&(sum * (trap_gain / sequences.len() as f64) + 1.0), device));
        let places = sequences.iter().map(|packed| place(&plate.meta, &packed.counts.meta)).collect();
        let domains = plate.meta.channels.len() as i64;
        let counts = Counts { plate: plate.meta.clone(), sequences, maps: label_maps.len() };
        let images = if device != Device::Cpu && counts.ready_bytes() <= ready_bytes {
            Images::Ready(counts.ready(device))
        } else {
            Images::Counts(Box::new(counts))
        };
        let labelled = labelled.filter(|_| !label_maps.is_empty()).map(<[usize]>::to_vec);
        Ok(Self { images, trap_weights, seed, device, domains, places, labelled })
    }

    /// Returns the number of training sequences.
    pub fn len(&self) -> usize {
        match &self.images {
            Images::Ready(images) => images.size()[0] as usize,
            Images::Counts(counts) => counts.sequences.len(),
        }
    }

    /// Returns whether there is none; never true for a loaded data set.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns sequences from all over the training part, at most `count`, on the CPU. `[N, C, T, H, W]`
    pub fn some(&self, count: i64) -> Tensor {
        let count = (count as usize).min(self.len());
        let picks = (0..count).map(|i| download(&self.values(i * self.len() / count)));
        Tensor::stack(&picks.collect::<Vec<_>>(), 0)
    }

    /// Returns the batch of an iteration: `count` sequences from position `iteration * count` of the shuffled epochs, and of
    /// those with labels in the rows that `labels` gives to them.
    ///
    /// `-> [N, C, T, H, W]`, values in [0, 1].
    pub fn batch(&self, iteration: u64, count: usize, symmetry: Symmetry, labels: &LabelsConfig) -> Tensor {
        let mut all = Epochs::new(Stream::EpochOrder, self.seed, self.len());
        let labelled = self.labelled.as_deref().unwrap_or_default();
        let mut with_labels = Epochs::new(Stream::LabelledOrder, self.seed, labelled.len());
        let mut rng = seed::rng(Stream::Symmetries, &[self.seed, iteration]);
        let picks: Vec<(usize, u32)> = (0..count)
            .map(|row| {
                let position = iteration * count as u64 + row as u64;
                let index = if !labelled.is_empty() && labels.has_labels(row) {
                    let before = (0..row).filter(|&row| labels.has_labels(row)).count() as u64;
                    let each = (0..count).filter(|&row| labels.has_labels(row)).count() as u64;
                    labelled[with_labels.at(iteration * each + before)]
                } else {
                    all.at(position)
                };
                (index, rng.random_range(0..8))
            })
            .collect();
        let sample = |&(index, draw): &(usize, u32)| transform(&self.values(index), symmetry, draw);
        let batch = Tensor::stack(&picks.iter().map(sample).collect::<Vec<_>>(), 0);
        match &self.images {
            Images::Ready(_) => batch,
            Images::Counts(_) => upload(&batch, self.device),
        }
    }

    /// Returns whether the labels of a sequence are learnt.
    pub(super) fn has_labels(&self, index: usize) -> bool {
        self.labelled.as_ref().is_none_or(|labelled| labelled.contains(&index))
    }

    /// Returns the image channels of a sequence, on the CPU. `[C, T, H, W]`
    pub fn image(&self, index: usize) -> Tensor {
        download(&self.values(index).narrow(0, 0, self.domains))
    }

    /// Returns a name that sequences of one place share, which are not independent of each other.
    pub fn place(&self, index: usize) -> &str {
        &self.places[index]
    }

    /// Returns a sequence where it is kept: image channels, then label maps. `[C, T, H, W]`
    pub(super) fn values(&self, index: usize) -> Tensor {
        match &self.images {
            Images::Ready(images) => images.select(0, index as i64),
            Images::Counts(counts) => counts.values(index),
        }
    }
}

impl Counts {
    /// Returns a sequence in the networks' range, on the CPU: image channels, then label maps. `[C, T, H, W]`
    fn values(&self, index: usize) -> Tensor {
        let Packed { counts, maps } = &self.sequences[index];
        let image = tensor(&axes::channels_first(counts.normalised(&self.plate).view())); // [T, C, H, W] -> [C, T, H, W]
        let drawn = maps.iter().map(|map| tensor(&map.mapv(unpacked)));
        let none = image.narrow(0, 0, 1).zeros_like();
        let missing = (maps.len()..self.maps).map(|_| none.shallow_clone());
        Tensor::cat(
            &std::iter::once(image.shallow_clone()).chain(drawn).chain(missing).collect::<Vec<_>>(),
            0,
        )
    }

    /// Returns how many bytes the sequences take when they are ready.
    fn ready_bytes(&self) -> u64 {
        let PlateMeta { channels, frames, height, width, .. } = &self.plate;
        let numbers = (channels.len() + self.maps) * frames * height * width;
        4 * (self.sequences.len() * numbers) as u64
    }

    /// Returns all sequences on a device, one copied after the other. `[S, C, T, H, W]`
    fn ready(&self, device: Device) -> Tensor {
        let first = self.values(0);
        let shape = [&[self.sequences.len() as i64], first.size().as_slice()].concat();
        let all = Tensor::empty(shape, (Kind::Float, device));
        for index in 0..self.sequences.len() {
            all.select(0, index as i64).copy_(&upload(&self.values(index), device));
        }
        all
    }
}

/// Returns where a sequence is from: a position, or in a single movie its tile, whatever the time.
fn place(plate: &PlateMeta, sequence: &SequenceMeta) -> String {
    let tile = sequence.source.rsplit_once(" y=").map_or("", |(_, tile)| tile);
    if plate.single_movie { tile.to_owned() } else { format!("{} {tile}", sequence.split_group) }
}

/// Returns a value in [0, 1] as it is kept.
fn packed(value: f32) -> u16 {
    (value * 65535.0).round() as u16
}

/// Returns it again; 0 and 1 exactly.
fn unpacked(value: u16) -> f32 {
    f32::from(value) / 65535.0
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
) -> Result<Array4<f32>, DataError> {
    let labels = mapped.shown_by(map).and_then(|label| sequence.labels.get(&label.name));
    let labels = labels.ok_or_else(|| {
        let there = plate.meta.label_names().into_iter().map(str::to_owned).collect();
        let source = match map {
            LabelMap::Structure => LabelError::NoStructure { there },
            _ => LabelError::None { there },
        };
        DataError::Label { path: plate.path.clone(), source }
    })?;
    Ok(encode(labels, map))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::training::standardisation::Standardisation;
    use lapsegan_core::plate::{Calibration, Channel, Origin};

    fn counts() -> Counts {
        let calibration = Calibration { lo: 100.0, hi: 1100.0, clipped_low: 0.0, clipped_high: 0.0 };
        let plate = PlateMeta::new(
            "prepare",
            Origin::Recording,
            [2, 8, 8],
            vec![Channel { name: "gfp".into(), color: [255; 3], recorded: None, calibration }],
        );
        let meta = SequenceMeta {
            source: String::new(),
            first_frame: 0,
            split: Split::Train,
            split_group: "a".into(),
            frame_ranges: None,
            label_margin: None,
        };
        let sequence = |seed: u16| {
            let image =
                Array4::from_shape_fn((2, 1, 8, 8), |(t, _, y, x)| (seed + 97 * (t + y + x) as u16) % 1300);
            let maps = Array4::from_shape_fn((1, 2, 8, 8), |(_, _, y, x)| packed((y * x) as f32 / 49.0));
            let counts = Sequence { meta: meta.clone(), image, labels: BTreeMap::new() };
            Packed { counts, maps: vec![maps] }
        };
        Counts { plate, sequences: vec![sequence(0), sequence(500), sequence(901)], maps: 1 }
    }

    #[test]
    fn sequences_are_the_same_wherever_they_are_kept() {
        let data = |images| Dataset {
            images,
            trap_weights: None,
            seed: 3,
            device: Device::Cpu,
            domains: 1,
            places: vec![String::new(); 3],
            labelled: None,
        };
        let ready = data(Images::Ready(counts().ready(Device::Cpu)));
        assert_eq!(counts().ready_bytes(), 3 * 2 * 2 * 64 * 4);
        let counted = data(Images::Counts(Box::new(counts())));
        let symmetry = Symmetry { mirror: true, dihedral: true };
        for iteration in 0..4 {
            let batch = counted.batch(iteration, 2, symmetry, &LabelsConfig::default());
            assert_eq!(batch.size(), [2, 2, 2, 8, 8]);
            assert_eq!(batch, ready.batch(iteration, 2, symmetry, &LabelsConfig::default()));
        }
        assert_eq!(counted.some(2), ready.some(2));
        let straight = Standardisation::measure(&counted, 0.0, true);
        assert_eq!(straight, Standardisation::measure(&ready, 0.0, true));
        let frames =
            (0..6).map(|i| counted.values(i / 2).get(0).get(i as i64 % 2).var(false).double_value(&[]));
        let within = (frames.sum::<f64>() / 6.0).sqrt();
        assert!((straight.contrast[0] - within).abs() < 1e-4, "{straight:?} {within}");
        // The map has one unit for all.
        assert_eq!(straight.contrast[1], straight.range[1][1]);
        let bent = Standardisation::measure(&counted, 1.2, false);
        assert_eq!((bent.range.len(), bent.curve.len(), bent.contrast.len()), (2, 2, 0));
        assert!(bent.curve.iter().all(|curve| *curve > 0.0), "{bent:?}");
        // The image from 100 to 1,100 counts, the map as it was drawn.
        let values = counted.values(0);
        assert!((values.double_value(&[0, 0, 0, 2]) - 0.094).abs() < 1e-6);
        assert!((values.double_value(&[1, 1, 3, 5]) - 15.0 / 49.0).abs() < 1e-5);
        assert_eq!([0.0, 1.0].map(|value| unpacked(packed(value))), [0.0, 1.0]);
    }

    #[test]
    fn rows_of_labels_hold_sequences_with_labels() {
        let mut counts = counts();
        // The middle one alone has labels.
        for index in [0, 2] {
            counts.sequences[index].maps.clear();
        }
        let dataset = Dataset {
            images: Images::Counts(Box::new(counts)),
            trap_weights: None,
            seed: 3,
            device: Device::Cpu,
            domains: 1,
            places: vec![String::new(); 3],
            labelled: Some(vec![1]),
        };
        let symmetry = Symmetry { mirror: false, dihedral: false };
        for iteration in 0..4 {
            let batch =
                dataset.batch(iteration, 4, symmetry, &LabelsConfig { every: 2, ..LabelsConfig::default() });
            assert_eq!(batch.size(), [4, 2, 2, 8, 8]);
            assert_eq!(batch.get(0), dataset.values(1));
            assert_eq!(batch.get(2), dataset.values(1));
        }
        // Mean and spread of the map are those of the sequence that has it.
        let range = Standardisation::measure(&dataset, 0.0, false).range;
        let map = dataset.values(1).select(0, 1);
        assert!((range[1][0] - map.mean(Kind::Double).double_value(&[])).abs() < 1e-4);
        assert!((range[1][1] - map.std(false).double_value(&[])).abs() < 1e-3);
    }
}
