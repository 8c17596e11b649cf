//! `segment-benchmark`: scores labels against the truth, and tells whether synthetic sequences help a segmenter.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args as ClapArgs, Parser, Subcommand, ValueEnum};
use lapsegan::cli::progress::Progress;
use lapsegan::cli::record::Record;
use lapsegan::cli::shard::Shard;
use lapsegan::cli::{Common, Failure, Outcome, config, device, run};
use lapsegan::data::output::{PendingFolder, refuse_existing, write_file};
use lapsegan::data::plate::{Plate, Split};
use lapsegan::segmentation::matching::thresholds;
use lapsegan::segmentation::pairs::{self, Pairs};
use lapsegan::segmentation::parts::{self, Part};
use lapsegan::segmentation::protocol::{self, Event, Trials};
use lapsegan::segmentation::settings::Settings;
use lapsegan::segmentation::{benchmark_report, material, multiqc, summary};
use serde_json::{Value, json};

/// Does synthetic data help a segmenter? And: predictions against truth
///
/// `run` trains one small U-Net per arm (a few real sequences, synthetic ones,
/// both) and seed, for the same number of steps, and scores all of them on
/// held-out real sequences. `run --shard` and `gather` share this among jobs.
/// `score` compares label images with the truth.
#[derive(Parser, Debug)]
#[command(name = "segment-benchmark", arg_required_else_help = true, after_help = EXAMPLES)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "Examples:
  segment-benchmark run --real phantom.ome.zarr --synthetic synthetic.ome.zarr --output benchmark
  segment-benchmark score --truth masks/ --prediction predicted/ --output scores.json";

const RUN_EXAMPLES: &str = "Examples:
  segment-benchmark run --real phantom.ome.zarr --synthetic synthetic.ome.zarr --output benchmark
  segment-benchmark run --real phantom.ome.zarr --synthetic synthetic.ome.zarr --output four-labels --real-sequences 4 --seeds 5 --steps 600";

const GATHER_EXAMPLES: &str = "Examples:
  segment-benchmark gather --output benchmark part-1 part-2 part-3
  segment-benchmark gather --output benchmark --overwrite parts/*";

const SCORE_EXAMPLES: &str = "Examples:
  segment-benchmark score --truth phantom.ome.zarr --prediction predicted.ome.zarr --split test
  segment-benchmark score --truth masks/ --prediction predicted/ --output scores.json";

#[derive(Subcommand, Debug)]
enum Command {
    Run(RunArguments),
    Gather(GatherArguments),
    Score(ScoreArguments),
}

/// Train on real, synthetic and both; score on held-out real sequences
///
/// Writes scores.json (per arm and seed, with intervals and a verdict),
/// report.html, segmentation_mqc.json for MultiQC, and run.json. Only sequences of split `train` of the real
/// plate are trained on, only those of split `test` are scored. Groups the
/// generator was trained on are refused as test groups.
#[derive(ClapArgs, Debug)]
#[command(after_help = RUN_EXAMPLES)]
struct RunArguments {
    /// Real plate with labels, splits train and test
    #[arg(long, value_name = "PLATE", help_heading = "Input")]
    real: PathBuf,

    /// Synthetic plate with labels
    #[arg(long, value_name = "PLATE", help_heading = "Input")]
    synthetic: PathBuf,

    /// Label image to learn [default: cells]
    #[arg(long, value_name = "NAME", help_heading = "Input")]
    label: Option<String>,

    /// Image channel the segmenter sees; repeatable [default: the first one]
    ///
    /// Do not add the channel that the labels were thresholded from: the
    /// segmenter would only have to repeat the threshold.
    #[arg(long, value_name = "NAME", help_heading = "Input")]
    channel: Vec<String>,

    /// Folder for scores.json, report.html and run.json
    #[arg(long, value_name = "DIR", help_heading = "Output")]
    output: PathBuf,

    /// Train every N-th cell of the grid (arms x seeds) only, from cell I on
    ///
    /// Writes cells.json and no verdict; `segment-benchmark gather` puts all
    /// parts together.
    #[arg(long, value_name = "I/N", help_heading = "Experiment")]
    shard: Option<Shard>,

    /// Real labelled sequences to train on, drawn per seed [default: 8]
    #[arg(long, value_name = "N", help_heading = "Experiment")]
    real_sequences: Option<usize>,

    /// Synthetic sequences to use at most; 0 for all [default: 0]
    #[arg(long, value_name = "N", help_heading = "Experiment")]
    synthetic_sequences: Option<usize>,

    /// Trainings per arm, at least 3 [default: 3]
    #[arg(long, value_name = "N", help_heading = "Experiment")]
    seeds: Option<usize>,

    /// Optimiser steps per training, equal in all arms [default: 300]
    #[arg(long, value_name = "N", help_heading = "Experiment")]
    steps: Option<usize>,

    /// Crops per step, at least 2 [default: 16]
    #[arg(long, value_name = "N", help_heading = "Experiment")]
    batch: Option<usize>,

    /// Go on although the generator has seen test groups; no evidence then
    #[arg(long, help_heading = "Experiment")]
    allow_leakage: bool,

    #[command(flatten)]
    common: Common,
}

/// Put the parts of run --shard together
///
/// Writes the same scores.json, report.html and segmentation_mqc.json as one
/// run. Refuses parts of different plates, seeds or settings, and missing ones.
#[derive(ClapArgs, Debug)]
#[command(after_help = GATHER_EXAMPLES)]
struct GatherArguments {
    /// Folders of all parts, in any order
    #[arg(required = true, value_name = "PART", help_heading = "Input")]
    parts: Vec<PathBuf>,

    /// Folder for scores.json, report.html and run.json
    #[arg(long, value_name = "DIR", help_heading = "Output")]
    output: PathBuf,

    #[command(flatten)]
    common: Common,
}

/// Part of a plate to score.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum SplitName {
    Train,
    Val,
    Test,
}

/// Score predicted labels against the truth
///
/// Two plates are matched by well, two folders of TIFF or PNG label images by
/// sorted file name. Scores come pooled over all frames and averaged over
/// frames; the JSON goes to stdout, and to --output where it is given.
#[derive(ClapArgs, Debug)]
#[command(after_help = SCORE_EXAMPLES)]
struct ScoreArguments {
    /// Plate or folder with the true labels
    #[arg(long, value_name = "PATH", help_heading = "Input")]
    truth: PathBuf,

    /// Plate or folder with the predicted labels
    #[arg(long, value_name = "PATH", help_heading = "Input")]
    prediction: PathBuf,

    /// Label image to compare, for plates
    #[arg(long, default_value = "cells", value_name = "NAME", help_heading = "Input")]
    label: String,

    /// Score this split only, for plates [default: all sequences]
    #[arg(long, value_name = "SPLIT", help_heading = "Input")]
    split: Option<SplitName>,

    /// File for the scores
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    output: Option<PathBuf>,

    #[command(flatten)]
    common: Common,
}

impl AsRef<Common> for Arguments {
    fn as_ref(&self) -> &Common {
        match &self.command {
            Command::Run(run) => &run.common,
            Command::Gather(gather) => &gather.common,
            Command::Score(score) => &score.common,
        }
    }
}

fn main() -> ExitCode {
    run::program("segment-benchmark", device::libraries, |arguments: Arguments| match arguments.command {
        Command::Run(arguments) => benchmark(&arguments),
        Command::Gather(arguments) => gather(&arguments),
        Command::Score(arguments) => score(&arguments),
    })
}

fn benchmark(arguments: &RunArguments) -> Outcome {
    let common = &arguments.common;
    let settings = resolve(arguments)?;
    settings.check()?;
    let tasks = match arguments.shard {
        Some(shard) => parts::share(&settings, shard.index, shard.of),
        None => protocol::grid(&settings),
    };
    if let Some(shard) = arguments.shard.filter(|_| tasks.is_empty()) {
        let message = format!("--shard {shard}: there are {} cells", protocol::grid(&settings).len());
        return Err(Failure::usage(message, "take as many parts as there are arms times seeds, or fewer"));
    }
    refuse_existing(&arguments.output, common.overwrite)?;
    let (real, synthetic) = (Plate::open(&arguments.real)?, Plate::open(&arguments.synthetic)?);
    let plan = material::plan(&real, &synthetic, &settings)?;
    // One thread per training: trainings run side by side, and a network this small gains nothing from more.
    let device = device::select(&common.device, 1)?;
    let device_name = device::name(device);
    if common.dry_run {
        return Ok(json!({
            "dry_run": true, "settings": settings, "data": plan, "device": device_name, "cells": tasks,
        }));
    }
    for note in &plan.notes {
        tracing::warn!("{note}");
    }

    let mut record = Record::begin("segment-benchmark", common);
    let folder = PendingFolder::create(&arguments.output, common.overwrite)?;
    record.input("real", &arguments.real)?;
    record.input("synthetic", &arguments.synthetic)?;

    let total = (plan.n_real_train + plan.n_synthetic + plan.n_test) as u64;
    let mut bar = Counter::new("reading sequences", total, common.quiet);
    let material = material::read(&real, &synthetic, &plan, &settings, &mut || bar.step())?;
    bar.finish();

    let steps = (tasks.len() * settings.train.steps) as u64;
    let mut bar = Counter::new("training", steps, common.quiet);
    let workers = if device.is_cuda() { 1 } else { common.thread_count() };
    let (seed, notes) = (common.seed, plan.notes.clone());
    let trained =
        protocol::run(&material, &settings, seed, device, workers, &tasks, &mut |event| match event {
            Event::Step => bar.step(),
            Event::Scored { arm, seed, mean_ap } => {
                let ap = mean_ap.map_or_else(|| "undefined".to_owned(), |ap| format!("{ap:.3}"));
                bar.progress.line(&format!("arm {}, seed {seed}: AP 0.50:0.95 {ap}", arm.name()));
            }
        })?;
    bar.finish();
    let (test, pictures) = (protocol::tested(&material.test), protocol::pictures(&material.test));
    let synthetic = arguments.synthetic.file_name().unwrap_or_default().to_string_lossy().into_owned();

    let mut result = if let Some(Shard { index, of }) = arguments.shard {
        let common = parts::Common {
            version: env!("CARGO_PKG_VERSION").into(),
            of,
            seed,
            real_sha256: record.sha256("real"),
            synthetic_sha256: record.sha256("synthetic"),
            settings: settings.clone(),
            plan,
            test,
        };
        let shown = trained.iter().any(|t| t.cell.seed == 0);
        let pictures = if shown { pictures } else { Vec::new() };
        Part { index, device: device_name.clone(), synthetic, common, trained, pictures }
            .write(folder.path())?;
        json!({ "shard": format!("{index}/{of}"), "cells": tasks })
    } else {
        let trials = Trials::new(trained, test, pictures);
        conclude(folder.path(), &trials, &plan, &settings, seed, &synthetic)?
    };
    result["output"] = json!(arguments.output);
    result["notes"] = json!(notes);
    record.write(folder.path(), &settings, &device_name, &result)?;
    folder.finish()?;
    Ok(result)
}

/// Writes what all trainings say, and returns the short result.
fn conclude(
    folder: &Path,
    trials: &Trials,
    plan: &material::Plan,
    settings: &Settings,
    seed: u64,
    synthetic: &str,
) -> Outcome {
    let summary = summary::summarise(trials, settings, seed);
    let scores = summary.to_json(trials, plan, settings);
    let table = multiqc::custom_content(&summary, synthetic);
    let html = benchmark_report::page(&summary, trials, plan, settings)?;
    write_file(&folder.join("scores.json"), format!("{scores:#}\n").as_bytes())?;
    write_file(&folder.join("segmentation_mqc.json"), format!("{table:#}\n").as_bytes())?;
    write_file(&folder.join("report.html"), html.as_bytes())?;
    Ok(json!({
        "verdict": scores["verdict"],
        "differences": scores["differences"],
        "arms": summary_of_arms(&scores),
    }))
}

fn gather(arguments: &GatherArguments) -> Outcome {
    let common = &arguments.common;
    if common.config.is_some() || !common.set.is_empty() {
        return Err(Failure::usage("gather has no settings, the parts do", "leave out --config and --set"));
    }
    refuse_existing(&arguments.output, common.overwrite)?;
    let mut record = Record::begin("segment-benchmark", common);
    let gathered = parts::gather(&arguments.parts)?;
    let parts::Common { plan, settings, seed, .. } = &gathered.common;
    if common.dry_run {
        return Ok(json!({ "dry_run": true, "settings": settings, "data": plan, "seed": seed }));
    }
    for note in &plan.notes {
        tracing::warn!("{note}");
    }
    if gathered.devices.len() > 1 {
        tracing::warn!("parts were trained on {}: they round differently", gathered.devices.join(" and "));
    }
    for part in &arguments.parts {
        record.input(&part.display().to_string(), part)?;
    }
    let folder = PendingFolder::create(&arguments.output, common.overwrite)?;
    let mut result = conclude(folder.path(), &gathered.trials, plan, settings, *seed, &gathered.synthetic)?;
    result["output"] = json!(arguments.output);
    result["notes"] = json!(plan.notes);
    record.write(folder.path(), settings, &gathered.devices.join(", "), &result)?;
    folder.finish()?;
    Ok(result)
}

/// Returns settings from the built-in ones, `--config`, `--set` and flags, in this order.
fn resolve(arguments: &RunArguments) -> Result<Settings, Failure> {
    let common = &arguments.common;
    let mut settings = config::resolve(&Settings::quick(), common.config.as_deref(), &common.set)?;
    let set = |to: &mut usize, flag: Option<usize>| *to = flag.unwrap_or(*to);
    set(&mut settings.real_sequences, arguments.real_sequences);
    set(&mut settings.synthetic_sequences, arguments.synthetic_sequences);
    set(&mut settings.seeds, arguments.seeds);
    set(&mut settings.train.steps, arguments.steps);
    set(&mut settings.train.batch, arguments.batch);
    if let Some(label) = &arguments.label {
        settings.label.clone_from(label);
    }
    if !arguments.channel.is_empty() {
        settings.channels.clone_from(&arguments.channel);
    }
    settings.allow_leakage |= arguments.allow_leakage;
    Ok(settings)
}

/// Returns the estimates per arm without the single seeds.
fn summary_of_arms(scores: &Value) -> Value {
    let arms = scores["arms"].as_object().into_iter().flatten();
    Value::Object(arms.map(|(name, arm)| (name.clone(), arm["estimates"].clone())).collect())
}

fn score(arguments: &ScoreArguments) -> Outcome {
    let common = &arguments.common;
    if let Some(output) = &arguments.output {
        refuse_existing(output, common.overwrite)?;
    }
    if common.config.is_some() || !common.set.is_empty() {
        return Err(Failure::usage("score has no settings", "leave out --config and --set"));
    }
    let split = arguments.split.map(|name| match name {
        SplitName::Train => Split::Train,
        SplitName::Val => Split::Val,
        SplitName::Test => Split::Test,
    });
    let pairs = Pairs::open(&arguments.truth, &arguments.prediction, &arguments.label, split)?;
    let inputs = json!({
        "truth": arguments.truth,
        "prediction": arguments.prediction,
        "label": arguments.label,
        "split": split,
        "pairs": pairs.len(),
    });
    if common.dry_run {
        return Ok(json!({ "dry_run": true, "inputs": inputs }));
    }
    let mut bar = Counter::new("scoring", pairs.len() as u64, common.quiet);
    let scores = pairs::score(&pairs, &mut || bar.step())?;
    bar.finish();
    let full = json!({
        "inputs": inputs,
        "thresholds": thresholds(),
        "pooled": scores.pooled,
        "mean_over_defined_images": scores.mean_over_defined_images,
        "pairs": scores.pairs,
    });
    let Some(output) = &arguments.output else { return Ok(full) };
    write_file(output, format!("{full:#}\n").as_bytes())?;
    let mut short = full;
    if let Some(all) = short.as_object_mut() {
        // The file has them; a terminal has no room.
        all.remove("pairs");
        all.insert("output".to_owned(), json!(output));
    }
    Ok(short)
}

/// A progress bar that counts.
struct Counter {
    progress: Progress,
    done: u64,
}

impl Counter {
    fn new(title: &str, total: u64, quiet: bool) -> Self {
        Self { progress: Progress::new(title, total, quiet), done: 0 }
    }

    fn step(&mut self) {
        self.done += 1;
        self.progress.set(self.done);
    }

    fn finish(&self) {
        self.progress.finish();
    }
}
