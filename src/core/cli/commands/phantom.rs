//! `prepare phantom`: simulates a recording with exact labels and makes a plate of it.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::Args;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::make_plate::{Job, make_plate};
use crate::cli::digest::DigestFlag;
use crate::cli::outputs::Outputs;
use crate::cli::record::Record;
use crate::cli::words::words;
use crate::cli::{Common, Failure, Outcome, settings};
use crate::memory;
use crate::output::{OutputKind, PendingFolder};
use crate::phantom::{FIELD_UM, FRAME_INTERVAL_S, Phantom};
use crate::plate::Origin;
use crate::plate::intensity::{Normalise, PERCENTILES};
use crate::prepare::label_forms::LabelForms;
use crate::prepare::windows::Cut;

/// Simulates budding yeast in traps, with exact labels
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  prepare phantom --output phantom.ome.zarr
  prepare phantom --positions 4 --size 64 --tiff frames --output phantom64.ome.zarr")]
pub struct PhantomArgs {
    #[command(flatten)]
    flags: PhantomFlags,
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

/// Flags that replace a setting of the same name.
#[derive(Args, Debug, Serialize)]
struct PhantomFlags {
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
    #[arg(long, value_parser = words(&Normalise::WORDS), help_heading = "Sequences")]
    normalise: Option<String>,
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

impl PhantomSettings {
    fn standard() -> Self {
        Self {
            positions: 320,
            frames_per_position: 24,
            size: 32,
            frames: 3,
            stride: 3,
            normalise: Normalise::Percentile,
        }
    }

    fn phantom(&self) -> Phantom {
        let Self { positions, frames_per_position, size, .. } = *self;
        Phantom { positions, frames_per_position, size }
    }

    fn check(&self) -> Result<(), Failure> {
        for (flag, value, most) in [
            ("--positions", self.positions, 100_000),
            ("--frames-per-position", self.frames_per_position, 100_000),
            ("--size", self.size, 2048),
        ] {
            if !(1..=most).contains(&value) {
                let message = format!("{flag}: is {value}, expected 1 to {most}");
                return Err(Failure::usage(message, format!("change {flag}")));
            }
        }
        if !self.size.is_power_of_two() || self.size < 16 {
            let message = format!("--size: is {}, expected a power of two from 16 on", self.size);
            return Err(Failure::usage(message, "use --size 32 or --size 64"));
        }
        let (need, room) = (self.phantom().memory(), memory::available());
        if room.is_some_and(|room| need > room) {
            let mib = |bytes: u64| bytes >> 20;
            let message = format!(
                "--positions {} --frames-per-position {} --size {}: the recording takes {} MiB, and {} MiB of memory are \
                 free",
                self.positions,
                self.frames_per_position,
                self.size,
                mib(need),
                mib(room.unwrap_or_default())
            );
            return Err(Failure::usage(message, "simulate fewer positions, fewer frames or smaller ones"));
        }
        Ok(())
    }
}

impl AsRef<Common> for PhantomArgs {
    fn as_ref(&self) -> &Common {
        &self.common
    }
}

/// Runs the command.
pub fn execute(args: &PhantomArgs) -> Outcome {
    let common = &args.common;
    let settings =
        settings::resolve(&PhantomSettings::standard(), common.config.as_deref(), &common.set, &args.flags)?;
    settings.check()?;
    let _locks = Outputs::new(common)
        .writes("--output", args.output.as_path(), OutputKind::Plate)
        .writes("--tiff", args.tiff.as_deref(), OutputKind::Frames)
        .writes("--digest", args.digest.digest.as_deref(), OutputKind::Digest)
        .claim()?;
    let record = Record::begin("prepare", common);
    let PhantomSettings { size, frames, stride, normalise, .. } = settings;
    let recording = settings.phantom().simulate(common.seed);
    let job = Job {
        source: &recording,
        cut: Cut { frames, stride, seed: common.seed, ..Cut::standard(size) },
        normalise,
        percentiles: PERCENTILES,
        origin: Origin::Phantom,
        fluorescence: Vec::new(),
        label_route: Some("phantom_truth".into()),
        label_forms: LabelForms::default(),
        pixel_size_um: Some(FIELD_UM / size as f64),
        frame_interval_s: Some(FRAME_INTERVAL_S),
        colors: BTreeMap::new(),
        names: Vec::new(),
        notes: vec!["simulated budding yeast in a trap; labels are exact".into()],
        warnings: Vec::new(),
        output: &args.output,
        digest: &args.digest,
        common,
    };
    make_plate(job, &settings, &record, || {
        if let Some(folder) = &args.tiff {
            let pending = PendingFolder::create(folder, OutputKind::Frames, common.overwrite)?;
            recording.export(pending.path())?;
            // Says whose folder this is, so that --overwrite may replace it.
            record.write(
                pending.path(),
                &settings,
                "cpu",
                &json!({ "frames": folder, "plate": args.output }),
            )?;
            pending.finish()?;
        }
        Ok(())
    })
}
