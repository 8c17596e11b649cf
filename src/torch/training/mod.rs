//! Adversarial training, resumable bit by bit on the CPU.
//!
//! Start with [`iteration`], the algorithm, and [`run`], the loop around it. [`phases`] holds the optimiser steps,
//! [`schedule`] says when each is due, [`steps`] how they are executed, [`checkpoint`] what a run needs to go on. Every random number is drawn in [`inputs`] before the steps, under a
//! key of stream, seed, iteration and part, so that resuming needs only the iteration counter.

pub mod augment;
pub mod checkpoint;
pub mod config;
pub mod draws;
mod epochs;
pub mod health;
pub mod inputs;
pub mod iteration;
pub mod loader;
pub mod micro_batch;
pub mod phases;
pub mod preset;
pub mod run;
pub mod samples;
pub mod schedule;
pub mod standardisation;
pub mod start;
pub mod state;
pub mod stats;
pub mod steps;
pub mod symmetries;
pub mod tensorboard;
pub mod work;

pub use config::{Config, TrainingConfig};
pub use preset::Preset;

use std::io::ErrorKind;
use std::path::PathBuf;

use crate::model::ModelError;
use lapsegan_core::error::DataError;
use lapsegan_core::error::{Advice, Exit};

/// What can go wrong in training.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrainingError {
    /// A plate or file.
    #[error(transparent)]
    Data(#[from] DataError),
    /// A network's configuration or weights.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// A setting out of its range.
    #[error("training configuration: {field} is {actual}, expected {expected}")]
    Config {
        /// Field of the configuration.
        field: String,
        /// Its value.
        actual: String,
        /// What would work.
        expected: String,
    },
    /// CUDA graphs that were asked for, where they cannot be had.
    #[error("training.graphs = \"on\": {problem}")]
    Graphs {
        /// What cannot be recorded, and why.
        problem: String,
    },
    /// A checkpoint that does not belong to this run.
    #[error("{path}: checkpoint differs from this run in {}", fields.join("; "))]
    OtherRun {
        /// The checkpoint.
        path: PathBuf,
        /// Differing fields with both values.
        fields: Vec<String>,
    },
    /// A checkpoint that cannot be used.
    #[error("{path}: {problem}")]
    Checkpoint {
        /// The checkpoint.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// A checkpoint to start from that has learned labels which this run must not know.
    #[error("{path}: has learned other labels than those of --labelled")]
    OtherLabels {
        /// The checkpoint.
        path: PathBuf,
    },
    /// The generator makes one image from all latents, see [`health`].
    #[error(
        "collapsed at {kimg:.3} kimg: generated sequences differ {share:.4} times as much as real ones; the last checkpoint is from before"
    )]
    Collapsed {
        /// Spread of generated over spread of real sequences.
        share: f64,
        /// Where in the run.
        kimg: f64,
    },
    /// A loss that is no number any more.
    #[error("{loss} is {value} at {kimg:.3} kimg; the last checkpoint is from before")]
    Diverged {
        /// Name of the loss.
        loss: String,
        /// Its value.
        value: f64,
        /// Where in the run.
        kimg: f64,
    },
    /// Asked to stop; a checkpoint was written.
    #[error("{reason} at {kimg:.3} kimg; checkpoint written")]
    Stopped {
        /// What asked.
        reason: String,
        /// Where in the run.
        kimg: f64,
        /// Exit code that says so.
        exit: Exit,
    },
}

impl Advice for TrainingError {
    fn exit(&self) -> Exit {
        match self {
            Self::Data(error) => error.exit(),
            Self::Model(error) => error.exit(),
            Self::Config { .. } | Self::Graphs { .. } => Exit::Usage,
            Self::OtherRun { .. } | Self::Checkpoint { .. } | Self::OtherLabels { .. } => Exit::BadInput,
            Self::Diverged { .. } | Self::Collapsed { .. } => Exit::Failed,
            Self::Stopped { exit, .. } => *exit,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Data(DataError::Io { source, .. }) if source.kind() == ErrorKind::StorageFull => {
                Some("free space on that disk, then run the same command again with --resume".into())
            }
            Self::Data(error) => error.hint(),
            Self::Model(error) => error.hint(),
            Self::Config { .. } => {
                Some("start from a preset and change one field at a time with --set".into())
            }
            Self::Graphs { .. } => Some(
                "with training.graphs = \"auto\" whatever cannot be recorded is executed without a graph"
                    .into(),
            ),
            Self::OtherRun { .. } => Some(
                "resume with the run's own config.toml and data, or start a new --output from it with --init"
                    .into(),
            ),
            Self::Checkpoint { .. } => Some("use another checkpoint of the run".into()),
            Self::OtherLabels { .. } => Some(
                "start from a checkpoint without a label domain, or from the run that learned the same labels".into(),
            ),
            Self::Diverged { .. } | Self::Collapsed { .. } => Some(
                "lower training.generator_lr and training.discriminator_lr, or raise training.r1_gamma"
                    .into(),
            ),
            Self::Stopped { .. } => Some("run the same command again with --resume".into()),
        }
    }
}
