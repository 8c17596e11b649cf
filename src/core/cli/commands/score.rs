//! `score`: predicted labels against the truth. `segment-benchmark` and `evaluate` both offer it.

use std::path::PathBuf;

use clap::Args;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::cli::outputs::Outputs;
use crate::cli::progress::Progress;
use crate::cli::words::words;
use crate::cli::{Common, Failure, Outcome, settings};
use crate::error::DataError;
use crate::output::{OutputKind, write_file};
use crate::plate::Split;
use crate::scores::matching::thresholds;
use crate::scores::pair_scores::{self, Tolerance};
use crate::scores::pairs::{OneSided, Pairs};

/// Score predicted labels against the truth
///
/// Two plates of the same frames are matched by well, two folders of TIFF or PNG
/// label images by the names of their files: by equal ones, whatever zeros stand
/// before numbers and whatever tools append (_cp_masks, _mask), else by the numbers
/// that differ. Scores come pooled over all frames and averaged over frames; the
/// JSON says which file met which, and goes to stdout, and to --output where it is
/// given. Links over frames (TRA, LNK) are scored for plates, and for folders that
/// both have man_track.txt or res_track.txt.
#[derive(Args, Debug)]
pub struct ScoreArgs {
    /// Plate or folder with the true labels
    #[arg(long, value_name = "PATH", help_heading = "Input")]
    truth: PathBuf,

    /// Plate or folder with the predicted labels
    #[arg(long, value_name = "PATH", help_heading = "Input")]
    prediction: PathBuf,

    #[command(flatten)]
    flags: Flags,

    /// File for the scores
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    output: Option<PathBuf>,

    /// Table with one row per image
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    csv: Option<PathBuf>,

    #[command(flatten)]
    common: Common,
}

#[derive(Args, Debug, Serialize)]
struct Flags {
    /// Label image to compare, for plates [default: the only one of objects]
    #[arg(long, value_name = "NAME", help_heading = "Input")]
    label: Option<String>,

    /// Score this split only, for plates [default: all sequences]
    #[arg(long, value_name = "SPLIT", value_parser = words(&Split::WORDS), help_heading = "Input")]
    split: Option<String>,

    /// Images that only one of two folders has [default: error]
    #[arg(long, value_name = "WHAT", value_parser = words(&OneSided::WORDS), help_heading = "Input")]
    missing: Option<String>,

    /// Size of a pixel in micrometres [default: what the plate says]
    #[arg(long, value_name = "UM", help_heading = "Input")]
    pixel_size: Option<f64>,

    /// Micrometres within which an edge counts as found [default: 0.5, at least a pixel; 2 pixels where their size is
    /// not known]
    #[arg(long, value_name = "UM", help_heading = "Input")]
    boundary_tolerance: Option<f64>,
}

/// What is compared.
#[derive(Debug, Serialize, Deserialize)]
struct ScoreSettings {
    label: Option<String>,
    split: Option<Split>,
    #[serde(default)]
    missing: OneSided,
    pixel_size: Option<f64>,
    boundary_tolerance: Option<f64>,
}

impl AsRef<Common> for ScoreArgs {
    fn as_ref(&self) -> &Common {
        &self.common
    }
}

/// Returns the examples that end the help page, for the program that offers the command.
pub fn examples(program: &str) -> String {
    format!(
        "Examples:
  {program} score --truth phantom.ome.zarr --prediction predicted.ome.zarr --split test
  {program} score --truth masks/ --prediction predicted/ --output scores.json \\
      --csv scores.csv"
    )
}

/// Runs the command.
///
/// # Errors
/// [`Failure`] for plates or folders that do not belong together, and where a file cannot be read or written.
pub fn execute(args: &ScoreArgs) -> Outcome {
    let common = &args.common;
    let _locks = Outputs::new(common)
        .reads("--truth", &args.truth)
        .reads("--prediction", &args.prediction)
        .writes("--output", args.output.as_deref(), OutputKind::Scores)
        .writes("--csv", args.csv.as_deref(), OutputKind::ScoreTable)
        .claim()?;
    if common.config.is_some() || !common.set.is_empty() {
        return Err(Failure::usage("score has no settings", "leave out --config and --set"));
    }
    let base = ScoreSettings {
        label: None,
        split: None,
        missing: OneSided::Error,
        pixel_size: None,
        boundary_tolerance: None,
    };
    let settings = settings::resolve(&base, None, &[], &args.flags)?;
    let ScoreSettings { label, split, missing, pixel_size, boundary_tolerance } = settings;
    if let Some(wrong) = pixel_size.filter(|size| !(*size > 0.0 && size.is_finite())) {
        return Err(Failure::usage(
            format!("--pixel-size {wrong}: expected micrometres above 0"),
            "such as 0.1",
        ));
    }
    let pairs = Pairs::open(&args.truth, &args.prediction, label.as_deref(), split, missing)?;
    let tolerance = Tolerance::new(boundary_tolerance, pixel_size.or(pairs.pixel_size_um()))?;
    let left_out = pairs.left_out();
    for (side, names) in ["truth", "prediction"].iter().zip(&left_out).filter(|(_, names)| !names.is_empty())
    {
        tracing::warn!(
            "{} image(s) of the {side} have no partner and are left out: {}",
            names.len(),
            names.join(", ")
        );
    }
    let inputs = json!({
        "truth": args.truth,
        "prediction": args.prediction,
        "label": pairs.label(),
        "split": split,
        "pairs": pairs.len(),
        "boundary_tolerance": tolerance,
        "left_out": { "truth": left_out[0], "prediction": left_out[1] },
    });
    if common.dry_run {
        return Ok(json!({ "dry_run": true, "inputs": inputs }));
    }
    let bar = Progress::new("scoring", pairs.len() as u64, common.quiet);
    let scores = pair_scores::score(&pairs, tolerance, &|| bar.step())?;
    bar.finish();
    for warning in &scores.warnings {
        tracing::warn!("{warning}");
    }

    if let Some(file) = &args.csv {
        let table = pair_scores::csv(&scores.images).map_err(DataError::io(file))?;
        write_file(file, &table)?;
    }
    let mut full = json!({ "inputs": inputs, "thresholds": thresholds() });
    if let (Some(full), Value::Object(scores)) = (full.as_object_mut(), json!(scores)) {
        full.extend(scores);
    }
    let Some(output) = &args.output else { return Ok(full) };
    write_file(output, format!("{full:#}\n").as_bytes())?;
    let mut short = full;
    if let Some(all) = short.as_object_mut() {
        // The file has them; a terminal has no room.
        all.remove("pairs");
        all.insert("output".to_owned(), json!(output));
    }
    Ok(short)
}
