//! The programs as users run them: exit codes, messages, outputs.

mod segment_benchmark;
