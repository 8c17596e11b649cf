//! `segment-benchmark run`: trains every arm with every seed and says whether synthetic sequences help.

use std::path::PathBuf;

use clap::Args;
use lapsegan_core::cli::open_it;
use lapsegan_core::cli::outputs::Outputs;
use lapsegan_core::cli::progress::{Progress, say};
use lapsegan_core::cli::record::Record;
use lapsegan_core::cli::shard::Shard;
use lapsegan_core::cli::{Common, Failure, Outcome, settings};
use lapsegan_core::output::{OutputKind, PendingFolder};
use lapsegan_core::plate::Plate;
use serde::Serialize;
use serde_json::json;

use crate::benchmark::conclude::conclude;
use crate::benchmark::endpoints::PRIMARY;
use crate::benchmark::external::ExternalSegmenter;
use crate::benchmark::plates;
use crate::benchmark::segmenter::Segmenter;
use crate::benchmark::settings::BenchmarkSettings;
use crate::benchmark::shards::{self, BenchmarkIdentity, ShardRun};
use crate::benchmark::train::UNetSegmenter;
use crate::benchmark::trials::{self, Setup, TrialEvent, Trials};
use crate::cli::device;
use crate::cli::out_of_memory::guard;

const EXAMPLES: &str = "Examples:
  segment-benchmark run --real phantom.ome.zarr --synthetic synthetic.ome.zarr --output benchmark
  segment-benchmark run --real phantom.ome.zarr --synthetic synthetic.ome.zarr --output four-labels --real-sequences 4 --seeds 5 --steps 600";

/// Train on real, synthetic and both; score on held-out real sequences
///
/// Writes scores.json (per arm and seed, with intervals and a verdict),
/// report.html, segmentation_mqc.json for MultiQC, and run.json. Only sequences of split `train` of the real
/// plate are trained on, only those of split `test` are scored. Groups the
/// generator was trained on are refused as test groups.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct RunArgs {
    /// Real plate with labels, splits train and test
    #[arg(long, value_name = "PLATE", help_heading = "Input")]
    real: PathBuf,

    /// Synthetic plate with labels
    #[arg(long, value_name = "PLATE", help_heading = "Input")]
    synthetic: PathBuf,

    /// Settings that were declared before, as TOML: arms, real_sequences, seeds, train.steps
    /// and what else --set takes
    #[arg(long, value_name = "FILE", conflicts_with = "config", help_heading = "Input")]
    plan: Option<PathBuf>,

    /// Folder for scores.json, report.html and run.json
    #[arg(long, value_name = "DIR", help_heading = "Output")]
    output: PathBuf,

    /// Train every N-th cell of the grid (arms x seeds x numbers) only, from cell I on
    ///
    /// Writes cells.json and no verdict; `segment-benchmark gather` puts all
    /// parts together.
    #[arg(long, value_name = "I/N", help_heading = "Experiment")]
    shard: Option<Shard>,

    #[command(flatten)]
    flags: Flags,

    #[command(flatten)]
    common: Common,
}

#[derive(Args, Debug, Serialize)]
struct Flags {
    /// Label image to learn [default: the only one of objects]
    #[arg(long, value_name = "NAME", help_heading = "Input")]
    label: Option<String>,

    /// Image channel the segmenter sees; repeatable [default: the first one]
    ///
    /// Do not add the channel that the labels were thresholded from: the
    /// segmenter would only have to repeat the threshold.
    #[arg(long, value_name = "NAME", help_heading = "Input")]
    #[serde(rename = "channels")]
    channel: Vec<String>,

    /// Ways of training that are compared with real sequences alone [default:
    /// synthetic,both]
    ///
    /// real_strong: real ones, strongly augmented. synthetic, both (half and half),
    /// both_third, both_four_fifths: with synthetic ones. pretrained: synthetic ones
    /// first. pseudo_labels, self_training: unlabelled real ones, labelled by a
    /// threshold of fluorescence, or by what real_strong learned.
    #[arg(long, value_name = "ARM,..", value_delimiter = ',', help_heading = "Experiment")]
    arms: Vec<String>,

    /// Real labelled sequences to train on, drawn per seed: a number, or several to
    /// see how many are needed; 0 for all [default: 8]
    #[arg(long, value_name = "N,..", value_delimiter = ',', help_heading = "Experiment")]
    real_sequences: Vec<usize>,

    /// Synthetic sequences to use at most; 0 for all [default: 0]
    #[arg(long, value_name = "N", help_heading = "Experiment")]
    synthetic_sequences: Option<usize>,

    /// Trainings per arm, at least 3 [default: 3]
    #[arg(long, value_name = "N", help_heading = "Experiment")]
    seeds: Option<usize>,

    /// Program that trains and predicts instead of the small U-Net
    ///
    /// Called as PROGRAM train FOLDER and PROGRAM predict FOLDER, with images and
    /// masks as TIFF; workflows/segmenters has programs for Cellpose and StarDist.
    #[arg(long, value_name = "PROGRAM", help_heading = "Experiment")]
    segmenter: Option<String>,

    /// Optimiser steps per training of the U-Net, equal in all arms [default: 300]
    #[arg(long, value_name = "N", help_heading = "Experiment")]
    #[serde(rename = "train.steps")]
    steps: Option<usize>,

    /// Crops per step, at least 2 [default: 16]
    #[arg(long, value_name = "N", help_heading = "Experiment")]
    #[serde(rename = "train.batch")]
    batch: Option<usize>,

    /// Go on although the generator has seen test groups; no evidence then
    #[arg(long, help_heading = "Experiment")]
    allow_leakage: bool,
}

impl AsRef<Common> for RunArgs {
    fn as_ref(&self) -> &Common {
        &self.common
    }
}

/// Runs the command.
///
/// # Errors
/// [`Failure`] for settings out of range, plates that cannot be compared, and outputs that cannot be written.
pub fn execute(args: &RunArgs) -> Outcome {
    guard("make --batch smaller", || benchmark(args))
}

fn benchmark(args: &RunArgs) -> Outcome {
    let common = &args.common;
    let declared = args.plan.as_deref().or(common.config.as_deref());
    let mut settings = settings::resolve(&BenchmarkSettings::quick(), declared, &common.set, &args.flags)?;
    settings.check()?;
    let experiment = settings.experiment()?;
    let mut files = Outputs::new(common);
    if let Some(plan) = &args.plan {
        files = files.reads("--plan", plan);
    }
    let _locks = files
        .reads("--real", &args.real)
        .reads("--synthetic", &args.synthetic)
        .writes("--output", args.output.as_path(), OutputKind::Benchmark)
        .claim()?;
    let (real, synthetic) = (Plate::open(&args.real)?, Plate::open(&args.synthetic)?);
    let wanted = Some(settings.label.as_str()).filter(|name| !name.is_empty());
    settings.label = real.any_label(wanted)?.name.clone();
    let plan = plates::plan(&real, &synthetic, &settings)?;
    let grid = experiment.grid(settings.seeds, &plan.n_real);
    let tasks = args.shard.map_or_else(|| grid.clone(), |s| shards::share(&grid, s.index, s.of));
    if let Some(shard) = args.shard.filter(|_| tasks.is_empty()) {
        let message = format!("--shard {shard}: there are {} cells", grid.len());
        let hint = "take as many parts as there are arms times seeds times numbers of sequences, or fewer";
        return Err(Failure::usage(message, hint));
    }
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
    let folder = PendingFolder::create(&args.output, OutputKind::Benchmark, common.overwrite)?;
    record.input("real", &args.real)?;
    record.input("synthetic", &args.synthetic)?;
    if let Some(plan) = &args.plan {
        record.input("plan", plan)?;
    }

    let total = plan.n_real_train + plan.n_unlabelled + plan.n_synthetic + plan.n_test;
    let bar = Progress::new("reading sequences", total as u64, common.quiet);
    let material = plates::read(&real, &synthetic, &plan, &settings, &mut || bar.step())?;
    bar.finish();

    let unet = UNetSegmenter { train: settings.train, decode: settings.decode, device };
    let external = ExternalSegmenter { program: settings.segmenter.clone() };
    // A program takes the cores that it wants, as a network takes the GPU.
    let (segmenter, alone): (&dyn Segmenter, bool) =
        if settings.segmenter.is_empty() { (&unet, device.is_cuda()) } else { (&external, true) };
    let setup = Setup {
        material: &material,
        segmenter,
        base_seed: common.seed,
        workers: if alone { 1 } else { common.thread_count() },
    };
    let bar = Progress::new("training", setup.steps(&tasks), common.quiet);
    let trained = trials::run(&setup, &tasks, &mut |event| show(&bar, event))?;
    bar.finish();

    let (test, pictures) = (trials::tested(&material.test), trials::pictures(&material.test));
    let (notes, seed) = (plan.notes.clone(), common.seed);
    let synthetic = args.synthetic.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let (mut result, table) = if let Some(Shard { index, of }) = args.shard {
        let identity = BenchmarkIdentity {
            version: env!("CARGO_PKG_VERSION").into(),
            of,
            seed,
            real_sha256: record.sha256("real"),
            synthetic_sha256: record.sha256("synthetic"),
            settings: settings.clone(),
            plan,
            test,
        };
        let shard = ShardRun { index, device: device_name.clone(), synthetic, identity, trained, pictures };
        shard.write(folder.path())?;
        (json!({ "shard": format!("{index}/{of}"), "cells": tasks }), None)
    } else {
        let trials = Trials::by_number(&experiment, &trained, &test, &pictures, &plan.n_real);
        let curve = conclude(folder.path(), &trials, &plan, &settings, seed, &synthetic)?;
        (curve.to_short_json(), Some(curve.table()))
    };
    result["output"] = json!(args.output);
    result["notes"] = json!(notes);
    record.write(folder.path(), &settings, &device_name, &result)?;
    folder.finish()?;
    if args.shard.is_none() {
        open_it::page(&args.output.join("report.html"));
    }
    say(&table.unwrap_or_default());
    Ok(result)
}

fn show(bar: &Progress, event: TrialEvent) {
    match event {
        TrialEvent::Step => bar.step(),
        TrialEvent::Scored { task, mean_ap } => {
            let ap = mean_ap.map_or_else(|| "undefined".to_owned(), |ap| format!("{ap:.3}"));
            bar.line(&format!(
                "arm {}, seed {}, {} real: {} {ap}",
                task.arm.name, task.seed, task.n_real, PRIMARY.title
            ));
        }
    }
}
