//! `generate merge`: the plates of `generate --shard` become the plate of the whole run.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

use clap::Args;
use serde_json::json;

use crate::cli::digest::DigestFlag;
use crate::cli::open_it;
use crate::cli::outputs::Outputs;
use crate::cli::preview::{self, CONTACT_SHEET, SHEET_SEQUENCES};
use crate::cli::progress::Progress;
use crate::cli::record::Record;
use crate::cli::{Common, Failure, Outcome};
use crate::error::DataError;
use crate::output::OutputKind;
use crate::plate::merge::Parts;
use crate::plate::{PlateWriter, latents};
use crate::report::overview;

/// Join the plates of generate --shard into one
///
/// The same image and label bytes as one run without --shard. Files are hard links where the file system allows, and
/// copies elsewhere; the parts stay as they are.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct MergeArgs {
    /// Plates of all parts, in any order
    #[arg(required = true, value_name = "PLATE", help_heading = "Input")]
    parts: Vec<PathBuf>,

    /// Plate to create (NAME.ome.zarr)
    #[arg(long, value_name = "PLATE", help_heading = "Output")]
    output: PathBuf,

    #[command(flatten)]
    digest: DigestFlag,

    #[command(flatten)]
    common: Common,
}

const EXAMPLES: &str = "\
Examples:
  generate merge --output synthetic.ome.zarr part-1.ome.zarr part-2.ome.zarr
  generate merge --output synthetic.ome.zarr --digest synthetic.json part-*.ome.zarr";

impl AsRef<Common> for MergeArgs {
    fn as_ref(&self) -> &Common {
        &self.common
    }
}

/// Runs the program.
pub fn execute(args: &MergeArgs) -> Outcome {
    let common = &args.common;
    if common.config.is_some() || !common.set.is_empty() {
        return Err(Failure::usage("merge has no settings", "leave out --config and --set"));
    }
    let files = args.parts.iter().fold(Outputs::new(common), |files, part| files.reads("PLATE", part));
    let _locks = files
        .writes("--output", args.output.as_path(), OutputKind::Plate)
        .writes("--digest", args.digest.digest.as_deref(), OutputKind::Digest)
        .claim()?;
    let mut record = Record::begin("generate", common);
    let parts = Parts::open(&args.parts)?;
    for warning in &parts.warnings {
        tracing::warn!("{warning}");
    }
    let mut result = json!({
        "plate": args.output,
        "parts": parts.plates.len(),
        "sequences": parts.sequences(),
        "labels": parts.meta.label_names(),
        "label_route": parts.meta.label_route(),
        "warnings": parts.warnings,
    });
    if common.dry_run {
        return Ok(json!({ "dry_run": true, "would_write": result }));
    }
    for (number, plate) in parts.plates.iter().enumerate() {
        record.input(&format!("part {}", number + 1), &plate.path)?;
    }
    let writer = PlateWriter::create(&args.output, &parts.meta, parts.sequences(), common.overwrite)?;
    let bar = Progress::new("joining parts", parts.plates.len() as u64, common.quiet);
    let done = AtomicU64::new(0);
    let taken = parts.write(&writer, &|| bar.set(done.fetch_add(1, Ordering::Relaxed) + 1))?;
    bar.finish();
    let mut panels = Vec::new();
    for index in 0..parts.sequences().min(SHEET_SEQUENCES) {
        let Some((plate, at)) = parts.place(index) else { break };
        panels.push(preview::panel(format!("sequence {index}"), &parts.meta, &plate.read(at)?));
    }
    overview(&panels).write_png(&writer.folder().join(CONTACT_SHEET))?;
    if let Some(latents) = latents::join(&parts.plates)? {
        let path = writer.folder().join(latents::IN_PLATE);
        std::fs::write(&path, latents).map_err(DataError::io(&path))?;
        result["latents"] = json!(args.output.join(latents::IN_PLATE));
    }
    result["files_linked"] = json!(taken.linked);
    result["files_copied"] = json!(taken.copied);
    result["contact_sheet"] = json!(args.output.join(CONTACT_SHEET));
    record.write(writer.folder(), &json!({ "parts": args.parts }), "cpu", &result)?;
    writer.finish()?;
    args.digest.write(&args.output)?;
    open_it::plate(&args.output);
    Ok(result)
}
