//! The state of a run: networks, optimisers, counters.

use tch::nn::VarStore;
use tch::{Device, Kind, Tensor};

use super::augment::controller::Controller;
use super::config::Config;
use super::schedule::Phase;
use super::stats::Accumulator;
use crate::model::weights::sorted;
use crate::model::{Discriminator, Generator};
use crate::optim::{Adam, AdamConfig};
use crate::tensor_rng::with_seed;
use lapsegan_core::seed::Stream;

/// Networks, optimisers and counters.
#[derive(Debug)]
pub struct State {
    /// The generator that is trained.
    pub generator: NetworkState<Generator>,
    /// Its moving average, from which images are made.
    pub generator_ema: NetworkState<Generator>,
    /// The discriminator.
    pub discriminator: NetworkState<Discriminator>,
    /// Optimiser of the generator.
    pub generator_adam: Adam,
    /// Optimiser of the discriminator.
    pub discriminator_adam: Adam,
    /// Running mean of the path length. `[]`
    pub path_length_mean: Tensor,
    /// Augmentation probability and the statistics it follows.
    pub ada: Controller,
    /// That of sequences with labels, where not all have them.
    pub labels_ada: Controller,
    /// What was measured since the last tick.
    pub since_tick: Accumulator,
    /// Iterations done.
    pub iteration: u64,
    /// Real sequences shown to the discriminator.
    pub sequences_seen: u64,
}

/// A network with its variables.
#[derive(Debug)]
pub struct NetworkState<N> {
    /// Variables by name.
    pub vs: VarStore,
    /// The layers.
    pub net: N,
    /// Names of the trainable variables, sorted.
    pub names: Vec<String>,
    /// The trainable variables in the order of `names`.
    pub parameters: Vec<Tensor>,
}

impl<N> NetworkState<N> {
    fn new(device: Device, build: impl FnOnce(&tch::nn::Path) -> N) -> Self {
        let vs = VarStore::new(device);
        let net = build(&vs.root());
        let (names, parameters) =
            sorted(&vs).into_iter().filter(|(_, tensor)| tensor.requires_grad()).unzip();
        Self { vs, net, names, parameters }
    }
}

impl State {
    /// Makes freshly initialised networks; equal seeds give equal weights on every device.
    pub fn new(config: &Config, run_seed: u64, device: Device) -> Self {
        let model = &config.model;
        // The weights are drawn on the CPU, so that they do not depend on the device.
        let (mut generator, mut generator_ema, mut discriminator) =
            with_seed(Stream::InitialWeights, &[run_seed], |_| {
                let generator = || NetworkState::new(Device::Cpu, |vs| Generator::new(vs, model));
                let discriminator = || NetworkState::new(Device::Cpu, |vs| Discriminator::new(vs, model));
                (generator(), generator(), discriminator())
            });
        if device != Device::Cpu {
            let onto = |network: &mut NetworkState<Generator>| {
                *network = Self::moved(network, device, |vs| Generator::new(vs, model));
            };
            onto(&mut generator);
            onto(&mut generator_ema);
            discriminator = Self::moved(&discriminator, device, |vs| Discriminator::new(vs, model));
        }
        // VarStore::copy reports names that are missing; both were built alike.
        generator_ema.vs.copy(&generator.vs).expect("equal networks");
        let t = &config.training;
        let adam = AdamConfig { beta1: t.adam_beta1, beta2: t.adam_beta2, eps: t.adam_eps };
        let rates = generator
            .names
            .iter()
            .map(|name| {
                t.generator_lr * if name.starts_with("style_mapping") { t.mapping_lr_factor } else { 1.0 }
            })
            .collect();
        let clones = |tensors: &[Tensor]| tensors.iter().map(Tensor::shallow_clone).collect::<Vec<_>>();
        let generator_adam = Adam::new(adam, clones(&generator.parameters), rates);
        let rates = vec![t.discriminator_lr; discriminator.parameters.len()];
        let discriminator_adam = Adam::new(adam, clones(&discriminator.parameters), rates);
        Self {
            generator,
            generator_ema,
            discriminator,
            generator_adam,
            discriminator_adam,
            path_length_mean: Tensor::zeros([], (Kind::Float, device)),
            ada: Controller::new(t.ada.initial_p),
            labels_ada: Controller::new(t.labels.initial_p),
            since_tick: Accumulator::default(),
            iteration: 0,
            sequences_seen: 0,
        }
    }

    /// Returns how far the run is, in kimg.
    pub fn kimg(&self) -> f64 {
        self.sequences_seen as f64 / 1000.0
    }

    /// Returns all tensors that a phase writes, without their graphs.
    pub fn written(&self, phase: Phase) -> Vec<Tensor> {
        match phase {
            Phase::GeneratorMain => self.generator_adam.written(),
            Phase::PathLength => {
                let mut written = self.generator_adam.written();
                written.push(self.path_length_mean.shallow_clone());
                written
            }
            _ => self.discriminator_adam.written(),
        }
    }

    fn moved<N>(
        network: &NetworkState<N>,
        device: Device,
        build: impl FnOnce(&tch::nn::Path) -> N,
    ) -> NetworkState<N> {
        let mut there = NetworkState::new(device, build);
        there.vs.copy(&network.vs).expect("equal networks");
        there
    }
}
