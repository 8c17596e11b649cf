//! Sequences from a trained generator.

use ndarray::{Array4, Axis};
use tch::nn::VarStore;
use tch::{Device, Kind, Tensor};

use super::latent::{SequenceDraws, truncate, w_avg};
use crate::model::noise::DrawShape;
use crate::model::weights::{self, Tensors};
use crate::model::{Generator, ModelConfig, ModelError};
use crate::transfer::download_batch;
use lapsegan_core::plate::PlateMeta;
use lapsegan_core::plate::axes;

/// A generator ready to sample.
#[derive(Debug)]
pub struct Sampler {
    generator: Generator,
    w_avg: Tensor,
    device: Device,
}

impl Sampler {
    /// Loads the averaged generator of a checkpoint's tensors.
    ///
    /// # Errors
    /// [`ModelError::Weights`] naming the first tensor that is missing or of another shape.
    pub fn new(
        config: &ModelConfig,
        tensors: &Tensors,
        file: &str,
        device: Device,
    ) -> Result<Self, ModelError> {
        config.validate()?;
        let mut vs = VarStore::new(device);
        let generator = Generator::new(&vs.root(), config);
        weights::load(&vs, tensors, "generator_ema.", file)?;
        vs.freeze();
        let w_avg = w_avg(&generator, device);
        Ok(Self { generator, w_avg, device })
    }

    /// Returns the shape of what is drawn for a sequence.
    pub fn draws(&self) -> DrawShape {
        self.generator.draws()
    }

    /// Returns the device that it works on.
    pub fn device(&self) -> Device {
        self.device
    }

    /// Returns sequences in the networks' range, clamped to [0, 1], on the CPU, one tensor `[C, T, H, W]` each: image
    /// channels, then label maps.
    ///
    /// Fresh noise in every layer and domain, keyed like the latents by (seed, index).
    pub fn synthesise(&self, draws: &SequenceDraws, truncation_psi: f64) -> Vec<Tensor> {
        let draws = draws.upload(self.device);
        let images = tch::no_grad(|| {
            let w = truncate(&self.generator.map(&draws.z), &self.w_avg, truncation_psi);
            let ws = self.generator.broadcast(&w);
            let images = self.generator.synthesise(&ws, &mut draws.noise.source());
            download_batch(&images.clamp(0.0, 1.0).contiguous())
        });
        images.unbind(0)
    }
}

/// Returns a sequence `[C, T, H, W]` as an array `[T, C, H, W]`.
pub fn array(sequence: &Tensor) -> Array4<f32> {
    let size: Vec<usize> = sequence.size().iter().map(|&n| n as usize).collect();
    let shape = (size[0], size[1], size[2], size[3]);
    let flat = Vec::<f32>::try_from(sequence.flatten(0, -1).to_kind(Kind::Float)).expect("floats on the CPU");
    let sequence = Array4::from_shape_vec(shape, flat).expect("as many values as the shape says");
    axes::frames_first(sequence.view())
}

/// Returns camera counts of the image channels of a sequence through the training data's calibration. `[T, C, H, W]`
pub fn counts(sequence: &Array4<f32>, data: &PlateMeta) -> Array4<u16> {
    let (frames, _, height, width) = sequence.dim();
    let mut out = Array4::zeros((frames, data.channels.len(), height, width));
    for (c, channel) in data.channels.iter().enumerate() {
        let values = sequence.index_axis(Axis(1), c);
        out.index_axis_mut(Axis(1), c)
            .zip_mut_with(&values, |count, &value| *count = channel.calibration.counts(value));
    }
    out
}
