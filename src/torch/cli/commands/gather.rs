//! `segment-benchmark gather`: puts the parts of `run --shard` together.

use std::path::PathBuf;

use clap::Args;
use lapsegan_core::cli::outputs::Outputs;
use lapsegan_core::cli::progress::say;
use lapsegan_core::cli::record::Record;
use lapsegan_core::cli::{Common, Failure, Outcome};
use lapsegan_core::output::{OutputKind, PendingFolder};
use serde_json::json;

use crate::benchmark::conclude::conclude;
use crate::benchmark::shards::{self, BenchmarkIdentity};

const EXAMPLES: &str = "Examples:
  segment-benchmark gather --output benchmark part-1 part-2 part-3
  segment-benchmark gather --output benchmark --overwrite parts/*";

/// Put the parts of run --shard together
///
/// Writes the same scores.json, report.html and segmentation_mqc.json as one
/// run. Refuses parts of different plates, seeds or settings, and missing ones.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct GatherArgs {
    /// Folders of all parts, in any order
    #[arg(required = true, value_name = "PART", help_heading = "Input")]
    parts: Vec<PathBuf>,

    /// Folder for scores.json, report.html and run.json
    #[arg(long, value_name = "DIR", help_heading = "Output")]
    output: PathBuf,

    #[command(flatten)]
    common: Common,
}

impl AsRef<Common> for GatherArgs {
    fn as_ref(&self) -> &Common {
        &self.common
    }
}

/// Runs the command.
///
/// # Errors
/// [`Failure`] for parts that make no whole, and outputs that cannot be written.
pub fn execute(args: &GatherArgs) -> Outcome {
    let common = &args.common;
    if common.config.is_some() || !common.set.is_empty() {
        return Err(Failure::usage("gather has no settings, the parts do", "leave out --config and --set"));
    }
    let files = args.parts.iter().fold(Outputs::new(common), |files, part| files.reads("PART", part));
    let _locks = files.writes("--output", args.output.as_path(), OutputKind::Benchmark).claim()?;
    let mut record = Record::begin("segment-benchmark", common);
    let gathered = shards::gather(&args.parts)?;
    let BenchmarkIdentity { plan, settings, seed, .. } = &gathered.identity;
    if common.dry_run {
        return Ok(json!({ "dry_run": true, "settings": settings, "data": plan, "seed": seed }));
    }
    for note in &plan.notes {
        tracing::warn!("{note}");
    }
    if gathered.devices.len() > 1 {
        tracing::warn!("parts were trained on {}: they round differently", gathered.devices.join(" and "));
    }

    for part in &args.parts {
        record.input(&part.display().to_string(), part)?;
    }
    let folder = PendingFolder::create(&args.output, OutputKind::Benchmark, common.overwrite)?;
    let curve = conclude(folder.path(), &gathered.trials, plan, settings, *seed, &gathered.synthetic)?;
    let mut result = curve.to_short_json();
    result["output"] = json!(args.output);
    result["notes"] = json!(plan.notes);
    record.write(folder.path(), settings, &gathered.devices.join(", "), &result)?;
    folder.finish()?;
    say(&curve.table());
    Ok(result)
}
