//! Statistics: distances of distributions on a line, and intervals by resampling.

pub mod bootstrap;
pub mod wasserstein;
