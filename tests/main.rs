//! The one integration test binary.

mod metrics;
mod support;
