//! `segment-benchmark ceiling`: what labels lose as maps.

use std::path::PathBuf;

use clap::Args;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::cli::outputs::Outputs;
use crate::cli::progress::Progress;
use crate::cli::words::words;
use crate::cli::{Common, Failure, Outcome, settings};
use crate::error::DataError;
use crate::labels::codec::DecodeSettings;
use crate::output::{OutputKind, write_file};
use crate::plate::labels::objects;
use crate::plate::{Plate, Split};
use crate::scores::ceiling::ceiling;
use crate::scores::matching::thresholds;

/// Sequences in the result on stdout, the worst ones.
const WORST: usize = 5;

/// What labels lose when networks draw them
///
/// Networks draw labels as two smooth maps, foreground and distance to the object's
/// own boundary. This makes the maps of true labels and finds the labels in them
/// again: no generator with a label domain, and no segmenter of the benchmark, can
/// score more on this plate. What is lost are objects of a few pixels, thin ones,
/// and those that touch along much of their boundary: a larger --size of prepare
/// keeps them.
#[derive(Args, Debug)]
pub struct CeilingArgs {
    /// Plate with labels
    #[arg(value_name = "PLATE", help_heading = "Input")]
    plate: PathBuf,

    #[command(flatten)]
    flags: Flags,

    /// File for all sequences, the worst first
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    output: Option<PathBuf>,

    #[command(flatten)]
    common: Common,
}

#[derive(Args, Debug, Serialize)]
struct Flags {
    /// Label image [default: the only one of objects]
    #[arg(long, value_name = "NAME", help_heading = "Input")]
    label: Option<String>,

    /// This split only [default: all sequences]
    #[arg(long, value_name = "SPLIT", value_parser = words(&Split::WORDS), help_heading = "Input")]
    split: Option<String>,
}

/// What is looked at, and how maps become labels.
#[derive(Debug, Serialize, Deserialize)]
struct CeilingSettings {
    label: Option<String>,
    split: Option<Split>,
    decode: DecodeSettings,
}

impl AsRef<Common> for CeilingArgs {
    fn as_ref(&self) -> &Common {
        &self.common
    }
}

/// Examples that end the help page.
pub const EXAMPLES: &str = "\
Examples:
  segment-benchmark ceiling phantom.ome.zarr
  segment-benchmark ceiling plate.ome.zarr --label cells --split train --output ceiling.json
  segment-benchmark ceiling plate.ome.zarr --set decode.min_area_px=1";

/// Runs the command.
///
/// # Errors
/// [`Failure`] for a plate without labels, and where a file cannot be read or written.
pub fn execute(args: &CeilingArgs) -> Outcome {
    let common = &args.common;
    let _locks = Outputs::new(common)
        .reads("PLATE", &args.plate)
        .writes("--output", args.output.as_deref(), OutputKind::Ceiling)
        .claim()?;
    let base = CeilingSettings { label: None, split: None, decode: DecodeSettings::standard() };
    let CeilingSettings { label, split, decode } =
        settings::resolve(&base, common.config.as_deref(), &common.set, &args.flags)?;
    let plate = Plate::open(&args.plate)?;
    let wrong = |source| DataError::Label { path: args.plate.clone(), source };
    let label = objects(&plate.meta.labels, label.as_deref()).map_err(wrong)?.name.clone();
    let indices = match split {
        Some(split) => plate.indices(split),
        None => (0..plate.wells.len()).collect(),
    };
    let inputs = json!({
        "plate": args.plate, "label": label, "split": split, "sequences": indices.len(), "decode": decode,
    });
    if common.dry_run {
        return Ok(json!({ "dry_run": true, "inputs": inputs }));
    }
    let bar = Progress::new("sequences", indices.len() as u64, common.quiet);
    let found = ceiling(&plate, &label, &indices, &decode, &|| bar.step())?;
    bar.finish();
    if found.pooled.n_true == 0 {
        return Err(Failure {
            message: format!("{}: label {label} shows no object", args.plate.display()),
            hint: Some("take another --label or --split".into()),
            exit: crate::error::Exit::BadInput,
            findings: None,
        });
    }
    let lost = &found.lost_areas_px;
    let mut result = json!({
        "inputs": inputs,
        "thresholds": thresholds(),
        "pooled": found.pooled,
        "lost": {
            "objects": lost.len(),
            "share": lost.len() as f64 / found.pooled.n_true as f64,
            "median_area_px": lost.get(lost.len() / 2),
        },
        "worst": found.sequences.iter().take(WORST).collect::<Vec<_>>(),
    });
    if let Some(output) = &args.output {
        let mut full = result.clone();
        full["sequences"] = json!(found.sequences);
        full["lost_areas_px"] = json!(lost);
        write_file(output, format!("{full:#}\n").as_bytes())?;
        result["output"] = json!(output);
    }
    Ok(result)
}
