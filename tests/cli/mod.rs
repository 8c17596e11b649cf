//! The programs as black boxes: good calls, bad input, interruptions.

mod generate;
mod segment_benchmark;
mod train;
