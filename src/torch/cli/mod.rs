//! The command line of the programs that need libtorch: devices, and one file per command.

pub mod commands;
pub mod device;
pub mod out_of_memory;
pub mod precision;
