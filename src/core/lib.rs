//! LapseGAN without tensors: everything but networks.
//!
//! From microscope files to windows of T frames in an OME-Zarr plate ([`input`], [`prepare`], [`plate`]), classic
//! operations on label images ([`mod@labels`]), scores of labels ([`scores`]) and of realism ([`realism`]), pages and
//! plots ([`report`]), and the frame of all five programs ([`cli`]). Arrays are `ndarray`: images `[T, C, H, W]` in
//! camera counts, labels `[T, H, W]`. Nothing here knows a network, so this package builds where no libtorch is.
//!
//! Start with [`plate`], the contract between the programs, and [`scores::matching`]; `src/README.md` is the map.
//!
//! # Example
//! Reads six frames of the recording that the tests use, labels its cells by a threshold on the fluorescence channel,
//! and scores them against the true cells:
//!
//! ```
//! use std::path::Path;
//!
//! use lapsegan_core::input::Source;
//! use lapsegan_core::input::recording::{Input, Options, Recording};
//! use lapsegan_core::labels::{RouteSettings, label_sequence};
//! use lapsegan_core::plate::intensity::{Histogram, PERCENTILES};
//! use lapsegan_core::scores::counts::Counts;
//! use ndarray::s;
//!
//! let root = Path::new("../../test-data/recording");
//! let folder = |name: &str| Input { name: name.into(), path: root.join(name), part: None };
//! let channels = [folder("brightfield"), folder("gfp")];
//! let recording = Recording::open(&channels, &[folder("cells")], &Options::default())?;
//! let frames = recording.load(0, 0..6, None)?;
//! assert_eq!(frames.image.dim(), (6, 2, 32, 32)); // [F, C, H, W]
//!
//! // Camera counts of the second channel become [0, 1], and bright objects tracked labels.
//! let gfp = frames.image.slice(s![.., 1, .., ..]);
//! let mut histogram = Histogram::default();
//! histogram.add(gfp);
//! let range = histogram.percentile_calibration(PERCENTILES).expect("the channel is not constant");
//! let light = gfp.mapv(|counts| range.normalise(f32::from(counts)));
//! let settings = RouteSettings::estimate(light.outer_iter()).expect("there are pixels");
//! let found = label_sequence(light.view(), &settings);
//!
//! let counts = Counts::of_frames(frames.labels["cells"].view(), found.ids.view())?;
//! // Two cells in each of six frames. The threshold finds eight of the twelve, all with an IoU of at least 0.5, and
//! // nothing else: F1 is 2 * 8 / (12 + 8).
//! assert_eq!((counts.n_true, counts.n_predicted), (12, 8));
//! assert_eq!(counts.scores().f1[0], Some(0.8));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![deny(clippy::print_stdout, clippy::print_stderr, clippy::exit, clippy::dbg_macro)]
#![cfg_attr(not(test), warn(clippy::unwrap_used))]

pub mod error;
pub mod json_diff;
pub mod memory;
pub mod output;
pub mod seed;
pub mod side_file;
pub mod stats;

pub mod plate;

pub mod input;

pub mod prepare;

pub mod labels;

pub mod phantom;

pub mod scores;

pub mod realism;

pub mod check;

pub mod export;
pub mod features;

pub mod report;

pub mod cli;
