//! `prepare`: a recording becomes a dataset plate.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use serde::{Deserialize, Serialize};

use super::check::{self, CheckArgs};
use super::expect_times::expect_times;
use super::export::{self, ExportArgs};
use super::inputs::{self, inputs};
use super::label_forms::label_forms;
use super::make_plate::{Job, make_plate, positive};
use super::phantom::{self, PhantomArgs};
use crate::cli::digest::DigestFlag;
use crate::cli::outputs::Outputs;
use crate::cli::record::Record;
use crate::cli::words::words;
use crate::cli::{Common, Failure, Outcome, settings};
use crate::input::Align;
use crate::input::folder::Reading;
use crate::input::members::FocalPlane;
use crate::input::names::{NamesTable, Pattern};
use crate::input::pairing::Missing;
use crate::input::recording::{Input, Listings, Options, Recording};
use crate::input::source::Source;
use crate::input::stacks::Pages;
use crate::output::OutputKind;
use crate::plate::Origin;
use crate::plate::intensity::{Normalise, PERCENTILES};
use crate::prepare::label_forms::LabelForm;
use crate::prepare::tiles::tile_size;
use crate::prepare::windows::{Cut, Tiles};

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
pub struct PrepareArgs {
    #[command(subcommand)]
    command: Option<Command>,
    /// Recordings, of which it is found out what they are: a folder of channels, a stack (OME-TIFF, ImageJ,
    /// Micro-Manager), an OME-Zarr, a data set of the Cell Tracking Challenge; --channel and --labels say it instead
    #[arg(value_name = "INPUT", help_heading = "Input")]
    inputs: Vec<PathBuf>,
    #[command(flatten)]
    flags: PrepareFlags,
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
    Phantom(Box<PhantomArgs>),
    Check(CheckArgs),
    #[command(after_help = export::examples("prepare"))]
    Export(Box<ExportArgs>),
}

/// Flags that replace a setting of the same name.
#[derive(Args, Debug, Serialize)]
struct PrepareFlags {
    /// A channel: a folder of frames or of one sub-folder per position, some files ('movie/*_GFP.tif'), a stack or a
    /// store, with @PART where it holds several; repeatable, the anchor first
    #[arg(long, value_name = "NAME=PATH", help_heading = "Input")]
    channel: Vec<String>,
    /// Channel that shows fluorescence, where its name does not say so; repeatable
    #[arg(long, value_name = "NAME", help_heading = "Input")]
    fluorescence: Vec<String>,
    /// Label images in the same forms (one number per object, 0 is background); repeatable
    #[arg(long, value_name = "NAME=PATH", help_heading = "Input")]
    labels: Vec<String>,
    /// Label images of what stays in place, such as traps, and is no object
    #[arg(long, value_name = "NAME=PATH", help_heading = "Input")]
    structure: Vec<String>,
    /// What the numbers in label images are: tracked (one is one object in all frames, the default), binary (the pieces
    /// of the foreground become objects) or untracked (one is one object in its frame); the latter two are linked by
    /// overlap. NAME=FORM for one label; repeatable
    #[arg(long, value_name = "FORM", help_heading = "Input")]
    labels_are: Vec<String>,
    /// How the labels came about, such as annotation or threshold
    #[arg(long, value_name = "ROUTE", help_heading = "Input")]
    label_route: Option<String>,
    /// What file names mean, where they do not tell: 'img_{channel}_{time:d}_{z:d}.tif' (fields time, clock, channel,
    /// position, well, z; {} for anything), a regular expression, or micromanager1, micromanager2, lasx, nis, metamorph,
    /// incucyte, multi-stylegan
    #[arg(long, value_name = "PATTERN", help_heading = "Input")]
    pattern: Option<String>,
    /// Which of several focal planes: its index from 0, max or mean
    #[arg(long, value_name = "INDEX", help_heading = "Input")]
    z: Option<String>,
    /// What the pages of a file are that does not tell [default: t]
    #[arg(long, value_parser = words(&Pages::WORDS), help_heading = "Input")]
    pages: Option<String>,
    /// Which image of a store that holds several; all takes them as positions
    #[arg(long, value_name = "NAME", help_heading = "Input")]
    series: Option<String>,
    /// Frames that some channels or labels lack [default: error]
    #[arg(long, value_parser = words(&Missing::WORDS), help_heading = "Input")]
    missing: Option<String>,
    /// Pixel size of the input in micrometres [default: as the files tell]
    #[arg(long, value_name = "UM", help_heading = "Input")]
    pixel_size: Option<f64>,
    /// Time between frames of the input in seconds [default: as files or their names tell]
    #[arg(long, value_name = "S", help_heading = "Input")]
    frame_interval: Option<f64>,
    /// What a channel or label of another size shows [default: bin for channels, with a warning]
    #[arg(long, value_parser = words(&Align::WORDS), help_heading = "Input")]
    align: Option<String>,
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
    #[arg(long, value_parser = words(&Tiles::WORDS), help_heading = "Sequences")]
    tiles: Option<String>,
    /// Frames per block of a single movie [default: for at least nine blocks]
    #[arg(long, value_name = "N", help_heading = "Sequences")]
    block: Option<usize>,
    /// How counts become the networks' range [default: percentile]
    #[arg(long, value_parser = words(&Normalise::WORDS), help_heading = "Sequences")]
    normalise: Option<String>,
    /// Percentiles of the training pixels that become 0 and 1, in percent [default: 0.1,99.9]
    #[arg(long, value_name = "LO,HI", value_parser = two_numbers, help_heading = "Sequences")]
    percentiles: Option<[f64; 2]>,
}

/// Settings of an import, as they stand in a file.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct PrepareSettings {
    /// `NAME=DIR` per channel, the anchor first.
    channel: Vec<String>,
    /// Names of channels that show fluorescence.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    fluorescence: Vec<String>,
    /// `NAME=DIR` per label image.
    labels: Vec<String>,
    /// `NAME=DIR` per label image of structure.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    structure: Vec<String>,
    /// What the numbers in label images are: `FORM` for all, or `NAME=FORM`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    labels_are: Vec<String>,
    /// How the labels came about.
    label_route: String,
    /// What names mean, where they do not tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pattern: Option<String>,
    /// Which of several focal planes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    z: Option<String>,
    /// What pages are, where files do not tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pages: Option<Pages>,
    /// Which image of a store.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    series: Option<String>,
    /// What is done with frames that some channels or labels lack.
    #[serde(default)]
    missing: Missing,
    /// Micrometres, where known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pixel_size: Option<f64>,
    /// Seconds, where known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    frame_interval: Option<f64>,
    /// What a channel or label of another size shows, where known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    align: Option<Align>,
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
    /// Its percentiles, in percent.
    percentiles: [f64; 2],
}

impl PrepareSettings {
    fn standard() -> Self {
        Self {
            channel: Vec::new(),
            fluorescence: Vec::new(),
            labels: Vec::new(),
            structure: Vec::new(),
            labels_are: Vec::new(),
            label_route: "annotation".into(),
            pattern: None,
            z: None,
            pages: None,
            series: None,
            missing: Missing::Error,
            pixel_size: None,
            frame_interval: None,
            align: None,
            downscale: 1,
            frames: 3,
            stride: 1,
            size: None,
            tiles: Tiles::Grid,
            block: None,
            normalise: Normalise::Percentile,
            percentiles: PERCENTILES,
        }
    }

    fn check(&self) -> Result<(), Failure> {
        positive("--pixel-size", self.pixel_size)?;
        positive("--frame-interval", self.frame_interval)?;
        let [lo, hi] = self.percentiles;
        if !(0.0 <= lo && lo < hi && hi <= 100.0) {
            return Err(Failure::usage(
                format!("--percentiles: is {lo},{hi}, expected two numbers from 0 to 100, the lower first"),
                "--percentiles 0.1,99.9 is the default; 0.1,100 keeps the brightest pixels",
            ));
        }
        if self.channel.is_empty() {
            return Err(Failure::usage(
                "the recording is missing",
                "name it (prepare movie.ome.tif -o plate.ome.zarr), or a folder of frames for each channel (--channel \
                 phase=movie/phase), or run prepare phantom",
            ));
        }
        Ok(())
    }
}

impl AsRef<Common> for PrepareArgs {
    fn as_ref(&self) -> &Common {
        match &self.command {
            Some(Command::Phantom(phantom)) => (**phantom).as_ref(),
            Some(Command::Check(check)) => check.as_ref(),
            Some(Command::Export(export)) => (**export).as_ref(),
            None => &self.common,
        }
    }
}

/// Runs the program.
pub fn execute(args: PrepareArgs) -> Outcome {
    // One pool for all work; a second start cannot happen in this process.
    let threads = args.as_ref().thread_count();
    let _ = rayon::ThreadPoolBuilder::new().num_threads(threads).build_global();
    match &args.command {
        Some(Command::Phantom(phantom)) => phantom::execute(phantom),
        Some(Command::Check(check)) => check::execute(check),
        Some(Command::Export(args)) => export::execute(args, "prepare"),
        None => import(&args),
    }
}

fn import(args: &PrepareArgs) -> Outcome {
    let common = &args.common;
    let output = args.output.as_deref().ok_or_else(|| {
        Failure::usage("--output is missing", "name the plate to write: --output plate.ome.zarr")
    })?;
    let mut settings =
        settings::resolve(&PrepareSettings::standard(), common.config.as_deref(), &common.set, &args.flags)?;
    let reading = Reading {
        pattern: settings.pattern.as_deref().map(Pattern::parse).transpose()?,
        pages: settings.pages,
        series: settings.series.clone(),
    };
    let mut listings = Listings::new();
    let found = inputs::find(&args.inputs, &reading, &mut listings)?;
    settings.channel.extend(found.channels);
    settings.labels.extend(found.labels);
    settings.structure.extend(found.structure);
    settings.check()?;
    let channels = inputs("--channel", &settings.channel)?;
    let structure = inputs("--structure", &settings.structure)?;
    let labels: Vec<Input> =
        inputs("--labels", &settings.labels)?.into_iter().chain(structure.iter().cloned()).collect();
    expect_known(&settings.fluorescence, &channels)?;
    refuse_twice(&labels)?;
    let label_forms = label_forms(&settings.labels_are, &labels, &structure)?;
    let read = channels.iter().map(|input| ("--channel", input));
    let read = read.chain(labels.iter().map(|input| ("--labels", input)));
    let files =
        read.fold(Outputs::new(common), |files, (flag, input)| files.reads(flag, inputs::real(&input.path)));
    let _locks = files
        .writes("--output", output, OutputKind::Plate)
        .writes("--digest", args.digest.digest.as_deref(), OutputKind::Digest)
        .claim()?;

    let mut record = Record::begin("prepare", common);
    for what in &found.what {
        tracing::info!("{what}");
    }
    let options = Options {
        reading,
        downscale: settings.downscale,
        align: settings.align,
        depth: settings.z.as_deref().map(FocalPlane::parse).transpose()?,
        missing: settings.missing,
    };
    let mut recording = Recording::open_listed(&channels, &labels, &options, &mut listings)?;
    recording.structure = structure.into_iter().map(|input| input.name).collect();
    recording.binary = label_forms.named(LabelForm::Binary);
    for line in recording.tables.iter().flat_map(NamesTable::lines) {
        tracing::info!("{line}");
    }
    expect_times(&recording, &channels[0].path, settings.frames)?;
    let size = tile_size(settings.size, recording.extent().size, settings.downscale, &channels[0].path)?;
    settings.size = Some(size);
    for input in channels.iter().chain(&labels).filter(|_| !common.dry_run) {
        record.input(&input.name, inputs::real(&input.path))?;
    }
    let (pixel_size_um, frame_interval_s) = sizes(&settings, &mut recording);
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
        percentiles: settings.percentiles,
        origin: Origin::Recording,
        fluorescence: settings.fluorescence.clone(),
        label_route: (!labels.is_empty()).then(|| settings.label_route.clone()),
        label_forms,
        pixel_size_um: pixel_size_um.map(|um| um * settings.downscale as f64),
        frame_interval_s,
        colors: recording.colors.clone(),
        names: recording.tables.clone(),
        notes: recording.notes.clone(),
        warnings: recording.warnings.clone(),
        output,
        digest: &args.digest,
        common,
    };
    make_plate(job, &settings, &record, || Ok(()))
}

/// Returns pixel size and time between frames: as flags say, else as the files do. What contradicts is warned of.
fn sizes(settings: &PrepareSettings, recording: &mut Recording) -> (Option<f64>, Option<f64>) {
    let interval = settings.frame_interval.map(|s| s * recording.every);
    if recording.every != 1.0
        && let Some(s) = interval
    {
        recording.notes.push(format!("one of {} frames was kept: {s} s lie between them", recording.every));
    }
    let files = recording.scale;
    for (flag, given, told, unit) in [
        ("--pixel-size", settings.pixel_size, files.pixel_size_um, "µm"),
        ("--frame-interval", interval, files.frame_interval_s, "s"),
    ] {
        if let (Some(given), Some(told)) = (given, told)
            && (given - told).abs() > 0.01 * told
        {
            recording.warnings.push(format!(
                "the files tell {told} {unit}, and {flag} {given} {unit}: {given} {unit} is taken"
            ));
        }
    }
    (settings.pixel_size.or(files.pixel_size_um), interval.or(files.frame_interval_s))
}

/// Reads `LO,HI`.
fn two_numbers(text: &str) -> Result<[f64; 2], String> {
    let numbers: Option<Vec<f64>> = text.split(',').map(|n| n.trim().parse().ok()).collect();
    let numbers = numbers.and_then(|numbers| <[f64; 2]>::try_from(numbers).ok());
    numbers.ok_or_else(|| "expected two numbers with a comma between, such as 0.1,99.99".into())
}

fn expect_known(fluorescence: &[String], channels: &[Input]) -> Result<(), Failure> {
    let unknown = fluorescence.iter().find(|name| channels.iter().all(|c| c.name != **name));
    let Some(name) = unknown else { return Ok(()) };
    let there: Vec<&str> = channels.iter().map(|c| c.name.as_str()).collect();
    Err(Failure::usage(
        format!("--fluorescence {name}: the channels are {}", there.join(", ")),
        "name one of them",
    ))
}

fn refuse_twice(labels: &[Input]) -> Result<(), Failure> {
    let twice =
        labels.iter().enumerate().find(|(i, label)| labels[..*i].iter().any(|l| l.name == label.name));
    let Some((_, label)) = twice else { return Ok(()) };
    Err(Failure::usage(
        format!("--structure {}={}: the name {0} is given twice", label.name, label.path.display()),
        "labels and structure need names of their own",
    ))
}
