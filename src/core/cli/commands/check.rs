//! `prepare check`: is a samplesheet of the workflows, or a plate, in order?

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;

use crate::cli::progress::Progress;
use crate::cli::{Common, Failure, Outcome};
use crate::error::DataError;
use crate::input::samplesheet;
use crate::plate::Plate;

/// Wells that a message lists.
const LISTED: usize = 10;

/// Checks a samplesheet of the workflows, or the files of a plate
///
/// Of a plate, all pixels are read, and every well is compared with the digest it was written
/// with: wells that were swapped, and files that were altered, are named (exit code 65).
///
/// A samplesheet is printed as JSON by sample. It is a CSV file with a header; columns in any
/// order:
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
/// All its problems are listed at once, by line and column. Exit code 65, or 66 where paths are
/// missing and nothing else is wrong.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES, verbatim_doc_comment)]
pub struct CheckArgs {
    /// The samplesheet, or a plate (NAME.ome.zarr)
    #[arg(value_name = "SAMPLESHEET|PLATE", help_heading = "Input")]
    input: PathBuf,

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
  prepare check test-data/samplesheet.csv --base /scratch/movies --missing-ok
  prepare check synthetic.ome.zarr";

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
    if args.input.is_dir() && is_of_zarr(&args.input) {
        if args.base.is_some() || args.missing_ok {
            return Err(Failure::usage(
                "--base and --missing-ok are for samplesheets, and a folder was given",
                "leave them out for a plate, or name the CSV file",
            ));
        }
        return check_plate(&args.input, args.common.quiet);
    }
    if let Some(base) = args.base.as_deref().filter(|base| !args.missing_ok && !base.is_dir()) {
        let expected = "the folder that paths start at (--base)".into();
        return Err(DataError::Missing { path: base.to_owned(), expected }.into());
    }
    let sheet = samplesheet::read(&args.input, args.base.as_deref(), args.missing_ok)?;
    for warning in &sheet.warnings {
        tracing::warn!("{warning}");
    }
    Ok(json!({
        "samplesheet": args.input,
        "samples": sheet.samples,
        "warnings": sheet.warnings,
    }))
}

/// Returns whether a folder is meant as a plate, be it one or not.
fn is_of_zarr(folder: &Path) -> bool {
    let there = |name: &str| folder.join(name).exists();
    folder.extension().is_some_and(|e| e == "zarr") || there("zarr.json") || there(".zattrs")
}

fn check_plate(path: &Path, quiet: bool) -> Outcome {
    let plate = Plate::open(path)?;
    let bar = Progress::new("checking wells", plate.wells.len() as u64, quiet);
    let wells = plate.check_wells(&|| bar.step())?;
    bar.finish();
    if !wells.changed.is_empty() {
        let count = wells.changed.len();
        let shown = wells.changed.iter().take(LISTED).map(String::as_str).collect::<Vec<_>>().join(", ");
        let more = if count > LISTED { format!(" and {} more", count - LISTED) } else { String::new() };
        let found = format!(
            "{count} of {} wells hold other files than were written there: {shown}{more}",
            plate.wells.len()
        );
        return Err(DataError::Unusable {
            path: path.to_owned(),
            found,
            expected: "the image and labels that each well's digest was taken of".into(),
            hint:
                "wells were swapped, or files altered, lost or added; copy the plate again, or make it anew. \
                   Labels corrected by hand are read all the same"
                    .into(),
        }
        .into());
    }
    if wells.without_digest > 0 {
        tracing::warn!(
            "{} wells have no digest, as the plate was written before there were any: they can be read, but swapped \
             wells would not be noticed",
            wells.without_digest
        );
    }
    Ok(json!({ "plate": path, "sequences": plate.wells.len(), "wells": wells }))
}
