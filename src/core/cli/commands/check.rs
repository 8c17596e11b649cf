//! `prepare check`: is a samplesheet of the workflows, a plate, or any OME-Zarr in order?

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;

use crate::check::Weight;
use crate::cli::progress::Progress;
use crate::cli::{Common, Failure, Outcome};
use crate::error::DataError;
use crate::input::{samplesheet, unpack};
use crate::output::Scratch;
use crate::plate::{Plate, is_zipped};

/// Wells that a message lists.
const LISTED: usize = 10;

/// Checks a samplesheet of the workflows, a plate, or any OME-Zarr 0.4 or 0.5 (also .ozx)
///
/// Of a store, metadata is compared with the rules of OME-Zarr, levels and labels with the image
/// (shape, type, scale), and all pixels are read: chunks that are gone, cut or changed are named,
/// ids without properties, and split groups that share frames. Every well of a plate is compared
/// with the digest it was written with: wells that were swapped, and files that were altered, are
/// named. All findings are printed as JSON; exit code 65 where one is an error.
///
/// A samplesheet is printed as JSON by sample. It is a CSV file with a header; columns in any
/// order:
///
///   sample          id of letters, digits, _ and -; all rows of one id belong together
///   kind            channel (folder of frames, TIFF stack or OME-Zarr; the first is the anchor),
///                   labels (the same with label images), plate (prepared already) or phantom
///                   (simulate); the latter two are their sample's only row
///   name            name of the channel or label image
///   path            relative to the samplesheet, or absolute, with @PART where a stack or a store
///                   holds several channels (movie.ome.tif@GFP); empty for a phantom
///   pixel_size      micrometres, may be empty
///   frame_interval  seconds, may be empty
///
/// All its problems are listed at once, by line and column. Exit code 65, or 66 where paths are
/// missing and nothing else is wrong.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES, verbatim_doc_comment)]
pub struct CheckArgs {
    /// The samplesheet, or a plate or other OME-Zarr (NAME.ome.zarr, NAME.ozx)
    #[arg(value_name = "SAMPLESHEET|STORE", help_heading = "Input")]
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
    let zipped = is_zipped(&args.input);
    if zipped || args.input.is_dir() && is_of_zarr(&args.input) {
        if args.base.is_some() || args.missing_ok {
            return Err(Failure::usage(
                "--base and --missing-ok are for samplesheets, and a store was given",
                "leave them out for a plate, or name the CSV file",
            ));
        }
        return if zipped {
            check_zipped(args)
        } else {
            check_store(&args.input, &args.input, args.common.quiet)
        };
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

/// Checks a store in one file by a copy of what it holds, since chunks are looked at as files.
fn check_zipped(args: &CheckArgs) -> Outcome {
    let name = args.input.file_stem().unwrap_or_default();
    let scratch = Scratch::create()?;
    let folder = scratch.path().join(name);
    unpack(&args.input, &folder)?;
    check_store(&args.input, &folder, args.common.quiet)
}

/// Checks a store that people call `path` and that lies in `folder`.
fn check_store(path: &Path, folder: &Path, quiet: bool) -> Outcome {
    let bar = Progress::new("checking images", crate::check::count(folder), quiet);
    let findings = crate::check::store(folder, &|| bar.step())?;
    bar.finish();
    // A plate of ours knows what was written into it.
    let wells = Plate::open_unseen(folder).ok().map(|plate| plate.changed_wells()).transpose()?;
    let mut result = json!({ "store": path, "findings": findings, "wells": wells });
    if let Some(wells) = &wells {
        result["sequences"] = json!(wells.as_written + wells.changed.len() + wells.without_digest);
    }
    for problem in findings.problems.iter().filter(|p| p.weight == Weight::Warning).take(LISTED) {
        tracing::warn!("{}: {}", problem.path, problem.found);
    }
    let mut found = Vec::new();
    if let Some(wells) = wells.as_ref().filter(|wells| !wells.changed.is_empty()) {
        let count = wells.changed.len();
        let shown = wells.changed.iter().take(LISTED).map(String::as_str).collect::<Vec<_>>().join(", ");
        found.push(format!(
            "{count} of {} wells hold other files than were written there: {shown}{}",
            wells.as_written + count + wells.without_digest,
            and_more(count)
        ));
    }
    if findings.errors() > 0 {
        let errors = findings.problems.iter().filter(|p| p.weight == Weight::Error);
        let shown: Vec<String> = errors.take(LISTED).map(|p| format!("{}: {}", p.path, p.found)).collect();
        found.push(format!(
            "{} problem(s) were found: {}{}",
            findings.errors(),
            shown.join("; "),
            and_more(findings.errors())
        ));
    }
    if !found.is_empty() {
        let failure = Failure::from(DataError::Unusable {
            path: path.to_owned(),
            found: found.join("; "),
            expected: "a store in order, with the files that were written".into(),
            hint: "stdout lists all findings as JSON. Copy the store again, or write it anew; labels corrected by hand \
                   are read all the same"
                .into(),
        });
        return Err(Failure { findings: Some(Box::new(result)), ..failure });
    }
    let Some(wells) = wells else { return Ok(result) };
    if wells.without_digest > 0 {
        tracing::warn!(
            "{} wells have no digest, as the plate was written before there were any: they can be read, but swapped \
             wells would not be noticed",
            wells.without_digest
        );
    }
    Ok(result)
}

fn and_more(count: usize) -> String {
    if count > LISTED { format!(" and {} more", count - LISTED) } else { String::new() }
}
