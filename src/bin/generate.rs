//! `generate`: a checkpoint to a synthetic, labelled plate.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand, ValueEnum};
use ndarray::Array4;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use lapsegan::cli::digest::DigestFlag;
use lapsegan::cli::merge::{self, MergeArgs};
use lapsegan::cli::preview::{self, CONTACT_SHEET, SHEET_SEQUENCES};
use lapsegan::cli::progress::Progress;
use lapsegan::cli::record::Record;
use lapsegan::cli::shard::Shard;
use lapsegan::cli::{Common, Failure, Outcome, config, device, import, run};
use lapsegan::data::DataError;
use lapsegan::data::labels::STRUCTURE;
use lapsegan::data::output::refuse_existing;
use lapsegan::data::plate::{Origin, Part, PlateMeta, PlateWriter, Sequence, SequenceMeta, Split};
use lapsegan::error::Exit;
use lapsegan::generation::{Batches, Labelling, Sampler, sample};
use lapsegan::model::{ModelConfig, Precision};
use lapsegan::report::overview;
use lapsegan::training::checkpoint::{self, Checkpoint};

/// Sequences from which the label threshold is estimated; the first of the seed, whichever are written.
const THRESHOLD_SEQUENCES: u64 = 64;

#[derive(Subcommand)]
enum Command {
    Merge(MergeArgs),
}

/// Generate synthetic sequences from a checkpoint
///
/// Writes a plate of the same form as prepare's: camera counts through the training data's calibration, tracked
/// labels, and contact_sheet.png inside it. The same checkpoint, seed, --threads and --batch give the same bytes.
#[derive(Parser)]
#[command(
    name = "generate",
    after_help = EXAMPLES,
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true
)]
struct Args {
    #[command(subcommand)]
    command: Option<Command>,

    /// Checkpoint (.safetensors), or a run folder: its newest checkpoint
    #[arg(long, required = true, value_name = "FILE|RUN", help_heading = "Input")]
    checkpoint: Option<PathBuf>,

    /// Synthetic plate to create (NAME.ome.zarr)
    #[arg(long, required = true, value_name = "PLATE", help_heading = "Output")]
    output: Option<PathBuf>,

    #[command(flatten)]
    digest: DigestFlag,

    /// Number of sequences [default: 100]
    #[arg(long, value_name = "N", help_heading = "Generation")]
    count: Option<u64>,

    /// Fidelity against variety: 1 leaves the latents, 0 gives the mean sequence [default: 1]
    #[arg(long, value_name = "PSI", allow_negative_numbers = true, help_heading = "Generation")]
    truncation_psi: Option<f64>,

    /// Sequences at a time, at most [default: 32]
    #[arg(long, value_name = "N", help_heading = "Generation")]
    batch: Option<u64>,

    /// Write part I of N only, for jobs side by side; `generate merge` joins them
    ///
    /// A part holds whole batches of the whole run where there are at least N, so --count should be N times --batch or
    /// more: otherwise a batch is drawn by several jobs, each of which keeps its share.
    #[arg(long, value_name = "I/N", help_heading = "Generation")]
    shard: Option<Shard>,

    /// Arithmetic: float32, or bfloat16, several times faster on hardware that has it [default: float32]
    #[arg(long, value_enum, help_heading = "Generation")]
    precision: Option<PrecisionFlag>,

    /// Where the labels come from [default: auto]
    #[arg(long, value_enum, help_heading = "Labels")]
    label_route: Option<Route>,

    /// Channel whose brightness marks the objects [default: the last one]
    #[arg(long, value_name = "NAME", help_heading = "Labels")]
    label_channel: Option<String>,

    /// Name of the label image [default: that of the training data, else cells]
    #[arg(long, value_name = "NAME", help_heading = "Labels")]
    label_name: Option<String>,

    #[command(flatten)]
    common: Common,
}

const EXAMPLES: &str = "\
Examples:
  generate --checkpoint test-data/phantom-tiny.safetensors --output synthetic.ome.zarr --count 64
  generate --checkpoint run --output part-2.ome.zarr --count 512 --shard 2/8";

/// What --config and --set may hold; flags win.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    /// Number of sequences.
    count: u64,
    /// Fidelity against variety, 0 to 2.
    truncation_psi: f64,
    /// Sequences at a time.
    batch: u64,
    /// Arithmetic of the generator.
    precision: Precision,
    /// Where the labels come from.
    label_route: Route,
    /// Channel whose brightness marks the objects; empty for the last one.
    label_channel: String,
    /// Name of the label image; empty for that of the training data.
    label_name: String,
}

/// `--precision`.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum PrecisionFlag {
    Float32,
    Bfloat16,
}

/// Where labels come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[value(rename_all = "snake_case")]
enum Route {
    /// Joint where the generator has a label domain, else fluorescence_threshold.
    Auto,
    /// Drawn by the generator together with the images.
    Joint,
    /// No labels.
    None,
    /// Threshold and watershed of a fluorescence channel.
    FluorescenceThreshold,
}

impl AsRef<Common> for Args {
    fn as_ref(&self) -> &Common {
        match &self.command {
            Some(Command::Merge(merge)) => merge.as_ref(),
            None => &self.common,
        }
    }
}

impl Args {
    fn checkpoint(&self) -> &Path {
        self.checkpoint.as_deref().expect("clap asks for it where there is no subcommand")
    }

    fn output(&self) -> &Path {
        self.output.as_deref().expect("clap asks for it where there is no subcommand")
    }
}

fn main() -> ExitCode {
    run::program("generate", device::libraries, |args: Args| match &args.command {
        Some(Command::Merge(merge)) => merge::execute(merge),
        None => execute(args),
    })
}

fn execute(args: Args) -> Outcome {
    let common = &args.common;
    let mut record = Record::begin("generate", common);
    let (settings, output) = (resolve(&args)?, args.output());
    refuse_existing(output, common.overwrite)?;
    args.digest.check(output, common.overwrite)?;
    let batches = Batches::new(settings.count, settings.batch);
    let wanted = share(&batches, &settings, args.shard)?;
    let checkpoint = find(args.checkpoint())?;
    let data = &checkpoint.manifest.data;
    let maps = &checkpoint.manifest.config.model.label_maps;
    let route = resolve_route(settings.label_route, !maps.is_empty())?;
    let label_channel =
        if route == Route::FluorescenceThreshold { Some(label_channel(&settings, data)?) } else { None };
    if common.dry_run {
        return Ok(json!({
            "dry_run": true,
            "checkpoint": checkpoint.path,
            "sequences": [wanted.start, wanted.end],
            "settings": settings,
        }));
    }

    let device = device::select(&common.device, common.thread_count())?;
    record.input("checkpoint", &checkpoint.path)?;
    // A run's own precision is a matter of its training.
    let model = ModelConfig { precision: settings.precision, ..checkpoint.manifest.config.model.clone() };
    let sampler = Sampler::new(&model, &checkpoint.tensors, &checkpoint.path.display().to_string(), device)?;
    let labelling = match (route, label_channel) {
        (Route::Joint, _) => Labelling::Joint {
            name: object_name(&settings, data),
            domains: data.channels.len(),
            maps: maps.clone(),
        },
        (_, Some(channel)) => threshold(&settings, common.seed, data, &sampler, channel),
        _ => Labelling::None,
    };
    let mut meta = plate_meta(&settings, common.seed, &checkpoint, &labelling);
    meta.part = args.shard.map(|shard| part(shard, &wanted, &settings, &checkpoint, &labelling));
    let writer = PlateWriter::create(output, &meta, settings.count as usize, common.overwrite)?;
    let bar = Progress::new("generating sequences", wanted.end - wanted.start, common.quiet);
    let mut panels = Vec::new();
    let mut objects = 0_usize;
    for (drawn, kept) in batches.holding(wanted.clone()) {
        let sequences = drawn.clone().zip(sampler.sample(common.seed, drawn, settings.truncation_psi));
        for (index, values) in sequences.filter(|(index, _)| kept.contains(index)) {
            let sequence = sequence(&checkpoint, data, &labelling, index, &values);
            objects += n_objects(&sequence);
            writer.write(index as usize, &sequence)?;
            if panels.len() < SHEET_SEQUENCES {
                panels.push(preview::panel(format!("sequence {index}"), &meta, &sequence));
            }
            bar.set(index + 1 - wanted.start);
        }
    }
    bar.finish();
    overview(&panels).write_png(&writer.folder().join(CONTACT_SHEET))?;
    let result = json!({
        "plate": output,
        "sequences": wanted.end - wanted.start,
        "shard": args.shard.map(|shard| shard.to_string()),
        // Of an imported checkpoint it is not known.
        "kimg": (data.tool != import::TOOL).then_some(checkpoint.manifest.sequences_seen as f64 / 1000.0),
        "labels": meta.labels,
        "label_route": meta.label_route,
        "label_settings": labelling.settings(),
        "objects": objects,
        "contact_sheet": output.join(CONTACT_SHEET),
    });
    record.write(writer.folder(), &settings, &device::name(device), &result)?;
    writer.finish()?;
    args.digest.write(output)?;
    Ok(result)
}

fn find(path: &Path) -> Result<Checkpoint, Failure> {
    if !path.is_dir() {
        return Ok(checkpoint::read(path)?);
    }
    let missing = || DataError::Missing {
        path: path.join("checkpoints"),
        expected: "a complete checkpoint of a run".into(),
    };
    Ok(checkpoint::newest(path)?.ok_or_else(missing)?)
}

/// Returns the sequences that this job writes.
fn share(batches: &Batches, settings: &Settings, shard: Option<Shard>) -> Result<Range<u64>, Failure> {
    let Some(shard) = shard else { return Ok(0..settings.count) };
    let of = shard.of as u64;
    if of > settings.count {
        let message = format!("--shard {shard}: {} sequences make {0} parts at most", settings.count);
        return Err(Failure::usage(message, "take fewer parts, or a larger --count"));
    }
    if of > batches.n() {
        let batch = settings.count.div_ceil(of);
        tracing::warn!(
            "{of} parts of {} batches: batches are drawn by several jobs; --batch {batch} in all of them avoids this",
            batches.n()
        );
    }
    Ok(batches.part(shard.index as u64 - 1, of))
}

/// Returns which part of the run the plate is, with what all parts must have in common.
fn part(
    shard: Shard,
    wanted: &Range<u64>,
    settings: &Settings,
    checkpoint: &Checkpoint,
    labelling: &Labelling,
) -> Part {
    let mut common = json!({ "checkpoint_sha256": checkpoint.manifest.tensors_sha256 });
    if let (Value::Object(all), Value::Object(more)) = (&mut common, json!(settings)) {
        all.extend(more);
    }
    Part {
        index: shard.index,
        of: shard.of,
        sequences: settings.count as usize,
        first: wanted.start as usize,
        count: (wanted.end - wanted.start) as usize,
        settings: common.as_object().cloned().unwrap_or_default(),
        label_settings: labelling.settings(),
    }
}

/// Built-in < --config < --set < flags.
fn resolve(args: &Args) -> Result<Settings, Failure> {
    let base = Settings {
        count: 100,
        truncation_psi: 1.0,
        batch: 32,
        precision: Precision::Float32,
        label_route: Route::Auto,
        label_channel: String::new(),
        label_name: String::new(),
    };
    let mut settings = config::resolve(&base, args.common.config.as_deref(), &args.common.set)?;
    settings.count = args.count.unwrap_or(settings.count);
    settings.truncation_psi = args.truncation_psi.unwrap_or(settings.truncation_psi);
    settings.batch = args.batch.unwrap_or(settings.batch);
    settings.precision = match args.precision {
        Some(PrecisionFlag::Float32) => Precision::Float32,
        Some(PrecisionFlag::Bfloat16) => Precision::Bfloat16,
        None => settings.precision,
    };
    settings.label_route = args.label_route.unwrap_or(settings.label_route);
    settings.label_channel = args.label_channel.clone().unwrap_or(settings.label_channel);
    settings.label_name = args.label_name.clone().unwrap_or(settings.label_name);
    if !(0.0..=2.0).contains(&settings.truncation_psi) {
        let message = format!("--truncation-psi {}: expected 0 to 2", settings.truncation_psi);
        return Err(Failure::usage(message, "1 leaves the latents as they are, 0.7 is a common choice"));
    }
    if !(1..=10_000_000).contains(&settings.count) || !(1..=4096).contains(&settings.batch) {
        let message = format!(
            "--count {}, --batch {}: expected 1 to 10000000 and 1 to 4096",
            settings.count, settings.batch
        );
        return Err(Failure::usage(message, "make several plates with different seeds for more"));
    }
    Ok(settings)
}

/// Returns where labels come from, `auto` resolved.
fn resolve_route(wanted: Route, has_label_domain: bool) -> Result<Route, Failure> {
    match wanted {
        Route::Auto if has_label_domain => Ok(Route::Joint),
        Route::Auto => Ok(Route::FluorescenceThreshold),
        Route::Joint if !has_label_domain => Err(Failure {
            message: "--label-route joint: the checkpoint has no label domain".into(),
            hint: Some("train with --label-domain, or use --label-route fluorescence_threshold".into()),
            exit: Exit::Usage,
        }),
        route => Ok(route),
    }
}

/// Returns the channel whose brightness marks the objects.
fn label_channel(settings: &Settings, data: &PlateMeta) -> Result<usize, Failure> {
    let names: Vec<&str> = data.channels.iter().map(|c| c.name.as_str()).collect();
    let wanted = &settings.label_channel;
    if wanted.is_empty() {
        return Ok(names.len() - 1);
    }
    names.iter().position(|name| name == wanted).ok_or_else(|| Failure {
        message: format!("--label-channel {wanted}: the checkpoint has channels {}", names.join(", ")),
        hint: Some("name one of them".into()),
        exit: Exit::Usage,
    })
}

/// Returns the name of the object labels.
fn object_name(settings: &Settings, data: &PlateMeta) -> String {
    let trained =
        || data.labels.iter().find(|name| *name != STRUCTURE).cloned().unwrap_or_else(|| "cells".into());
    if settings.label_name.is_empty() { trained() } else { settings.label_name.clone() }
}

/// Estimates one threshold for all sequences of the seed; no labels, with a warning, where there is nothing to part.
fn threshold(
    settings: &Settings,
    seed: u64,
    data: &PlateMeta,
    sampler: &Sampler,
    channel: usize,
) -> Labelling {
    let sequences: Vec<Array4<f32>> = Batches::new(THRESHOLD_SEQUENCES, settings.batch)
        .holding(0..THRESHOLD_SEQUENCES)
        .flat_map(|(drawn, kept)| {
            let n = (kept.end - kept.start) as usize;
            sampler.sample(seed, drawn, settings.truncation_psi).into_iter().take(n)
        })
        .collect();
    let labelling = Labelling::threshold(object_name(settings, data), channel, &sequences);
    if let Labelling::Threshold { settings, .. } = &labelling
        && !settings.finds_two_classes()
    {
        tracing::warn!(
            "channel {} has no bright objects that a threshold parts from the background: labels may be meaningless",
            data.channels[channel].name
        );
    }
    labelling
}

fn plate_meta(settings: &Settings, seed: u64, checkpoint: &Checkpoint, labelling: &Labelling) -> PlateMeta {
    let manifest = &checkpoint.manifest;
    let kimg = manifest.sequences_seen as f64 / 1000.0;
    let mut notes = vec![
        format!("generator trained for {kimg:.3} kimg, truncation_psi {}", settings.truncation_psi),
        format!("checkpoint sha256 {}", manifest.tensors_sha256),
    ];
    if manifest.data.tool == import::TOOL {
        // What the counts mean stands there, and how long it was trained is not known.
        notes[0] = format!("truncation_psi {}", settings.truncation_psi);
        notes.extend(manifest.data.notes.iter().cloned());
    }
    PlateMeta {
        tool: "generate".into(),
        version: env!("CARGO_PKG_VERSION").into(),
        origin: Origin::Synthetic,
        seed,
        labels: labelling.names(),
        label_route: labelling.route().map(Into::into),
        notes,
        ..manifest.data.clone()
    }
}

fn sequence(
    checkpoint: &Checkpoint,
    data: &PlateMeta,
    labelling: &Labelling,
    index: u64,
    values: &Array4<f32>,
) -> Sequence {
    Sequence {
        meta: SequenceMeta {
            source: format!("checkpoint {}", &checkpoint.manifest.tensors_sha256[..16]),
            first_frame: 0,
            split: Split::Train,
            split_group: format!("synthetic-{index}"),
            frame_ranges: None,
        },
        image: sample::counts(values, data),
        labels: labelling.labels(values),
    }
}

/// Returns the number of tracked objects.
fn n_objects(sequence: &Sequence) -> usize {
    let objects = sequence.labels.iter().filter(|(name, _)| name.as_str() != STRUCTURE);
    objects.map(|(_, labels)| labels.ids.iter().max().copied().unwrap_or(0) as usize).sum()
}
