//! The dataset plate: one OME-Zarr 0.5 HCS plate, one well per sequence, one image per well.
//!
//! This is the only thing the five programs pass to each other besides checkpoints and JSON. Real, phantom and
//! synthetic recordings have the same form; `attributes.lapsegan` beside `ome` says which one it is.

use std::collections::BTreeMap;
use std::path::PathBuf;

use ndarray::{Array3, Array4, Axis};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

pub mod axes;
mod channels;
pub mod clipping;
pub mod compare;
pub mod digest;
mod finding;
pub mod groups;
pub mod intensity;
pub mod labelled;
pub mod labels;
pub mod latents;
mod leakage;
pub mod merge;
pub mod names;
pub(crate) mod ome_zarr;
mod open;
pub mod saturation;
mod split;
pub(crate) mod store;
pub mod well_digest;
mod write;

pub use channels::{Channel, Modality, display_color, modality};
pub use labels::{LabelKind, LabelMeta};
pub use split::Split;
pub use store::is_zipped;
pub use write::PlateWriter;

use crate::error::DataError;
use groups::SplitGroup;
use labelled::LabelledSequence;

/// The form of `attributes.lapsegan`, raised when an older reader would misread a newer plate.
pub(super) const FORMAT: u64 = 2;

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

/// The intensity range of a channel in camera counts. Networks see [`Calibration::unit`], clamped to [0, 1].
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
    /// Returns counts in units of the range: 0 at `lo`, 1 at `hi`, below 0 and above 1 outside of it.
    pub fn unit(&self, counts: f64) -> f64 {
        (counts - self.lo) / (self.hi - self.lo)
    }

    /// Returns counts in the networks' range [0, 1].
    pub fn normalise(&self, counts: f32) -> f32 {
        self.unit(f64::from(counts)).clamp(0.0, 1.0) as f32
    }

    /// Returns the counts of a network value, rounded and clamped to 16 bits.
    pub fn counts(&self, value: f32) -> u16 {
        (self.lo + f64::from(value) * (self.hi - self.lo)).round().clamp(0.0, 65535.0) as u16
    }
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
    /// Label images that every sequence carries.
    pub labels: Vec<LabelMeta>,
    /// Pixel size in micrometres, where known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pixel_size_um: Option<f64>,
    /// Time between frames in seconds, where known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub frame_interval_s: Option<f64>,
    /// True where train, val and test are blocks of one movie, so that scores say nothing about another movie.
    #[serde(default)]
    pub single_movie: bool,
    /// `percentile` or `original` (per-frame brightfield ranges as in the published code).
    pub normalise: String,
    /// For a recording or phantom: what the frames of its split groups hold.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<SplitGroup>,
    /// For a synthetic plate: the split groups its generator was trained on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub trained_on: Vec<SplitGroup>,
    /// For a synthetic plate: the sequences whose labels its generator learned from, where these were not all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub labelled: Vec<LabelledSequence>,
    /// For a synthetic plate: whether its generator has seen more than `trained_on` says, as one that began with weights
    /// of an unknown history has.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub history_unknown: bool,
    /// Free notes on what was done to the input (binning, downscale, crop), for people.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// Where the plate holds a part of a run only: which one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub part: Option<Part>,
}

/// A contiguous part of a run that several jobs share. Its wells are named as in the plate of the whole run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Part {
    /// Number of this part, from 1.
    pub index: usize,
    /// Number of parts.
    pub of: usize,
    /// Sequences of the whole run.
    pub sequences: usize,
    /// Index of this part's first sequence in the whole run.
    pub first: usize,
    /// Sequences in this part.
    pub count: usize,
    /// Settings that must be equal in all parts.
    pub settings: Map<String, Value>,
    /// Label settings estimated from the first sequences of the run; between machines they may differ by rounding.
    pub label_settings: Value,
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
    /// Per frame and channel `[lo, hi]` in counts, `[T][C]`, where they are not the channel's own (`normalise:
    /// original`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub frame_ranges: Option<Vec<Vec<[f64; 2]>>>,
    /// For a synthetic sequence whose labels were drawn with it: how clearly they were drawn, in [0, 1], see
    /// [`crate::labels::codec::margin`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label_margin: Option<f64>,
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

impl PlateMeta {
    /// Returns the metadata of a plate of `[frames, height, width]` of which no more than this is known: normalised by
    /// percentiles; no labels, sizes, groups, notes.
    pub fn new(
        tool: &str,
        origin: Origin,
        [frames, height, width]: [usize; 3],
        channels: Vec<Channel>,
    ) -> Self {
        Self {
            tool: tool.to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            origin,
            seed: 0,
            frames,
            height,
            width,
            channels,
            labels: Vec::new(),
            pixel_size_um: None,
            frame_interval_s: None,
            single_movie: false,
            normalise: "percentile".to_owned(),
            groups: Vec::new(),
            trained_on: Vec::new(),
            labelled: Vec::new(),
            history_unknown: false,
            notes: Vec::new(),
            part: None,
        }
    }

    /// Returns the metadata of any format up to today's.
    ///
    /// # Errors
    /// What is missing or of another type.
    pub fn from_json(mut stored: Value) -> Result<Self, serde_json::Error> {
        labels::upgrade(&mut stored);
        serde_json::from_value(stored)
    }

    /// As [`PlateMeta::from_json`], for a field of something that is read by serde.
    ///
    /// # Errors
    /// Those of the deserializer.
    pub fn deserialize_any_format<'de, D: Deserializer<'de>>(stored: D) -> Result<Self, D::Error> {
        Self::from_json(Value::deserialize(stored)?).map_err(serde::de::Error::custom)
    }

    /// Returns the names of the label images.
    pub fn label_names(&self) -> Vec<&str> {
        self.labels.iter().map(|label| label.name.as_str()).collect()
    }

    /// Returns how the labels came about: the route of the first ones, objects before structure.
    pub fn label_route(&self) -> Option<&str> {
        let of = |kind| labels::of_kind(&self.labels, kind).find_map(|label| label.route.as_deref());
        of(LabelKind::Objects).or_else(|| of(LabelKind::Structure))
    }

    /// Returns the names of the channels.
    pub fn channel_names(&self) -> Vec<&str> {
        self.channels.iter().map(|channel| channel.name.as_str()).collect()
    }
}

impl Plate {
    /// Returns the label of objects that is meant, see [`labels::objects`].
    ///
    /// # Errors
    /// [`DataError::Label`] naming the plate and the labels there are.
    pub fn objects(&self, wanted: Option<&str>) -> Result<&LabelMeta, DataError> {
        labels::objects(&self.meta.labels, wanted)
            .map_err(|source| DataError::Label { path: self.path.clone(), source })
    }

    /// As [`Plate::objects`]; asked for by name, structure will do as well.
    ///
    /// # Errors
    /// [`DataError::Label`] naming the plate and the labels there are.
    pub fn any_label(&self, wanted: Option<&str>) -> Result<&LabelMeta, DataError> {
        let named = self.meta.labels.iter().find(|label| Some(label.name.as_str()) == wanted);
        named.map_or_else(|| self.objects(wanted), Ok)
    }

    /// Returns the indices of the sequences of a split, in storage order.
    pub fn indices(&self, split: Split) -> Vec<usize> {
        (0..self.wells.len()).filter(|&i| self.wells[i].1.split == split).collect()
    }

    /// Reads one sequence; a missing or damaged shard is an error, never zeros.
    ///
    /// # Errors
    /// [`DataError`] naming the file and what is wrong with it.
    ///
    /// # Panics
    /// Where `index` is not below the number of wells.
    pub fn read(&self, index: usize) -> Result<Sequence, DataError> {
        let (well, meta) = &self.wells[index];
        let plate = &self.meta;
        let (t, h, w) = (plate.frames, plate.height, plate.width);
        let image =
            ome_zarr::read_counts(&self.path, &format!("{well}/0/0"), [t, plate.channels.len(), h, w])?;
        let mut labels = BTreeMap::new();
        for LabelMeta { name, .. } in &plate.labels {
            let group = format!("{well}/0/labels/{name}");
            let ids = ome_zarr::read_array(&self.path, &format!("{group}/0"), [t, 1, h, w])?;
            let parents = self.parents(&group)?;
            // [T, 1, H, W] -> [T, H, W]
            labels.insert(name.clone(), Labels { ids: ids.remove_axis(Axis(1)), parents });
        }
        Ok(Sequence { meta: meta.clone(), image, labels })
    }

    fn parents(&self, group: &str) -> Result<BTreeMap<u32, u32>, DataError> {
        let attributes = ome_zarr::read_group(&self.path, group)?;
        let properties = attributes.get("ome").and_then(|o| o.pointer("/image-label/properties"));
        let number =
            |entry: &Value, key: &str| entry.get(key).and_then(Value::as_u64).and_then(|n| n.try_into().ok());
        Ok(properties
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(|entry| Some((number(entry, "label-value")?, number(entry, "parent")?)))
            .collect())
    }
}

impl Sequence {
    /// Returns the image in the networks' range [0, 1]. `[T, C, H, W]`
    pub fn normalised(&self, plate: &PlateMeta) -> Array4<f32> {
        let mut out = Array4::zeros(self.image.dim());
        for (t, frame) in self.image.outer_iter().enumerate() {
            for (c, counts) in frame.outer_iter().enumerate() {
                let mut range = plate.channels[c].calibration;
                if let Some([lo, hi]) =
                    self.meta.frame_ranges.as_ref().and_then(|r| r.get(t)?.get(c).copied())
                {
                    (range.lo, range.hi) = (lo, hi);
                }
                let mut plane = out.index_axis_mut(Axis(0), t);
                plane.index_axis_mut(Axis(0), c).zip_mut_with(&counts, |value, &x| {
                    *value = range.normalise(f32::from(x));
                });
            }
        }
        out
    }
}
