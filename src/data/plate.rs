//! The dataset plate: one OME-Zarr 0.5 HCS plate, one well per sequence, one image per well.
//!
//! This is the only thing the five programs pass to each other besides checkpoints and JSON. Real, phantom and
//! synthetic recordings have the same form; `attributes.lapsegan` beside `ome` says which one it is.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use ndarray::{Array3, Array4};
use serde::{Deserialize, Serialize};

use super::DataError;

/// Which part of the experiment a sequence belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Split {
    /// Seen by `train`.
    Train,
    /// Held out, for choices made during development.
    Val,
    /// Held out, for the numbers that are reported.
    Test,
}

/// Where the sequences come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Origin {
    /// A microscope.
    Recording,
    /// `prepare phantom`.
    Phantom,
    /// `generate`.
    Synthetic,
}

/// The intensity range of a channel in camera counts. Networks see `(counts - lo) / (hi - lo)`, clamped to [0, 1].
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Calibration {
    /// Counts that become 0.
    pub lo: f64,
    /// Counts that become 1; larger than `lo`.
    pub hi: f64,
    /// Share of training pixels below `lo`, in [0, 1].
    pub clipped_low: f64,
    /// Share of training pixels above `hi`, in [0, 1].
    pub clipped_high: f64,
}

impl Calibration {
    /// Returns counts in the networks' range [0, 1].
    pub fn normalise(&self, counts: f32) -> f32 {
        ((f64::from(counts) - self.lo) / (self.hi - self.lo)).clamp(0.0, 1.0) as f32
    }

    /// Returns the counts of a network value, rounded and clamped to 16 bits.
    pub fn counts(&self, value: f32) -> u16 {
        (self.lo + f64::from(value) * (self.hi - self.lo)).round().clamp(0.0, 65535.0) as u16
    }
}

/// One image channel of a plate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Channel {
    /// Name as the user gave it, such as `phase` or `gfp`.
    pub name: String,
    /// Display colour, red green blue.
    pub color: [u8; 3],
    /// Intensity range over the training part.
    pub calibration: Calibration,
}

/// `attributes.lapsegan` of the plate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PlateMeta {
    /// Program that wrote the plate, such as `prepare`.
    pub tool: String,
    /// Version of this package.
    pub version: String,
    /// Real, phantom or synthetic.
    pub origin: Origin,
    /// Seed of everything random in it.
    pub seed: u64,
    /// Frames per sequence, T.
    pub frames: usize,
    /// Rows of a frame.
    pub height: usize,
    /// Columns of a frame.
    pub width: usize,
    /// Image channels in storage order; the first one anchors the styles.
    pub channels: Vec<Channel>,
    /// Names of the label images every sequence carries, such as `cells`.
    pub labels: Vec<String>,
    /// How the labels came about, such as `annotation`, `phantom_truth` or `fluorescence_threshold`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label_route: Option<String>,
    /// Pixel size in micrometres, where known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pixel_size_um: Option<f64>,
    /// Time between frames in seconds, where known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub frame_interval_s: Option<f64>,
    /// True where train, val and test are blocks of one movie: no evidence for a new movie.
    #[serde(default)]
    pub single_movie: bool,
    /// `percentile` or `original` (per-frame brightfield ranges as in the published code).
    pub normalise: String,
    /// For a synthetic plate: the split groups its generator was trained on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub trained_on: Vec<String>,
    /// Free notes on what was done to the input (binning, downscale, crop), for people.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// `attributes.lapsegan` of one image.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SequenceMeta {
    /// File or folder the frames come from, or the checkpoint's digest.
    pub source: String,
    /// Index of the first frame in the source, from 0.
    pub first_frame: usize,
    /// Part of the experiment.
    pub split: Split,
    /// The leakage key: sequences of two groups share no frame.
    pub split_group: String,
    /// Per frame and channel `[lo, hi]` in counts, `[T][C]`, where they are not the channel's own (`normalise: original`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub frame_ranges: Option<Vec<Vec<[f64; 2]>>>,
}

/// A tracked label image: one id is one object through the sequence.
#[derive(Clone, Debug, PartialEq)]
pub struct Labels {
    /// Ids, 0 is background. `[T, H, W]`
    pub ids: Array3<u32>,
    /// Child id to parent id, where a division was seen or simulated.
    pub parents: BTreeMap<u32, u32>,
}

/// T frames of all channels with their labels.
#[derive(Clone, Debug, PartialEq)]
pub struct Sequence {
    /// Provenance and split.
    pub meta: SequenceMeta,
    /// Camera counts. `[T, C, H, W]`
    pub image: Array4<u16>,
    /// Label images by name.
    pub labels: BTreeMap<String, Labels>,
}

/// An opened plate. Sequences are read one by one; metadata is in memory.
#[derive(Debug)]
pub struct Plate {
    /// Folder of the plate.
    pub path: PathBuf,
    /// `attributes.lapsegan` of the plate.
    pub meta: PlateMeta,
    /// Well path (`A/1`) and image metadata, in storage order.
    pub wells: Vec<(String, SequenceMeta)>,
}

/// Writes a plate to a temporary sibling, which gets the final name only when all of it is there.
#[derive(Debug)]
pub struct PlateWriter {}

impl Plate {
    /// Opens a plate and checks its metadata.
    pub fn open(_path: &Path) -> Result<Self, DataError> {
        unimplemented!()
    }

    /// Returns the indices of the sequences of a split, in storage order.
    pub fn indices(&self, split: Split) -> Vec<usize> {
        (0..self.wells.len()).filter(|&i| self.wells[i].1.split == split).collect()
    }

    /// Reads one sequence; a missing or damaged shard is an error, never zeros.
    pub fn read(&self, _index: usize) -> Result<Sequence, DataError> {
        unimplemented!()
    }
}

impl Sequence {
    /// Returns the image in the networks' range. `[T, C, H, W]`
    pub fn normalised(&self, _plate: &PlateMeta) -> Array4<f32> {
        unimplemented!()
    }
}

impl PlateWriter {
    /// Starts a plate of `count` sequences that will be named `path`.
    pub fn create(_path: &Path, _meta: &PlateMeta, _count: usize, _overwrite: bool) -> Result<Self, DataError> {
        unimplemented!()
    }

    /// Writes sequence `index`; may be called from several threads, in any order.
    pub fn write(&self, _index: usize, _sequence: &Sequence) -> Result<(), DataError> {
        unimplemented!()
    }

    /// Returns the folder being written, for side files such as `run.json`.
    pub fn folder(&self) -> &Path {
        unimplemented!()
    }

    /// Gives the plate its final name. A writer dropped before this leaves nothing behind.
    pub fn finish(self) -> Result<(), DataError> {
        unimplemented!()
    }
}
