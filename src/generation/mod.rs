//! From a checkpoint to sequences: seeded latents, truncation, camera counts, labels.
//!
//! Everything random is keyed by (seed, sequence index), and [`batches`] are those of the whole run, so that a run in
//! parts gives the same sequences.

pub mod batches;
pub mod labelling;
pub mod labels;
pub mod latent;
pub mod sample;

pub use batches::Batches;
pub use labelling::Labelling;
pub use sample::Sampler;
