//! The networks: a multi-domain StyleGAN2 skip generator and a U-Net discriminator.
//!
//! Axis legend: N batch, D domain (an image channel, or the label domain), C channels (image channels, then label maps) or
//! feature maps, T time step, H rows, W columns;
//! O, I out and in feature maps and k kernel size of weights; L latent slots (one per styled layer), `z` and `w` the
//! latents before and after the mapping network.
//!
//! Every layer is `X` with `X::new(vs, ...)` and `forward`; parameter paths equal the names in the published
//! checkpoints. `Reference:` comments mark what is kept or changed of the published code (Reich, Prangemeier et al.,
//! "Multi-StyleGAN", MICCAI 2021). Nothing here knows a data set.

pub mod config;
mod convolution;
#[cfg(test)]
mod derivatives;
pub mod discriminator;
pub mod equalized;
mod fused;
pub mod generator;
mod grain;
mod kernel_check;
pub mod mapping;
pub mod modulated_conv;
pub mod noise;
pub mod non_local;
pub mod range;
pub mod resample;
pub mod residual;
pub mod scale;
pub mod size;
pub mod synthesis;
pub mod weights;

pub use config::{DiscriminatorConfig, GeneratorConfig, LabelLearning, ModelConfig, Precision, Wiring};
pub use discriminator::{Discriminator, Logits};
pub use fused::{composed, sharing_weights};
pub use generator::Generator;
pub use kernel_check::check_kernels;

use lapsegan_core::error::{Advice, Exit};

/// What can be wrong with a network's configuration or weights.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ModelError {
    /// Sizes that do not fit together.
    #[error("model configuration: {field} is {actual}, expected {expected}")]
    Config {
        /// Field of the configuration.
        field: String,
        /// Its value.
        actual: String,
        /// What would work.
        expected: String,
    },
    /// Networks that do not fit into memory.
    #[error(
        "model configuration: networks of about {millions:.0} million parameters need {needed_gib:.1} GiB, there are {available_gib:.1} GiB"
    )]
    TooLarge {
        /// Parameters of both networks, in millions.
        millions: f64,
        /// Memory for what is asked for, without images and features.
        needed_gib: f64,
        /// Memory that is free.
        available_gib: f64,
    },
    /// A weight file lacks a tensor, or has one of another shape.
    #[error("{file}: tensor {name}: {problem}")]
    Weights {
        /// The weight file.
        file: String,
        /// Name of the tensor.
        name: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A weight file that cannot be read.
    #[error("{file}: {problem}")]
    Unreadable {
        /// The weight file.
        file: String,
        /// What the reader said.
        problem: String,
    },
}

impl Advice for ModelError {
    fn exit(&self) -> Exit {
        match self {
            Self::Config { .. } | Self::TooLarge { .. } => Exit::Usage,
            _ => Exit::BadInput,
        }
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Config { .. } => "start from a preset and change one field at a time with --set".into(),
            Self::TooLarge { .. } => {
                "make model.generator.channels, latent or mapping_depth smaller, or take a machine with more memory".into()
            }
            Self::Weights { .. } => "use the config.toml of the run that wrote the weights".into(),
            Self::Unreadable { .. } => "the file may be incomplete: use another checkpoint of the run".into(),
        })
    }
}
