//! `evaluate`: how near a synthetic plate is to held-out real sequences, beside what real data reach themselves.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use serde_json::{Map, Value, json};

use lapsegan::cli::progress::Progress;
use lapsegan::cli::record::Record;
use lapsegan::cli::{Common, Failure, Outcome, config, device, run};
use lapsegan::data::output::{PendingFolder, refuse_existing, write_file};
use lapsegan::data::plate::Plate;
use lapsegan::evaluation::protocol::{self, Plates};
use lapsegan::evaluation::run::steps;
use lapsegan::evaluation::{Evaluation, Settings, evaluate, multiqc, report};

/// Compare synthetic sequences with held-out real ones
///
/// Intensities, spectra, textures and changes between frames, each as a distance to the held-out part of the real plate
/// (splits val and test), beside the floor that the real training part reaches and a mean image with noise. Needs no
/// trained network. Writes metrics.json, report.html, a table for MultiQC, and run.json. Runs on the CPU.
#[derive(Parser)]
#[command(name = "evaluate", after_help = EXAMPLES)]
struct Args {
    /// Real plate with a held-out part, as prepare wrote it
    #[arg(long, value_name = "PLATE", help_heading = "Input")]
    real: PathBuf,

    /// Synthetic plate, as generate wrote it
    #[arg(long, value_name = "PLATE", help_heading = "Input")]
    synthetic: PathBuf,

    /// Plate of the same generator before training: the upper end of the scale
    #[arg(long, value_name = "PLATE", help_heading = "Input")]
    untrained: Option<PathBuf>,

    /// Folder to create
    #[arg(long, value_name = "DIR", help_heading = "Output")]
    output: PathBuf,

    /// Most sequences per set, at least 4 [default: as many as all sets have]
    #[arg(long, value_name = "N", help_heading = "Comparison")]
    count: Option<usize>,

    #[command(flatten)]
    common: Common,
}

const EXAMPLES: &str = "\
Examples:
  evaluate --real test-data/phantom.ome.zarr --synthetic synthetic.ome.zarr --output evaluation
  evaluate --real test-data/phantom.ome.zarr --synthetic synthetic.ome.zarr --output quick --count 8 --set draws=2";

impl AsRef<Common> for Args {
    fn as_ref(&self) -> &Common {
        &self.common
    }
}

fn main() -> ExitCode {
    run::program("evaluate", device::libraries, execute)
}

fn execute(args: Args) -> Outcome {
    let common = &args.common;
    let mut record = Record::begin("evaluate", common);
    let settings = config::resolve(&Settings::standard(), common.config.as_deref(), &common.set)?;
    settings.check()?;
    refuse_existing(&args.output, common.overwrite)?;
    let real = Plate::open(&args.real)?;
    let synthetic = Plate::open(&args.synthetic)?;
    let untrained = args.untrained.as_deref().map(Plate::open).transpose()?;
    let plates = Plates { real: &real, synthetic: &synthetic, untrained: untrained.as_ref() };
    let plan = protocol::plan(&plates, args.count, &settings, common.seed)?;
    if common.dry_run {
        return Ok(json!({ "dry_run": true, "settings": settings, "plan": plan }));
    }
    for warning in &plan.warnings {
        tracing::warn!("{warning}");
    }
    use_threads(common)?;

    let pending = PendingFolder::create(&args.output, common.overwrite)?;
    record.input("real", &args.real)?;
    record.input("synthetic", &args.synthetic)?;
    if let Some(path) = &args.untrained {
        record.input("untrained", path)?;
    }
    let bar = Progress::new("comparing sequences", steps(&plates, &plan, &settings), common.quiet);
    let evaluation = evaluate(&plates, &plan, &settings, common.seed, &|done| bar.set(done))?;
    let sheets = report::sheets(&plates, &plan, settings.sheet_sequences, common.seed)?;
    let page = report::page(&evaluation, &plates, &sheets)?;
    bar.finish();

    let files = [
        ("metrics.json", pretty(&serde_json::to_value(&evaluation).map_err(unwritable)?)),
        ("report.html", page),
        ("lapsegan_mqc.json", pretty(&multiqc::custom_content(&evaluation))),
    ];
    for (name, text) in &files {
        write_file(&pending.path().join(name), text.as_bytes())?;
    }
    let result = summary(&args, &evaluation);
    record.write(pending.path(), &settings, "cpu", &result)?;
    pending.finish()?;
    Ok(result)
}

/// Checks `--device` as the other programs do, and gives all cores asked for to both thread pools.
fn use_threads(common: &Common) -> Result<(), Failure> {
    // A GPU would not help here, so `auto` does not even look for one.
    let device = if common.device == "auto" { "cpu" } else { &common.device };
    if device::select(device, common.thread_count())? != tch::Device::Cpu {
        tracing::info!("evaluate runs on the CPU: --device {device} is not used");
    }
    let pool = rayon::ThreadPoolBuilder::new().num_threads(common.thread_count()).build_global();
    if let Err(error) = pool {
        tracing::debug!("the thread pool is there already: {error}");
    }
    Ok(())
}

/// Returns the short result for stdout: value, floor and baseline of every metric, per channel.
fn summary(args: &Args, evaluation: &Evaluation) -> Value {
    let channels = evaluation.channels.iter().map(|channel| {
        let metrics: Map<String, Value> = channel
            .metrics
            .iter()
            .map(|m| {
                let mut numbers = json!({ "value": m.value, "floor": m.floor, "baseline": m.baseline });
                if let Some(untrained) = m.untrained {
                    numbers["untrained"] = json!(untrained);
                    numbers["relative_excess"] = json!(m.relative_excess);
                }
                (m.key.clone(), numbers)
            })
            .collect();
        (channel.name.clone(), Value::Object(metrics))
    });
    json!({
        "report": args.output.join("report.html"),
        "metrics": args.output.join("metrics.json"),
        "n": evaluation.protocol.plan.n,
        "warnings": evaluation.warnings,
        "channels": channels.collect::<Map<_, _>>(),
    })
}

fn pretty(value: &Value) -> String {
    format!("{value:#}\n")
}

fn unwritable(error: serde_json::Error) -> Failure {
    Failure {
        message: format!("the result cannot be written as JSON: {error}"),
        hint: None,
        exit: lapsegan::error::Exit::Failed,
    }
}
