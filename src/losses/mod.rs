//! Loss terms as functions of logits, images and gradients. None of them calls a network.

pub mod adversarial;
pub mod r1;
