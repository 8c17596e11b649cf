//! Distances between two sets of feature vectors `[N, D]`, whatever network they are of: Fréchet distance (FID, FVD), KID,
//! precision and recall, density and coverage, Inception score.
//!
//! Everything is exact and in f64. [`file`] reads the vectors, [`compare`] puts the figures together.

pub mod compare;
pub mod file;
pub mod frechet;
pub mod inception;
pub mod intervals;
pub mod kernel;
pub mod manifold;
