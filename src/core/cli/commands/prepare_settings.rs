//! What an import can be told, by flags and by a file of settings.

use std::path::PathBuf;

use clap::Args;
use serde::{Deserialize, Serialize};

use super::make_plate::positive;
use crate::cli::Failure;
use crate::cli::words::words;
use crate::input::Align;
use crate::input::pairing::Missing;
use crate::input::stacks::Pages;
use crate::plate::intensity::{Normalise, PERCENTILES};
use crate::prepare::windows::Tiles;

/// Flags that replace a setting of the same name.
#[derive(Args, Debug, Serialize)]
pub(super) struct PrepareFlags {
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
    /// Share of the sequences that show no object, with --tiles objects [default: 0.1]
    #[arg(long, value_name = "SHARE", help_heading = "Sequences")]
    empty: Option<f64>,
    /// Middles of tiles, a table (CSV) position,y,x in pixels of the recording; instead of --structure for --tiles trap
    #[arg(long, value_name = "FILE", help_heading = "Sequences")]
    centres: Option<PathBuf>,
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
pub(super) struct PrepareSettings {
    /// `NAME=DIR` per channel, the anchor first.
    pub channel: Vec<String>,
    /// Names of channels that show fluorescence.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fluorescence: Vec<String>,
    /// `NAME=DIR` per label image.
    pub labels: Vec<String>,
    /// `NAME=DIR` per label image of structure.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub structure: Vec<String>,
    /// What the numbers in label images are: `FORM` for all, or `NAME=FORM`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub labels_are: Vec<String>,
    /// How the labels came about.
    pub label_route: String,
    /// What names mean, where they do not tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pattern: Option<String>,
    /// Which of several focal planes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub z: Option<String>,
    /// What pages are, where files do not tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pages: Option<Pages>,
    /// Which image of a store.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub series: Option<String>,
    /// What is done with frames that some channels or labels lack.
    #[serde(default)]
    pub missing: Missing,
    /// Micrometres, where known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pixel_size: Option<f64>,
    /// Seconds, where known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub frame_interval: Option<f64>,
    /// What a channel or label of another size shows, where known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub align: Option<Align>,
    /// Block size of the averaging.
    pub downscale: usize,
    /// Frames per sequence.
    pub frames: usize,
    /// Frames between the starts of two sequences.
    pub stride: usize,
    /// Tile size in pixels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<usize>,
    /// Tiles per frame.
    pub tiles: Tiles,
    /// Share of sequences without an object.
    pub empty: f64,
    /// Middles of tiles.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub centres: Option<PathBuf>,
    /// Frames per block of a single movie.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub block: Option<usize>,
    /// Intensity range.
    pub normalise: Normalise,
    /// Its percentiles, in percent.
    pub percentiles: [f64; 2],
}

impl PrepareSettings {
    /// Returns what holds where nothing is said.
    pub(super) fn standard() -> Self {
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
            empty: 0.1,
            centres: None,
            block: None,
            normalise: Normalise::Percentile,
            percentiles: PERCENTILES,
        }
    }

    /// Checks what clap does not.
    pub(super) fn check(&self) -> Result<(), Failure> {
        positive("--pixel-size", self.pixel_size)?;
        positive("--frame-interval", self.frame_interval)?;
        let [lo, hi] = self.percentiles;
        if !(0.0 <= lo && lo < hi && hi <= 100.0) {
            return Err(Failure::usage(
                format!("--percentiles: is {lo},{hi}, expected two numbers from 0 to 100, the lower first"),
                "--percentiles 0.1,99.9 is the default; 0.1,100 keeps the brightest pixels",
            ));
        }
        if !(0.0..1.0).contains(&self.empty) {
            return Err(Failure::usage(
                format!("--empty: is {}, expected a share from 0 to below 1", self.empty),
                "--empty 0.1 is the default; 0 keeps no sequence without an object",
            ));
        }
        if self.centres.is_some() && self.tiles != Tiles::Trap {
            return Err(Failure::usage(
                "--centres is for tiles on given places",
                "add --tiles trap, or leave --centres out",
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

/// Reads `LO,HI`.
fn two_numbers(text: &str) -> Result<[f64; 2], String> {
    let numbers: Option<Vec<f64>> = text.split(',').map(|n| n.trim().parse().ok()).collect();
    let numbers = numbers.and_then(|numbers| <[f64; 2]>::try_from(numbers).ok());
    numbers.ok_or_else(|| "expected two numbers with a comma between, such as 0.1,99.99".into())
}
