//! `generate`: a checkpoint to a synthetic, labelled plate.

mod interpolate;
mod mix;
mod plate;
mod project;
mod select;
mod sweep;

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use clap::{Args, Parser, Subcommand};
use serde::Serialize;
use serde_json::json;

use self::interpolate::InterpolateArgs;
use self::mix::MixArgs;
use self::plate::{LatentArgs, Making, PlateArgs, SamplingFlags, Setup, fields};
use self::project::ProjectArgs;
use self::select::SelectArgs;
use self::sweep::SweepArgs;
use crate::cli::out_of_memory::guard;
use crate::generation::{GenerationSettings, LabelPlan};
use lapsegan_core::cli::args::WithoutCommand;
use lapsegan_core::cli::commands::export::{self, ExportArgs};
use lapsegan_core::cli::commands::merge::{self, MergeArgs};
use lapsegan_core::cli::preview::{self, SHEET_SEQUENCES};
use lapsegan_core::cli::shard::Shard;
use lapsegan_core::cli::{Common, Failure, Outcome};
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
    #[command(after_help = interpolate::EXAMPLES)]
    Interpolate(Box<InterpolateArgs>),
    #[command(after_help = mix::EXAMPLES)]
    Mix(Box<MixArgs>),
    #[command(after_help = sweep::EXAMPLES)]
    Sweep(Box<SweepArgs>),
    #[command(after_help = project::EXAMPLES)]
    Project(Box<ProjectArgs>),
    Merge(MergeArgs),
    #[command(after_help = export::examples("generate"))]
    Export(Box<ExportArgs>),
}

#[derive(Args, Debug)]
struct RunArgs {
    #[command(flatten)]
    plate: PlateArgs,

    #[command(flatten)]
    latents: LatentArgs,

    #[command(flatten)]
    flags: GenerateFlags,

    /// Write part I of N only, for jobs side by side; `generate merge` joins them
    ///
    /// A part holds whole batches of the whole run where there are at least N, so --count should be N times --batch or
    /// more: otherwise a batch is drawn by several jobs, each of which keeps its share.
    #[arg(long, value_name = "I/N", help_heading = "Generation")]
    shard: Option<Shard>,

    #[command(flatten)]
    select: SelectArgs,
}

/// Flags that replace a setting of the same name.
#[derive(Args, Debug, Serialize)]
struct GenerateFlags {
    /// Number of sequences [default: 100; with --latents, all that it holds]
    #[arg(long, value_name = "N", help_heading = "Generation", conflicts_with = "latents")]
    count: Option<u64>,

    #[serde(flatten)]
    #[command(flatten)]
    sampling: SamplingFlags,
}

const EXAMPLES: &str = "\
Examples:
  generate --checkpoint test-data/phantom-tiny.safetensors --output synthetic.ome.zarr --count 64
  generate --checkpoint run --output part-2.ome.zarr --count 512 --shard 2/8
  generate --checkpoint run --output crowded.ome.zarr --count 200 --where 'objects>=4'
  generate --checkpoint run --latents kept.ome.zarr --output again.ome.zarr";

impl AsRef<Common> for GenerateArgs {
    fn as_ref(&self) -> &Common {
        match &self.command {
            Some(Command::Interpolate(interpolate)) => &interpolate.common,
            Some(Command::Mix(mix)) => &mix.common,
            Some(Command::Sweep(sweep)) => &sweep.common,
            Some(Command::Project(project)) => &project.common,
            Some(Command::Merge(merge)) => merge.as_ref(),
            Some(Command::Export(export)) => (**export).as_ref(),
            None => &self.common,
        }
    }
}

/// Runs the program.
pub fn execute(args: GenerateArgs) -> Outcome {
    const HINT: &str = "make --batch smaller";
    match (&args.command, &args.run.0) {
        (Some(Command::Interpolate(args)), _) => guard(HINT, || interpolate::execute(args)),
        (Some(Command::Mix(args)), _) => guard(HINT, || mix::execute(args)),
        (Some(Command::Sweep(args)), _) => guard(HINT, || sweep::execute(args)),
        (Some(Command::Project(args)), _) => guard(HINT, || project::execute(args)),
        (Some(Command::Merge(merge)), _) => merge::execute(merge),
        (Some(Command::Export(args)), _) => export::execute(args, "generate"),
        (None, Some(run)) => guard(HINT, || generate(run, &args.common)),
        (None, None) => Err(Failure::usage("--checkpoint and --output are missing", "see --help")),
    }
}

fn generate(args: &RunArgs, common: &Common) -> Outcome {
    let slow = args.flags.sampling.allow_slow_bfloat16;
    let mut setup =
        Setup::new(&GenerationSettings::standard(), &args.plate, &args.flags, slow, common, |files| {
            args.latents.add(files)
        })?;
    let latents = setup.latents(&args.latents)?;
    if let Some(latents) = &latents {
        setup.settings.count = latents.len() as u64;
    }
    let shard = args.shard.map(|shard| (shard.index, shard.of));
    let request = setup.request(common.seed, shard);
    let (wanted, labels) = (request.wanted()?, request.labels()?);
    args.select.check()?;
    if let Some(shard) = args.shard.filter(|_| args.select.is_given()) {
        return Err(Failure::usage(
            format!("--shard {shard}: with --where or --balance a part cannot know what the others keep"),
            "give each job another --seed instead, and use all their plates",
        ));
    }
    if args.select.is_given() && matches!(labels, LabelPlan::None(_)) {
        return Err(Failure::usage(
            "--where or --balance: no labels of objects are made",
            "ask for labels with --label-route and --label-channel",
        ));
    }
    if common.dry_run {
        return Ok(json!({
            "dry_run": true,
            "checkpoint": setup.checkpoint.path,
            "sequences": [wanted.start, wanted.end],
            "settings": setup.settings,
        }));
    }
    setup.warn_of_no_labels(common)?;
    setup.record.input("checkpoint", &setup.checkpoint.path)?;
    let mut generation = setup.request(common.seed, shard).open(setup.device)?;
    if let Some(latents) = latents {
        generation = generation.from_latents(latents);
    }
    if args.select.is_given() {
        return select::execute(
            &args.select,
            (&args.plate, args.latents.save_latents),
            common,
            &setup,
            generation,
        );
    }
    let making = Making::begin(&args.plate, common, generation.plate_meta(), setup.settings.count as usize)?;
    let panels = Mutex::new(BTreeMap::new());
    making.write_all(&generation, &|index, sequence| {
        if index < wanted.start + SHEET_SEQUENCES as u64 {
            let panel = preview::panel(format!("sequence {index}"), &making.meta, sequence);
            panels.lock().unwrap_or_else(PoisonError::into_inner).insert(index, panel);
        }
    })?;
    let panels: Vec<Panel> =
        panels.into_inner().unwrap_or_else(PoisonError::into_inner).into_values().collect();
    if args.latents.save_latents {
        making.keep_latents(&generation.latents(&wanted.collect::<Vec<_>>()))?;
    }
    let shard = json!({ "shard": args.shard.map(|shard| shard.to_string()) });
    making.finish(&setup, &overview(&panels), &generation, fields(json!({})), fields(shard))
}
