//! `prepare check`: is a samplesheet of the workflows in order?

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use crate::cli::{Common, Failure, Outcome};
use crate::error::DataError;
use crate::input::samplesheet;

/// Checks a samplesheet of the workflows and prints its samples as JSON
///
/// A CSV file with a header; columns in any order:
///
///   sample          id of letters, digits, _ and -; all rows of one id belong together
///   kind            channel (folder of frames; the first is the anchor), labels (folder of label
///                   images), plate (prepared already) or phantom (simulate); the latter two are
///                   their sample's only row
///   name            name of the channel or label image
///   path            relative to the samplesheet, or absolute; empty for a phantom
///   pixel_size      micrometres, may be empty
///   frame_interval  seconds, may be empty
///
/// All problems are listed at once, by line and column. Exit code 65, or 66 where paths are missing and nothing else is
/// wrong.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES, verbatim_doc_comment)]
pub struct CheckArgs {
    /// The samplesheet
    #[arg(value_name = "SAMPLESHEET", help_heading = "Input")]
    samplesheet: PathBuf,

    /// Folder that relative paths start at [default: that of the samplesheet]
    #[arg(long, value_name = "DIR", help_heading = "Input")]
    base: Option<PathBuf>,

    /// Do not look whether the paths are there, for a sheet that is checked elsewhere
    #[arg(long, help_heading = "Input")]
    missing_ok: bool,

    #[command(flatten)]
    common: Common,
}

const EXAMPLES: &str = "\
Examples:
  prepare check test-data/samplesheet.csv
  prepare check test-data/samplesheet.csv --base /scratch/movies --missing-ok";

impl AsRef<Common> for CheckArgs {
    fn as_ref(&self) -> &Common {
        &self.common
    }
}

/// Runs the program. Nothing is written, so `--dry-run` changes nothing.
pub fn execute(args: &CheckArgs) -> Outcome {
    if args.common.config.is_some() || !args.common.set.is_empty() {
        return Err(Failure::usage("check has no settings", "leave out --config and --set"));
    }
    if let Some(base) = args.base.as_deref().filter(|base| !args.missing_ok && !base.is_dir()) {
        let expected = "the folder that paths start at (--base)".into();
        return Err(DataError::Missing { path: base.to_owned(), expected }.into());
    }
    let sheet = samplesheet::read(&args.samplesheet, args.base.as_deref(), args.missing_ok)?;
    for warning in &sheet.warnings {
        tracing::warn!("{warning}");
    }
    Ok(json!({
        "samplesheet": args.samplesheet,
        "samples": sheet.samples,
        "warnings": sheet.warnings,
    }))
}
