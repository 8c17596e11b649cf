//! The one integration test binary: every further one would link libtorch again.

mod metrics;
mod parity;
mod support;
