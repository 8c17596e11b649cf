//! When each phase of an iteration is due.

use super::TrainingError;
use super::config::TrainingConfig;

/// One optimiser step of an iteration. The order is the order of the algorithm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Discriminator: real up, generated down.
    DiscriminatorMain,
    /// Discriminator: flat around real data.
    DiscriminatorR1,
    /// Generator: generated up.
    GeneratorMain,
}

/// Returns the phases of an iteration, which counts from 1.
pub fn due(iteration: u64, config: &TrainingConfig) -> Vec<Phase> {
    let mut phases = vec![Phase::DiscriminatorMain];
    if config.r1_gamma > 0.0 && iteration.is_multiple_of(config.r1_interval) {
        phases.push(Phase::DiscriminatorR1);
    }
    phases.push(Phase::GeneratorMain);
    phases
}

/// Refuses a recipe with parts that no phase here carries out: training without them would be another method.
///
/// # Errors
/// [`TrainingError::PhaseNotBuilt`] naming all of them.
pub fn expect_built(config: &TrainingConfig) -> Result<(), TrainingError> {
    let wanted = [
        ("path length (path_length_weight)", config.path_length_weight > 0.0),
        ("adaptive discriminator augmentation (ada)", config.ada),
        ("top-k (top_k)", config.top_k),
        ("cut-mix (cut_mix_probability)", config.cut_mix_probability > 0.0),
        ("wrong time order (wrong_order)", config.wrong_order),
    ];
    let phases: Vec<String> =
        wanted.iter().filter(|(_, on)| *on).map(|(name, _)| (*name).to_owned()).collect();
    if phases.is_empty() { Ok(()) } else { Err(TrainingError::PhaseNotBuilt { phases }) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::training::Preset;

    #[test]
    fn r1_comes_at_its_interval_between_the_main_phases() {
        let config = Preset::Tiny.config(2, 3, 32).training;
        assert_eq!(due(1, &config), [Phase::DiscriminatorMain, Phase::GeneratorMain]);
        assert_eq!(due(config.r1_interval, &config)[1], Phase::DiscriminatorR1);
    }

    #[test]
    fn presets_with_unbuilt_phases_are_refused_by_name() {
        assert!(expect_built(&Preset::Tiny.config(2, 3, 32).training).is_ok());
        let error = expect_built(&Preset::Paper.config(2, 3, 256).training).unwrap_err().to_string();
        assert!(error.contains("cut-mix") && error.contains("path length"), "{error}");
    }
}
