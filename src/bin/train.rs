//! `train`: a dataset plate to a run folder with checkpoints.

use std::cell::Cell;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};
use serde_json::json;

use lapsegan::cli::digest::Digest;
use lapsegan::cli::import::{self, ImportArgs};
use lapsegan::cli::progress::Progress;
use lapsegan::cli::record::{self, Record};
use lapsegan::cli::signals::Signals;
use lapsegan::cli::{Common, Failure, Outcome, config, device, run};
use lapsegan::data::DataError;
use lapsegan::data::labels::STRUCTURE;
use lapsegan::data::output::{refuse_existing, sweep, write_file};
use lapsegan::data::plate::{Plate, Split};
use lapsegan::error::Exit;
use lapsegan::model::{LabelMap, weights};
use lapsegan::training::checkpoint::{self, Identity};
use lapsegan::training::loader::Dataset;
use lapsegan::training::run::{Event, Run, train};
use lapsegan::training::state::State;
use lapsegan::training::{Config, Preset, TrainingError, continuation};

#[derive(Subcommand)]
enum Command {
    Import(Box<ImportArgs>),
}

/// Train a generator on a dataset plate
///
/// Learns to synthesise sequences like those of the plate's training split. The run folder holds config.toml,
/// stats.jsonl, a TensorBoard event file, sample grids and checkpoints; run.json appears when the run is complete. A
/// run that was stopped (Ctrl-C, SIGTERM, --time-budget, a crash) goes on with --resume.
#[derive(Parser)]
#[command(
    name = "train",
    after_help = EXAMPLES,
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true
)]
struct Args {
    #[command(subcommand)]
    command: Option<Command>,

    /// Dataset plate made by prepare
    #[arg(long, required = true, value_name = "PLATE", help_heading = "Input")]
    data: Option<PathBuf>,

    /// Run folder to create
    #[arg(long, required = true, value_name = "DIR", help_heading = "Output")]
    output: Option<PathBuf>,

    /// Named configuration: tiny, small, paper or original [default: tiny]
    #[arg(long, value_parser = parse_preset, value_name = "NAME", help_heading = "Training")]
    preset: Option<Preset>,

    /// Learn the labels too, as a domain of their own: objects, and structure where it is labelled
    #[arg(long, help_heading = "Training")]
    label_domain: bool,

    /// Thousands of real sequences to show the discriminator; 0 writes the untrained networks
    #[arg(long, value_name = "KIMG", allow_negative_numbers = true, help_heading = "Training")]
    kimg: Option<f64>,

    /// Go on from the newest checkpoint of --output, or of DIR
    ///
    /// Of DIR, the checkpoint and what was recorded up to it are copied to --output; DIR stays as it is. Where
    /// --output has got further already, it goes on from there, and where there is no checkpoint yet, the run starts
    /// from the beginning: the same command can be run again.
    #[arg(long, value_name = "DIR", num_args = 0..=1, require_equals = true, help_heading = "Training")]
    #[allow(clippy::option_option, reason = "clap: no --resume, --resume alone, --resume=DIR")]
    resume: Option<Option<PathBuf>>,

    /// Start from the weights of a checkpoint; what does not fit stays fresh
    ///
    /// A run that goes on with --resume keeps its own weights.
    #[arg(long, value_name = "FILE", help_heading = "Training")]
    init: Option<PathBuf>,

    /// Also write averaged generator and discriminator in half precision, for sharing
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    export: Option<PathBuf>,

    /// Minutes between checkpoints
    #[arg(long, default_value_t = 5.0, value_name = "MINUTES", help_heading = "Training")]
    checkpoint_interval: f64,

    /// Stop after this many minutes with a checkpoint and exit code 140
    #[arg(long, value_name = "MINUTES", help_heading = "Training")]
    time_budget: Option<f64>,

    #[command(flatten)]
    common: Common,
}

const EXAMPLES: &str = "\
Examples:
  train --data phantom.ome.zarr --output run --preset tiny --kimg 10
  train --data phantom.ome.zarr --output run --preset tiny --kimg 20 --resume";

impl AsRef<Common> for Args {
    fn as_ref(&self) -> &Common {
        match &self.command {
            Some(Command::Import(import)) => (**import).as_ref(),
            None => &self.common,
        }
    }
}

impl Args {
    fn data(&self) -> &Path {
        self.data.as_deref().expect("clap asks for it where there is no subcommand")
    }

    fn output(&self) -> &Path {
        self.output.as_deref().expect("clap asks for it where there is no subcommand")
    }
}

fn main() -> ExitCode {
    run::program("train", device::libraries, |args: Args| match &args.command {
        Some(Command::Import(import)) => import::execute(import),
        None => execute(args),
    })
}

fn parse_preset(name: &str) -> Result<Preset, String> {
    let known = || Preset::ALL.map(|(name, _)| name).join(", ");
    Preset::ALL
        .iter()
        .find(|(n, _)| *n == name)
        .map(|(_, preset)| *preset)
        .ok_or_else(|| format!("unknown preset, expected one of {}", known()))
}

fn execute(args: Args) -> Outcome {
    let common = &args.common;
    let mut record = Record::begin("train", common);
    let plate = Plate::open(args.data())?;
    let mut config = resolve(&args, &plate)?;
    config.validate()?;
    let minutes = |value: f64, flag: &str| {
        Duration::try_from_secs_f64(value * 60.0).map_err(|_| {
            Failure::usage(format!("{flag} {value}: expected a number of minutes"), "such as 5 or 0.5")
        })
    };
    let checkpoint_interval = minutes(args.checkpoint_interval, "--checkpoint-interval")?;
    let time_budget = args.time_budget.map(|m| minutes(m, "--time-budget")).transpose()?;
    if args.resume.is_none() {
        refuse_existing(args.output(), common.overwrite)?;
    }
    if let Some(export) = &args.export {
        refuse_existing(export, common.overwrite || args.resume.is_some())?;
    }
    if common.dry_run {
        return Ok(
            json!({ "dry_run": true, "config": config, "train_sequences": plate.indices(Split::Train).len() }),
        );
    }

    let threads = common.thread_count();
    let device = device::select(&common.device, threads)?;
    record.input("data", args.data())?;
    let bar = Progress::new("reading sequences", plate.indices(Split::Train).len() as u64, common.quiet);
    let dataset = {
        let (maps, gain) = (&config.model.label_maps, config.training.trap.gain);
        Dataset::load(&plate, maps, gain, common.seed, device, &|done| bar.set(done))?
    };
    bar.finish();
    if config.model.standardise && config.model.range.is_empty() {
        config.model.range = dataset.range();
    }
    let identity = identify(&args, &plate, config, threads)?;

    let mut state = State::new(&identity.config, common.seed, device);
    start(&args, &mut state, &identity)?;
    let sequences = dataset.len();
    let run = Run { folder: args.output(), identity, dataset, device, checkpoint_interval, time_budget };
    let checkpoint = watch(&run, &mut state, common.quiet)?;
    if let Some(export) = &args.export {
        checkpoint::export(export, &state, &run.identity)?;
    }
    let result = json!({
        "run": args.output(),
        "checkpoint": checkpoint,
        "export": args.export,
        "kimg": state.kimg(),
        "train_sequences": sequences,
        "device": device::name(device),
        "peak_memory_mib": record::peak_memory_mib(),
    });
    record.write(args.output(), &run.identity.config, &device::name(device), &result)?;
    Ok(result)
}

/// Preset < --config < --set < flags. A config file is complete, so the preset under it does not matter.
fn resolve(args: &Args, plate: &Plate) -> Result<Config, Failure> {
    let meta = &plate.meta;
    if meta.height != meta.width || !meta.width.is_power_of_two() || meta.width < 8 {
        return Err(DataError::Metadata {
            path: args.data().to_owned(),
            field: "lapsegan.height, lapsegan.width".into(),
            found: format!(
                "{} x {}, expected a square of 8 px or a larger power of two",
                meta.height, meta.width
            ),
        }
        .into());
    }
    let preset = args.preset.unwrap_or(Preset::Tiny);
    let mut base = preset.config(meta.channels.len(), meta.frames, meta.width);
    if args.label_domain {
        base.model.label_maps = label_maps(plate)?;
    }
    let mut config = config::resolve(&base, args.common.config.as_deref(), &args.common.set)?;
    if let Some(kimg) = args.kimg {
        config.training.kimg = kimg;
    }
    let (model, data) = (&config.model, (meta.channels.len(), meta.frames, meta.width));
    if (model.domains, model.frames, model.resolution) != data {
        return Err(Failure {
            message: format!(
                "configuration is for {} channels, {} frames, {} px; {} has {}, {}, {} px",
                model.domains,
                model.frames,
                model.resolution,
                args.data().display(),
                data.0,
                data.1,
                data.2
            ),
            hint: Some("use the config of a run on this data, or leave out --config".into()),
            exit: Exit::BadInput,
        });
    }
    Ok(config)
}

/// Returns the maps that the labels of a plate give.
fn label_maps(plate: &Plate) -> Result<Vec<LabelMap>, Failure> {
    let names = &plate.meta.labels;
    let mut maps = Vec::new();
    if names.iter().any(|name| name != STRUCTURE) {
        maps.extend([LabelMap::Foreground, LabelMap::Distance]);
    }
    if names.iter().any(|name| name == STRUCTURE) {
        maps.push(LabelMap::Structure);
    }
    if maps.is_empty() {
        let message = format!("--label-domain: {} has no labels", plate.path.display());
        return Err(Failure {
            message,
            hint: Some("prepare it with --labels, or train without".into()),
            exit: Exit::BadInput,
        });
    }
    Ok(maps)
}

fn identify(args: &Args, plate: &Plate, config: Config, threads: usize) -> Result<Identity, Failure> {
    let mut data = plate.meta.clone();
    let mut groups: Vec<String> =
        plate.indices(Split::Train).into_iter().map(|i| plate.wells[i].1.split_group.clone()).collect();
    groups.sort();
    groups.dedup();
    data.trained_on = groups;
    let data_sha256 = Digest::of(args.data())?.sha256;
    Ok(Identity { config, seed: args.common.seed, threads, data, data_sha256 })
}

/// Makes the run folder, or finds the checkpoint to go on from.
fn start(args: &Args, state: &mut State, identity: &Identity) -> Result<(), Failure> {
    let output = args.output();
    let mut resumed = false;
    if let Some(from) = &args.resume {
        let folder = from.as_deref().unwrap_or(output);
        if let Some(found) = continuation::newest_of(folder, output)? {
            let fields = found.differences(identity);
            if !fields.is_empty() {
                return Err(TrainingError::OtherRun { path: found.path.clone(), fields }.into());
            }
            if found.manifest.threads != identity.threads {
                tracing::warn!(
                    "{} threads before, {} now: results differ in rounding",
                    found.manifest.threads,
                    identity.threads
                );
            }
            found.restore(state)?;
            continuation::take_over(&found, output)?;
            tracing::info!("resuming at {:.3} kimg from {}", state.kimg(), found.path.display());
            resumed = true;
        } else if from.is_some() {
            // A pipeline's second attempt names the folder of the first, which may have ended before its first checkpoint.
            tracing::warn!("no checkpoint in {}: starting from the beginning", folder.display());
        } else {
            tracing::info!("no checkpoint in {}: starting from the beginning", output.display());
        }
    } else if output.exists() {
        fs::remove_dir_all(output).map_err(|source| DataError::Io { path: output.to_owned(), source })?;
    }
    if let Some(init) = args.init.as_deref().filter(|_| !resumed) {
        initialise(init, state)?;
    }
    fs::create_dir_all(output).map_err(|source| DataError::Io { path: output.to_owned(), source })?;
    for folder in [output, &output.join("checkpoints"), &output.join("samples")] {
        sweep(folder)?;
    }
    // A folder without run.json is a run that is not complete.
    let record = output.join("run.json");
    if record.exists() {
        fs::remove_file(&record).map_err(|source| DataError::Io { path: record.clone(), source })?;
    }
    let text =
        toml::to_string_pretty(&identity.config).map_err(|e| Failure::usage(e.to_string(), "report this"))?;
    Ok(write_file(&output.join("config.toml"), text.as_bytes())?)
}

/// Takes over what fits of another checkpoint: the averaged generator for both generators, the discriminator.
fn initialise(init: &Path, state: &mut State) -> Result<(), Failure> {
    let source = checkpoint::read(init)?;
    let mut left_out = weights::load_fitting(&state.generator.vs, &source.tensors, "generator_ema.");
    weights::load_fitting(&state.generator_ema.vs, &source.tensors, "generator_ema.");
    left_out.extend(weights::load_fitting(&state.discriminator.vs, &source.tensors, "discriminator."));
    let total = weights::sorted(&state.generator.vs).len() + weights::sorted(&state.discriminator.vs).len();
    tracing::info!("{} of {total} tensors taken from {}", total - left_out.len(), init.display());
    if !left_out.is_empty() {
        tracing::warn!("freshly initialised, since they do not fit: {}", left_out.join(", "));
    }
    Ok(())
}

/// Runs the loop under a progress bar, with SIGINT and SIGTERM as requests to stop after the running iteration.
fn watch(run: &Run, state: &mut State, quiet: bool) -> Result<PathBuf, Failure> {
    let signals = Signals::catch()?;
    // Bars count whole numbers: thousandths of a kimg are sequences.
    let goal = run.identity.config.training.kimg;
    let bar = Progress::new("training (sequences)", (goal * 1000.0) as u64, quiet);
    bar.set((state.kimg() * 1000.0) as u64);
    let last_kimg = Cell::new(state.kimg());
    let last = train(run, state, &|| signals.answer(), &mut |event| match event {
        Event::Progress(kimg) => {
            last_kimg.set(kimg);
            bar.set((kimg * 1000.0) as u64);
        }
        Event::Tick { kimg, seconds_per_kimg, means } => {
            let value = |name: &str| means.iter().find(|(n, _)| *n == name).map_or(f64::NAN, |(_, v)| *v);
            bar.line(&format!(
                "kimg {kimg:8.2}  {seconds_per_kimg:7.2} s/kimg  left {}  D {:.3}  G {:.3}  grad D {:.1} G {:.1}  r {:.2}  \
                 p {:.3}  spread {:.2}  peak {} MiB",
                clock((goal - kimg).max(0.0) * seconds_per_kimg),
                value("loss_discriminator"),
                value("loss_generator"),
                value("gradient_norm_discriminator"),
                value("gradient_norm_generator"),
                value("r_real"),
                value("ada_p"),
                value("spread"),
                record::peak_memory_mib(),
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
