//! The programs as black boxes: good calls, bad input, interruptions.

mod evaluate;
mod generate;
mod prepare;
mod segment_benchmark;
mod train;
