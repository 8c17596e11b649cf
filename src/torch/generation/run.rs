//! The use case: from a checkpoint to the sequences of a synthetic plate.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use ndarray::Array4;
use serde_json::{Value, json};
use tch::{Device, Tensor};

use super::labelling::{LabelPlan, Labelling};
use super::latent::{SequenceKey, SequenceStyle};
use super::latents::LatentFile;
use super::sample::array;
use super::scenes::{GivenScenes, Scenes};
use super::settings::GenerationSettings;
use super::{Batches, GenerationError, Sampler, latent, pipeline, sample};
use crate::graphs;
use crate::model::ModelConfig;
use crate::model::size::{Use, expect_room};
use crate::training::checkpoint::Checkpoint;
use lapsegan_core::error::DataError;
use lapsegan_core::plate::labels::of_kind;
use lapsegan_core::plate::{LabelKind, Origin, Part, PlateMeta, Sequence, SequenceMeta, Split};

/// Sequences from which the label threshold is estimated; the first of the seed, whichever are written.
const THRESHOLD_SEQUENCES: u64 = 64;

/// Batches of candidates between two looks at them, on a GPU, where stages overlap.
const BATCHES_AT_ONCE: u64 = 4;

/// A set of sequences to generate, checked but not drawn.
#[derive(Debug)]
pub struct Request<'a> {
    /// Where the generator comes from.
    pub checkpoint: &'a Checkpoint,
    /// What to make of it.
    pub settings: &'a GenerationSettings,
    /// Seed of latents and noise.
    pub seed: u64,
    /// Part `index` (from 1) of `of` of the set; all of it where `None`.
    pub shard: Option<(usize, usize)>,
}

/// A request whose generator is loaded and whose labels are decided.
#[derive(Debug)]
pub struct Generation<'a> {
    request: Request<'a>,
    sampler: Sampler,
    labelling: Labelling,
    wanted: Range<u64>,
    scenes: Scenes,
    /// Where each sequence comes from; empty where its number says it.
    names: Vec<String>,
    /// Whether sequences are drawn one after the other until there are enough.
    endless: bool,
    /// Digest of given latents.
    latents_sha256: Option<String>,
}

impl<'a> Request<'a> {
    fn batches(&self) -> Batches {
        Batches::new(self.settings.count, self.settings.batch)
    }

    /// Returns the sequences that this part of the set holds.
    ///
    /// # Errors
    /// [`GenerationError::Setting`] where there are more parts than sequences.
    pub fn wanted(&self) -> Result<Range<u64>, GenerationError> {
        let count = self.settings.count;
        let Some((index, of)) = self.shard else { return Ok(0..count) };
        if of as u64 > count {
            return Err(GenerationError::Setting {
                message: format!("--shard {index}/{of}: {count} sequences make {count} parts at most"),
                hint: "take fewer parts, or a larger --count",
            });
        }
        let batches = self.batches();
        if of as u64 > batches.n() {
            tracing::warn!(
                "{of} parts of {} batches: batches are drawn by several jobs; --batch {} in all of them avoids this",
                batches.n(),
                count.div_ceil(of as u64)
            );
        }
        Ok(batches.part(index as u64 - 1, of as u64))
    }

    /// Returns what labels are going to be made.
    ///
    /// # Errors
    /// As [`LabelPlan::new`].
    pub fn labels(&self) -> Result<LabelPlan, GenerationError> {
        let manifest = &self.checkpoint.manifest;
        LabelPlan::new(self.settings, &manifest.data, &manifest.config.model.label_maps, &manifest.mapped)
    }

    /// Loads the generator and, for labels by threshold, draws the sequences that the threshold follows from.
    ///
    /// # Errors
    /// [`GenerationError::Model`] where the weights do not fit, and those of [`Request::wanted`] and
    /// [`Request::labels`].
    pub fn open(self, device: Device) -> Result<Generation<'a>, GenerationError> {
        let (wanted, plan) = (self.wanted()?, self.labels()?);
        let manifest = &self.checkpoint.manifest;
        // A run's own precision is a matter of its training.
        self.settings.check_cutoff(manifest.config.model.generator.latent_slots())?;
        let model = ModelConfig { precision: self.settings.precision, ..manifest.config.model.clone() };
        expect_room(&model, Use::Generate)?;
        let file = self.checkpoint.path.display().to_string();
        // Only what is wished for may fail.
        let recorder = graphs::recorder(device, self.settings.graphs).unwrap_or_default();
        let sampler = Sampler::new(&model, &self.checkpoint.tensors, &file, device)?.recorded_by(recorder);
        let labelling = match plan {
            LabelPlan::None(_) => Labelling::None,
            LabelPlan::Joint(mapped) => Labelling::Joint {
                mapped,
                domains: manifest.data.channels.len(),
                maps: model.label_maps.clone(),
            },
            LabelPlan::Threshold { label, channel } => {
                let found = Labelling::threshold(label, channel, &self.first_sequences(&sampler));
                warn_of_one_class(&found, &manifest.data.channels[channel].name);
                found
            }
        };
        Ok(Generation {
            request: self,
            sampler,
            labelling,
            wanted,
            scenes: Scenes::Seeded,
            names: Vec::new(),
            endless: false,
            latents_sha256: None,
        })
    }

    fn first_sequences(&self, sampler: &Sampler) -> Vec<Array4<f32>> {
        let batches = Batches::new(THRESHOLD_SEQUENCES, self.settings.batch);
        let draw = |(drawn, kept): (Range<u64>, Range<u64>)| {
            let draws = latent::draw(sampler.draws(), self.seed, drawn);
            let sequences = sampler.synthesise(&draws, self.settings.truncation());
            sequences.into_iter().take((kept.end - kept.start) as usize).map(|sequence| array(&sequence))
        };
        batches.holding(0..THRESHOLD_SEQUENCES).flat_map(draw).collect()
    }
}

fn warn_of_one_class(labelling: &Labelling, channel: &str) {
    if let Labelling::Threshold { settings, .. } = labelling
        && !settings.finds_two_classes()
    {
        tracing::warn!(
            "channel {channel} has no bright objects that a threshold parts from the background: labels may be meaningless"
        );
    }
}

impl Generation<'_> {
    /// Returns the indices of the sequences that are written.
    pub fn wanted(&self) -> Range<u64> {
        self.wanted.clone()
    }

    /// Returns the generator with what it takes to sample it.
    pub fn sampler(&self) -> &Sampler {
        &self.sampler
    }

    /// Draws the sequences from something else than their numbers, of which there must be `count` of the settings.
    /// `names` says where each one comes from.
    #[must_use]
    pub fn drawing(mut self, scenes: GivenScenes, names: Vec<String>) -> Self {
        (self.scenes, self.names) = (Scenes::Given(scenes), names);
        self
    }

    /// Draws the sequences from the rows of a file of latents, of which there must be `count` of the settings.
    #[must_use]
    pub fn from_latents(mut self, latents: LatentFile) -> Self {
        self.latents_sha256 = Some(latents.sha256());
        self.scenes = Scenes::Given(GivenScenes::of_file(latents, self.request.seed));
        self
    }

    /// Returns the latents of some sequences, given in rising order, as the generator uses them. They are mapped in the
    /// batches of the run, so that they are the same to the last bit.
    pub fn latents(&self, indices: &[u64]) -> LatentFile {
        let settings = self.request.settings;
        let rows = self.batches().sorted(indices).map(|(batch, wanted)| {
            let style = match &self.scenes {
                Scenes::Seeded => SequenceStyle::Z(latent::draw_z(
                    self.sampler.draws(),
                    batch.clone().map(|index| SequenceKey { seed: self.request.seed, index }),
                )),
                Scenes::Given(_) => {
                    self.scenes.draw(self.sampler.draws(), self.request.seed, batch.clone()).style
                }
            };
            let ws = self.sampler.latents(&style, settings.truncation());
            let rows: Vec<i64> = wanted.iter().map(|index| (index - batch.start) as i64).collect();
            ws.index_select(0, &Tensor::from_slice(&rows))
        });
        LatentFile {
            ws: Tensor::cat(&rows.collect::<Vec<_>>(), 0),
            noise: Some(self.scenes.noise(self.request.seed, indices)),
            checkpoint: Some(self.request.checkpoint.manifest.tensors_sha256.clone()),
            origin: None,
        }
    }

    /// Returns the settings of the labels, for the record.
    pub fn label_settings(&self) -> Value {
        self.labelling.settings()
    }

    /// Returns the metadata of the plate.
    pub fn plate_meta(&self) -> PlateMeta {
        let Request { checkpoint, settings, seed, shard } = &self.request;
        let manifest = &checkpoint.manifest;
        let length = if manifest.has_known_length() {
            format!("generator trained for {:.3} kimg, ", manifest.sequences_seen as f64 / 1000.0)
        } else {
            String::new()
        };
        let cutoff = settings
            .truncation_cutoff
            .map_or_else(String::new, |slots| format!(" in the first {slots} style slots"));
        let mut notes = vec![
            format!("{length}truncation_psi {}{cutoff}", settings.truncation_psi),
            format!("checkpoint sha256 {}", manifest.tensors_sha256),
        ];
        let joint = matches!(self.labelling, Labelling::Joint { .. });
        let labelled = if joint { manifest.data.labelled.clone() } else { Vec::new() };
        if !labelled.is_empty() {
            notes.push(format!("labels learned from {} sequences", labelled.len()));
        }
        if !manifest.has_known_length() {
            // What the counts of an imported checkpoint mean stands there.
            notes.extend(manifest.data.notes.iter().cloned());
        }
        PlateMeta {
            tool: "generate".into(),
            version: env!("CARGO_PKG_VERSION").into(),
            origin: Origin::Synthetic,
            seed: *seed,
            labels: self.labelling.metas(),
            labelled,
            notes,
            part: shard.map(|(index, of)| self.part(index, of)),
            ..manifest.data.clone()
        }
    }

    /// Returns which part of the set the plate is, with what all parts must have in common.
    fn part(&self, index: usize, of: usize) -> Part {
        let Request { checkpoint, settings, .. } = &self.request;
        let mut common = json!({ "checkpoint_sha256": checkpoint.manifest.tensors_sha256 });
        if let (Value::Object(all), Value::Object(more)) = (&mut common, json!(settings)) {
            all.extend(more);
            // A matter of the machine.
            all.remove("graphs");
            all.extend(self.latents_sha256.iter().map(|sha| ("latents_sha256".to_owned(), json!(sha))));
        }
        Part {
            index,
            of,
            sequences: settings.count as usize,
            first: self.wanted.start as usize,
            count: (self.wanted.end - self.wanted.start) as usize,
            settings: common.as_object().cloned().unwrap_or_default(),
            label_settings: self.labelling.settings(),
        }
    }

    /// Makes the sequences and hands each to `keep` with its index, from several threads in any order.
    ///
    /// # Errors
    /// What `keep` says.
    pub fn each(&self, keep: &Keep) -> Result<(), DataError> {
        self.make(self.batches().holding(self.wanted()).collect(), keep)
    }

    /// Makes sequences from number `first` on without an end, and hands them to `take` in their order, until that
    /// returns false. They come in batches of the size of the settings.
    ///
    /// # Errors
    /// What `take` says.
    pub fn each_until<E: From<DataError>>(
        &mut self,
        take: &mut dyn FnMut(u64, Sequence) -> Result<bool, E>,
    ) -> Result<(), E> {
        self.endless = true;
        let (size, at_once) =
            (self.request.settings.batch, if self.is_on_cpu() { 1 } else { BATCHES_AT_ONCE });
        for round in 0.. {
            let first = round * size * at_once;
            let made = Mutex::new(BTreeMap::new());
            self.make(
                self.batches().holding(first..first + size * at_once).collect(),
                &|index, sequence| {
                    made.lock().unwrap_or_else(PoisonError::into_inner).insert(index, sequence);
                    Ok(())
                },
            )?;
            for (index, sequence) in made.into_inner().unwrap_or_else(PoisonError::into_inner) {
                if !take(index, sequence)? {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    fn batches(&self) -> Batches {
        if self.endless { Batches::endless(self.request.settings.batch) } else { self.request.batches() }
    }

    fn is_on_cpu(&self) -> bool {
        self.sampler.device() == Device::Cpu
    }

    fn make(&self, batches: Vec<(Range<u64>, Range<u64>)>, keep: &Keep) -> Result<(), DataError> {
        let Request { checkpoint, settings, seed, .. } = &self.request;
        let finish = Finish {
            data: &checkpoint.manifest.data,
            source: format!("checkpoint {}", &checkpoint.manifest.tensors_sha256[..16]),
            labelling: &self.labelling,
            names: &self.names,
            keep,
        };
        let (shape, seed, scenes) = (self.sampler.draws(), *seed, self.scenes.handles());
        pipeline::run(
            batches,
            !self.is_on_cpu(),
            move |(drawn, _)| scenes.draw(shape, seed, drawn.clone()),
            |(drawn, kept), draws| {
                let sequences = self.sampler.synthesise(&draws, settings.truncation());
                drawn.clone().zip(sequences).filter(|(index, _)| kept.contains(index)).collect()
            },
            |(index, sequence)| finish.one(index, &sequence),
        )
    }
}

/// Takes a finished sequence with its index.
pub type Keep<'a> = dyn Fn(u64, Sequence) -> Result<(), DataError> + Sync + 'a;

/// What is done with a sequence after its synthesis, on any thread.
struct Finish<'a> {
    data: &'a PlateMeta,
    source: String,
    labelling: &'a Labelling,
    names: &'a [String],
    keep: &'a Keep<'a>,
}

impl Finish<'_> {
    fn one(&self, index: u64, sequence: &Tensor) -> Result<(), DataError> {
        let values = array(sequence);
        let labels = self.labelling.labels(&values);
        let sequence = Sequence {
            meta: SequenceMeta {
                source: match self.names.get(index as usize) {
                    Some(name) => format!("{}, {name}", self.source),
                    None => self.source.clone(),
                },
                first_frame: 0,
                split: Split::Train,
                split_group: format!("synthetic-{index}"),
                frame_ranges: None,
                label_margin: self.labelling.margin(&values, &labels),
            },
            image: sample::counts(&values, self.data),
            labels,
        };
        (self.keep)(index, sequence)
    }
}

/// Returns the number of tracked objects of a sequence of a plate.
pub fn n_objects(plate: &PlateMeta, sequence: &Sequence) -> usize {
    of_kind(&plate.labels, LabelKind::Objects)
        .filter_map(|label| sequence.labels.get(&label.name))
        .map(|labels| labels.ids.iter().max().copied().unwrap_or(0) as usize)
        .sum()
}
