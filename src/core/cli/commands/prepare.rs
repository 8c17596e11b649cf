//! `prepare`: a recording becomes a dataset plate.

use std::path::PathBuf;

use clap::{Parser, Subcommand};

use super::check::{self, CheckArgs};
use super::expect_times::expect_times;
use super::export::{self, ExportArgs};
use super::inputs::{self, inputs};
use super::label_forms::label_forms;
use super::make_plate::{Job, make_plate};
use super::phantom::{self, PhantomArgs};
use super::prepare_settings::{PrepareFlags, PrepareSettings};
use crate::cli::digest::DigestFlag;
use crate::cli::outputs::Outputs;
use crate::cli::record::Record;
use crate::cli::{Common, Failure, Outcome, settings};
use crate::input::folder::Reading;
use crate::input::members::FocalPlane;
use crate::input::names::{NamesTable, Pattern};
use crate::input::recording::{Input, Listings, Options, Recording};
use crate::input::source::Source;
use crate::output::OutputKind;
use crate::plate::Origin;
use crate::prepare::centres::Centres;
use crate::prepare::label_forms::LabelForm;
use crate::prepare::tiles::tile_size;
use crate::prepare::windows::Cut;

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
    let files = settings.centres.iter().fold(files, |files, table| files.reads("--centres", table));
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
            empty: settings.empty,
            centres: centres(&settings)?,
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

fn centres(settings: &PrepareSettings) -> Result<Option<Centres>, Failure> {
    let read = |path: &PathBuf| Centres::read(path, settings.downscale);
    Ok(settings.centres.as_ref().map(read).transpose()?)
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
