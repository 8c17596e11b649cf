//! What several test modules need.

pub(crate) mod plates;
pub(crate) mod safetensors;
