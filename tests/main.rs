//! The one integration test binary.

mod cli;
mod metrics;
mod support;
