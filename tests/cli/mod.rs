//! The programs as black boxes: good calls, bad input, interruptions.

mod evaluate;
mod generate;
mod prepare;
mod recipe;
mod segment_benchmark;
mod train;
