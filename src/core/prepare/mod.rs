//! From a recording to a dataset plate: which windows, which split, which intensity range, and what the labels hold.

pub mod centres;
pub mod explain;
pub mod frame_quality;
pub mod label_forms;
pub mod label_quality;
pub mod linked_labels;
pub mod placed_tiles;
pub mod quality_page;
mod spans;
pub mod survey_labels;
pub mod tiles;
pub mod windows;
pub mod write_windows;
