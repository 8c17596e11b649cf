//! Reading the published Multi-StyleGAN checkpoints.
//!
//! `layout.rs` finds networks and optimiser states in the file, `sizes.rs` the configuration they were made with. Start with
//! [`Published::open`].

mod checkpoint;
mod layout;
mod sizes;

pub use crate::torch_file::TorchFileError;
pub use checkpoint::{Published, check_pickle};
pub use layout::{Network, Optimizer, ParameterState, Parts, Step};
pub use sizes::{infer, second_branch_tensors};
