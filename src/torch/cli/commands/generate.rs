//! `generate`: a checkpoint to a synthetic, labelled plate.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use clap::{Args, Parser, Subcommand};
use serde::Serialize;
use serde_json::json;

use crate::cli::out_of_memory::guard;
use crate::cli::{device, precision};
use crate::generation::run::{Request, n_objects};
use crate::generation::{GenerationSettings, LabelPlan, Route};
use crate::model::Precision;
use crate::training::checkpoint;
use lapsegan_core::cli::args::WithoutCommand;
use lapsegan_core::cli::commands::export::{self, ExportArgs};
use lapsegan_core::cli::commands::merge::{self, MergeArgs};
use lapsegan_core::cli::digest::DigestFlag;
use lapsegan_core::cli::open_it;
use lapsegan_core::cli::outputs::Outputs;
use lapsegan_core::cli::preview::{self, CONTACT_SHEET, SHEET_SEQUENCES};
use lapsegan_core::cli::progress::Progress;
use lapsegan_core::cli::record::Record;
use lapsegan_core::cli::settings::resolve;
use lapsegan_core::cli::shard::Shard;
use lapsegan_core::cli::words::words;
use lapsegan_core::cli::{Common, Failure, Outcome};
use lapsegan_core::output::OutputKind;
use lapsegan_core::plate::PlateWriter;
use lapsegan_core::report::{Panel, overview};

/// Generate synthetic sequences from a checkpoint
///
/// Writes a plate of the same form as prepare's: camera counts through the training data's calibration, tracked
/// labels, and contact_sheet.png inside it. The same checkpoint, seed, --threads and --batch give the same bytes.
#[derive(Parser, Debug)]
#[command(
    name = "generate",
    after_help = EXAMPLES,
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true
)]
pub struct GenerateArgs {
    #[command(flatten)]
    run: WithoutCommand<RunArgs>,
    #[command(flatten)]
    common: Common,
    // Last, since reading it takes it out of the matches.
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand, Debug)]
enum Command {
    Merge(MergeArgs),
    #[command(after_help = export::examples("generate"))]
    Export(Box<ExportArgs>),
}

#[derive(Args, Debug)]
struct RunArgs {
    /// Checkpoint (.safetensors), or a run folder: its newest checkpoint
    #[arg(long, value_name = "FILE|RUN", help_heading = "Input")]
    checkpoint: PathBuf,

    /// Synthetic plate to create (NAME.ome.zarr)
    #[arg(long, value_name = "PLATE", help_heading = "Output")]
    output: PathBuf,

    #[command(flatten)]
    digest: DigestFlag,

    #[command(flatten)]
    flags: GenerateFlags,

    /// Compute in bfloat16 on a CPU that has no instructions for it
    #[arg(long, help_heading = "Generation")]
    allow_slow_bfloat16: bool,

    /// Write part I of N only, for jobs side by side; `generate merge` joins them
    ///
    /// A part holds whole batches of the whole run where there are at least N, so --count should be N times --batch or
    /// more: otherwise a batch is drawn by several jobs, each of which keeps its share.
    #[arg(long, value_name = "I/N", help_heading = "Generation")]
    shard: Option<Shard>,
}

/// Flags that replace a setting of the same name.
#[derive(Args, Debug, Serialize)]
struct GenerateFlags {
    /// Number of sequences [default: 100]
    #[arg(long, value_name = "N", help_heading = "Generation")]
    count: Option<u64>,

    /// Fidelity against variety: 1 leaves the latents, 0 gives the mean sequence [default: 1]
    #[arg(long, value_name = "PSI", allow_negative_numbers = true, help_heading = "Generation")]
    truncation_psi: Option<f64>,

    /// Sequences at a time, at most [default: 32]
    #[arg(long, value_name = "N", help_heading = "Generation")]
    batch: Option<u64>,

    /// Arithmetic of the generator [default: float32]
    #[arg(long, value_parser = words(&Precision::WORDS), help_heading = "Generation")]
    precision: Option<String>,

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

const EXAMPLES: &str = "\
Examples:
  generate --checkpoint test-data/phantom-tiny.safetensors --output synthetic.ome.zarr --count 64
  generate --checkpoint run --output part-2.ome.zarr --count 512 --shard 2/8";

impl AsRef<Common> for GenerateArgs {
    fn as_ref(&self) -> &Common {
        match &self.command {
            Some(Command::Merge(merge)) => merge.as_ref(),
            Some(Command::Export(export)) => (**export).as_ref(),
            None => &self.common,
        }
    }
}

/// Runs the program.
pub fn execute(args: GenerateArgs) -> Outcome {
    match (&args.command, &args.run.0) {
        (Some(Command::Merge(merge)), _) => merge::execute(merge),
        (Some(Command::Export(args)), _) => export::execute(args, "generate"),
        (None, Some(run)) => guard("make --batch smaller", || generate(run, &args.common)),
        (None, None) => Err(Failure::usage("--checkpoint and --output are missing", "see --help")),
    }
}

fn generate(args: &RunArgs, common: &Common) -> Outcome {
    let mut record = Record::begin("generate", common);
    let mut settings =
        resolve(&GenerationSettings::standard(), common.config.as_deref(), &common.set, &args.flags)?;
    settings.check()?;
    let output = args.output.as_path();
    let _locks = Outputs::new(common)
        .reads_checkpoint("--checkpoint", &args.checkpoint)
        .writes("--output", output, OutputKind::Plate)
        .writes("--digest", args.digest.digest.as_deref(), OutputKind::Digest)
        .claim()?;
    let checkpoint = checkpoint::find(&args.checkpoint)?;
    let device = device::select(&common.device, common.thread_count())?;
    settings.precision = precision::resolve(settings.precision, device, args.allow_slow_bfloat16)?;
    let shard = args.shard.map(|shard| (shard.index, shard.of));
    let request = Request { checkpoint: &checkpoint, settings: &settings, seed: common.seed, shard };
    let (wanted, labels) = (request.wanted()?, request.labels()?);
    if common.dry_run {
        return Ok(json!({
            "dry_run": true,
            "checkpoint": checkpoint.path,
            "sequences": [wanted.start, wanted.end],
            "settings": settings,
        }));
    }
    if let LabelPlan::None(Some(reason)) = &labels {
        tracing::warn!("{reason}");
    }

    record.input("checkpoint", &checkpoint.path)?;
    let generation = request.open(device)?;
    let meta = generation.plate_meta();
    let writer = PlateWriter::create(output, &meta, settings.count as usize, common.overwrite)?;
    let bar = Progress::new("generating sequences", wanted.end - wanted.start, common.quiet);
    let (panels, objects) = (Mutex::new(BTreeMap::new()), AtomicUsize::new(0));
    generation.each(&|index, sequence| {
        objects.fetch_add(n_objects(&meta, &sequence), Ordering::Relaxed);
        writer.write(index as usize, &sequence)?;
        if index < wanted.start + SHEET_SEQUENCES as u64 {
            let panel = preview::panel(format!("sequence {index}"), &meta, &sequence);
            panels.lock().unwrap_or_else(PoisonError::into_inner).insert(index, panel);
        }
        bar.step();
        Ok(())
    })?;
    bar.finish();
    let panels: Vec<Panel> =
        panels.into_inner().unwrap_or_else(PoisonError::into_inner).into_values().collect();
    overview(&panels).write_png(&writer.folder().join(CONTACT_SHEET))?;

    let manifest = &checkpoint.manifest;
    let result = json!({
        "plate": output,
        "sequences": wanted.end - wanted.start,
        "shard": args.shard.map(|shard| shard.to_string()),
        "kimg": manifest.has_known_length().then_some(manifest.sequences_seen as f64 / 1000.0),
        "labels": meta.label_names(),
        "label_route": meta.label_route(),
        "label_settings": generation.label_settings(),
        "objects": objects.into_inner(),
        "contact_sheet": output.join(CONTACT_SHEET),
        "gpu_memory_mib": device::gpu_memory_mib(device),
    });
    record.write(writer.folder(), &settings, &device::name(device), &result)?;
    writer.finish()?;
    args.digest.write(output)?;
    open_it::plate(output);
    Ok(result)
}
