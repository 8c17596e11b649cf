//! From a checkpoint to sequences: seeded latents, truncation, camera counts, labels.
//!
//! Everything random is keyed by (seed, sequence index), so a shard or another batch size draws the same latents.

pub mod labels;
pub mod latent;
pub mod sample;

pub use sample::Sampler;
