//! `segment-benchmark features`: feature vectors of a plate, by a named protocol.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::Args;
use lapsegan_core::cli::outputs::Outputs;
use lapsegan_core::cli::progress::Progress;
use lapsegan_core::cli::words::words;
use lapsegan_core::cli::{Common, Failure, Outcome};
use lapsegan_core::error::DataError;
use lapsegan_core::features::file::{About, ChannelVectors, FeatureFile};
use lapsegan_core::output::{OutputKind, write_file};
use lapsegan_core::plate::{Calibration, Plate, Split};
use ndarray::Array2;
use serde_json::json;
use tch::Tensor;

use crate::cli::out_of_memory::guard;
use crate::cli::{device, precision};
use crate::features::extract::{Extractor, Selection};
use crate::features::protocol::{ALL, Figure, Protocol, Sample};
use crate::model::Precision;

/// Feature vectors of a plate, by a named protocol
///
/// Turns every frame, or every sequence, into the feature vector of a network, and
/// writes them to one file, from which `evaluate features` computes FID, KID, FVD,
/// precision and recall. A protocol says which network, size, range and layer;
/// figures of two protocols cannot be compared. All but `random` need a file of
/// weights, which is not part of this program: .pth, .pt, TorchScript or
/// safetensors. No code in that file is run.
#[derive(Args, Debug)]
pub struct FeatureVectorsArgs {
    /// Real or synthetic plate
    #[arg(value_name = "PLATE", help_heading = "Input")]
    plate: PathBuf,

    /// What is computed how
    #[arg(long, value_name = "NAME", value_parser = words(&PROTOCOLS), default_value = "random", help_heading = "Protocol")]
    protocol: String,

    /// File of the network's weights; random needs none
    #[arg(long, value_name = "FILE", help_heading = "Protocol")]
    weights: Option<PathBuf>,

    /// Channel; repeatable [default: all]
    #[arg(long, value_name = "NAME", help_heading = "Input")]
    channel: Vec<String>,

    /// Which sequences: held-out ones are those of val and test
    #[arg(long, value_name = "PART", value_parser = words(&PARTS), default_value = "all", help_heading = "Input")]
    split: String,

    /// Take at most so many sequences, evenly spread over the plate [default: all]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..), help_heading = "Input")]
    count: Option<u64>,

    /// Mirror half of the sequences, as the published Multi-StyleGAN does with real ones
    #[arg(long, help_heading = "Protocol")]
    mirror: bool,

    /// Plate whose range of counts becomes black to white [default: PLATE itself]
    #[arg(long, value_name = "PLATE", help_heading = "Protocol")]
    range_of: Option<PathBuf>,

    /// Arithmetic of the network: float32 is what figures are published in, bfloat16 is up to four times faster on some
    /// devices and 0.4 % off
    #[arg(long, value_name = "KIND", value_parser = words(&KINDS), default_value = "float32", help_heading = "Protocol")]
    precision: String,

    /// File for the vectors, .safetensors
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    output: PathBuf,

    #[command(flatten)]
    common: Common,
}

/// Names of the protocols with what they are.
const PROTOCOLS: [(&str, &str); ALL.len()] = {
    let mut all = [("", ""); ALL.len()];
    let mut i = 0;
    while i < ALL.len() {
        all[i] = (ALL[i].name, ALL[i].about);
        i += 1;
    }
    all
};

/// Parts of a plate.
const PARTS: [(&str, &str); 3] = [
    ("all", "All of the plate"),
    ("train", "Those of split train"),
    ("held-out", "Those of splits val and test"),
];

/// Kinds of arithmetic.
const KINDS: [(&str, &str); 2] =
    [("float32", "As figures are published"), ("bfloat16", "Faster where the device has it")];

/// Examples that end the help page.
pub const EXAMPLES: &str = "\
Examples:
  segment-benchmark features synthetic.ome.zarr --output synthetic.safetensors
  segment-benchmark features real.ome.zarr --split held-out --protocol standard-fid \\
      --weights pt_inception-2015-12-05-6726825d.pth --output real.safetensors
  evaluate features --real real.safetensors --synthetic synthetic.safetensors";

impl AsRef<Common> for FeatureVectorsArgs {
    fn as_ref(&self) -> &Common {
        &self.common
    }
}

/// Runs the command.
///
/// # Errors
/// [`Failure`] for plates and weights that cannot be read or do not belong together.
pub fn execute(args: &FeatureVectorsArgs) -> Outcome {
    guard("set a lower --threads, or take the CPU", || features(args))
}

fn features(args: &FeatureVectorsArgs) -> Outcome {
    let common = &args.common;
    let mut outputs = Outputs::new(common).reads("PLATE", &args.plate);
    for (flag, path) in [("--weights", &args.weights), ("--range-of", &args.range_of)] {
        outputs = path.iter().fold(outputs, |outputs, path| outputs.reads(flag, path));
    }
    let _locks = outputs.writes("--output", args.output.as_path(), OutputKind::Features).claim()?;
    if common.config.is_some() || !common.set.is_empty() {
        return Err(Failure::usage("features has no settings", "leave out --config and --set"));
    }
    let Some(protocol) = Protocol::named(&args.protocol) else {
        return Err(Failure::usage(format!("--protocol {}: unknown", args.protocol), "see --help"));
    };
    if protocol.weights.is_empty() && args.weights.is_some() {
        return Err(Failure::usage(
            format!("--protocol {} needs no --weights", protocol.name),
            "leave them out, or name the protocol that they belong to",
        ));
    }
    let plate = Plate::open(&args.plate)?;
    let range_of = args.range_of.as_ref().map(|path| Plate::open(path)).transpose()?;
    let channels = channels(args, &plate, range_of.as_ref().unwrap_or(&plate))?;
    let indices = indices(args, &plate)?;
    let device = device::select(&common.device, common.thread_count())?;
    let wanted = if args.precision == "bfloat16" { Precision::Bfloat16 } else { Precision::Float32 };
    let kind = precision::resolve(wanted, device, false)?.kind();
    let extractor = Extractor::new(protocol, args.weights.as_deref(), device, kind)?;
    if extractor.published.is_none() && !protocol.weights.is_empty() {
        tracing::warn!(
            "the weights have SHA-256 {}..., which is not known here as that of {}: say so beside the figures",
            &extractor.sha256[..12],
            protocol.weights
        );
    }
    let meta = &plate.meta;
    let about = About {
        format: 1,
        protocol: protocol.name.into(),
        figure_name: protocol.figure_name.into(),
        figure: if protocol.figure == Figure::Distances { "distances" } else { "inception_score" }.into(),
        sample: match protocol.sample {
            Sample::Frames => "frames",
            Sample::OneFrame => "one_frame",
            Sample::Clip => "clip",
        }
        .into(),
        weights_sha256: extractor.sha256.clone(),
        weights: extractor.published.map(str::to_owned),
        precision: args.precision.clone(),
        plate: args.plate.display().to_string(),
        split: args.split.clone(),
        sequences: indices.len(),
        mirrored: args.mirror,
        size: [meta.frames, meta.height, meta.width],
        channels: channels.iter().map(|(_, name, _)| name.clone()).collect(),
        ranges: channels
            .iter()
            .filter(|_| protocol.scale.is_fixed())
            .map(|(_, name, range)| (name.clone(), [range.lo, range.hi]))
            .collect(),
        seed: common.seed,
    };
    if common.dry_run {
        return Ok(json!({ "dry_run": true, "about": about, "device": device::name(device) }));
    }
    let bar = Progress::new("features", (indices.len() * channels.len()) as u64, common.quiet);
    let mut found = Vec::new();
    for (channel, name, range) in channels {
        let selection =
            Selection { indices: &indices, channel, range, mirror: args.mirror, seed: common.seed };
        let vectors = extractor.extract(&plate, selection, &mut || bar.step())?;
        found.push(ChannelVectors {
            channel: name,
            features: matrix(&vectors.features)?,
            logits: vectors.logits.as_ref().map(matrix).transpose()?,
        });
    }
    bar.finish();
    let rows = found.first().map_or(0, |of_channel| of_channel.features.nrows());
    let groups = groups(&plate, &indices, rows / indices.len());
    let bytes = FeatureFile::bytes(&about, &found, &groups)
        .map_err(|e| Failure::usage(format!("{}: {e}", args.output.display()), "report this"))?;
    write_file(&args.output, &bytes)?;
    Ok(json!({ "about": about, "vectors": rows, "output": args.output }))
}

/// Returns number, name and range of the channels.
fn channels(
    args: &FeatureVectorsArgs,
    plate: &Plate,
    range_of: &Plate,
) -> Result<Vec<(usize, String, Calibration)>, Failure> {
    let names: Vec<String> = match args.channel.as_slice() {
        [] => plate.meta.channels.iter().map(|channel| channel.name.clone()).collect(),
        named => named.to_vec(),
    };
    if let Some(twice) = names.iter().enumerate().find(|(i, name)| names[..*i].contains(name)) {
        return Err(Failure::usage(
            format!("--channel {} is given twice", twice.1),
            "name each channel once",
        ));
    }
    let find = |plate: &Plate, name: &str| {
        plate.meta.channels.iter().position(|channel| channel.name == name).ok_or_else(|| {
            Failure::from(DataError::Unusable {
                path: plate.path.clone(),
                found: format!("has no channel {name}"),
                expected: format!("one of {}", plate.meta.channel_names().join(", ")),
                hint: "name channels that are there with --channel".into(),
            })
        })
    };
    names
        .into_iter()
        .map(|name| {
            let range = range_of.meta.channels[find(range_of, &name)?].calibration;
            Ok((find(plate, &name)?, name, range))
        })
        .collect()
}

/// Returns the places of the sequences.
fn indices(args: &FeatureVectorsArgs, plate: &Plate) -> Result<Vec<usize>, Failure> {
    let all: Vec<usize> = match args.split.as_str() {
        "train" => plate.indices(Split::Train),
        "held-out" => {
            let mut all = [plate.indices(Split::Val), plate.indices(Split::Test)].concat();
            all.sort_unstable();
            all
        }
        _ => (0..plate.wells.len()).collect(),
    };
    if all.is_empty() {
        return Err(DataError::Unusable {
            path: plate.path.clone(),
            found: format!("no sequence to look at (--split {})", args.split),
            expected: "at least one".into(),
            hint: "take --split all, or prepare the plate with groups for val and test".into(),
        }
        .into());
    }
    let n = args.count.map_or(all.len(), |count| usize::try_from(count).unwrap_or(usize::MAX).min(all.len()));
    Ok((0..n).map(|i| all[i * all.len() / n]).collect())
}

/// Returns the number of the split group of every row; every synthetic sequence is its own.
fn groups(plate: &Plate, indices: &[usize], rows_per_sequence: usize) -> Vec<u64> {
    let names: Vec<&str> = indices.iter().map(|&i| plate.wells[i].1.split_group.as_str()).collect();
    let numbers: BTreeMap<&str, u64> = names.iter().zip(0..).map(|(name, i)| (*name, i)).collect();
    names.iter().flat_map(|name| std::iter::repeat_n(numbers[name], rows_per_sequence)).collect()
}

fn matrix(x: &Tensor) -> Result<Array2<f32>, Failure> {
    let size = x.size();
    let values: Vec<f32> = x
        .contiguous()
        .flatten(0, -1)
        .try_into()
        .map_err(|e: tch::TchError| Failure::usage(format!("vectors: {e}"), "report this"))?;
    Array2::from_shape_vec((size[0] as usize, size[1] as usize), values)
        .map_err(|e| Failure::usage(format!("vectors: {e}"), "report this"))
}
