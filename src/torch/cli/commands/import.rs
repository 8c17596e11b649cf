//! `train import`: a published checkpoint is converted to a checkpoint of this package.

use std::path::{Path, PathBuf};

use clap::Args;
use lapsegan_core::cli::outputs::Outputs;
use lapsegan_core::cli::settings::NoFlags;
use serde_json::{Value, json};

use crate::cli::device;
use crate::import::published::Published;
use crate::import::state::{self as import, SecondBranch};
use crate::model::ModelConfig;
use crate::training::TrainingError;
use crate::training::checkpoint::{self, Identity};
use lapsegan_core::cli::{Common, Failure, Outcome, record, settings};
use lapsegan_core::error::DataError;
use lapsegan_core::labels::maps::MappedLabels;
use lapsegan_core::plate::digest::Digest;
use lapsegan_core::plate::intensity::{Normalise, ORIGINAL_RANGE};
use lapsegan_core::plate::names::{PLAIN, is_plain};
use lapsegan_core::plate::{Calibration, Channel, Origin, PlateMeta, display_color};

/// Channels of the published data set, in its order.
const CHANNELS: [&str; 3] = ["brightfield", "gfp", "rfp"];
/// Range given to the first channel: the published scaling of each frame keeps no absolute brightness.
const FIRST_RANGE: [f64; 2] = [0.0, 65_535.0];

const EXAMPLES: &str = "\
Examples:
  train import --input checkpoint_100.pt --output published.safetensors
  train import --input checkpoint_100.pt --output published.safetensors --range brightfield=200,1400
  generate --checkpoint published.safetensors --output synthetic.ome.zarr --count 16";

/// Take over a checkpoint of the published Multi-StyleGAN (.pt)
///
/// Reads networks, moving average and optimiser states without running any code of the file, and writes a checkpoint
/// (.safetensors and .json) that generate and --init take. What is not known in the file is refused by name. Sizes are
/// read off the tensors; whether the second branch was ever trained decides the wiring.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct ImportArgs {
    /// Checkpoint written by the published training program
    #[arg(long, value_name = "FILE", help_heading = "Input")]
    input: PathBuf,

    /// Checkpoint to write (NAME.safetensors; NAME.json comes beside it)
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    output: PathBuf,

    /// Names of the image channels [default: brightfield,gfp]
    #[arg(long, value_name = "NAMES", value_delimiter = ',', help_heading = "Data")]
    channels: Vec<String>,

    /// Camera counts of a channel's 0 and 1; repeatable [default: 0,65535 for the first channel, 150,2350]
    #[arg(long, value_name = "NAME=LO,HI", help_heading = "Data")]
    range: Vec<String>,

    /// Pixel size in micrometres
    #[arg(long, value_name = "UM", help_heading = "Data")]
    pixel_size: Option<f64>,

    /// Time between frames in seconds
    #[arg(long, value_name = "S", help_heading = "Data")]
    frame_interval: Option<f64>,

    #[command(flatten)]
    common: Common,
}

impl AsRef<Common> for ImportArgs {
    fn as_ref(&self) -> &Common {
        &self.common
    }
}

/// Imports a checkpoint.
pub fn execute(args: &ImportArgs) -> Outcome {
    let common = &args.common;
    expect_output(&args.output)?;
    let _locks = Outputs::new(common)
        .reads("--input", &args.input)
        .writes_checkpoint("--output", args.output.as_path(), false)
        .making_folders()
        .claim()?;
    for (flag, value) in [("--pixel-size", args.pixel_size), ("--frame-interval", args.frame_interval)] {
        if value.is_some_and(|v| !(v.is_finite() && v > 0.0)) {
            return Err(Failure::usage(
                format!("{flag}: expected a positive number"),
                "leave it out where it is not known",
            ));
        }
    }
    if !args.input.exists() {
        let expected = "a checkpoint of the published training program".into();
        return Err(DataError::Missing { path: args.input.clone(), expected }.into());
    }
    let mut published = Published::open(&args.input)?;
    let second_branch = import::second_branch(&mut published)?;
    let inferred = import::config(&published, second_branch)?;
    let config = settings::resolve(&inferred, common.config.as_deref(), &common.set, &NoFlags {})?;
    config.validate()?;
    let mut data = describe(args, &config.model)?;
    let ignored = published.parts.ignored.clone();
    if common.dry_run {
        return Ok(json!({
            "dry_run": true,
            "config": config,
            "data": data,
            "second_branch": second_branch.name(),
            "ignored": ignored,
        }));
    }

    let threads = common.thread_count();
    device::use_cpu(threads);
    let input_sha256 = Digest::of(&args.input)?.sha256;
    data.notes.push(format!("checkpoint sha256 {input_sha256}"));
    let (state, counts) = import::state(&mut published, &config)?;
    warn(second_branch, &ignored);
    let identity = Identity {
        config,
        seed: common.seed,
        threads,
        data,
        mapped: MappedLabels::default(),
        // The plate is not known; no digest is all zeros.
        data_sha256: "0".repeat(64),
    };
    checkpoint::write(&args.output, &state, &identity).map_err(|error| match error {
        // Unlike in a run there is nothing to resume.
        TrainingError::Data(error) => Failure::from(error),
        error => error.into(),
    })?;
    let states = |found: Option<(usize, usize)>| {
        found.map_or(Value::Null, |(n, of)| json!({ "with_state": n, "parameters": of }))
    };
    Ok(json!({
        "checkpoint": args.output,
        "input_sha256": input_sha256,
        "tensors": counts.network_tensors,
        "kimg": null,
        "second_branch": second_branch.name(),
        "wiring": identity.config.model.generator.wiring,
        "model": identity.config.model,
        "optimizer_states": {
            "generator": states(counts.generator_moments),
            "discriminator": states(counts.discriminator_moments),
        },
        "ignored": ignored,
        "notes": identity.data.notes,
        "peak_memory_mib": record::peak_memory_mib(),
    }))
}

/// Refuses a name that the side file cannot be derived from.
fn expect_output(output: &Path) -> Result<(), Failure> {
    if output.extension().is_none_or(|e| e != "safetensors") {
        let message = format!("--output {}: expected a name that ends in .safetensors", output.display());
        return Err(Failure::usage(message, "such as --output published.safetensors"));
    }
    Ok(())
}

fn warn(second_branch: SecondBranch, ignored: &[String]) {
    match second_branch {
        SecondBranch::Untrained => {
            tracing::info!("the second branch was never trained: wiring original, as in the published code");
        }
        SecondBranch::Trained => tracing::warn!(
            "the second branch was trained, not by the published code: wiring paper; --set model.generator.wiring=original for the other"
        ),
        SecondBranch::Absent => {}
    }
    if !ignored.is_empty() {
        tracing::warn!("ignored: {}", ignored.join(", "));
    }
}

/// Returns the description of the data that the file does not hold.
fn describe(args: &ImportArgs, model: &ModelConfig) -> Result<PlateMeta, Failure> {
    let names: Vec<String> = if args.channels.is_empty() {
        CHANNELS.iter().take(model.domains).map(ToString::to_string).collect()
    } else {
        args.channels.clone()
    };
    if let Some(name) = names.iter().find(|name| !is_plain(name)) {
        return Err(Failure::usage(
            format!("--channels: the name {name:.120?} is not made of {PLAIN}"),
            "give one name for each channel, separated by commas",
        ));
    }
    let unique = names.iter().enumerate().all(|(i, name)| !name.is_empty() && !names[..i].contains(name));
    if names.len() != model.domains || !unique {
        return Err(Failure::usage(
            format!("--channels {}: the checkpoint has {} channels", names.join(","), model.domains),
            "give one name for each, separated by commas, the first one being the anchor",
        ));
    }
    let mut channels: Vec<Channel> = names
        .iter()
        .enumerate()
        .map(|(i, name)| channel(name, if i == 0 { FIRST_RANGE } else { ORIGINAL_RANGE }))
        .collect();
    let mut notes = vec![format!(
        "imported from {}, a checkpoint of the published implementation; its training data and length are not known",
        args.input.file_name().unwrap_or_default().to_string_lossy()
    )];
    let mut given = Vec::new();
    for text in &args.range {
        let (name, range) = parse_range(text)?;
        let Some(slot) = channels.iter_mut().find(|c| c.name == name) else {
            let message = format!("--range {text}: the channels are {}", names.join(", "));
            return Err(Failure::usage(message, "name one of them"));
        };
        *slot = channel(name, range);
        given.push(name);
    }
    for (i, name) in names.iter().enumerate().filter(|(_, name)| !given.contains(&name.as_str())) {
        notes.push(if i == 0 {
            format!(
                "{name}: the published data scale each frame to its own range, so that counts are relative"
            )
        } else {
            format!("{name}: counts by the published scaling, (x - 150) / 2200")
        });
    }
    notes.push("rows are reversed, as in the published training data".into());
    Ok(PlateMeta {
        tool: checkpoint::IMPORTED.into(),
        version: env!("CARGO_PKG_VERSION").into(),
        origin: Origin::Recording,
        seed: args.common.seed,
        frames: model.frames,
        height: model.resolution,
        width: model.resolution,
        channels,
        labels: Vec::new(),
        pixel_size_um: args.pixel_size,
        frame_interval_s: args.frame_interval,
        single_movie: false,
        normalise: Normalise::Original.name().into(),
        groups: Vec::new(),
        trained_on: Vec::new(),
        labelled: Vec::new(),
        history_unknown: true,
        notes,
        part: None,
    })
}

fn channel(name: &str, [lo, hi]: [f64; 2]) -> Channel {
    Channel {
        name: name.to_owned(),
        color: display_color(name),
        recorded: None,
        calibration: Calibration { lo, hi, clipped_low: 0.0, clipped_high: 0.0 },
    }
}

fn parse_range(text: &str) -> Result<(&str, [f64; 2]), Failure> {
    let parsed = text.split_once('=').and_then(|(name, range)| {
        let (lo, hi) = range.split_once(',')?;
        Some((name, [lo.trim().parse::<f64>().ok()?, hi.trim().parse().ok()?]))
    });
    parsed.filter(|(_, [lo, hi])| *lo >= 0.0 && lo < hi && *hi <= 65_535.0).ok_or_else(|| {
        Failure::usage(
            format!("--range {text}: expected NAME=LO,HI with 0 <= LO < HI <= 65535"),
            "such as --range brightfield=200,1400",
        )
    })
}
