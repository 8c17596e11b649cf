//! Latents as a file: what sequences were drawn from, to draw them again or to start a walk, a mix or a change from them.
//!
//! A safetensors file with `latents` `[N, L, Z]`, one latent `w` per sequence and styled layer, as the generator used
//! them (truncated already). Beside it may stand the noise: `noise_keys` `[N, 2]` are seed and index of the sequence
//! whose noise was drawn, or `noise.D.L` `[N or 1, T or 1, H, W]` the noise itself by domain and layer. Files of other
//! programs need `latents` only.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView, serialize};
use sha2::{Digest, Sha256};
use tch::{Kind, Tensor};

use super::latent::SequenceKey;
use crate::model::ModelConfig;
use crate::model::noise::{DrawShape, LayerNoise};
use lapsegan_core::error::DataError;
use lapsegan_core::plate::latents::{IN_PLATE, LATENTS, NOISE, NOISE_KEYS, SEQUENCES};
use lapsegan_core::side_file;

/// Longest file of latents: a million sequences of 14 slots and 512 numbers have 29 GB, and nobody draws so many of them.
const MOST_BYTES: u64 = 32 << 30;

/// Name of our own entry in the head of the file.
const HEAD: &str = "lapsegan";

/// Where the noise of sequences comes from.
#[derive(Debug)]
pub enum Noise {
    /// Drawn by these keys, one per sequence.
    Keys(Vec<SequenceKey>),
    /// Given, `[N, ...]` each, or `[1, ...]` for all sequences together.
    Maps(LayerNoise),
}

impl Noise {
    /// Returns the noise of some sequences.
    #[must_use]
    pub fn select(&self, indices: &[u64]) -> Self {
        match self {
            Self::Keys(keys) => Self::Keys(indices.iter().map(|&index| keys[index as usize]).collect()),
            Self::Maps(maps) if maps.len() == 1 => Self::Maps(maps.handles()),
            Self::Maps(maps) => {
                let rows: Vec<i64> = indices.iter().map(|&index| index as i64).collect();
                Self::Maps(maps.select(&Tensor::from_slice(&rows)))
            }
        }
    }

    /// Returns further handles of the same memory.
    #[must_use]
    pub fn handles(&self) -> Self {
        match self {
            Self::Keys(keys) => Self::Keys(keys.clone()),
            Self::Maps(maps) => Self::Maps(maps.handles()),
        }
    }
}

/// Latents of sequences with their noise.
#[derive(Debug)]
pub struct LatentFile {
    /// One latent per sequence and layer, on the CPU. `[N, L, Z]`
    pub ws: Tensor,
    /// The noise; `None` where the file says nothing.
    pub noise: Option<Noise>,
    /// Digest of the checkpoint's tensors, where it is known.
    pub checkpoint: Option<String>,
    /// For a projection: what was projected.
    pub origin: Option<Origin>,
}

/// What latents were found for.
#[derive(Clone, Debug, PartialEq)]
pub struct Origin {
    /// Digest of plate and settings, in words that tell other ones apart.
    pub key: String,
    /// Numbers of the sequences in the plate, one per row.
    pub sequences: Vec<u64>,
}

/// What latents must be to fit a generator.
#[derive(Clone, Copy, Debug)]
pub struct LatentShape {
    /// Styled layers L.
    pub slots: i64,
    /// Width Z.
    pub width: i64,
    /// What noise the generator takes.
    pub draws: DrawShape,
}

impl LatentShape {
    /// Returns what latents of a generator must be.
    pub fn of(model: &ModelConfig) -> Self {
        let sizes = &model.generator;
        let layers = 2 * sizes.channels.len() - 1;
        let grain = (sizes.grain_gain > 0.0).then_some((model.domains, model.frames as i64));
        let draws = DrawShape { latent: sizes.latent, domains: model.maps().len(), layers, grain };
        Self { slots: sizes.latent_slots(), width: sizes.latent, draws }
    }
}

impl LatentFile {
    /// Returns the number of sequences.
    pub fn len(&self) -> usize {
        self.ws.size()[0] as usize
    }

    /// Returns whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the file. The same latents give the same bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut all: Vec<(String, Dtype, Vec<usize>, Vec<u8>)> = Vec::new();
        let mut add =
            |name: String, tensor: &Tensor| all.push((name, Dtype::F32, shape(tensor), floats(tensor)));
        add(LATENTS.to_owned(), &self.ws);
        if let Some(Noise::Maps(noise)) = &self.noise {
            for (domain, layers) in noise.0.iter().enumerate() {
                for (layer, map) in layers.iter().enumerate() {
                    add(format!("{NOISE}{domain}.{layer}"), map);
                }
            }
        }
        if let Some(Noise::Keys(keys)) = &self.noise {
            let numbers = keys.iter().flat_map(|key| [key.seed, key.index]);
            let bytes = numbers.flat_map(u64::to_le_bytes).collect();
            all.push((NOISE_KEYS.to_owned(), Dtype::U64, vec![keys.len(), 2], bytes));
        }
        if let Some(origin) = &self.origin {
            let bytes = origin.sequences.iter().copied().flat_map(u64::to_le_bytes).collect();
            all.push((SEQUENCES.to_owned(), Dtype::U64, vec![origin.sequences.len()], bytes));
        }
        let views = all.iter().map(|(name, dtype, shape, bytes)| {
            (name, TensorView::new(*dtype, shape.clone(), bytes).expect("as many bytes as the shape says"))
        });
        // One entry only: the order of several is not the same each time.
        let origin = self.origin.as_ref().map(|origin| &origin.key);
        let head = serde_json::json!({ "checkpoint_sha256": self.checkpoint, "origin": origin }).to_string();
        serialize(views, &Some(HashMap::from([(HEAD.to_owned(), head)])))
            .expect("names and views are in order")
    }

    /// Reads a file of latents, or the one in a plate, and checks it against a generator.
    ///
    /// # Errors
    /// [`DataError`] for a file that is missing, no safetensors file, without latents, of another type, rank, width or
    /// number of layers, or with values that are no numbers.
    pub fn read(path: &Path, expected: LatentShape) -> Result<Self, DataError> {
        let path = file_of(path)?;
        let bytes = side_file::read(&path, MOST_BYTES)?;
        let wrong = |found: String, expected: String, hint: &str| DataError::Unusable {
            path: path.clone(),
            found,
            expected,
            hint: hint.to_owned(),
        };
        let file = SafeTensors::deserialize(&bytes).map_err(|e| {
            wrong(
                format!("is no safetensors file, or is cut off ({e:?})"),
                format!("{LATENTS} [N, {}, {}]", expected.slots, expected.width),
                "latents are written by generate --save-latents and generate project",
            )
        })?;
        let named = |name: &str| file.tensor(name).ok();
        let names = file.names();
        let latents = match (named(LATENTS), names.as_slice()) {
            (Some(found), _) => found,
            (None, [only]) => file.tensor(only).expect("the file names it"),
            (None, _) => {
                let mut names: Vec<&str> = names.iter().map(|name| name.as_str()).collect();
                names.sort_unstable();
                let found = format!("has the tensors {:.200}", names.join(", "));
                let hint = if names.iter().any(|name| name.starts_with("generator")) {
                    "this is a checkpoint: give it as --checkpoint"
                } else {
                    "name the latents `latents`"
                };
                return Err(wrong(found, format!("one that is named {LATENTS}"), hint));
            }
        };
        let (slots, width) = (expected.slots as usize, expected.width as usize);
        match latents.shape() {
            [0, ..] => {
                return Err(wrong("holds no latents".into(), "at least one".into(), "write the file again"));
            }
            [_, l, z] if (*l, *z) == (slots, width) => {}
            found => {
                return Err(wrong(
                    format!("{LATENTS} has shape {found:?}"),
                    format!("[N, {slots}, {width}]: sequences, styled layers, width of w"),
                    "latents belong to the generator that they were made with: take its checkpoint; one w for all layers is \
                     repeated for each of them",
                ));
            }
        }
        let ws = tensor(&latents).ok_or_else(|| {
            wrong(
                format!("{LATENTS} is of type {:?}", latents.dtype()),
                "F32 or F64".into(),
                "save it as 32-bit floats",
            )
        })?;
        refuse_odd(&ws, LATENTS, &wrong)?;
        let noise = read_noise(&file, ws.size()[0], expected, &wrong)?;
        let head = head_of(&bytes);
        let word = |key: &str| head.as_ref()?.get(key)?.as_str().map(str::to_owned);
        let origin = word("origin").zip(read_sequences(&file, ws.size()[0]));
        Ok(Self {
            ws,
            noise,
            checkpoint: word("checkpoint_sha256"),
            origin: origin.map(|(key, sequences)| Origin { key, sequences }),
        })
    }

    /// Returns the digest of the latents alone.
    pub fn sha256(&self) -> String {
        format!("{:x}", Sha256::digest(floats(&self.ws)))
    }
}

type Wrong<'a> = &'a dyn Fn(String, String, &str) -> DataError;

fn read_noise(
    file: &SafeTensors,
    n: i64,
    expected: LatentShape,
    wrong: Wrong,
) -> Result<Option<Noise>, DataError> {
    if let Ok(keys) = file.tensor(NOISE_KEYS) {
        if keys.dtype() != Dtype::U64 || keys.shape() != [n as usize, 2] {
            return Err(wrong(
                format!("{NOISE_KEYS} is {:?} {:?}", keys.dtype(), keys.shape()),
                format!("U64 [{n}, 2], seed and index of each sequence"),
                "leave it out, and noise is drawn by --seed",
            ));
        }
        let number = |bytes: &[u8]| u64::from_le_bytes(bytes.try_into().expect("eight bytes"));
        let key = |pair: &[u8]| SequenceKey { seed: number(&pair[..8]), index: number(&pair[8..]) };
        return Ok(Some(Noise::Keys(keys.data().chunks_exact(16).map(key).collect())));
    }
    if !file.names().iter().any(|name| name.starts_with(NOISE)) {
        return Ok(None);
    }
    // One map for all sequences, where the first one is so.
    let rows = file.tensor(&format!("{NOISE}0.0")).ok().and_then(|map| map.shape().first().copied());
    let rows = if rows == Some(1) { 1 } else { n };
    let mut first = None;
    let noise = LayerNoise::new(expected.draws, rows, |domain, layer, shape| {
        let name = format!("{NOISE}{domain}.{layer}");
        let found = file.tensor(&name).ok();
        let map = found.as_ref().and_then(tensor).filter(|map| map.size() == shape);
        let problem = match (&found, &map) {
            (_, Some(map)) => refuse_odd(map, &name, wrong).err(),
            (found, None) => {
                let is = found
                    .as_ref()
                    .map_or_else(|| "missing".into(), |f| format!("{:?} {:?}", f.dtype(), f.shape()));
                Some(wrong(
                    format!("{name} is {is}"),
                    format!("F32 {shape:?}"),
                    "leave all noise out, and it is drawn by --seed",
                ))
            }
        };
        first = first.take().or(problem);
        map.unwrap_or_else(|| Tensor::zeros(shape, (Kind::Float, tch::Device::Cpu)))
    });
    first.map_or(Ok(Some(Noise::Maps(noise))), Err)
}

fn refuse_odd(values: &Tensor, name: &str, wrong: Wrong) -> Result<(), DataError> {
    let odd = values.isfinite().logical_not().flatten(1, -1).any_dim(1, false);
    let Some(row) = (0..values.size()[0]).find(|&row| odd.int64_value(&[row]) != 0) else { return Ok(()) };
    let found = format!("{name}: sequence {row} holds NaN or infinite values");
    Err(wrong(found, "finite numbers".into(), "write the file again, without this sequence"))
}

/// Returns the file of latents that a path means: itself, or that of a plate.
fn file_of(path: &Path) -> Result<PathBuf, DataError> {
    if !path.is_dir() {
        return Ok(path.to_owned());
    }
    let inside = path.join(IN_PLATE);
    if inside.is_file() {
        return Ok(inside);
    }
    Err(DataError::Unusable {
        path: path.to_owned(),
        found: format!("is a folder without {IN_PLATE}"),
        expected: "a file of latents, or a plate that keeps its latents".into(),
        hint: "generate the plate again with --save-latents".into(),
    })
}

/// Returns our own entry in the head of a file.
fn head_of(bytes: &[u8]) -> Option<serde_json::Value> {
    let (_, head) = SafeTensors::read_metadata(bytes).ok()?;
    serde_json::from_str(head.metadata().as_ref()?.get(HEAD)?).ok()
}

fn read_sequences(file: &SafeTensors, n: i64) -> Option<Vec<u64>> {
    let found = file.tensor(SEQUENCES).ok()?;
    let fits = found.dtype() == Dtype::U64 && found.shape() == [n as usize];
    let number = |bytes: &[u8]| u64::from_le_bytes(bytes.try_into().expect("eight bytes"));
    fits.then(|| found.data().chunks_exact(8).map(number).collect())
}

/// Returns 32-bit floats on the CPU; `None` for other types than floats of 32 or 64 bits.
fn tensor(view: &TensorView) -> Option<Tensor> {
    let kind = match view.dtype() {
        Dtype::F32 => Kind::Float,
        Dtype::F64 => Kind::Double,
        _ => return None,
    };
    let shape: Vec<i64> = view.shape().iter().map(|&n| n as i64).collect();
    Some(Tensor::from_data_size(view.data(), &shape, kind).to_kind(Kind::Float))
}

fn shape(tensor: &Tensor) -> Vec<usize> {
    tensor.size().iter().map(|&n| n as usize).collect()
}

fn floats(tensor: &Tensor) -> Vec<u8> {
    let values = Vec::<f32>::try_from(tensor.contiguous().flatten(0, -1)).expect("32-bit floats on the CPU");
    values.into_iter().flat_map(f32::to_le_bytes).collect()
}
