//! Tests of package `lapsegan`, and of the programs together. One binary: every further one would link libtorch again.

/// The programs as black boxes: good calls, bad input, interruptions.
mod cli {
    mod checkpoints;
    mod feature_vectors;
    mod few_labels;
    mod generate;
    mod history;
    mod latent_space;
    mod project;
    mod recipe;
    mod segment_benchmark;
    mod shards;
    mod streams;
    mod train;
    mod train_folder;
}
mod docs;
mod graphs;
mod networks;
/// Every command again and again, with something wrong each time, by fixed seeds: nothing of the user's may be lost.
mod drivers {
    mod commands;
    mod foreign_outputs;
    mod forms;
    mod inputs_as_outputs;
    mod kills;
    mod mutants;
    mod mutate;
    mod mutations;
    mod traversal;
    mod two_runs;
}
mod parity;
mod published;
mod readme;
mod steps;
#[allow(dead_code, reason = "two test binaries share it, and neither uses all of it")]
mod support;
