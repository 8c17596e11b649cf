//! What all ways to generate a plate have in common: flags, checks, and how sequences become a plate.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::{fs, mem};

use clap::Args;
use serde::Serialize;
use serde_json::{Map, Value, json};
use tch::Device;

use crate::cli::{device, precision};
use crate::generation::latents::LatentShape;
use crate::generation::run::{Generation, Request, n_objects};
use crate::generation::{GenerationSettings, LabelPlan, LatentFile, Route};
use crate::model::Precision;
use crate::training::checkpoint::{self, Checkpoint};
use lapsegan_core::cli::digest::DigestFlag;
use lapsegan_core::cli::open_it;
use lapsegan_core::cli::outputs::Outputs;
use lapsegan_core::cli::preview::CONTACT_SHEET;
use lapsegan_core::cli::progress::Progress;
use lapsegan_core::cli::record::Record;
use lapsegan_core::cli::settings::resolve;
use lapsegan_core::cli::words::words;
use lapsegan_core::cli::{Common, Failure, Outcome};
use lapsegan_core::error::DataError;
use lapsegan_core::output::{Lock, OutputKind};
use lapsegan_core::plate::latents::IN_PLATE;
use lapsegan_core::plate::{Plate, PlateMeta, PlateWriter, Sequence};
use lapsegan_core::report::RgbImage;

/// Where a plate comes from and goes to.
#[derive(Args, Debug)]
pub(super) struct PlateArgs {
    /// Checkpoint (.safetensors), or a run folder: its newest checkpoint
    #[arg(long, value_name = "FILE|RUN", help_heading = "Input")]
    pub(super) checkpoint: PathBuf,

    /// Synthetic plate to create (NAME.ome.zarr)
    #[arg(long, value_name = "PLATE", help_heading = "Output")]
    pub(super) output: PathBuf,

    #[command(flatten)]
    pub(super) digest: DigestFlag,
}

/// Latents instead of the seed, and whether they are kept.
#[derive(Args, Debug)]
pub(super) struct LatentArgs {
    /// Latents to draw from instead of the seed: a file [N, L, Z], or a plate that keeps its latents
    #[arg(long, value_name = "FILE|PLATE", help_heading = "Input")]
    pub(super) latents: Option<PathBuf>,

    /// Keep the latents of the sequences in the plate, as latents.safetensors
    #[arg(long, help_heading = "Output")]
    pub(super) save_latents: bool,
}

/// Flags that replace a setting of the same name, for all ways to generate.
#[derive(Args, Debug, Serialize)]
pub(super) struct SamplingFlags {
    /// Fidelity against variety: 1 leaves the latents, 0 gives the mean sequence [default: 1]
    #[arg(long, value_name = "PSI", allow_negative_numbers = true, help_heading = "Generation")]
    truncation_psi: Option<f64>,

    /// Truncate the first N style slots only, from the coarsest on [default: all]
    #[arg(long, value_name = "N", help_heading = "Generation")]
    truncation_cutoff: Option<u64>,

    /// Sequences at a time, at most [default: 32]
    #[arg(long, value_name = "N", help_heading = "Generation")]
    batch: Option<u64>,

    /// Arithmetic of the generator [default: float32]
    #[arg(long, value_parser = words(&Precision::WORDS), help_heading = "Generation")]
    precision: Option<String>,

    /// Compute in bfloat16 on a CPU that has no instructions for it
    #[serde(skip)]
    #[arg(long, help_heading = "Generation")]
    pub(super) allow_slow_bfloat16: bool,

    /// Where the labels come from [default: auto]
    #[arg(long, value_parser = words(&Route::WORDS), help_heading = "Labels")]
    label_route: Option<String>,

    /// Channel whose brightness marks the objects [default: the last one of fluorescence]
    #[arg(long, value_name = "NAME", help_heading = "Labels")]
    label_channel: Option<String>,

    /// Name of the label image [default: that of the training data, else cells]
    #[arg(long, value_name = "NAME", help_heading = "Labels")]
    label_name: Option<String>,
}

/// Inputs that are opened and outputs that are claimed.
pub(super) struct Setup {
    pub(super) checkpoint: Checkpoint,
    pub(super) settings: GenerationSettings,
    pub(super) device: Device,
    pub(super) record: Record,
    _locks: Vec<Lock>,
}

/// Looks at a sequence that was written, by its index, on any thread.
pub(super) type Seen<'a> = dyn Fn(u64, &Sequence) + Sync + 'a;

impl Setup {
    /// Checks settings and outputs and opens the checkpoint; `files` adds further inputs and outputs.
    pub(super) fn new(
        base: &GenerationSettings,
        args: &PlateArgs,
        flags: &impl Serialize,
        allow_slow_bfloat16: bool,
        common: &Common,
        files: impl FnOnce(Outputs) -> Outputs,
    ) -> Result<Self, Failure> {
        let record = Record::begin("generate", common);
        let mut settings = resolve(base, common.config.as_deref(), &common.set, flags)?;
        settings.check()?;
        let outputs = Outputs::new(common)
            .reads_checkpoint("--checkpoint", &args.checkpoint)
            .writes("--output", args.output.as_path(), OutputKind::Plate)
            .writes("--digest", args.digest.digest.as_deref(), OutputKind::Digest);
        let locks = files(outputs).claim()?;
        let checkpoint = checkpoint::find(&args.checkpoint)?;
        let device = device::select(&common.device, common.thread_count())?;
        settings.precision = precision::resolve(settings.precision, device, allow_slow_bfloat16)?;
        settings.check_cutoff(checkpoint.manifest.config.model.generator.latent_slots())?;
        Ok(Self { checkpoint, settings, device, record, _locks: locks })
    }

    /// Returns what is asked of the generator.
    pub(super) fn request(&self, seed: u64, shard: Option<(usize, usize)>) -> Request<'_> {
        Request { checkpoint: &self.checkpoint, settings: &self.settings, seed, shard }
    }

    /// Reads the file of latents, where one is given, and remembers it.
    pub(super) fn latents(&mut self, args: &LatentArgs) -> Result<Option<LatentFile>, Failure> {
        let Some(path) = &args.latents else { return Ok(None) };
        let manifest = &self.checkpoint.manifest;
        let latents = LatentFile::read(path, LatentShape::of(&manifest.config.model))?;
        if latents.checkpoint.as_ref().is_some_and(|sha256| *sha256 != manifest.tensors_sha256) {
            tracing::warn!(
                "{}: these latents were made with another checkpoint: what they show may be something else",
                path.display()
            );
        }
        self.record.input("latents", path)?;
        Ok(Some(latents))
    }

    /// Says why no labels are made, where nobody asked for none.
    pub(super) fn warn_of_no_labels(&self, common: &Common) -> Result<(), Failure> {
        if let LabelPlan::None(Some(reason)) = self.request(common.seed, None).labels()? {
            tracing::warn!("{reason}");
        }
        Ok(())
    }
}

/// A plate in the making.
pub(super) struct Making<'a> {
    pub(super) args: &'a PlateArgs,
    pub(super) common: &'a Common,
    pub(super) meta: PlateMeta,
    pub(super) writer: PlateWriter,
    objects: AtomicUsize,
}

impl<'a> Making<'a> {
    /// Starts a plate of `count` sequences.
    pub(super) fn begin(
        args: &'a PlateArgs,
        common: &'a Common,
        meta: PlateMeta,
        count: usize,
    ) -> Result<Self, Failure> {
        let writer = PlateWriter::create(&args.output, &meta, count, common.overwrite)?;
        Ok(Self { args, common, meta, writer, objects: AtomicUsize::new(0) })
    }

    /// Writes one sequence.
    pub(super) fn write(&self, index: u64, sequence: &Sequence) -> Result<(), DataError> {
        self.objects.fetch_add(n_objects(&self.meta, sequence), Ordering::Relaxed);
        self.writer.write(index as usize, sequence)
    }

    /// Writes all sequences of a generation; `seen` looks at each.
    pub(super) fn write_all(&self, generation: &Generation, seen: &Seen) -> Result<(), Failure> {
        let wanted = generation.wanted();
        let bar = Progress::new("generating sequences", wanted.end - wanted.start, self.common.quiet);
        generation.each(&|index, sequence| {
            self.write(index, &sequence)?;
            seen(index, &sequence);
            bar.step();
            Ok(())
        })?;
        bar.finish();
        Ok(())
    }

    /// Keeps latents in the plate.
    pub(super) fn keep_latents(&self, latents: &LatentFile) -> Result<(), Failure> {
        let path = self.writer.folder().join(IN_PLATE);
        fs::write(&path, latents.to_bytes()).map_err(DataError::io(&path))?;
        Ok(())
    }

    /// Writes the contact sheet and the record, and gives the plate its name. `settings` and `result` are what this way
    /// of generating has beside that of all.
    pub(super) fn finish(
        self,
        setup: &Setup,
        sheet: &RgbImage,
        generation: &Generation,
        settings: Map<String, Value>,
        result: Map<String, Value>,
    ) -> Outcome {
        sheet.write_png(&self.writer.folder().join(CONTACT_SHEET))?;
        let output = self.args.output.as_path();
        let manifest = &setup.checkpoint.manifest;
        let wanted = generation.wanted();
        let mut all = json!({
            "plate": output,
            "sequences": wanted.end - wanted.start,
            "kimg": manifest.has_known_length().then_some(manifest.sequences_seen as f64 / 1000.0),
            "labels": self.meta.label_names(),
            "label_route": self.meta.label_route(),
            "label_settings": generation.label_settings(),
            "objects": self.objects.into_inner(),
            "contact_sheet": output.join(CONTACT_SHEET),
            "latents": self.writer.folder().join(IN_PLATE).exists().then(|| output.join(IN_PLATE)),
            "gpu_memory_mib": device::gpu_memory_mib(setup.device),
        });
        extend(&mut all, result);
        let mut config = json!(setup.settings);
        extend(&mut config, settings);
        setup.record.write(self.writer.folder(), &config, &device::name(setup.device), &all)?;
        self.writer.finish()?;
        self.args.digest.write(output)?;
        open_it::plate(output);
        Ok(all)
    }
}

impl LatentArgs {
    /// Adds the file to what is read.
    pub(super) fn add(&self, files: Outputs) -> Outputs {
        match &self.latents {
            Some(latents) => files.reads("--latents", latents),
            None => files,
        }
    }
}

/// Returns the metadata of the plate of a generation, with a note.
pub(super) fn noted(generation: &Generation, note: String) -> PlateMeta {
    let mut meta = generation.plate_meta();
    meta.notes.push(note);
    meta
}

/// Adds fields to a JSON object.
pub(super) fn extend(all: &mut Value, more: Map<String, Value>) {
    if let Value::Object(fields) = all {
        fields.extend(more);
    }
}

/// Returns the fields of something that is an object as JSON.
pub(super) fn fields(mut value: Value) -> Map<String, Value> {
    value.as_object_mut().map(mem::take).unwrap_or_default()
}

/// Returns what a dry run says.
pub(super) fn dry_run(setup: &Setup, path: &Path, sequences: usize, mode: Map<String, Value>) -> Value {
    let mut all = json!({
        "dry_run": true,
        "checkpoint": setup.checkpoint.path,
        "would_write": path,
        "sequences": sequences,
        "settings": setup.settings,
    });
    extend(&mut all, mode);
    all
}

/// Checks that real sequences have channels, frames and size of those of a generator.
pub(super) fn expect_alike(real: &Plate, data: &PlateMeta) -> Result<(), Failure> {
    let form = |meta: &PlateMeta| {
        let channels = meta.channel_names().join(", ");
        format!("{} frames of {}x{} px, channels {channels}", meta.frames, meta.height, meta.width)
    };
    let (found, expected) = (form(&real.meta), form(data));
    if found == expected {
        return Ok(());
    }
    Err(DataError::Unusable {
        path: real.path.clone(),
        found: format!("holds sequences of {found}"),
        expected: format!("{expected}, as those that the checkpoint was trained on"),
        hint: "prepare the recording with the channels, frames and size of the training data".into(),
    }
    .into())
}
