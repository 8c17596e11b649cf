//! Files of feature vectors: safetensors with a tensor `features` [N, D], or, as `segment-benchmark features` writes them,
//! one of each channel with what they were made of.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use ndarray::Array2;
use safetensors::tensor::{Dtype, TensorView, serialize};
use safetensors::{SafeTensorError, SafeTensors};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::error::DataError;
use crate::side_file;

/// Name of the tensor of features; with a dot and a name it is that of a channel.
pub const FEATURES: &str = "features";
/// Name of the tensor of class logits; as [`FEATURES`].
pub const LOGITS: &str = "logits";
/// Name of the tensor of numbers of split groups, one per row.
const GROUPS: &str = "groups";
/// Key of the metadata under which [`About`] is.
const ABOUT: &str = "lapsegan";
/// Longest file: a million vectors of 2,048 dimensions.
const LONGEST: u64 = 16 << 30;

/// What vectors were made of. Two files may be compared where all but `plate`, `split`, `sequences` and `mirrored` is equal.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct About {
    /// Version of this description.
    pub format: u32,
    /// Name of the protocol: network, layer, size and range.
    pub protocol: String,
    /// Name of the distance by it.
    pub figure_name: String,
    /// `distances` or `inception_score`.
    pub figure: String,
    /// `frames`, `one_frame` (of a sequence) or `clip`.
    pub sample: String,
    /// SHA-256 of the weights.
    pub weights_sha256: String,
    /// Name under which these weights are published, where their digest says so.
    pub weights: Option<String>,
    /// Arithmetic of the network.
    pub precision: String,
    /// The plate.
    pub plate: String,
    /// Which of its sequences: `train`, `held-out` or `all`.
    pub split: String,
    /// How many.
    pub sequences: usize,
    /// Whether half of them were mirrored.
    pub mirrored: bool,
    /// Frames, height and width of a sequence.
    pub size: [usize; 3],
    /// Names of the channels.
    pub channels: Vec<String>,
    /// Counts of each channel that black and white are made of; empty in protocols without a fixed range.
    pub ranges: BTreeMap<String, [f64; 2]>,
    /// Seed of what was drawn.
    pub seed: u64,
}

impl About {
    /// Returns what keeps two files from being compared, `None` where nothing does.
    pub fn differs(&self, other: &Self) -> Option<String> {
        let words = |name: &str, a: &str, b: &str| (a != b).then(|| format!("{name} {a} and {b}"));
        let short = |digest: &str| digest.get(..12).unwrap_or(digest).to_owned();
        if self.channels != other.channels {
            return Some(format!("channels {} and {}", self.channels.join(", "), other.channels.join(", ")));
        }
        words("protocol", &self.protocol, &other.protocol)
            .or_else(|| words("weights", &short(&self.weights_sha256), &short(&other.weights_sha256)))
            .or_else(|| words("precision", &self.precision, &other.precision))
            .or_else(|| {
                (self.size != other.size)
                    .then(|| format!("frames, height and width {:?} and {:?}", self.size, other.size))
            })
            .or_else(|| {
                (self.ranges != other.ranges)
                    .then(|| format!("ranges of counts {:?} and {:?}", self.ranges, other.ranges))
            })
    }
}

/// The vectors of one set of images or sequences.
#[derive(Clone, Debug, PartialEq)]
pub struct Vectors {
    /// One row per image or sequence. `[N, D]`
    pub features: Array2<f64>,
    /// Class logits before the softmax, where the file has them. `[N, K]`
    pub logits: Option<Array2<f64>>,
}

/// The vectors of one channel, as they are written.
#[derive(Clone, Debug)]
pub struct ChannelVectors {
    /// Its name.
    pub channel: String,
    /// `[N, D]`
    pub features: Array2<f32>,
    /// `[N, K]`
    pub logits: Option<Array2<f32>>,
}

/// A file of vectors.
#[derive(Clone, Debug, PartialEq)]
pub struct FeatureFile {
    /// SHA-256 of the file, hexadecimal.
    pub sha256: String,
    /// What they were made of, where the file says so.
    pub about: Option<About>,
    /// By channel; a file without [`About`] has one without name.
    pub channels: Vec<(Option<String>, Vectors)>,
    /// Number of the split group of each row: rows of one group resemble each other. Without any, every row is its own.
    pub groups: Vec<u64>,
}

impl FeatureFile {
    /// Reads the tensors `features` `[N, D]` and, where they are there, `logits` `[N, K]` of 16-, 32- or 64-bit floating
    /// point numbers.
    ///
    /// # Errors
    /// [`DataError`] of a file that is missing, cut, or without such a tensor, and of values that are no numbers.
    pub fn read(path: &Path) -> Result<Self, DataError> {
        let bytes = side_file::read(path, LONGEST)?;
        let unusable = |found: String| {
            DataError::Unusable {
            path: path.to_owned(),
            found,
            expected: format!("safetensors with a tensor `{FEATURES}` [N, D] of floating point numbers"),
            hint: "write it in Python with safetensors.numpy.save_file({'features': array}, 'features.safetensors')".into(),
        }
        };
        let file = SafeTensors::deserialize(&bytes)
            .map_err(|e| unusable(format!("is no whole safetensors file ({e:?})")))?;
        let about = about(&bytes).map_err(unusable)?;
        let read = |name: &str| -> Result<Array2<f64>, DataError> {
            let tensor = file.tensor(name).map_err(|_| {
                let mut names: Vec<&String> = file.names();
                names.sort();
                unusable(format!("has no tensor `{name}`, only {names:.200?}"))
            })?;
            let values = matrix(&tensor).map_err(|found| unusable(format!("tensor `{name}` {found}")))?;
            let row_of = |at: usize| at / values.ncols().max(1);
            match values.iter().position(|v| !v.is_finite()) {
                Some(at) => Err(unusable(format!("tensor `{name}` holds no number in row {}", row_of(at)))),
                None => Ok(values),
            }
        };
        let set = |channel: Option<&str>| -> Result<Vectors, DataError> {
            let named = |name: &str| channel.map_or(name.to_owned(), |channel| format!("{name}.{channel}"));
            let features = read(&named(FEATURES))?;
            let has_logits = file.names().iter().any(|name| **name == named(LOGITS));
            let logits = if has_logits { Some(read(&named(LOGITS))?) } else { None };
            match logits.as_ref().filter(|logits| logits.nrows() != features.nrows()) {
                Some(logits) => Err(unusable(format!(
                    "has {} rows of `{}` and {} of `{}`",
                    logits.nrows(),
                    named(LOGITS),
                    features.nrows(),
                    named(FEATURES)
                ))),
                None => Ok(Vectors { features, logits }),
            }
        };
        let channels = match &about {
            None => vec![(None, set(None)?)],
            Some(about) if about.channels.is_empty() => {
                return Err(unusable("says that it holds no channel".into()));
            }
            Some(about) => about
                .channels
                .iter()
                .map(|name| Ok((Some(name.clone()), set(Some(name))?)))
                .collect::<Result<_, DataError>>()?,
        };
        let rows = channels.first().map_or(0, |(_, vectors)| vectors.features.nrows());
        if let Some((name, other)) = channels.iter().find(|(_, other)| other.features.nrows() != rows) {
            return Err(unusable(format!(
                "has {} rows of channel {}, and {rows} of the first one",
                other.features.nrows(),
                name.as_deref().unwrap_or_default()
            )));
        }
        let groups = match file.tensor(GROUPS) {
            Ok(tensor) if tensor.dtype() == Dtype::U64 && tensor.shape() == [rows] => {
                tensor.data().as_chunks::<8>().0.iter().map(|&b| u64::from_le_bytes(b)).collect()
            }
            Ok(tensor) => {
                return Err(unusable(format!(
                    "tensor `{GROUPS}` holds {:?} {:?}",
                    tensor.dtype(),
                    tensor.shape()
                )));
            }
            Err(_) => (0..rows as u64).collect(),
        };
        Ok(Self { sha256: format!("{:x}", Sha256::digest(&bytes)), about, channels, groups })
    }

    /// Returns the bytes of a file with the vectors of every channel, features `[N, D]` and logits `[N, K]`, in float32.
    ///
    /// # Errors
    /// What safetensors says where they cannot be put together.
    pub fn bytes(
        about: &About,
        channels: &[ChannelVectors],
        groups: &[u64],
    ) -> Result<Vec<u8>, SafeTensorError> {
        let numbers =
            |values: &Array2<f32>| -> Vec<u8> { values.iter().flat_map(|v| v.to_le_bytes()).collect() };
        let mut parts = vec![(
            GROUPS.to_owned(),
            Dtype::U64,
            vec![groups.len()],
            groups.iter().flat_map(|group| group.to_le_bytes()).collect::<Vec<u8>>(),
        )];
        for ChannelVectors { channel, features, logits } in channels {
            for (name, values) in [(FEATURES, Some(features)), (LOGITS, logits.as_ref())] {
                if let Some(values) = values {
                    let shape = vec![values.nrows(), values.ncols()];
                    parts.push((format!("{name}.{channel}"), Dtype::F32, shape, numbers(values)));
                }
            }
        }
        let mut views = Vec::new();
        for (name, dtype, shape, bytes) in &parts {
            views.push((name.as_str(), TensorView::new(*dtype, shape.clone(), bytes)?));
        }
        let about = serde_json::to_string(about)?;
        serialize(views, &Some(HashMap::from([(ABOUT.to_owned(), about)])))
    }
}

/// Returns what a file says of itself, `None` where it says nothing.
fn about(bytes: &[u8]) -> Result<Option<About>, String> {
    let (_, header) = SafeTensors::read_metadata(bytes).map_err(|e| format!("{e:?}"))?;
    let Some(text) = header.metadata().as_ref().and_then(|all| all.get(ABOUT)) else { return Ok(None) };
    match serde_json::from_str::<About>(text) {
        Ok(about) if about.format == 1 => Ok(Some(about)),
        Ok(about) => Err(format!("has the format {}, expected 1", about.format)),
        Err(e) => Err(format!("has metadata `{ABOUT}` that cannot be read ({e})")),
    }
}

/// Returns the values of a tensor, or what is wrong with it.
fn matrix(tensor: &TensorView<'_>) -> Result<Array2<f64>, String> {
    let &[rows, columns] = tensor.shape() else {
        return Err(format!("has the shape {:?}", tensor.shape()));
    };
    if rows == 0 || columns == 0 {
        return Err(format!("is empty ({rows} x {columns})"));
    }
    let data = tensor.data();
    let values: Vec<f64> = match tensor.dtype() {
        Dtype::F16 => numbers(data, |b| half::f16::from_le_bytes(b).to_f64()),
        Dtype::BF16 => numbers(data, |b| half::bf16::from_le_bytes(b).to_f64()),
        Dtype::F32 => numbers(data, |b| f64::from(f32::from_le_bytes(b))),
        Dtype::F64 => numbers(data, f64::from_le_bytes),
        other => return Err(format!("holds {other:?}")),
    };
    Array2::from_shape_vec((rows, columns), values).map_err(|e| e.to_string())
}

fn numbers<const N: usize>(bytes: &[u8], value: impl Fn([u8; N]) -> f64) -> Vec<f64> {
    bytes.as_chunks::<N>().0.iter().map(|&chunk| value(chunk)).collect()
}
