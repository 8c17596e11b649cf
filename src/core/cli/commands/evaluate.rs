//! `evaluate`: how near a synthetic plate is to held-out real sequences, beside what real data reach themselves.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use serde_json::{Map, Value, json};

use super::features::{self, Extraction, FeaturesArgs};
use super::score::{self, ScoreArgs};
use crate::cli::args::{DeviceFlag, WithoutCommand};
use crate::cli::open_it;
use crate::cli::outputs::Outputs;
use crate::cli::progress::{Progress, say};
use crate::cli::record::Record;
use crate::cli::settings::{NoFlags, resolve};
use crate::cli::{Common, Failure, Outcome};
use crate::output::{OutputKind, PendingFolder, write_file};
use crate::plate::Plate;
use crate::realism::protocol::{self, Plates};
use crate::realism::run::steps;
use crate::realism::{Evaluation, Settings, evaluate, multiqc, page};
use crate::report::summary::table;

/// Compare synthetic sequences with held-out real ones
///
/// Intensities, spectra, textures, changes between frames, noise, sharpness, what channels share, and numbers, shapes and
/// movement of labelled objects, each as a distance to the held-out part of the real plate (splits val and test), beside
/// the floor that the real training part reaches and a mean image with noise. Tells whether training sequences are
/// repeated. Needs no trained network; with --features one is asked too. Writes metrics.json, report.html, a table for
/// MultiQC, and run.json. Runs on the CPU.
#[derive(Parser, Debug)]
#[command(
    name = "evaluate",
    after_help = EXAMPLES,
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true
)]
pub struct EvaluateArgs {
    #[command(flatten)]
    compare: WithoutCommand<CompareArgs>,
    #[command(flatten)]
    common: Common,
    // Last, since reading it takes it out of the matches.
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand, Debug)]
enum Command {
    #[command(after_help = score::examples("evaluate"))]
    Score(ScoreArgs),
    #[command(after_help = features::EXAMPLES)]
    Features(FeaturesArgs),
}

#[derive(Args, Debug)]
struct CompareArgs {
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

    /// Compare by features of a network too: random, standard-fid, standard-fvd, ..., see `evaluate features --help`
    #[arg(long, value_name = "PROTOCOL", help_heading = "Comparison")]
    features: Option<String>,

    /// File of that network's weights; random needs none
    #[arg(long, value_name = "FILE", requires = "features", help_heading = "Comparison")]
    weights: Option<PathBuf>,
}

impl CompareArgs {
    fn extraction(&self) -> Option<Extraction> {
        let (weights, count) = (self.weights.clone(), self.count);
        self.features.clone().map(|protocol| Extraction { protocol, weights, count })
    }
}

const EXAMPLES: &str = "\
Examples:
  evaluate --real phantom.ome.zarr --synthetic synthetic.ome.zarr --output evaluation
  evaluate --real phantom.ome.zarr --synthetic synthetic.ome.zarr --output quick --count 8 --set draws=2
  evaluate --real phantom.ome.zarr --synthetic synthetic.ome.zarr --output fid --features standard-fid \\
      --weights pt_inception-2015-12-05-6726825d.pth";

impl AsRef<Common> for EvaluateArgs {
    fn as_ref(&self) -> &Common {
        match &self.command {
            Some(Command::Score(score)) => score.as_ref(),
            Some(Command::Features(features)) => features.as_ref(),
            None => &self.common,
        }
    }
}

/// Runs the program.
pub fn execute(args: EvaluateArgs) -> Outcome {
    match (&args.command, &args.compare.0) {
        (Some(Command::Score(score)), _) => score::execute(score),
        (Some(Command::Features(features)), _) => features::execute(features),
        (None, Some(plates)) => compare(plates, &args.common),
        (None, None) => Err(Failure::usage("--real, --synthetic and --output are missing", "see --help")),
    }
}

fn compare(args: &CompareArgs, common: &Common) -> Outcome {
    let mut record = Record::begin("evaluate", common);
    let settings = resolve(&Settings::standard(), common.config.as_deref(), &common.set, &NoFlags {})?;
    settings.check()?;
    let files = Outputs::new(common).reads("--real", &args.real).reads("--synthetic", &args.synthetic);
    let files = args.untrained.iter().fold(files, |files, path| files.reads("--untrained", path));
    let files = args.weights.iter().fold(files, |files, path| files.reads("--weights", path));
    let _locks = files.writes("--output", args.output.as_path(), OutputKind::Evaluation).claim()?;
    let real = Plate::open(&args.real)?;
    let synthetic = Plate::open(&args.synthetic)?;
    let untrained = args.untrained.as_deref().map(Plate::open).transpose()?;
    let plates = Plates { real: &real, synthetic: &synthetic, untrained: untrained.as_ref() };
    let plan = protocol::plan(&plates, args.count, &settings, common.seed)?;
    let extraction = args.extraction();
    if common.dry_run {
        let of = |extraction: &Extraction| extraction.plan(&args.real, &args.synthetic, common);
        let features = extraction.as_ref().map(of).transpose()?;
        return Ok(json!({ "dry_run": true, "settings": settings, "plan": plan, "features": features }));
    }
    for warning in &plan.warnings {
        tracing::warn!("{warning}");
    }
    use_threads(common)?;

    let pending = PendingFolder::create(&args.output, OutputKind::Evaluation, common.overwrite)?;
    record.input("real", &args.real)?;
    record.input("synthetic", &args.synthetic)?;
    if let Some(path) = &args.untrained {
        record.input("untrained", path)?;
    }
    // First, since another program checks protocol and weights.
    let of = |extraction: &Extraction| features::of_plates(extraction, &args.real, &args.synthetic, common);
    let features = extraction.as_ref().map(of).transpose()?;
    let bar = Progress::new("comparing sequences", steps(&plates, &plan, &settings), common.quiet);
    let mut evaluation = evaluate(&plates, &plan, &settings, common.seed, &|done| bar.set(done))?;
    evaluation.features = features;
    if let Some(warning) = evaluation.memorisation.warning() {
        tracing::warn!("{warning}");
    }
    let sheets = page::sheets(&plates, &plan, settings.sheet_sequences, common.seed)?;
    let page = page::page(&evaluation, &plates, &sheets)?;
    bar.finish();

    let files = [
        ("metrics.json", pretty(&serde_json::to_value(&evaluation).map_err(unwritable)?)),
        ("report.html", page),
        ("lapsegan_mqc.json", pretty(&multiqc::custom_content(&evaluation))),
    ];
    for (name, text) in &files {
        write_file(&pending.path().join(name), text.as_bytes())?;
    }
    let result = summary(args, &evaluation);
    record.write(pending.path(), &settings, "cpu", &result)?;
    pending.finish()?;
    open_it::page(&args.output.join("report.html"));
    say(&headline(&evaluation));
    Ok(result)
}

/// Key of the metric that people are told at the end; all others are in the files.
const HEADLINE: &str = "swd_x1e3";

/// Returns a table for people: per channel, how far synthetic sequences are from real ones on the scale of both ends.
fn headline(evaluation: &Evaluation) -> String {
    let number =
        |value: Option<f64>, decimals| value.map_or_else(|| "-".into(), |v| format!("{v:.decimals$}"));
    let rows: Vec<Vec<String>> = evaluation
        .channels
        .iter()
        .filter_map(|channel| Some((channel, channel.metrics.iter().find(|m| m.key == HEADLINE)?)))
        .map(|(channel, m)| {
            vec![
                channel.name.clone(),
                number(Some(m.value), 0),
                number(Some(m.floor), 0),
                number(m.baseline, 0),
                number(m.untrained, 0),
                number(m.relative_excess, 2),
            ]
        })
        .collect();
    let header = ["channel", "synthetic", "real", "mean image", "untrained", "excess left"];
    format!("Sliced Wasserstein distance x 1000 from held-out sequences:\n{}", table(&header, &rows))
}

/// Checks `--device` as the other programs do, and gives all cores asked for to both thread pools.
fn use_threads(common: &Common) -> Result<(), Failure> {
    // A GPU would not help here.
    if let DeviceFlag::Cuda(_) = DeviceFlag::parse(&common.device)? {
        tracing::info!("evaluate runs on the CPU: --device {} is not used", common.device);
    }
    let pool = rayon::ThreadPoolBuilder::new().num_threads(common.thread_count()).build_global();
    if let Err(error) = pool {
        tracing::debug!("the thread pool is there already: {error}");
    }
    Ok(())
}

/// Returns the short result for stdout: value, floor and baseline of every metric, per channel.
fn summary(args: &CompareArgs, evaluation: &Evaluation) -> Value {
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
        "memorisation": repeated(evaluation),
    })
}

/// Returns the share of sequences nearer to training data than held-out data explain, or why there is none.
fn repeated(evaluation: &Evaluation) -> Value {
    let test = &evaluation.memorisation;
    test.found.as_ref().map_or(
        json!({ "missing": test.missing }),
        |found| json!({ "suspicious": found.suspicious, "beyond": found.shares.beyond }),
    )
}

fn pretty(value: &Value) -> String {
    format!("{value:#}\n")
}

fn unwritable(error: serde_json::Error) -> Failure {
    Failure {
        message: format!("the result cannot be written as JSON: {error}"),
        hint: None,
        exit: crate::error::Exit::Failed,
        findings: None,
    }
}
