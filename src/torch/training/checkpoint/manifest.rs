//! The side file of a checkpoint: everything but the tensors, with digests of both files.

use std::path::Path;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::header::Listed;
use super::header::elements;
use super::{Identity, State};
use crate::model::size::generator_parameters;
use crate::training::config::Config;
use lapsegan_core::labels::maps::MappedLabels;
use lapsegan_core::plate::groups::SplitGroup;
use lapsegan_core::plate::labels::of_kind;
use lapsegan_core::plate::names;
use lapsegan_core::plate::{LabelKind, PlateMeta};
use lapsegan_core::side_file;

/// Version of this format. 2: which labels are learned; 3: a digest of the side file, and what tensors there are.
pub const FORMAT: u32 = 3;

/// Largest side file that is read; one of a thousand groups of a thousand frames has 20 MB.
const MOST_BYTES: u64 = 256 << 20;

/// Name of the field with the digest of the side file.
const DIGEST: &str = "manifest_sha256";

/// What stands for the program in the data description of a checkpoint that was taken over from elsewhere.
pub const IMPORTED: &str = "train import";

/// The side file of a checkpoint.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// Version of the format.
    pub format: u32,
    /// Version of this package.
    pub version: String,
    /// Configuration of the run.
    pub config: Config,
    /// Seed of the run.
    pub seed: u64,
    /// CPU threads of the run; other counts round differently.
    pub threads: usize,
    /// Iterations done.
    pub iteration: u64,
    /// Real sequences shown to the discriminator.
    pub sequences_seen: u64,
    /// The data the run learns from: channels, calibration, sizes, and what the networks have seen (`trained_on`).
    #[serde(deserialize_with = "PlateMeta::deserialize_any_format")]
    pub data: PlateMeta,
    /// Labels of the data that the label domain learns.
    #[serde(default)]
    pub mapped: MappedLabels,
    /// Digest of the data plate.
    pub data_sha256: String,
    /// Optimiser steps per parameter, in the order of the sorted names; empty in an export.
    pub generator_steps: Vec<i64>,
    /// As `generator_steps`.
    pub discriminator_steps: Vec<i64>,
    /// Kind and shape of every tensor, as in `F32 [64, 64, 3, 3]`; empty before format 3.
    #[serde(default)]
    pub tensors: Listed,
    /// SHA-256 of the safetensors file.
    pub tensors_sha256: String,
    /// SHA-256 of the text of this file with nothing between these quotes; empty before format 3.
    #[serde(default)]
    pub manifest_sha256: String,
}

impl Manifest {
    /// Returns the manifest of a state whose tensors are not written yet.
    pub(super) fn new(
        state: &State,
        identity: &Identity,
        generator_steps: Vec<i64>,
        discriminator_steps: Vec<i64>,
    ) -> Self {
        Self {
            format: FORMAT,
            version: env!("CARGO_PKG_VERSION").into(),
            config: identity.config.clone(),
            seed: identity.seed,
            threads: identity.threads,
            iteration: state.iteration,
            sequences_seen: state.sequences_seen,
            data: identity.data.clone(),
            mapped: identity.mapped.clone(),
            data_sha256: identity.data_sha256.clone(),
            generator_steps,
            discriminator_steps,
            tensors: Listed::new(),
            tensors_sha256: String::new(),
            manifest_sha256: String::new(),
        }
    }

    /// Returns whether it is known how long the networks were trained; of an imported checkpoint it is not.
    pub fn has_known_length(&self) -> bool {
        self.data.tool != IMPORTED
    }

    /// Returns whether `trained_on` is all that the networks have seen, by frames. Before format 3 weights taken over from
    /// another checkpoint left no trace, and of names alone nobody can tell whether a recording was renamed.
    pub fn tells_whole_history(&self) -> bool {
        let seen = &self.data.trained_on;
        let known = !seen.is_empty() && seen.iter().all(SplitGroup::is_known);
        self.format >= 3 && known && !self.data.history_unknown
    }

    /// Returns the side file with its digest.
    pub(super) fn to_text(&self) -> String {
        let blank = Self { manifest_sha256: String::new(), ..self.clone() };
        let text = serde_json::to_string_pretty(&blank).expect("a manifest has string keys only") + "\n";
        let digest = digest(text.as_bytes());
        // The last field, so that its blank form is found once, at the end.
        let at = text.rfind(&field("")).expect("the field was written") + field("").len() - 1;
        format!("{}{digest}{}", &text[..at], &text[at..])
    }

    /// Reads a side file and checks it: its digest, and what it says about sizes.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn read(path: &Path) -> Result<Self, String> {
        let text = side_file::bytes(path, MOST_BYTES).map_err(|e| e.to_string())?;
        Self::parse(&text)
    }

    fn parse(text: &[u8]) -> Result<Self, String> {
        let mut manifest: Self = serde_json::from_slice(text).map_err(|e| e.to_string())?;
        if !(1..=FORMAT).contains(&manifest.format) {
            let found = manifest.format;
            return Err(format!("checkpoint format {found}, this version reads 1 to {FORMAT}"));
        }
        if manifest.format >= 3 {
            let text = std::str::from_utf8(text).map_err(|e| e.to_string())?;
            let written = field(&manifest.manifest_sha256);
            let blank = text
                .rfind(&written)
                .map(|at| format!("{}{}{}", &text[..at], field(""), &text[at + written.len()..]));
            if blank.is_none_or(|blank| digest(blank.as_bytes()) != manifest.manifest_sha256) {
                return Err("the side file does not match its own digest: changed or damaged".into());
            }
        }
        if manifest.format == 1 && !manifest.config.model.label_maps.is_empty() {
            manifest.mapped = mapped_in_format_1(&manifest.data);
        }
        for (name, found) in
            [("data_sha256", &manifest.data_sha256), ("tensors_sha256", &manifest.tensors_sha256)]
        {
            if found.len() != 64 || !found.bytes().all(|b| b.is_ascii_hexdigit()) {
                return Err(format!("{name} is no SHA-256 digest"));
            }
        }
        names::check(&manifest.data).map_err(|(field, found)| format!("data.{field}: {found}"))?;
        for label in [&manifest.mapped.objects, &manifest.mapped.structure].into_iter().flatten() {
            if !names::is_plain(&label.name) {
                return Err(format!("mapped: the name {:.120?} is not made of {}", label.name, names::PLAIN));
            }
        }
        manifest.config.validate().map_err(|e| e.to_string())?;
        let (model, data) = (&manifest.config.model, &manifest.data);
        let sizes = [model.domains, model.frames, model.resolution, model.resolution];
        let wanted = [data.channels.len(), data.frames, data.height, data.width];
        if sizes != wanted {
            return Err(format!(
                "networks for {sizes:?} channels, frames, rows and columns, data with {wanted:?}"
            ));
        }
        if manifest.iteration.checked_mul(manifest.config.training.batch as u64)
            != Some(manifest.sequences_seen)
        {
            let Self { iteration, sequences_seen, .. } = manifest;
            return Err(format!("{sequences_seen} sequences were seen in {iteration} iterations"));
        }
        let steps = manifest.generator_steps.iter().chain(&manifest.discriminator_steps);
        if let Some(step) = steps.copied().find(|step| *step < 0) {
            return Err(format!("an optimiser has done {step} steps"));
        }
        Ok(manifest)
    }

    /// Compares the tensors of the file with those that were written, and before format 3, where that is not known, with
    /// the size of the networks.
    ///
    /// # Errors
    /// The first tensor that is missing, too much, or of another kind or shape.
    pub(super) fn expect_tensors(&self, listed: &Listed) -> Result<(), String> {
        // A network is made before its tensors are compared one by one; it must not be larger than the file.
        let found: u64 = listed
            .iter()
            .filter(|(name, _)| name.starts_with("generator_ema."))
            .map(|(_, t)| elements(t))
            .sum();
        let expected = generator_parameters(&self.config.model);
        if expected > 2.0 * found as f64 + 1e4 {
            return Err(format!(
                "a generator of about {expected:.0} values is described, and {found} are there"
            ));
        }
        if self.format < 3 {
            return Ok(());
        }
        for (name, expected) in &self.tensors {
            match listed.get(name) {
                None => return Err(format!("tensor {name} is missing")),
                Some(found) if found != expected => {
                    return Err(format!("tensor {name} is {found}, expected {expected}"));
                }
                Some(_) => {}
            }
        }
        let surplus = listed.keys().find(|name| !self.tensors.contains_key(*name));
        surplus.map_or(Ok(()), |name| Err(format!("tensor {name} is not in the side file")))
    }
}

fn field(digest: &str) -> String {
    format!("\"{DIGEST}\": \"{digest}\"")
}

fn digest(text: &[u8]) -> String {
    format!("{:x}", Sha256::digest(text))
}

/// Returns the labels that a checkpoint of format 1 learned: the first of objects by name, and the structure.
fn mapped_in_format_1(data: &PlateMeta) -> MappedLabels {
    let first = |kind| of_kind(&data.labels, kind).min_by(|a, b| a.name.cmp(&b.name)).cloned();
    MappedLabels { objects: first(LabelKind::Objects), structure: first(LabelKind::Structure) }
}
