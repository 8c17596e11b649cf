//! The optimiser steps of an iteration, one function each.

use rand::Rng;
use tch::{Device, Kind, Tensor};

use super::config::TrainingConfig;
use super::state::State;
use crate::losses::adversarial::{call_fake, call_real};
use crate::losses::r1::r1;
use crate::model::Generator;
use crate::optim::clip::clip_gradient_norm;
use crate::optim::{Adam, gradients};
use crate::seed;

/// Named values of a step, still on the device.
pub type Values = Vec<(&'static str, Tensor)>;

/// What the draws of a phase are keyed by.
#[derive(Clone, Copy, Debug)]
pub struct Draw {
    /// Seed of the run.
    pub run_seed: u64,
    /// Iteration, from 1.
    pub iteration: u64,
    /// Which phase draws.
    pub stream: u64,
}

/// Dmain: push logits of real sequences up, of generated ones down.
pub fn discriminator_main(state: &mut State, config: &TrainingConfig, real: &Tensor, draw: Draw) -> Values {
    let generated =
        tch::no_grad(|| generate(&state.generator.net, config, real.size()[0], real.device(), draw));
    let on_real = state.discriminator.net.forward(real);
    let on_generated = state.discriminator.net.forward(&generated);
    let scalar = call_real(&on_real.scalar, None) + call_fake(&on_generated.scalar, None);
    let pixel = call_real(&on_real.pixel, None) + call_fake(&on_generated.pixel, None);
    let norm = step(&mut state.discriminator_adam, &(&scalar + &pixel), config.gradient_clip);
    // How often the discriminator is right about real sequences, in [-1, 1]: 1 means overfitting.
    let sign_real = on_real.scalar.detach().sign().mean(Kind::Float);
    vec![
        ("loss_discriminator", scalar.detach()),
        ("loss_discriminator_pixel", pixel.detach()),
        ("gradient_norm_discriminator", norm),
        ("r_real", sign_real),
    ]
}

/// Dreg: keep the discriminator flat around real sequences.
pub fn discriminator_r1(state: &mut State, config: &TrainingConfig, real: &Tensor) -> Values {
    let real = real.detach().set_requires_grad(true);
    let logits = state.discriminator.net.forward(&real);
    let pixels = logits.pixel.size()[1..].iter().product::<i64>() as f64;
    let pixel_weight = if config.r1_normalise_pixels { pixels.sqrt().recip() } else { 1.0 };
    let sum = logits.scalar.sum(Kind::Float) + logits.pixel.sum(Kind::Float) * pixel_weight;
    let penalty = r1(&sum, &real);
    let norm = step(&mut state.discriminator_adam, &(&penalty * config.r1_gamma), config.gradient_clip);
    vec![("r1_penalty", penalty.detach()), ("gradient_norm_r1", norm)]
}

/// Gmain: push logits of generated sequences up. The discriminator's own gradients are not computed.
pub fn generator_main(
    state: &mut State,
    config: &TrainingConfig,
    batch: i64,
    device: Device,
    draw: Draw,
) -> Values {
    let generated = generate(&state.generator.net, config, batch, device, draw);
    let logits = state.discriminator.net.forward(&generated);
    let scalar = call_real(&logits.scalar, None);
    let pixel = call_real(&logits.pixel, None);
    let norm = step(&mut state.generator_adam, &(&scalar + &pixel), config.gradient_clip);
    vec![
        ("loss_generator", scalar.detach()),
        ("loss_generator_pixel", pixel.detach()),
        ("gradient_norm_generator", norm),
    ]
}

/// Generates a training batch with fresh latents and noise, and mixed styles at the configured probability.
fn generate(
    generator: &Generator,
    config: &TrainingConfig,
    batch: i64,
    device: Device,
    draw: Draw,
) -> Tensor {
    let key = [draw.run_seed, draw.iteration, draw.stream];
    let mut host = seed::stream(&key);
    let device_seed = seed::key(&key) as i64;
    // Seeds every device's generator.
    tch::manual_seed(device_seed);
    let latent = || generator.map(&Tensor::randn([batch, generator.latent_size()], (Kind::Float, device)));
    let w = latent();
    let ws = if host.random_bool(config.style_mixing_probability) {
        // Reference: the second latent always controls at least the last two slots.
        let inject_index = host.random_range(1..=generator.latent_slots() - 2);
        generator.mix(&w, &latent(), inject_index)
    } else {
        generator.broadcast(&w)
    };
    generator.synthesise(&ws, &mut generator.random_noise(batch))
}

/// Backward, clip, Adam. Returns the gradient norm before clipping.
fn step(adam: &mut Adam, loss: &Tensor, gradient_clip: f64) -> Tensor {
    let mut gradients = gradients(loss, adam.parameters());
    let norm = clip_gradient_norm(&mut gradients, gradient_clip);
    adam.step(&gradients);
    norm
}
