//! Statistics: distances of distributions on a line, intervals by resampling, and sums of singular
//! values.

pub mod bootstrap;
pub mod singular;
pub mod wasserstein;
