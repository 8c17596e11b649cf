//! The optimiser steps of an iteration, one function each.
//!
//! No step draws a random number: all of them come with the parts, see [`super::inputs`]. The parts of a batch may
//! therefore be executed in any order.

use tch::{Kind, Tensor};

use super::augment::Augmenter;
use super::augment::controller::{Signal, statistic};
use super::config::TrainingConfig;
use super::draws::Latents;
use super::schedule::kept;
use super::state::State;
use crate::losses::adversarial::{call_fake, call_real};
use crate::losses::cut_mix::{consistency_loss, cut_mix_loss, mix};
use crate::losses::label_reading::{agreement_loss, reading_loss};
use crate::losses::path_length::{latent_gradient, path_length};
use crate::losses::r1::r1;
use crate::model::{Logits, sharing_weights};
use crate::optim::clip::clip_gradient_norm;
use crate::optim::{Adam, gradients};

/// Named values of a step, still on the device.
pub type Values = Vec<(&'static str, Tensor)>;

/// The value that adaptive augmentation follows.
pub const ADA_SIGNAL: &str = "ada_signal";
/// That of sequences with labels, where not all have them.
pub const LABELS_ADA_SIGNAL: &str = "ada_signal_labels";

/// What a discriminator step starts from: a part of the batch with its draws.
#[derive(Debug)]
pub struct DiscriminatorPart {
    /// Real sequences. `[N, C, T, H, W]`
    pub real: Tensor,
    /// Latents and noise of as many generated sequences.
    pub latents: Latents,
    /// How many real sequences are shown as generated ones as well, and in which order of frames, `[T]`, i64.
    pub wrong_order: Option<(i64, Tensor)>,
    /// Augmentation of the real and of the generated sequences.
    pub augmentations: Option<[Augmenter; 2]>,
    /// Where some sequences have labels only: 1 for the real ones that have them. `[N, 1, 1, 1, 1]`
    pub labelled: Option<Tensor>,
}

/// What a generator step starts from.
#[derive(Debug)]
pub struct GeneratorPart {
    /// Latents and noise.
    pub latents: Latents,
    /// Augmentation of what the discriminator sees.
    pub augmentation: Option<Augmenter>,
}

/// Inputs and pixel logits of the discriminator's main step, which the later steps of the iteration start from.
///
/// Reference: R1 and cut-mix work on the augmented sequences.
#[derive(Debug)]
pub struct Shown {
    /// Real sequences, augmented. `[N, C, T, H, W]`
    pub real: Tensor,
    /// As many generated sequences, augmented. `[N, C, T, H, W]`
    pub generated: Tensor,
    /// Pixel logits of the real sequences; R1 replaces them by those of its own pass. `[N, 1, 1, H, W]`
    pub pixel_real: Tensor,
    /// Pixel logits of the generated sequences. `[N, 1, 1, H, W]`
    pub pixel_generated: Tensor,
}

impl Shown {
    /// Returns copies.
    #[must_use]
    pub fn copy(&self) -> Self {
        Self {
            real: self.real.copy(),
            generated: self.generated.copy(),
            pixel_real: self.pixel_real.copy(),
            pixel_generated: self.pixel_generated.copy(),
        }
    }

    /// Returns handles of the same tensors.
    #[must_use]
    pub fn shallow_clone(&self) -> Self {
        Self {
            real: self.real.shallow_clone(),
            generated: self.generated.shallow_clone(),
            pixel_real: self.pixel_real.shallow_clone(),
            pixel_generated: self.pixel_generated.shallow_clone(),
        }
    }
}

/// Dmain: push logits of real sequences up, of generated ones down.
pub fn discriminator_main(
    state: &mut State,
    config: &TrainingConfig,
    weight: Option<&Tensor>,
    parts: &[DiscriminatorPart],
) -> (Values, Vec<Shown>) {
    let mut step = Step::new(parts.len());
    let mut shown = Vec::new();
    for part in parts {
        let n = part.real.size()[0];
        let mut generated = tch::no_grad(|| part.latents.generate(&state.generator.net));
        if let Some((count, order)) = &part.wrong_order {
            let shuffled = part.real.narrow(0, 0, *count).index_select(2, order);
            generated = Tensor::cat(&[generated, shuffled], 0);
        }
        let (real, generated) = match &part.augmentations {
            Some([of_real, of_generated]) => (of_real.apply(&part.real), of_generated.apply(&generated)),
            None => (part.real.shallow_clone(), generated),
        };
        let judge = |images: &Tensor| state.discriminator.net.forward(images);
        let (on_real, on_generated) = sharing_weights(|| (judge(&real), judge(&generated)));
        let scalar = call_real(&on_real.scalar, None) + call_fake(&on_generated.scalar, None);
        let pixel = call_real(&on_real.pixel, weight) + call_fake(&on_generated.pixel, weight);
        let mut loss = &scalar + &pixel;
        if let (Some(logits), Some(labelled)) = (&on_real.labels, &part.labelled) {
            let reading = reading(logits, &real, labelled, config.labels.every as f64);
            step.value("loss_reading", &reading);
            loss += reading * config.labels.weight;
        }
        step.add(&loss, &state.discriminator_adam);
        step.value("loss_discriminator", &scalar);
        step.value("loss_discriminator_pixel", &pixel);
        // How often the discriminator is right about real sequences, in [-1, 1]: 1 means overfitting.
        step.value("r_real", &on_real.scalar.detach().sign().mean(Kind::Float));
        shown.push(Shown {
            real: real.detach(),
            generated: generated.narrow(0, 0, n),
            pixel_real: on_real.pixel.detach(),
            pixel_generated: on_generated.pixel.detach().narrow(0, 0, n),
        });
        match (config.ada.signal, &part.labelled) {
            _ if !config.ada.enabled => {}
            (Signal::Generated, _) => step.value(ADA_SIGNAL, &statistic(&on_generated, None)),
            (Signal::Real, None) => step.value(ADA_SIGNAL, &statistic(&on_real, None)),
            (Signal::Real, Some(labelled)) => {
                let share = 1.0 / config.labels.every as f64;
                let others = (&(1.0 - labelled), 1.0 - share);
                step.value(ADA_SIGNAL, &statistic(&on_real, Some(others)));
                step.value(LABELS_ADA_SIGNAL, &statistic(&on_real, Some((labelled, share))));
            }
        }
    }
    let values =
        step.take(&mut state.discriminator_adam, config.gradient_clip, "gradient_norm_discriminator");
    (values, shown)
}

/// Dreg: keep the discriminator flat around real sequences.
pub fn discriminator_r1(state: &mut State, config: &TrainingConfig, shown: &mut [Shown]) -> Values {
    let mut step = Step::new(shown.len());
    for part in shown {
        let real = part.real.detach().set_requires_grad(true);
        let logits = state.discriminator.net.forward(&real);
        let pixels = logits.pixel.size()[1..].iter().product::<i64>() as f64;
        let pixel_weight = if config.r1_normalise_pixels { pixels.sqrt().recip() } else { 1.0 };
        let sum = logits.scalar.sum(Kind::Float) + logits.pixel.sum(Kind::Float) * pixel_weight;
        let net = &state.discriminator.net;
        let penalty = r1(&sum, &real, |gradient| net.standardised_gradient(&part.real, gradient));
        step.add(&(&penalty * config.r1_gamma), &state.discriminator_adam);
        step.value("r1_penalty", &penalty);
        part.pixel_real = logits.pixel.detach();
    }
    step.take(&mut state.discriminator_adam, config.gradient_clip, "gradient_norm_r1")
}

/// Dcut: tell real from generated regions of mixed images. `map [1, 1, 1, H, W]`
pub fn cut_mix(state: &mut State, config: &TrainingConfig, shown: &[Shown], map: &Tensor) -> Values {
    let mut step = Step::new(shown.len());
    for part in shown {
        let logits = state.discriminator.net.forward(&mix(&part.real, &part.generated, map));
        let (real, generated) = cut_mix_loss(&logits.pixel, map);
        let loss = (real + generated) * config.cut_mix.weight;
        step.add(&loss, &state.discriminator_adam);
        step.value("loss_cut_mix", &loss);
    }
    step.take(&mut state.discriminator_adam, config.gradient_clip, "gradient_norm_cut_mix")
}

/// Dcons: the pixel logits of mixed images should equal the mixed pixel logits. `map [1, 1, 1, H, W]`
pub fn cut_mix_consistency(
    state: &mut State,
    config: &TrainingConfig,
    shown: &[Shown],
    map: &Tensor,
) -> Values {
    let mut step = Step::new(shown.len());
    for part in shown {
        let logits = state.discriminator.net.forward(&mix(&part.real, &part.generated, map));
        let target = mix(&part.pixel_real, &part.pixel_generated, map);
        let loss = consistency_loss(&logits.pixel, &target) * config.cut_mix.consistency_weight;
        step.add(&loss, &state.discriminator_adam);
        step.value("loss_consistency", &loss);
    }
    step.take(&mut state.discriminator_adam, config.gradient_clip, "gradient_norm_consistency")
}

/// Gmain: push logits of generated sequences up. The discriminator's own gradients are not computed.
pub fn generator_main(
    state: &mut State,
    config: &TrainingConfig,
    weight: Option<&Tensor>,
    top_k_fraction: f64,
    parts: &[GeneratorPart],
) -> Values {
    let mut step = Step::new(parts.len());
    let domains = state.discriminator.net.domains();
    for part in parts {
        let generated = part.latents.generate(&state.generator.net);
        let generated = match &part.augmentation {
            Some(augmentation) => augmentation.apply(&generated),
            None => generated,
        };
        let logits = state.discriminator.net.forward(&generated);
        let best = top_k(&logits, top_k_fraction);
        let scalar = call_real(&best.scalar, None);
        let pixel = call_real(&best.pixel, weight);
        let mut loss = &scalar + &pixel;
        if let Some(read) = &logits.labels {
            let images = generated.narrow(1, 0, domains);
            let read = Tensor::cat(&[images, read.sigmoid()], 1).detach();
            let maps = |sequences: &Tensor| {
                let all = state.discriminator.net.standardise(sequences);
                all.narrow(1, domains, all.size()[1] - domains)
            };
            let agreement = agreement_loss(&maps(&generated), &maps(&read));
            step.value("loss_agreement", &agreement);
            loss += agreement * config.labels.weight;
        }
        step.add(&loss, &state.generator_adam);
        step.value("loss_generator", &scalar);
        step.value("loss_generator_pixel", &pixel);
        if config.ada.enabled && config.ada.signal == Signal::Generated {
            step.value(ADA_SIGNAL, &statistic(&logits, None));
        }
    }
    step.take(&mut state.generator_adam, config.gradient_clip, "gradient_norm_generator")
}

/// Gpl: equal steps in latent space should change the image equally. Each part is latents and image noise
/// `[N, C, T, H, W]`.
pub fn generator_path_length(
    state: &mut State,
    config: &TrainingConfig,
    parts: &[(Latents, Tensor)],
) -> Values {
    let mut step = Step::new(parts.len());
    let mut means = Vec::new();
    for (latents, noise) in parts {
        let ws = latents.map(&state.generator.net);
        let images = latents.synthesise(&state.generator.net, &ws);
        let gradient = latent_gradient(&images, &ws, noise);
        let term = path_length(&gradient, &state.path_length_mean, config.path_length.decay);
        let loss = &term.penalty * config.path_length.weight;
        step.add(&loss, &state.generator_adam);
        step.value("loss_path_length", &loss);
        step.value("path_length", &term.length);
        means.push(term.mean);
    }
    // In place: a recorded step reads the same tensor again.
    state.path_length_mean.copy_(&Tensor::stack(&means, 0).mean(Kind::Float));
    step.take(&mut state.generator_adam, config.gradient_clip, "gradient_norm_path_length")
}

/// Returns the share of samples with the largest scalar logits, both heads alike.
pub fn top_k(logits: &Logits, fraction: f64) -> Logits {
    let n = logits.scalar.size()[0];
    let k = kept(n, fraction);
    if k == n {
        return Logits {
            scalar: logits.scalar.shallow_clone(),
            pixel: logits.pixel.shallow_clone(),
            labels: None,
        };
    }
    let (_, rows) = logits.scalar.detach().flatten(0, -1).topk(k, 0, true, true);
    Logits {
        scalar: logits.scalar.index_select(0, &rows),
        pixel: logits.pixel.index_select(0, &rows),
        labels: None,
    }
}

/// Returns the loss of the labels that were read in real sequences, where there are any.
fn reading(logits: &Tensor, real: &Tensor, labelled: &Tensor, every: f64) -> Tensor {
    let maps = logits.size()[1];
    let targets = real.narrow(1, real.size()[1] - maps, maps);
    reading_loss(logits, &targets, labelled, every)
}

/// Gradients and values of one optimiser step, averaged over the parts of a batch.
struct Step {
    gradients: Vec<Option<Tensor>>,
    values: Values,
    share: f64,
}

impl Step {
    fn new(parts: usize) -> Self {
        Self { gradients: Vec::new(), values: Vec::new(), share: 1.0 / parts.max(1) as f64 }
    }

    /// Adds the gradients of one part's loss.
    fn add(&mut self, loss: &Tensor, adam: &Adam) {
        let whole = self.share == 1.0;
        let part = if whole {
            gradients(loss, adam.parameters())
        } else {
            gradients(&(loss * self.share), adam.parameters())
        };
        if self.gradients.is_empty() {
            self.gradients = part;
            return;
        }
        for (sum, part) in self.gradients.iter_mut().zip(part) {
            *sum = match (sum.take(), part) {
                (Some(sum), Some(part)) => Some(sum + part),
                (sum, part) => sum.or(part),
            };
        }
    }

    /// Adds a value of one part to its mean over the parts.
    fn value(&mut self, name: &'static str, value: &Tensor) {
        let value = value.detach() * self.share;
        match self.values.iter_mut().find(|(known, _)| *known == name) {
            Some((_, sum)) => *sum += value,
            None => self.values.push((name, value)),
        }
    }

    /// Clips, steps, and returns the values with the gradient norm before clipping.
    fn take(mut self, adam: &mut Adam, gradient_clip: f64, norm_name: &'static str) -> Values {
        let norm = clip_gradient_norm(&mut self.gradients, gradient_clip);
        adam.step(&self.gradients);
        self.values.push((norm_name, norm));
        self.values
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::optim::AdamConfig;
    use tch::Device;

    #[test]
    fn the_gradient_of_parts_is_that_of_the_whole() {
        let weight = Tensor::randn([4], (Kind::Float, Device::Cpu)).set_requires_grad(true);
        let x = Tensor::randn([6, 4], (Kind::Float, Device::Cpu));
        let loss = |x: &Tensor| (x * &weight).square().mean(Kind::Float);
        let config = AdamConfig { beta1: 0.0, beta2: 0.99, eps: 1e-8 };
        let adam = Adam::new(config, vec![weight.shallow_clone()], vec![0.1]);
        let (mut whole, mut parts) = (Step::new(1), Step::new(3));
        whole.add(&loss(&x), &adam);
        for part in x.split(2, 0) {
            parts.add(&loss(&part), &adam);
            parts.value("loss", &loss(&part));
        }
        let gradient = |step: &Step| step.gradients[0].as_ref().map(Tensor::copy).unwrap();
        assert!((gradient(&whole) - gradient(&parts)).abs().max().double_value(&[]) < 1e-6);
        assert!((&parts.values[0].1 - loss(&x).detach()).abs().double_value(&[]) < 1e-6);
    }
}
