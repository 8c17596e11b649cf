//! What several test modules need.

pub(crate) mod drawings;
pub(crate) mod programs;
pub(crate) mod safetensors;
pub(crate) mod small_disk;
