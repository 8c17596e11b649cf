//! Sequences from a trained generator.

use std::cell::RefCell;

use ndarray::{Array4, Axis};
use tch::nn::VarStore;
use tch::{Device, Kind, Tensor};

use super::latent::{SequenceDraws, SequenceStyle, Truncation, w_avg, w_std};
use crate::graphs::Recorder;
use crate::graphs::replayed::{Execution, Leaves, Replayed};
use crate::model::noise::{DrawShape, LayerNoise};
use crate::model::weights::{self, Tensors};
use crate::model::{Generator, ModelConfig, ModelError};
use crate::transfer::{download, download_batch, upload};
use lapsegan_core::plate::PlateMeta;
use lapsegan_core::plate::axes;

/// A generator ready to sample.
#[derive(Debug)]
pub struct Sampler {
    generator: Generator,
    w_avg: Tensor,
    device: Device,
    recorded: Option<Recorded>,
}

/// What replays the generator.
#[derive(Debug)]
struct Recorded {
    recorder: Box<dyn Recorder>,
    images: RefCell<Replayed<Images>>,
}

/// Sequences of a batch. `[N, C, T, H, W]`
#[derive(Debug)]
struct Images(Tensor);

impl Leaves for Images {
    fn handles(&self) -> Self {
        Self(self.0.shallow_clone())
    }

    fn numbers(&self) -> Vec<Tensor> {
        vec![self.0.mean(Kind::Float), self.0.square().mean(Kind::Float)]
    }
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
        Ok(Self { generator, w_avg, device, recorded: None })
    }

    /// Replays the generator from the third batch of one size on, where there is a recorder.
    #[must_use]
    pub fn recorded_by(self, recorder: Option<Box<dyn Recorder>>) -> Self {
        let recorded = |recorder| Recorded { recorder, images: RefCell::default() };
        Self { recorded: recorder.map(recorded), ..self }
    }

    /// Returns the shape of what is drawn for a sequence.
    pub fn draws(&self) -> DrawShape {
        self.generator.draws()
    }

    /// Returns the device that it works on.
    pub fn device(&self) -> Device {
        self.device
    }

    /// Returns the generator, whose weights take no gradient.
    pub fn generator(&self) -> &Generator {
        &self.generator
    }

    /// Returns the mean latent. `[1, Z]`
    pub fn w_avg(&self) -> &Tensor {
        &self.w_avg
    }

    /// Returns how far mapped latents lie from their mean.
    pub fn w_std(&self) -> f64 {
        w_std(&self.generator, self.device)
    }

    /// Returns the noise that the generator holds, the same for every sequence, on the CPU. `[1, ...]`
    pub fn stored_noise(&self) -> LayerNoise {
        let mut stored = self.generator.fixed_noise();
        LayerNoise::new(self.draws(), 1, |domain, layer, shape| {
            download(&stored(domain, layer, shape[2])).copy()
        })
    }

    /// Returns sequences in the networks' range, clamped to [0, 1], on the CPU, one tensor `[C, T, H, W]` each: image
    /// channels, then label maps.
    ///
    /// Fresh noise in every layer and domain, keyed like the latents by (seed, index).
    pub fn synthesise(&self, draws: &SequenceDraws, truncation: Truncation) -> Vec<Tensor> {
        let draws = draws.upload(self.device);
        let images = tch::no_grad(|| match &self.recorded {
            Some(Recorded { recorder, images }) => {
                let noise = draws.noise.0.iter().flatten();
                let kind = i64::from(matches!(draws.style, SequenceStyle::Ws(_)));
                let step = Execution {
                    key: truncation.key().into_iter().chain([kind]).collect(),
                    inputs: std::iter::once(draws.style.tensor())
                        .chain(noise)
                        .map(Tensor::shallow_clone)
                        .collect(),
                    context: &mut (),
                    run: |(): &mut ()| Images(self.images(&draws, truncation)),
                    written: |(): &()| Vec::new(),
                };
                let (images, problem) = images.borrow_mut().run(&**recorder, step);
                if let Some(problem) = problem {
                    tracing::warn!("the generator runs without a CUDA graph: {problem}");
                }
                images.0
            }
            None => self.images(&draws, truncation),
        });
        download_batch(&images).unbind(0)
    }

    /// Returns the latents that sequences are synthesised from, on the CPU. `[N, L, Z]`
    pub fn latents(&self, style: &SequenceStyle, truncation: Truncation) -> Tensor {
        let style = match style {
            SequenceStyle::Z(z) => SequenceStyle::Z(upload(z, self.device)),
            SequenceStyle::Ws(ws) => SequenceStyle::Ws(upload(ws, self.device)),
        };
        download(&tch::no_grad(|| self.ws(&style, truncation)).to_kind(Kind::Float).contiguous())
    }

    /// Returns the latents behind the mapping network of any number of `z`, on the CPU. `[N, Z] -> [N, L, Z]`
    pub fn latents_of_z(&self, z: &Tensor) -> Tensor {
        self.latents(&SequenceStyle::Z(z.shallow_clone()), Truncation::NONE)
    }

    fn images(&self, draws: &SequenceDraws, truncation: Truncation) -> Tensor {
        let ws = self.ws(&draws.style, truncation);
        let images = self.generator.synthesise(&ws, &mut draws.noise.source());
        images.clamp(0.0, 1.0).contiguous()
    }

    /// `[N, L, Z]`
    fn ws(&self, style: &SequenceStyle, truncation: Truncation) -> Tensor {
        match style {
            SequenceStyle::Z(z) if truncation.cutoff.is_none() => {
                let w = truncation.apply(&self.generator.map(z), &self.w_avg);
                self.generator.broadcast(&w)
            }
            SequenceStyle::Z(z) => {
                truncation.apply(&self.generator.broadcast(&self.generator.map(z)), &self.w_avg)
            }
            SequenceStyle::Ws(ws) => truncation.apply(ws, &self.w_avg),
        }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generation::latent;
    use crate::generation::latents::LatentShape;
    use crate::graphs::emulated::EmulatedRecorder;
    use crate::model::composed;
    use crate::training::Preset;
    use crate::training::state::State;

    #[test]
    fn a_replayed_generator_makes_the_same_sequences() {
        let mut config = Preset::Tiny.config(2, 3, 16);
        config.model.generator.grain_gain = 1.0;
        let state = State::new(&config, 5, Device::Cpu);
        let named = |(name, tensor): (String, Tensor)| (format!("generator_ema.{name}"), tensor);
        let tensors: Tensors = weights::sorted(&state.generator_ema.vs).into_iter().map(named).collect();
        let sampler = || Sampler::new(&config.model, &tensors, "test", Device::Cpu).unwrap();
        let (plain, replayed) = (sampler(), sampler().recorded_by(Some(Box::new(EmulatedRecorder))));
        // The last batch is smaller, and the pull to the mean changes.
        for (range, psi) in
            [(0..4, 0.7), (4..8, 0.7), (8..12, 0.7), (12..16, 0.7), (16..18, 0.7), (16..20, 1.0)]
        {
            assert_eq!(LatentShape::of(&config.model).draws, plain.draws());
            let draws = latent::draw(plain.draws(), 9, range);
            let truncation = Truncation { psi, cutoff: None };
            let [a, b] =
                [&plain, &replayed].map(|sampler| composed(|| sampler.synthesise(&draws, truncation)));
            assert!(a == b && a[0].size() == [2, 3, 16, 16]);
        }
        assert_eq!(replayed.recorded.as_ref().unwrap().images.borrow().recordings(), 1);
    }
}
