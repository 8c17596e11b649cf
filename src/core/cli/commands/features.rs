//! `evaluate features`: distances of feature vectors that any network made.

use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;
use serde_json::{Value, json};

use crate::cli::outputs::Outputs;
use crate::cli::{Common, Failure, Outcome};
use crate::error::DataError;
use crate::features::compare::{FeatureProtocol, compare};
use crate::features::matrix::Vectors;
use crate::output::{OutputKind, write_file};

/// Compare feature vectors of any network: Fréchet distance (FID, FVD), KID, precision, recall
///
/// Both files are safetensors with a tensor `features` [N, D], one row per image or sequence, and
/// where an Inception score is wanted `logits` [N, K]. Which network made them, at which size and
/// how normalised, is up to you, and has to be the same for both: figures of other networks,
/// resizing or numbers of images cannot be compared. The JSON carries the numbers of vectors and
/// the digests of both files.
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub struct FeaturesArgs {
    /// Vectors of real images or sequences
    #[arg(long, value_name = "FILE", help_heading = "Input")]
    real: PathBuf,

    /// Vectors of synthetic ones
    #[arg(long, value_name = "FILE", help_heading = "Input")]
    synthetic: PathBuf,

    /// Random subsets of the kernel distance
    #[arg(long, value_name = "N", default_value_t = FeatureProtocol::default().kid_subsets, help_heading = "Protocol")]
    kid_subsets: usize,

    /// Vectors of each of these subsets
    #[arg(long, value_name = "N", default_value_t = FeatureProtocol::default().kid_subset_size, help_heading = "Protocol")]
    kid_subset_size: usize,

    /// Neighbours that precision and recall look at
    #[arg(long, value_name = "K", default_value_t = FeatureProtocol::default().neighbours, help_heading = "Protocol")]
    neighbours: usize,

    /// Parts of the Inception score; the published Multi-StyleGAN takes 1
    #[arg(long, value_name = "N", default_value_t = FeatureProtocol::default().inception_splits, help_heading = "Protocol")]
    inception_splits: usize,

    /// File for the figures
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    output: Option<PathBuf>,

    #[command(flatten)]
    common: Common,
}

/// Examples that end the help page.
pub const EXAMPLES: &str = "\
Examples:
  evaluate features --real real.safetensors --synthetic synthetic.safetensors
  evaluate features --real real.safetensors --synthetic synthetic.safetensors --output fid.json";

impl AsRef<Common> for FeaturesArgs {
    fn as_ref(&self) -> &Common {
        &self.common
    }
}

/// What a file held.
#[derive(Serialize)]
struct Side<'a> {
    path: &'a Path,
    vectors: usize,
    dimensions: usize,
    logits: bool,
    sha256: &'a str,
}

/// Runs the command.
///
/// # Errors
/// [`Failure`] for files that cannot be read or do not belong together, and where the output cannot be written.
pub fn execute(args: &FeaturesArgs) -> Outcome {
    let common = &args.common;
    let _locks = Outputs::new(common)
        .reads("--real", &args.real)
        .reads("--synthetic", &args.synthetic)
        .writes("--output", args.output.as_deref(), OutputKind::Scores)
        .claim()?;
    if common.config.is_some() || !common.set.is_empty() {
        return Err(Failure::usage("features has no settings", "leave out --config and --set"));
    }
    for (flag, value) in [
        ("--kid-subsets", args.kid_subsets),
        ("--neighbours", args.neighbours),
        ("--inception-splits", args.inception_splits),
    ] {
        if value == 0 {
            return Err(Failure::usage(format!("{flag} 0: expected at least 1"), "leave it out"));
        }
    }
    if args.kid_subset_size < 2 {
        return Err(Failure::usage("--kid-subset-size: expected at least 2", "leave it out"));
    }
    let (real, synthetic) = (Vectors::read(&args.real)?, Vectors::read(&args.synthetic)?);
    let dimensions = [real.features.ncols(), synthetic.features.ncols()];
    if dimensions[0] != dimensions[1] {
        return Err(DataError::Unusable {
            path: args.synthetic.clone(),
            found: format!("holds vectors of {} dimensions", dimensions[1]),
            expected: format!("{}, as {}", dimensions[0], args.real.display()),
            hint: "both files must come from the same layer of the same network".into(),
        }
        .into());
    }
    for (path, vectors) in [(&args.real, &real), (&args.synthetic, &synthetic)] {
        if vectors.features.nrows() < 2 {
            return Err(DataError::Unusable {
                path: path.clone(),
                found: "holds one vector".into(),
                expected: "at least 2, and better some thousand".into(),
                hint: "write one row per image or sequence".into(),
            }
            .into());
        }
    }
    let protocol = FeatureProtocol {
        kid_subsets: args.kid_subsets,
        kid_subset_size: args.kid_subset_size,
        neighbours: args.neighbours,
        inception_splits: args.inception_splits,
        seed: common.seed,
    };
    let inputs = json!({ "real": side(&args.real, &real), "synthetic": side(&args.synthetic, &synthetic) });
    if common.dry_run {
        return Ok(json!({ "dry_run": true, "inputs": inputs, "protocol": protocol }));
    }
    let distances = compare(&real, &synthetic, &protocol);
    for warning in &distances.warnings {
        tracing::warn!("{warning}");
    }
    let mut result = json!({ "inputs": inputs, "protocol": protocol, "distances": distances });
    if let Some(output) = &args.output {
        write_file(output, format!("{result:#}\n").as_bytes())?;
        result["output"] = json!(output);
    }
    Ok(result)
}

fn side(path: &Path, vectors: &Vectors) -> Value {
    let (vectors, sha256) = (vectors, vectors.sha256.as_str());
    json!(Side {
        path,
        vectors: vectors.features.nrows(),
        dimensions: vectors.features.ncols(),
        logits: vectors.logits.is_some(),
        sha256,
    })
}
