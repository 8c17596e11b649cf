//! `train`: a dataset plate to a run folder with checkpoints.

use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use serde::Serialize;
use serde_json::json;

use super::import::{self, ImportArgs};
use super::train_settings::{
    arithmetic, free_memory, identify, labelled_names, labelled_sequences, part_that_fits, resolve,
};
use crate::cli::device;
use crate::cli::out_of_memory::guard;
use crate::model::ModelConfig;
use crate::training::Preset;
use crate::training::checkpoint;
use crate::training::config::Symmetries;
use crate::training::loader::Dataset;
use crate::training::micro_batch::MicroBatch;
use crate::training::run::{Run, TrainingEvent, begin, train};
use crate::training::standardisation::Standardisation;
use crate::training::start::{Start, start};
use crate::training::state::State;
use crate::training::steps::Steps;
use crate::training::symmetries;
use lapsegan_core::cli::args::WithoutCommand;
use lapsegan_core::cli::outputs::Outputs;
use lapsegan_core::cli::progress::Progress;
use lapsegan_core::cli::record::{self, Record};
use lapsegan_core::cli::signals::Signals;
use lapsegan_core::cli::{Common, Failure, Outcome};
use lapsegan_core::output::{Lock, OutputKind, PendingFolder, resolve as resolve_path};
use lapsegan_core::plate::labelled::Labelled;
use lapsegan_core::plate::{Plate, Split};

/// Train a generator on a dataset plate
///
/// Learns to synthesise sequences like those of the plate's training split. The run folder holds config.toml,
/// stats.jsonl, a TensorBoard event file, sample grids and checkpoints; run.json appears when the run is complete. A
/// run that was stopped (Ctrl-C, SIGTERM, --time-budget, a crash) goes on with --resume.
#[derive(Parser, Debug)]
#[command(
    name = "train",
    after_help = EXAMPLES,
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true
)]
pub struct TrainArgs {
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
    Import(Box<ImportArgs>),
}

#[derive(Args, Debug)]
pub(super) struct RunArgs {
    /// Dataset plate made by prepare
    #[arg(long, value_name = "PLATE", help_heading = "Input")]
    pub(super) data: PathBuf,

    /// Run folder to create
    #[arg(long, value_name = "DIR", help_heading = "Output")]
    pub(super) output: PathBuf,

    /// Named configuration: auto, tiny, small, paper or original [default: auto]
    #[arg(long, value_parser = parse_preset, value_name = "NAME", help_heading = "Training")]
    pub(super) preset: Option<Preset>,

    /// Learn the labels too, as a domain of their own: objects, and structure where it is labelled
    #[arg(long, help_heading = "Training")]
    pub(super) label_domain: bool,

    /// The labels of objects to learn, where the plate has several; implies --label-domain
    #[arg(long, value_name = "NAME", help_heading = "Training")]
    pub(super) label: Option<String>,

    /// Labels of these training sequences only are learned: a number of them, or wells (A/3) or split groups with commas
    /// between; implies --label-domain
    #[arg(long, value_name = "N|LIST", help_heading = "Training")]
    pub(super) labelled: Option<Labelled>,

    #[command(flatten)]
    pub(super) flags: TrainFlags,

    /// Go on from the newest checkpoint of --output, or of DIR
    ///
    /// Of DIR, the checkpoint and what was recorded up to it are copied to --output; DIR stays as it is. Where
    /// --output has got further already, it goes on from there, and where there is no checkpoint yet, the run starts
    /// from the beginning: the same command can be run again.
    #[arg(long, value_name = "DIR", num_args = 0..=1, require_equals = true, help_heading = "Training")]
    #[allow(clippy::option_option, reason = "clap: no --resume, --resume alone, --resume=DIR")]
    pub(super) resume: Option<Option<PathBuf>>,

    /// Start from the weights of a checkpoint; what does not fit stays fresh
    ///
    /// A run that goes on with --resume keeps its own weights.
    #[arg(long, value_name = "FILE", help_heading = "Training")]
    init: Option<PathBuf>,

    /// Also write averaged generator and discriminator in half precision, for sharing
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    export: Option<PathBuf>,

    /// Compute in bfloat16 on a CPU that has no instructions for it
    #[arg(long, help_heading = "Training")]
    pub(super) allow_slow_bfloat16: bool,

    /// Minutes between checkpoints
    #[arg(long, default_value_t = 5.0, value_name = "MINUTES", help_heading = "Training")]
    checkpoint_interval: f64,

    /// Stop after this many minutes with a checkpoint and exit code 140
    #[arg(long, value_name = "MINUTES", help_heading = "Training")]
    time_budget: Option<f64>,
}

/// Flags that replace a setting.
#[derive(Args, Debug, Serialize)]
pub(super) struct TrainFlags {
    /// Thousands of real sequences to show the discriminator; 0 writes the untrained networks
    #[arg(long, value_name = "KIMG", allow_negative_numbers = true, help_heading = "Training")]
    #[serde(rename = "training.kimg")]
    kimg: Option<f64>,
}

const LESS_MEMORY: &str =
    "lower training.micro_batch, as in --set training.micro_batch=4, and go on with --resume";

/// Fewer training sequences than these are learned by heart: the discriminator sees each of them in every batch.
const FEW_SEQUENCES: usize = 8;

const EXAMPLES: &str = "\
Examples:
  train --data phantom.ome.zarr --output run --preset tiny --kimg 10
  train --data phantom.ome.zarr --output run --preset tiny --kimg 20 --resume";

impl AsRef<Common> for TrainArgs {
    fn as_ref(&self) -> &Common {
        match &self.command {
            Some(Command::Import(import)) => (**import).as_ref(),
            None => &self.common,
        }
    }
}

fn parse_preset(name: &str) -> Result<Preset, String> {
    let known = || Preset::ALL.map(|(name, _)| name).join(", ");
    Preset::ALL
        .iter()
        .find(|(n, _)| *n == name)
        .map(|(_, preset)| *preset)
        .ok_or_else(|| format!("unknown preset, expected one of {}", known()))
}

/// Runs the program.
pub fn execute(args: TrainArgs) -> Outcome {
    match (&args.command, &args.run.0) {
        (Some(Command::Import(import)), _) => import::execute(import),
        (None, Some(run)) => guard(LESS_MEMORY, || train_on(run, &args.common)),
        (None, None) => Err(Failure::usage("--data and --output are missing", "see --help")),
    }
}

fn train_on(args: &RunArgs, common: &Common) -> Outcome {
    let mut record = Record::begin("train", common);
    let _locks = claim(args, common)?;
    let plate = Plate::open(&args.data)?;
    let (mut config, mapped) = resolve(args, common, &plate)?;
    let labelled = labelled_sequences(args, common, &plate, (&config, &mapped))?;
    let checkpoint_interval = minutes("--checkpoint-interval", args.checkpoint_interval)?;
    let time_budget = args.time_budget.map(|m| minutes("--time-budget", m)).transpose()?;
    let device = device::select(&common.device, common.thread_count())?;
    let mut steps = Steps::on(device, config.training.graphs)?;
    config.model.precision = arithmetic(args, config.model.precision, device)?;
    if config.training.micro_batch == MicroBatch::Auto {
        config.training.micro_batch = part_that_fits(&config, device);
    }
    let sequences = plate.indices(Split::Train).len();
    let mut warnings = Vec::new();
    if sequences < FEW_SEQUENCES {
        warnings.push(format!(
            "{sequences} training sequences only: the generator will learn them by heart; prepare more positions or frames"
        ));
        tracing::warn!("{}", warnings[0]);
    }
    if common.dry_run {
        return Ok(json!({
            "dry_run": true, "config": config, "train_sequences": sequences,
            "labelled": labelled_names(&plate, labelled.as_deref()), "warnings": warnings,
        }));
    }

    record.input("data", &args.data)?;
    let bar = Progress::new("reading sequences", sequences as u64, common.quiet);
    let dataset = {
        let (maps, gain) = (&config.model.label_maps, config.training.trap.gain);
        // The networks and their activations need the rest.
        let place = (device, free_memory(device).unwrap_or(0) / 4);
        let labels = (&maps[..], &mapped, labelled.as_deref());
        Dataset::load(&plate, labels, gain, common.seed, place, &|done| bar.set(done))?
    };
    bar.finish();
    if config.model.standardise && config.model.range.is_empty() {
        let ModelConfig { most_deviations, frame_contrast, .. } = config.model;
        Standardisation::measure(&dataset, most_deviations, frame_contrast).fill_in(&mut config.model);
        let bent = config.model.curve.iter().zip(&plate.meta.channels).filter(|(curve, _)| **curve > 0.0);
        for (_, channel) in bent {
            tracing::info!(
                "channel {}: rare bright pixels, standardised on a logarithmic scale",
                channel.name
            );
        }
    }
    if config.training.symmetries == Symmetries::Data {
        let found = symmetries::find(&dataset);
        tracing::info!("{}", found.sentence());
        found.decide(&mut config.training);
    }
    let mut identity = identify(&plate, config, mapped, labelled.as_deref(), common)?;

    let mut state = State::new(&identity.config, common.seed, device);
    let resume = args.resume.as_ref().map(|from| from.as_deref());
    // A new run gets its name with its first checkpoint: until then an old one is there, or nothing.
    let pending = match resume {
        Some(_) if args.output.exists() => None,
        _ => Some(PendingFolder::create(&args.output, OutputKind::Training, common.overwrite)?),
    };
    let folder = pending.as_ref().map_or(args.output.as_path(), PendingFolder::path);
    let from = Start { folder, output: &args.output, resume, init: args.init.as_deref() };
    warnings.extend(start(from, &mut state, &mut identity)?);
    begin(folder, &state, &identity, device)?;
    let signals = Signals::catch();
    pending.map_or(Ok(()), PendingFolder::finish)?;
    let run = Run { folder: &args.output, identity, dataset, device, checkpoint_interval, time_budget };
    let checkpoint = watch(&run, &mut state, &mut steps, common.quiet, signals)?;
    if let Some(export) = &args.export {
        checkpoint::export(export, &state, &run.identity)?;
    }
    let result = json!({
        "run": args.output,
        "checkpoint": checkpoint,
        "export": args.export,
        "kimg": state.kimg(),
        "train_sequences": sequences,
        "labelled": labelled_names(&plate, labelled.as_deref()),
        "warnings": warnings,
        "device": device::name(device),
        "peak_memory_mib": record::peak_memory_mib(),
        "gpu_memory_mib": device::gpu_memory_mib(device),
    });
    record.write(&args.output, &run.identity.config, &device::name(device), &result)?;
    let at = args.output.display();
    tracing::info!("look at it: tensorboard --logdir {at}; pictures are in {at}/samples");
    tracing::info!("go on with: generate --checkpoint {at} --output synthetic.ome.zarr");
    Ok(result)
}

/// Checks and locks what is written. A run that goes on does so in its own folder; the configuration that it reads may
/// be the one in there.
fn claim(args: &RunArgs, common: &Common) -> Result<Vec<Lock>, Failure> {
    let mut files = Outputs::new(common).reads("--data", &args.data);
    if let Some(init) = &args.init {
        files = files.reads_checkpoint("--init", init);
    }
    files = match &args.resume {
        None => files.writes("--output", args.output.as_path(), OutputKind::Training),
        Some(from) => {
            if let Some(from) = from.as_ref().filter(|from| !is_same(from, &args.output)) {
                files = files.reads("--resume", from);
            }
            files.goes_on_in("--output", &args.output)
        }
    };
    files.writes_checkpoint("--export", args.export.as_deref(), args.resume.is_some()).claim()
}

fn is_same(a: &Path, b: &Path) -> bool {
    resolve_path(a).ok().is_some_and(|a| resolve_path(b).ok() == Some(a))
}

fn minutes(flag: &str, value: f64) -> Result<Duration, Failure> {
    Duration::try_from_secs_f64(value * 60.0).map_err(|_| {
        Failure::usage(format!("{flag} {value}: expected a number of minutes"), "such as 5 or 0.5")
    })
}

/// Runs the loop under a progress bar, with SIGINT and SIGTERM as requests to stop after the running iteration.
fn watch(
    run: &Run,
    state: &mut State,
    steps: &mut Steps,
    quiet: bool,
    signals: Signals,
) -> Result<PathBuf, Failure> {
    // Bars count whole numbers: thousandths of a kimg are sequences.
    let goal = run.identity.config.training.kimg;
    let bar = Progress::new("training (sequences)", (goal * 1000.0) as u64, quiet);
    bar.set((state.kimg() * 1000.0) as u64);
    let last_kimg = Cell::new(state.kimg());
    let last = train(run, state, steps, &|| signals.answer(), &mut |event| match event {
        TrainingEvent::Progress(kimg) => {
            last_kimg.set(kimg);
            bar.set((kimg * 1000.0) as u64);
        }
        TrainingEvent::Tick { kimg, seconds_per_kimg, means } => {
            let value = |name: &str| means.iter().find(|(n, _)| *n == name).map_or(f64::NAN, |(_, v)| *v);
            bar.line(&format!(
                "kimg {kimg:8.2}  {seconds_per_kimg:7.2} s/kimg  left {}  D {:.3}  G {:.3}  grad D {:.1} G {:.1}  r {:.2}  \
                 p {:.3}  spread {:.2}  peak {} MiB{}",
                clock((goal - kimg).max(0.0) * seconds_per_kimg),
                value("loss_discriminator"),
                value("loss_generator"),
                value("gradient_norm_discriminator"),
                value("gradient_norm_generator"),
                value("r_real"),
                value("ada_p"),
                value("spread"),
                record::peak_memory_mib(),
                device::gpu_memory_mib(run.device).map_or_else(String::new, |mib| format!("  GPU {mib} MiB")),
            ));
        }
    })?;
    signals.finish();
    bar.finish();
    Ok(last)
}

fn clock(seconds: f64) -> String {
    let seconds = seconds as u64;
    format!("{}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}
