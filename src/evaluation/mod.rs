//! How real synthetic sequences look, without any trained network.
//!
//! Spectra, textures, intensities and changes over time are compared between a synthetic and a real plate, each number
//! beside the floor that real data reach against real data, and beside a trivial generator. No single number here says
//! that synthetic data are good for training: that is `segmentation`'s question. Nothing here knows our networks.
//!
//! Start with `protocol`, which says what is compared with what, and [`suite`], which lists the metrics.

pub mod intensity;
pub mod one_dim;
pub mod pyramid;
pub mod sliced;
pub mod spectrum;
pub mod temporal;
