//! What several test modules need.

pub(crate) mod drawings;
pub(crate) mod plates;
pub(crate) mod programs;
pub(crate) mod safetensors;
