//! When each phase of an iteration is due, and how the recipe changes over a run.

use super::config::{TopKConfig, TrainingConfig};

/// One optimiser step of an iteration. The order is the order of the algorithm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Discriminator: real up, generated down.
    DiscriminatorMain,
    /// Discriminator: flat around real data.
    DiscriminatorR1,
    /// Discriminator: tell real from generated regions of mixed images.
    CutMix,
    /// Discriminator: pixel logits of mixed images as mixed pixel logits.
    CutMixConsistency,
    /// Generator: generated up.
    GeneratorMain,
    /// Generator: equal steps in latent space change the image equally.
    PathLength,
}

/// The parts of the recipe that change over a run, at one iteration.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Moment {
    /// The pixel losses are weighted by the trap map.
    pub trap: bool,
    /// The discriminator sees wrong time order.
    pub wrong_order: bool,
    /// Share of generated samples that count in the generator's step.
    pub top_k_fraction: f64,
    /// Probability of the cut-mix steps.
    pub cut_mix_probability: f64,
}

/// Returns the recipe of an iteration, which counts from 1. Starts and probabilities are shares of the whole run.
pub fn moment(iteration: u64, config: &TrainingConfig) -> Moment {
    let total = config.iterations();
    let progress = (iteration - 1) as f64 / total.max(1) as f64;
    Moment {
        trap: config.trap.gain > 0.0 && progress >= config.trap.start,
        wrong_order: config.wrong_order.enabled && progress >= config.wrong_order.start,
        top_k_fraction: if config.top_k.enabled {
            top_k_fraction(iteration, total, &config.top_k)
        } else {
            1.0
        },
        cut_mix_probability: config.cut_mix.probability * progress.min(1.0),
    }
}

/// Returns the share of samples kept at an iteration of `total`: 1 until the start, falling to `fraction` at the end.
pub fn top_k_fraction(iteration: u64, total: u64, config: &TopKConfig) -> f64 {
    let at = |share: f64| (share * total as f64) as u64;
    let (start, end) = (at(config.start), at(config.end));
    if iteration <= start {
        1.0
    } else if iteration >= end {
        config.fraction
    } else {
        let passed = (iteration - start) as f64 / (end - start) as f64;
        (1.0 - config.fraction) * (1.0 - passed) + config.fraction
    }
}

/// Returns how many of `n` samples a share keeps: at least one.
pub fn kept(n: i64, fraction: f64) -> i64 {
    ((n as f64 * fraction) as i64).max(1)
}

/// Returns the phases of an iteration, which counts from 1; `cut_mix` is its draw.
pub fn due(iteration: u64, config: &TrainingConfig, cut_mix: bool) -> Vec<Phase> {
    let every = |weight: f64, interval: u64| weight > 0.0 && iteration.is_multiple_of(interval);
    let mut phases = vec![Phase::DiscriminatorMain];
    if every(config.r1_gamma, config.r1_interval) {
        phases.push(Phase::DiscriminatorR1);
    }
    if cut_mix && config.cut_mix.weight > 0.0 {
        phases.push(Phase::CutMix);
    }
    if cut_mix && config.cut_mix.consistency_weight > 0.0 {
        phases.push(Phase::CutMixConsistency);
    }
    phases.push(Phase::GeneratorMain);
    if every(config.path_length.weight, config.path_length.interval) {
        phases.push(Phase::PathLength);
    }
    phases
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::training::Preset;

    #[test]
    fn lazy_phases_come_at_their_intervals_in_the_order_of_the_algorithm() {
        use Phase::*;
        let config = Preset::Paper.config(2, 3, 256).training;
        assert_eq!(due(1, &config, false), [DiscriminatorMain, GeneratorMain]);
        let all = [DiscriminatorMain, DiscriminatorR1, CutMix, CutMixConsistency, GeneratorMain, PathLength];
        assert_eq!(due(16, &config, true), all);
        let tiny = Preset::Tiny.config(2, 3, 32).training;
        assert_eq!(due(tiny.r1_interval, &tiny, false), [DiscriminatorMain, DiscriminatorR1, GeneratorMain]);
    }

    #[test]
    fn the_recipe_changes_at_shares_of_the_run() {
        let config = Preset::Paper.config(2, 3, 256).training;
        let total = config.iterations();
        assert_eq!(moment(1, &config).cut_mix_probability, 0.0);
        let late = moment(total, &config);
        assert!(late.wrong_order && late.top_k_fraction == 0.5 && late.cut_mix_probability > 0.49);
        assert!(!moment(total / 2, &config).wrong_order);
    }
}
