//! The one integration test binary: every further one would link libtorch again.

mod cli;
mod metrics;
mod parity;
mod support;
mod tidy;
