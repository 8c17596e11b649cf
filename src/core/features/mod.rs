//! Distances between two sets of feature vectors `[N, D]`, whatever network they are of: Fréchet distance (FID, FVD), KID,
//! precision and recall, density and coverage, Inception score.
//!
//! Everything is exact and in f64. [`matrix`] reads the vectors, [`compare`] puts the figures together.

pub mod compare;
pub mod frechet;
pub mod inception;
pub mod kernel;
pub mod manifold;
pub mod matrix;
