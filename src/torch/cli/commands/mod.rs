//! One file per command: its flags, its settings, and what it does in about ten steps.

pub mod features;
pub mod gather;
pub mod generate;
pub mod import;
pub mod quality;
pub mod run;
pub mod segment_benchmark;
pub mod train;
mod train_settings;
