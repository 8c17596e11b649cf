//! Whether synthetic images help a segmenter: a small network trained on real, synthetic and mixed sequences, scored on
//! held-out real ones.
//!
//! Nothing here knows the generator: synthetic sequences come from a plate like real ones. What is compared is data
//! ([`arms`], [`endpoints`]), and what is trained is behind a trait ([`segmenter`]). Start with [`trials`].

pub mod arms;
mod augment;
pub mod conclude;
#[cfg(test)]
mod controls;
pub mod crops;
pub mod curve;
pub mod endpoints;
mod error;
pub mod external;
pub mod multiqc;
pub mod page;
pub mod plates;
pub mod quality;
pub mod segmenter;
pub mod settings;
mod shard_file;
pub mod shards;
pub mod summary;
pub mod train;
pub mod trials;
pub mod unet;
pub mod verdict;

pub use error::BenchmarkError;
