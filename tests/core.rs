//! Tests of package `lapsegan-core`, which need no libtorch, and the rules of the whole tree.

/// The programs as black boxes: good calls and bad input.
mod cli {
    mod evaluate;
    mod export;
    mod features;
    mod labels_looked_at;
    mod leakage;
    mod memorisation;
    mod prepare;
    mod prepare_inputs;
    mod prepare_statements;
    mod samplesheet;
    mod score;
    mod sizes;
}
mod distortions;
mod metrics;
#[allow(dead_code, reason = "two test binaries share it, and neither uses all of it")]
mod support;
mod tidy;
mod tracks;
