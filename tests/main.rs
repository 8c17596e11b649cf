//! The one integration test binary: every further one would link libtorch again.

mod cli;
mod metrics;
mod parity;
mod published;
mod readme;
mod support;
mod tidy;
