//! What the phases of an iteration start from: the batch in parts, with all draws.

use rand::Rng;
use tch::Tensor;

use super::augment::{Allowed, Augmentation, Augmenter};
use super::config::TrainingConfig;
use super::draws::{Caller, Key, Latents, cut, wrong_order};
use super::phases::{DiscriminatorPart, GeneratorPart};
use super::schedule::Moment;
use super::state::State;
use crate::losses::cut_mix::Cut;
use crate::transfer::upload;
use lapsegan_core::seed::Stream;

/// An iteration before its steps. All random numbers of its steps are drawn here, each under the key of its part, so
/// equal iterations of equal runs have equal inputs, and parts may be executed in any order.
#[derive(Debug)]
pub struct Inputs<'a> {
    /// The recipe.
    pub config: &'a TrainingConfig,
    /// Which of its terms are in force at this iteration.
    pub moment: Moment,
    /// Seed of the run.
    pub run_seed: u64,
    /// Iteration, from 1.
    pub iteration: u64,
    /// Real sequences. `[N, C, T, H, W]`
    pub real: &'a Tensor,
}

impl Inputs<'_> {
    /// Draws whether cut-mix is due, and the cuts of its two steps.
    pub fn cut_mix(&self) -> Option<[Cut; 2]> {
        let probability = self.moment.cut_mix_probability;
        let mut rng = self.key(0).rng(Stream::CutMix);
        let due = probability > 0.0 && rng.random_bool(probability);
        due.then(|| {
            [cut(self.size(), &mut rng), cut(self.size(), &mut self.key(0).rng(Stream::CutMixConsistency))]
        })
    }

    /// Draws for the discriminator's step.
    pub fn discriminator(&self, state: &State) -> Vec<DiscriminatorPart> {
        let part =
            |(i, real): (u64, Tensor)| {
                let key = self.key(i);
                let n = real.size()[0];
                let wrong = &self.config.wrong_order;
                let count = ((n as f64 * wrong.fraction) as i64).max(1);
                let order = self.moment.wrong_order.then(|| {
                    let mut rng = key.rng(Stream::WrongOrder);
                    let order = wrong_order(real.size()[2] as usize, wrong.with_replacement, &mut rng);
                    (count, upload(&Tensor::from_slice(&order), real.device()))
                });
                let generated = n + if order.is_some() { count } else { 0 };
                let augmentations = self
                    .augmentation(state, n, key, Stream::AugmentReal)
                    .zip(self.augmentation(state, generated, key, Stream::AugmentGenerated));
                DiscriminatorPart {
                    latents: self.latents(state, n, key, Caller::Discriminator),
                    wrong_order: order,
                    augmentations: augmentations.map(|(real, generated)| [real, generated]),
                    labelled: self.labelled(i, n),
                    real,
                }
            };
        (0..).zip(self.real.split(self.part_size(), 0)).map(part).collect()
    }

    /// Draws for the generator's step.
    pub fn generator(&self, state: &State) -> Vec<GeneratorPart> {
        let part = |i: u64| {
            let (key, n) = (self.key(i), self.part_size());
            GeneratorPart {
                latents: self.latents(state, n, key, Caller::Generator),
                augmentation: self.augmentation(state, n, key, Stream::AugmentGenerator),
            }
        };
        (0..(self.real.size()[0] / self.part_size()) as u64).map(part).collect()
    }

    /// Draws for the path length step: latents and image noise.
    pub fn path_length(&self, state: &State) -> Vec<(Latents, Tensor)> {
        let whole = ((self.real.size()[0] as f64 * self.config.path_length.batch_fraction) as i64).max(1);
        let most = self.part_size().min(whole);
        let mut shape = self.real.size();
        let part = |i: u64| {
            let (key, n) = (self.key(i), most.min(whole - i as i64 * most));
            shape[0] = n;
            let noise = upload(&key.randn(Stream::PathImages, &[], &shape), self.real.device());
            (self.latents(state, n, key, Caller::PathLength), noise)
        };
        (0..(whole as u64).div_ceil(most as u64)).map(part).collect()
    }

    fn latents(&self, state: &State, n: i64, key: Key, caller: Caller) -> Latents {
        let mixing = self.config.style_mixing_probability;
        Latents::draw(&state.generator.net, n, mixing, self.real.device(), key, caller)
    }

    fn augmentation(&self, state: &State, n: i64, key: Key, stream: Stream) -> Option<Augmenter> {
        let ada = &self.config.ada;
        let allowed = Allowed { mirrors: self.config.mirror || self.config.dihedral, turns: ada.turns };
        let whole = self.part_size();
        let p: Vec<f64> = (0..n)
            // Real sequences in wrong order follow the generated ones, from the first.
            .map(|row| if self.has_labels(key.part, row % whole) { state.labels_ada.p } else { state.ada.p })
            .collect();
        let draw = || Augmentation::draw(ada.geometry, self.size(), &p, allowed, &mut key.rng(stream));
        ada.enabled.then(|| draw().upload(self.size(), self.real.device()))
    }

    /// Returns 1 for the sequences of a part that have labels. `[N, 1, 1, 1, 1]`
    fn labelled(&self, part: u64, n: i64) -> Option<Tensor> {
        let labelled: Vec<f32> = (0..n).map(|row| f32::from(u8::from(self.has_labels(part, row)))).collect();
        (self.config.labels.every > 0)
            .then(|| upload(&Tensor::from_slice(&labelled).view([-1, 1, 1, 1, 1]), self.real.device()))
    }

    fn has_labels(&self, part: u64, row: i64) -> bool {
        self.config.labels.has_labels((part as i64 * self.part_size() + row) as usize)
    }

    fn key(&self, part: u64) -> Key {
        Key { run_seed: self.run_seed, iteration: self.iteration, part }
    }

    fn part_size(&self) -> i64 {
        self.config.micro_batch.of(self.real.size()[0] as usize) as i64
    }

    fn size(&self) -> i64 {
        self.real.size()[4]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::optim::Adam;
    use crate::tensor_rng::randn;
    use crate::training::config::Config;
    use crate::training::micro_batch::MicroBatch;
    use crate::training::phases::{discriminator_main, generator_main, generator_path_length};
    use crate::training::{Preset, schedule};
    use tch::{Device, Kind};

    /// Tiny networks with the whole published recipe, two sequences per part.
    fn config(channels: usize) -> Config {
        let mut config = Preset::Tiny.config(channels, 3, 16);
        config.model.generator.grain_gain = 1.0;
        config.training = Preset::Paper.config(channels, 3, 16).training;
        config.training.micro_batch = MicroBatch::Size(2);
        config.training.gradient_clip = 1e9;
        config.training.ada.initial_p = 0.5;
        config.training.path_length.batch_fraction = 1.0;
        config
    }

    fn real(n: i64, channels: i64) -> Tensor {
        randn(Stream::Symmetries, &[], &[n, channels, 3, 16, 16])
    }

    fn inputs<'a>(config: &'a Config, real: &'a Tensor) -> Inputs<'a> {
        // Near the end of a run everything is in force.
        let iteration = config.training.iterations();
        let moment = schedule::moment(iteration, &config.training);
        assert!(moment.wrong_order && moment.top_k_fraction < 1.0);
        Inputs { config: &config.training, moment, run_seed: 1, iteration, real }
    }

    /// Returns all gradients of a network's first step: without memory, Adam's first moment is the gradient.
    fn gradient(adam: &Adam) -> Tensor {
        let moments: Vec<Tensor> = adam.state().iter().flatten().map(|m| m.exp_avg.flatten(0, -1)).collect();
        Tensor::cat(&moments, 0).to_kind(Kind::Double)
    }

    /// Returns the three parts of a step, the last one first where asked for.
    fn three<P>(mut parts: Vec<P>, reversed: bool) -> Vec<P> {
        assert_eq!(parts.len(), 3);
        if reversed {
            parts.reverse();
        }
        parts
    }

    /// Returns the gradients of a step on networks with the weights of `start`.
    fn step(caller: Caller, config: &Config, start: &State, inputs: &Inputs, reversed: bool) -> Tensor {
        let (mut state, recipe) = (State::new(config, 1, Device::Cpu), &config.training);
        // Tests that run beside this one may draw from libtorch's generator while weights are drawn.
        state.generator.vs.copy(&start.generator.vs).unwrap();
        state.discriminator.vs.copy(&start.discriminator.vs).unwrap();
        match caller {
            Caller::Discriminator => {
                let parts = three(inputs.discriminator(&state), reversed);
                discriminator_main(&mut state, recipe, None, &parts);
                return gradient(&state.discriminator_adam);
            }
            Caller::Generator => {
                let parts = three(inputs.generator(&state), reversed);
                generator_main(&mut state, recipe, None, inputs.moment.top_k_fraction, &parts);
            }
            Caller::PathLength => {
                let parts = three(inputs.path_length(&state), reversed);
                generator_path_length(&mut state, recipe, &parts);
            }
        }
        gradient(&state.generator_adam)
    }

    #[test]
    fn parts_in_reverse_order_give_the_same_gradients() {
        let (config, real) = (config(2), real(6, 2));
        let (start, inputs) = (State::new(&config, 1, Device::Cpu), inputs(&config, &real));
        for caller in [Caller::Discriminator, Caller::Generator, Caller::PathLength] {
            let [forwards, backwards] =
                [false, true].map(|reversed| step(caller, &config, &start, &inputs, reversed));
            let norm = forwards.norm().double_value(&[]);
            let error = (forwards - backwards).norm().double_value(&[]) / norm;
            assert!(norm > 0.0 && error < 1e-5, "{caller:?}: norm {norm}, relative difference {error}");
        }
    }

    /// Everything that is drawn for a part, but for image noise: names, and tensors that may be compared.
    fn draws(latents: &Latents, rest: &str, domains: usize) -> (String, Vec<Tensor>) {
        let [second, slots] = latents.mixed.as_ref().expect("styles are mixed");
        let noise = latents.noise.0[..domains].iter().flatten();
        let tensors = [&latents.z, second].into_iter().chain(noise).map(Tensor::shallow_clone);
        let slots = Vec::<bool>::try_from(slots.squeeze()).unwrap();
        (format!("{rest} {slots:?}"), tensors.collect())
    }

    /// Returns what is drawn for the first `parts` parts of every step.
    fn all_draws(inputs: &Inputs, state: &State, parts: usize, domains: usize) -> Vec<(String, Vec<Tensor>)> {
        let discriminator = inputs.discriminator(state).into_iter().take(parts).map(|part| {
            let drawn = part.augmentations.as_ref().map(|both| both.each_ref().map(|a| &a.drawn));
            let rest = format!("{drawn:?}");
            let mut all = draws(&part.latents, &rest, domains);
            all.1.extend(part.wrong_order.map(|(_, order)| order));
            all
        });
        let generator = inputs.generator(state).into_iter().take(parts).map(|part| {
            let rest = format!("{:?}", part.augmentation.as_ref().map(|a| &a.drawn));
            draws(&part.latents, &rest, domains)
        });
        let path = inputs.path_length(state).into_iter().take(parts).map(|(latents, noise)| {
            let mut all = draws(&latents, "", domains);
            all.1.push(noise.narrow(1, 0, domains as i64));
            all
        });
        discriminator.chain(generator).chain(path).collect()
    }

    #[test]
    fn one_more_part_or_domain_changes_no_other_draw() {
        let (two, three) = (config(2), config(3));
        let [state, wider] = [&two, &three].map(|config| State::new(config, 1, Device::Cpu));
        let [few, many, wide] = [real(6, 2), real(8, 2), real(6, 3)];
        let expected = all_draws(&inputs(&two, &few), &state, 3, 2);
        assert_eq!(all_draws(&inputs(&two, &many), &state, 3, 2), expected);
        assert_eq!(all_draws(&inputs(&three, &wide), &wider, 3, 2), expected);
        // No two of the drawn tensors are alike: steps, parts, domains and layers have keys of their own.
        let tensors: Vec<&Tensor> = expected.iter().flat_map(|(_, tensors)| tensors).collect();
        for (i, a) in tensors.iter().enumerate() {
            assert!(tensors[i + 1..].iter().all(|b| a != b));
        }
    }
}
