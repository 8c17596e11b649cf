//! `evaluate features`: distances of feature vectors that any network made.

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::{Value, json};

use crate::cli::outputs::Outputs;
use crate::cli::progress::Progress;
use crate::cli::{Common, Failure, Outcome};
use crate::error::DataError;
use crate::features::compare::{FeatureProtocol, Set, compare_beside_floor, score};
use crate::features::file::FeatureFile;
use crate::output::{OutputKind, Scratch, write_file};
use crate::plate::Plate;
use crate::realism::protocol::judge;

mod extract;

pub(super) use extract::Extraction;

/// Compare feature vectors: Fréchet distance (FID, FVD), KID, precision, recall
///
/// Inputs are plates, or files of feature vectors. Of plates the vectors are made
/// first, by `segment-benchmark features` and a named protocol: real ones of the
/// held-out part, beside the training part as the floor. A file is safetensors
/// with a tensor `features` [N, D], one row per image or sequence, and where an
/// Inception score is wanted `logits` [N, K]; which network made it is up to you,
/// and has to be the same for all. Files of `segment-benchmark features` say what
/// they were made of, and are compared only where that agrees.
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub struct FeaturesArgs {
    /// Real images or sequences: a plate or a file of vectors
    #[arg(long, value_name = "PATH", help_heading = "Input")]
    real: PathBuf,

    /// Synthetic ones
    #[arg(long, value_name = "PATH", help_heading = "Input")]
    synthetic: PathBuf,

    /// Vectors of other real images, for the floor; of a plate they are made of its training part
    #[arg(long, value_name = "FILE", help_heading = "Input")]
    training: Option<PathBuf>,

    #[command(flatten)]
    extraction: Extraction,

    /// Random subsets of the kernel distance
    #[arg(long, value_name = "N", default_value_t = FeatureProtocol::default().kid_subsets, help_heading = "Figures")]
    kid_subsets: usize,

    /// Vectors of each of these subsets
    #[arg(long, value_name = "N", default_value_t = FeatureProtocol::default().kid_subset_size, help_heading = "Figures")]
    kid_subset_size: usize,

    /// Neighbours that precision and recall look at
    #[arg(long, value_name = "K", default_value_t = FeatureProtocol::default().neighbours, help_heading = "Figures")]
    neighbours: usize,

    /// Parts of the Inception score [default: 10; 1 in original-is]
    #[arg(long, value_name = "N", help_heading = "Figures")]
    inception_splits: Option<usize>,

    /// Resamples of whole split groups behind the intervals; 0 for none
    #[arg(long, value_name = "N", default_value_t = FeatureProtocol::default().resamples, help_heading = "Figures")]
    resamples: usize,

    /// File for the figures
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    output: Option<PathBuf>,

    #[command(flatten)]
    common: Common,
}

/// Examples that end the help page.
pub const EXAMPLES: &str = "\
Examples:
  evaluate features --real real.ome.zarr --synthetic synthetic.ome.zarr
  evaluate features --real real.ome.zarr --synthetic synthetic.ome.zarr --protocol standard-fid \\
      --weights pt_inception-2015-12-05-6726825d.pth --output fid.json
  evaluate features --real real.safetensors --synthetic synthetic.safetensors";

impl AsRef<Common> for FeaturesArgs {
    fn as_ref(&self) -> &Common {
        &self.common
    }
}

/// A file of vectors with its name for people.
struct Side {
    path: PathBuf,
    file: FeatureFile,
}

/// Runs the command.
///
/// # Errors
/// [`Failure`] for inputs that cannot be read or do not belong together, and where the output cannot be written.
pub fn execute(args: &FeaturesArgs) -> Outcome {
    let common = &args.common;
    let mut outputs = Outputs::new(common).reads("--real", &args.real).reads("--synthetic", &args.synthetic);
    for (flag, path) in [("--training", &args.training), ("--weights", &args.extraction.weights)] {
        outputs = path.iter().fold(outputs, |outputs, path| outputs.reads(flag, path));
    }
    let _locks = outputs.writes("--output", args.output.as_deref(), OutputKind::Distances).claim()?;
    let protocol = protocol(args)?;
    for (flag, path) in [("--real", &args.real), ("--synthetic", &args.synthetic)] {
        if !path.exists() {
            let expected = format!("a plate or a file of vectors for {flag}");
            return Err(DataError::Missing { path: path.clone(), expected }.into());
        }
    }
    let plates = (args.real.is_dir(), args.synthetic.is_dir());
    let sides = match plates {
        (true, true) => {
            if args.training.is_some() {
                return Err(Failure::usage(
                    "--training beside plates: the floor is taken of the training part of --real",
                    "leave it out",
                ));
            }
            for warning in judge(&Plate::open(&args.real)?, &Plate::open(&args.synthetic)?)? {
                tracing::warn!("{warning}");
            }
            if common.dry_run {
                let plan = args.extraction.plan(&args.real, &args.synthetic, common)?;
                return Ok(json!({ "dry_run": true, "extraction": plan, "protocol": protocol }));
            }
            Sides::of_plates(&args.extraction, &args.real, &args.synthetic, common)?
        }
        (false, false) => {
            args.extraction.expect_unused()?;
            Sides {
                real: side(&args.real, &args.real)?,
                synthetic: side(&args.synthetic, &args.synthetic)?,
                training: args.training.as_deref().map(|file| side(file, file)).transpose()?,
            }
        }
        _ => {
            return Err(Failure::usage(
                "--real and --synthetic: one is a folder and the other a file",
                "give two plates, or two files of vectors",
            ));
        }
    };
    sides.expect_comparable()?;
    let inputs = sides.told();
    if common.dry_run {
        return Ok(json!({ "dry_run": true, "inputs": inputs, "protocol": protocol }));
    }
    let bar = Progress::new("distances", sides.real.file.channels.len() as u64, common.quiet);
    let channels = sides.compare(&protocol, &mut || bar.step());
    bar.finish();
    warn(&channels);
    let mut result = json!({ "inputs": inputs, "protocol": protocol, "channels": channels });
    if let Some(output) = &args.output {
        write_file(output, format!("{result:#}\n").as_bytes())?;
        result["output"] = json!(output);
    }
    Ok(result)
}

fn protocol(args: &FeaturesArgs) -> Result<FeatureProtocol, Failure> {
    let common = &args.common;
    if common.config.is_some() || !common.set.is_empty() {
        return Err(Failure::usage("features has no settings", "leave out --config and --set"));
    }
    let inception_splits = args.inception_splits.unwrap_or_else(|| args.extraction.inception_splits());
    for (flag, value) in [
        ("--kid-subsets", args.kid_subsets),
        ("--neighbours", args.neighbours),
        ("--inception-splits", inception_splits),
    ] {
        if value == 0 {
            return Err(Failure::usage(format!("{flag} 0: expected at least 1"), "leave it out"));
        }
    }
    if args.kid_subset_size < 2 {
        return Err(Failure::usage("--kid-subset-size: expected at least 2", "leave it out"));
    }
    Ok(FeatureProtocol {
        kid_subsets: args.kid_subsets,
        kid_subset_size: args.kid_subset_size,
        neighbours: args.neighbours,
        inception_splits,
        resamples: args.resamples,
        seed: common.seed,
    })
}

fn side(path: &Path, file: &Path) -> Result<Side, Failure> {
    Ok(Side { path: path.to_owned(), file: FeatureFile::read(file)? })
}

/// What is compared.
struct Sides {
    real: Side,
    synthetic: Side,
    training: Option<Side>,
}

/// Returns the figures of two plates, as `features` has them in its result.
pub(super) fn of_plates(
    extraction: &Extraction,
    real: &Path,
    synthetic: &Path,
    common: &Common,
) -> Result<Value, Failure> {
    let splits = extraction.inception_splits();
    let protocol =
        FeatureProtocol { inception_splits: splits, seed: common.seed, ..FeatureProtocol::default() };
    let sides = Sides::of_plates(extraction, real, synthetic, common)?;
    sides.expect_comparable()?;
    let channels = sides.compare(&protocol, &mut || {});
    warn(&channels);
    Ok(json!({ "inputs": sides.told(), "protocol": protocol, "channels": channels }))
}

/// Tells what to know before the figures of channels are believed.
fn warn(channels: &[Value]) {
    for channel in channels {
        let name = channel["name"].as_str().map_or_else(String::new, |name| format!("{name}: "));
        for warning in channel["warnings"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            tracing::warn!("{name}{warning}");
        }
    }
}

impl Sides {
    /// Makes the vectors of two plates.
    fn of_plates(
        extraction: &Extraction,
        real: &Path,
        synthetic: &Path,
        common: &Common,
    ) -> Result<Self, Failure> {
        let scratch = Scratch::create()?;
        let extracted = extraction.run(real, synthetic, common, scratch.path())?;
        Ok(Self {
            real: side(real, &extracted.real)?,
            synthetic: side(synthetic, &extracted.synthetic)?,
            training: extracted.training.as_deref().map(|file| side(real, file)).transpose()?,
        })
    }

    fn told(&self) -> Value {
        json!({
            "real": told(&self.real), "synthetic": told(&self.synthetic),
            "training": self.training.as_ref().map(told), "about": self.real.file.about,
        })
    }

    /// Refuses vectors of other networks, lengths and channels, and single ones.
    fn expect_comparable(&self) -> Result<(), Failure> {
        let unusable = |side: &Side, found: String, expected: String, hint: &str| -> Failure {
            DataError::Unusable { path: side.path.clone(), found, expected, hint: hint.into() }.into()
        };
        let real = &self.real;
        for side in [Some(real), Some(&self.synthetic), self.training.as_ref()].into_iter().flatten() {
            let differs = match (&real.file.about, &side.file.about) {
                (Some(a), Some(b)) => a.differs(b),
                (None, None) => None,
                _ => Some("one says what it was made of, the other does not".into()),
            };
            if let Some(differs) = differs {
                return Err(unusable(
                    side,
                    format!("was not made as the real vectors were: {differs}"),
                    "the same protocol, weights, channels, sizes and ranges".into(),
                    "make all files by `segment-benchmark features` with the same flags and --range-of",
                ));
            }
            for ((_, expected), (_, found)) in real.file.channels.iter().zip(&side.file.channels) {
                let dimensions = [expected.features.ncols(), found.features.ncols()];
                if dimensions[0] != dimensions[1] {
                    return Err(unusable(
                        side,
                        format!("holds vectors of {} dimensions", dimensions[1]),
                        format!("{}, as {}", dimensions[0], real.path.display()),
                        "both files must come from the same layer of the same network",
                    ));
                }
                if found.features.nrows() < 2 {
                    return Err(unusable(
                        side,
                        "holds one vector".into(),
                        "at least 2, and better some thousand".into(),
                        "write one row per image or sequence",
                    ));
                }
            }
        }
        Ok(())
    }

    /// Returns the figures of every channel. `tick` is called after each.
    fn compare(&self, protocol: &FeatureProtocol, tick: &mut dyn FnMut()) -> Vec<Value> {
        let about = self.real.file.about.as_ref();
        let scores_only = about.is_some_and(|about| about.figure == "inception_score");
        let channels = self.real.file.channels.iter().zip(&self.synthetic.file.channels).enumerate();
        channels
            .map(|(c, ((name, real), (_, synthetic)))| {
                // The features of a protocol of scores are no ones that a distance is published of.
                let mut found = if scores_only {
                    let score = score(synthetic, protocol);
                    let few = "there are fewer images than parts of the Inception score";
                    json!({
                        "inception_score": score,
                        "warnings": if score.is_none() { vec![few] } else { Vec::new() },
                    })
                } else {
                    json!(compare_beside_floor(
                        Set { vectors: real, groups: &self.real.file.groups },
                        Set { vectors: synthetic, groups: &self.synthetic.file.groups },
                        self.training.as_ref().map(|side| &side.file.channels[c].1),
                        protocol,
                    ))
                };
                found["name"] = json!(name);
                found["figure"] = json!(about.map(|about| &about.figure_name));
                found["n"] = json!([real.features.nrows(), synthetic.features.nrows()]);
                tick();
                found
            })
            .collect()
    }
}

fn told(side: &Side) -> Value {
    let (file, first) = (&side.file, side.file.channels.first());
    json!({
        "path": side.path,
        "vectors": first.map(|(_, vectors)| vectors.features.nrows()),
        "dimensions": first.map(|(_, vectors)| vectors.features.ncols()),
        "logits": first.is_some_and(|(_, vectors)| vectors.logits.is_some()),
        "split": file.about.as_ref().map(|about| &about.split),
        "sequences": file.about.as_ref().map(|about| about.sequences),
        "sha256": file.sha256,
    })
}
