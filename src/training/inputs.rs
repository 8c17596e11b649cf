//! What the phases of an iteration start from: the batch in parts, with all draws.

use rand::Rng;
use tch::{Kind, Tensor};

use super::augment::Plan;
use super::config::TrainingConfig;
use super::draws::{Key, Latents, Stream, cut, wrong_order};
use super::phases::{DiscriminatorPart, GeneratorPart};
use super::schedule::Moment;
use super::state::State;
use crate::losses::cut_mix::Cut;

/// An iteration before its steps. Equal iterations of equal runs have equal inputs.
#[derive(Debug)]
pub struct Inputs<'a> {
    /// The recipe.
    pub config: &'a TrainingConfig,
    /// What of it holds now.
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
        let part = |(i, real): (u64, Tensor)| {
            let key = self.key(i);
            let n = real.size()[0];
            let wrong = &self.config.wrong_order;
            let count = ((n as f64 * wrong.fraction) as i64).max(1);
            let order = self.moment.wrong_order.then(|| {
                let mut rng = key.rng(Stream::WrongOrder);
                (count, wrong_order(real.size()[2] as usize, wrong.with_replacement, &mut rng))
            });
            let generated = n + if order.is_some() { count } else { 0 };
            let plans = self.plan(state, n, key, Stream::AugmentReal).zip(self.plan(
                state,
                generated,
                key,
                Stream::AugmentGenerated,
            ));
            DiscriminatorPart {
                latents: self.latents(state, n, key, Stream::DiscriminatorLatents),
                wrong_order: order,
                plans: plans.map(|(real, generated)| [real, generated]),
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
                latents: self.latents(state, n, key, Stream::GeneratorLatents),
                plan: self.plan(state, n, key, Stream::AugmentGenerator),
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
            key.seed_devices(Stream::PathNoise);
            shape[0] = n;
            let noise = Tensor::randn(shape.as_slice(), (Kind::Float, self.real.device()));
            (self.latents(state, n, key, Stream::PathLatents), noise)
        };
        (0..(whole as u64).div_ceil(most as u64)).map(part).collect()
    }

    fn latents(&self, state: &State, n: i64, key: Key, stream: Stream) -> Latents {
        let mixing = self.config.style_mixing_probability;
        Latents::draw(&state.generator.net, n, mixing, self.real.device(), key, stream)
    }

    fn plan(&self, state: &State, n: i64, key: Key, stream: Stream) -> Option<Plan> {
        let ada = &self.config.ada;
        let draw = || Plan::draw(ada.geometry, n as usize, self.size(), state.ada.p, &mut key.rng(stream));
        (ada.enabled && state.ada.p > 0.0).then(draw)
    }

    fn key(&self, part: u64) -> Key {
        Key { run_seed: self.run_seed, iteration: self.iteration, part }
    }

    fn part_size(&self) -> i64 {
        let whole = self.real.size()[0];
        if self.config.micro_batch == 0 { whole } else { whole.min(self.config.micro_batch as i64) }
    }

    fn size(&self) -> i64 {
        self.real.size()[4]
    }
}
