//! Loss terms as functions of logits, images and gradients. None of them calls a network.

pub mod adversarial;
pub mod cut_mix;
pub mod label_reading;
pub mod path_length;
pub mod r1;
