//! `prepare`: a recording, or a simulated one, becomes a dataset plate.
#![allow(missing_docs)]

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand, ValueEnum};
use lapsegan_base::cli::check::{self, CheckArgs};
use lapsegan_base::cli::digest::DigestFlag;
use lapsegan_base::cli::failure::Failure;
use lapsegan_base::cli::prepare::{Job, folders, make_plate, positive};
use lapsegan_base::cli::record::Record;
use lapsegan_base::cli::{Common, Outcome, config, run};
use lapsegan_base::data::intensity::Normalise;
use lapsegan_base::data::output::{PendingFolder, refuse_existing};
use lapsegan_base::data::plate::Origin;
use lapsegan_base::data::recording::Recording;
use lapsegan_base::data::sequence::{Cut, Tiles};
use lapsegan_base::data::source::Source;
use lapsegan_base::phantom::{FIELD_UM, FRAME_INTERVAL_S, Phantom};
use serde::{Deserialize, Serialize};
use serde_json::json;

const EXAMPLES: &str = "\
Examples:
  prepare --channel brightfield=test-data/recording/brightfield \\
          --channel gfp=test-data/recording/gfp --labels cells=test-data/recording/cells \\
          --frame-interval 600 --output recording.ome.zarr
  prepare phantom --positions 8 --output phantom.ome.zarr";

/// Makes a dataset plate (OME-Zarr) of a time-lapse recording
///
/// Cuts windows of T frames, splits them by position (or by blocks of a single movie), calibrates intensities on the
/// training part and attaches labels; preview.png in the plate shows some of it. `prepare phantom` simulates a
/// recording with exact labels instead.
#[derive(Parser, Debug)]
#[command(name = "prepare", after_help = EXAMPLES, args_conflicts_with_subcommands = true)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    import: ImportFlags,
    /// The plate to write, such as plate.ome.zarr
    #[arg(short, long, value_name = "DIR", help_heading = "Output")]
    output: Option<PathBuf>,
    #[command(flatten)]
    digest: DigestFlag,
    #[command(flatten)]
    common: Common,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Simulates budding yeast in traps, with exact labels
    Phantom(Box<PhantomArguments>),
    Check(CheckArgs),
}

#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  prepare phantom --output phantom.ome.zarr
  prepare phantom --positions 4 --size 64 --tiff frames --output phantom64.ome.zarr")]
struct PhantomArguments {
    /// Independent traps [default: 320]
    #[arg(long, value_name = "N", help_heading = "Simulation")]
    positions: Option<usize>,
    /// Frames per trap, ten minutes apart [default: 24]
    #[arg(long, value_name = "N", help_heading = "Simulation")]
    frames_per_position: Option<usize>,
    /// Rows and columns of a frame, a power of two; the field stays 13.4 um [default: 32]
    #[arg(long, value_name = "PX", help_heading = "Simulation")]
    size: Option<usize>,
    /// Frames per sequence, T [default: 3]
    #[arg(long, value_name = "T", help_heading = "Sequences")]
    frames: Option<usize>,
    /// Frames between the starts of two sequences [default: 3]
    #[arg(long, value_name = "N", help_heading = "Sequences")]
    stride: Option<usize>,
    /// How counts become the networks' range [default: percentile]
    #[arg(long, value_enum, help_heading = "Sequences")]
    normalise: Option<NormaliseFlag>,
    /// The plate to write, such as phantom.ome.zarr
    #[arg(short, long, value_name = "DIR", help_heading = "Output")]
    output: PathBuf,
    /// Write the raw recording here as well, as folders of TIFF frames and PNG labels
    #[arg(long, value_name = "DIR", help_heading = "Output")]
    tiff: Option<PathBuf>,
    #[command(flatten)]
    digest: DigestFlag,
    #[command(flatten)]
    common: Common,
}

#[derive(Args, Debug)]
struct ImportFlags {
    /// Folder of a channel's frames (TIFF, PNG), or of one sub-folder per position; repeatable, the anchor first
    #[arg(long, value_name = "NAME=DIR", help_heading = "Input")]
    channel: Vec<String>,
    /// Folder of label images (16-bit, one number per object, 0 is background); repeatable
    #[arg(long, value_name = "NAME=DIR", help_heading = "Input")]
    labels: Vec<String>,
    /// How the labels came about, such as annotation or threshold
    #[arg(long, value_name = "ROUTE", help_heading = "Input")]
    label_route: Option<String>,
    /// Pixel size of the input in micrometres
    #[arg(long, value_name = "UM", help_heading = "Input")]
    pixel_size: Option<f64>,
    /// Time between frames in seconds
    #[arg(long, value_name = "S", help_heading = "Input")]
    frame_interval: Option<f64>,
    /// Average blocks of K x K pixels [default: 1]
    #[arg(long, value_name = "K", help_heading = "Input")]
    downscale: Option<usize>,
    /// Frames per sequence, T [default: 3]
    #[arg(long, value_name = "T", help_heading = "Sequences")]
    frames: Option<usize>,
    /// Frames between the starts of two sequences [default: 1]
    #[arg(long, value_name = "N", help_heading = "Sequences")]
    stride: Option<usize>,
    /// Rows and columns of a tile, a power of two [default: the largest that fits, at most 256]
    #[arg(long, value_name = "PX", help_heading = "Sequences")]
    size: Option<usize>,
    /// Tiles cut from a frame [default: grid]
    #[arg(long, value_enum, help_heading = "Sequences")]
    tiles: Option<TilesFlag>,
    /// Frames per block of a single movie [default: for at least nine blocks]
    #[arg(long, value_name = "N", help_heading = "Sequences")]
    block: Option<usize>,
    /// How counts become the networks' range [default: percentile]
    #[arg(long, value_enum, help_heading = "Sequences")]
    normalise: Option<NormaliseFlag>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum NormaliseFlag {
    /// 0.1 % to 99.9 % of the training pixels, per channel
    Percentile,
    /// As the published code: channel 0 per frame, others (counts - 150) / 2200
    Original,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum TilesFlag {
    /// As many as cover the frame with little overlap
    Grid,
    /// One, from the middle
    Centre,
}

impl From<NormaliseFlag> for Normalise {
    fn from(flag: NormaliseFlag) -> Self {
        match flag {
            NormaliseFlag::Percentile => Self::Percentile,
            NormaliseFlag::Original => Self::Original,
        }
    }
}

impl From<TilesFlag> for Tiles {
    fn from(flag: TilesFlag) -> Self {
        match flag {
            TilesFlag::Grid => Self::Grid,
            TilesFlag::Centre => Self::Centre,
        }
    }
}

impl AsRef<Common> for Arguments {
    fn as_ref(&self) -> &Common {
        match &self.command {
            Some(Command::Phantom(phantom)) => &phantom.common,
            Some(Command::Check(check)) => check.as_ref(),
            None => &self.common,
        }
    }
}

/// Settings of an import, as they stand in a file.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ImportSettings {
    /// `NAME=DIR` per channel, the anchor first.
    channel: Vec<String>,
    /// `NAME=DIR` per label image.
    labels: Vec<String>,
    /// How the labels came about.
    label_route: String,
    /// Micrometres, where known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pixel_size: Option<f64>,
    /// Seconds, where known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    frame_interval: Option<f64>,
    /// Block size of the averaging.
    downscale: usize,
    /// Frames per sequence.
    frames: usize,
    /// Frames between the starts of two sequences.
    stride: usize,
    /// Tile size in pixels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    size: Option<usize>,
    /// Tiles per frame.
    tiles: Tiles,
    /// Frames per block of a single movie.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    block: Option<usize>,
    /// Intensity range.
    normalise: Normalise,
}

/// Settings of a phantom, as they stand in a file.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct PhantomSettings {
    /// Independent traps.
    positions: usize,
    /// Frames per trap.
    frames_per_position: usize,
    /// Image size in pixels.
    size: usize,
    /// Frames per sequence.
    frames: usize,
    /// Frames between the starts of two sequences.
    stride: usize,
    /// Intensity range.
    normalise: Normalise,
}

fn main() -> ExitCode {
    run::program("prepare", || json!({}), execute)
}

fn execute(args: Arguments) -> Outcome {
    let common = args.as_ref().clone();
    // One pool for all work; a second start cannot happen in this process.
    let _ = rayon::ThreadPoolBuilder::new().num_threads(common.thread_count()).build_global();
    match &args.command {
        Some(Command::Phantom(phantom)) => simulate(phantom),
        Some(Command::Check(check)) => check::execute(check),
        None => import(&args.import, args.output.as_deref(), &args.digest, &common),
    }
}

fn import(flags: &ImportFlags, output: Option<&Path>, digest: &DigestFlag, common: &Common) -> Outcome {
    let output = output.ok_or_else(|| {
        Failure::usage("--output is missing", "name the plate to write: --output plate.ome.zarr")
    })?;
    let base = ImportSettings {
        channel: Vec::new(),
        labels: Vec::new(),
        label_route: "annotation".into(),
        pixel_size: None,
        frame_interval: None,
        downscale: 1,
        frames: 3,
        stride: 1,
        size: None,
        tiles: Tiles::Grid,
        block: None,
        normalise: Normalise::Percentile,
    };
    let mut settings = config::resolve(&base, common.config.as_deref(), &common.set)?;
    if !flags.channel.is_empty() {
        settings.channel.clone_from(&flags.channel);
    }
    if !flags.labels.is_empty() {
        settings.labels.clone_from(&flags.labels);
    }
    replace(&mut settings.label_route, flags.label_route.clone());
    replace(&mut settings.downscale, flags.downscale);
    replace(&mut settings.frames, flags.frames);
    replace(&mut settings.stride, flags.stride);
    replace(&mut settings.tiles, flags.tiles.map(Tiles::from));
    replace(&mut settings.normalise, flags.normalise.map(Normalise::from));
    settings.pixel_size = flags.pixel_size.or(settings.pixel_size);
    settings.frame_interval = flags.frame_interval.or(settings.frame_interval);
    settings.size = flags.size.or(settings.size);
    settings.block = flags.block.or(settings.block);
    positive("--pixel-size", settings.pixel_size)?;
    positive("--frame-interval", settings.frame_interval)?;
    if settings.channel.is_empty() {
        return Err(Failure::usage(
            "--channel is missing",
            "name a folder of frames for each channel, as in --channel phase=movie/phase, or run prepare phantom",
        ));
    }
    let channels = folders("--channel", &settings.channel)?;
    let labels = folders("--labels", &settings.labels)?;
    refuse_existing(output, common.overwrite)?;
    digest.check(output, common.overwrite)?;

    let mut record = Record::begin("prepare", common);
    let recording = Recording::open(&channels, &labels, settings.downscale)?;
    let (h, w) = recording.extent().size;
    let fits = (0..=8).map(|k| 1 << k).filter(|&s| s <= h.min(w)).max().unwrap_or(1);
    let size = settings.size.unwrap_or(fits);
    settings.size = Some(size);
    for folder in channels.iter().chain(&labels) {
        if !common.dry_run {
            record.input(&folder.name, &folder.path)?;
        }
    }
    let job = Job {
        source: &recording,
        cut: Cut {
            frames: settings.frames,
            stride: settings.stride,
            size,
            tiles: settings.tiles,
            block: settings.block,
            seed: common.seed,
        },
        normalise: settings.normalise,
        origin: Origin::Recording,
        label_route: (!labels.is_empty()).then(|| settings.label_route.clone()),
        pixel_size_um: settings.pixel_size.map(|um| um * settings.downscale as f64),
        frame_interval_s: settings.frame_interval,
        notes: recording.notes.clone(),
        warnings: recording.warnings.clone(),
        output,
        digest,
        common,
    };
    make_plate(job, &settings, &record, || Ok(()))
}

fn simulate(args: &PhantomArguments) -> Outcome {
    let common = &args.common;
    let base = PhantomSettings {
        positions: 320,
        frames_per_position: 24,
        size: 32,
        frames: 3,
        stride: 3,
        normalise: Normalise::Percentile,
    };
    let mut settings = config::resolve(&base, common.config.as_deref(), &common.set)?;
    replace(&mut settings.positions, args.positions);
    replace(&mut settings.frames_per_position, args.frames_per_position);
    replace(&mut settings.size, args.size);
    replace(&mut settings.frames, args.frames);
    replace(&mut settings.stride, args.stride);
    replace(&mut settings.normalise, args.normalise.map(Normalise::from));
    for (flag, value, most) in [
        ("--positions", settings.positions, 100_000),
        ("--frames-per-position", settings.frames_per_position, 100_000),
        ("--size", settings.size, 2048),
    ] {
        if !(1..=most).contains(&value) {
            return Err(Failure::usage(
                format!("{flag}: is {value}, expected 1 to {most}"),
                format!("change {flag}"),
            ));
        }
    }
    if !settings.size.is_power_of_two() || settings.size < 16 {
        let message = format!("--size: is {}, expected a power of two from 16 on", settings.size);
        return Err(Failure::usage(message, "use --size 32 or --size 64"));
    }
    refuse_existing(&args.output, common.overwrite)?;
    args.digest.check(&args.output, common.overwrite)?;
    if let Some(folder) = &args.tiff {
        refuse_existing(folder, common.overwrite)?;
    }
    let record = Record::begin("prepare", common);
    let phantom = Phantom {
        positions: settings.positions,
        frames_per_position: settings.frames_per_position,
        size: settings.size,
    };
    let recording = phantom.simulate(common.seed);
    let job = Job {
        source: &recording,
        cut: Cut {
            frames: settings.frames,
            stride: settings.stride,
            size: settings.size,
            tiles: Tiles::Centre,
            block: None,
            seed: common.seed,
        },
        normalise: settings.normalise,
        origin: Origin::Phantom,
        label_route: Some("phantom_truth".into()),
        pixel_size_um: Some(FIELD_UM / settings.size as f64),
        frame_interval_s: Some(FRAME_INTERVAL_S),
        notes: vec!["simulated budding yeast in a trap; labels are exact".into()],
        warnings: Vec::new(),
        output: &args.output,
        digest: &args.digest,
        common,
    };
    make_plate(job, &settings, &record, || {
        if let Some(folder) = &args.tiff {
            let pending = PendingFolder::create(folder, common.overwrite)?;
            recording.export(pending.path())?;
            pending.finish()?;
        }
        Ok(())
    })
}

fn replace<T>(setting: &mut T, flag: Option<T>) {
    if let Some(value) = flag {
        *setting = value;
    }
}
