//! The programs as black boxes: good calls, bad input, interruptions.

mod evaluate;
mod generate;
mod prepare;
mod recipe;
mod samplesheet;
mod segment_benchmark;
mod shards;
mod train;
