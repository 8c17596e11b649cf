//! One iteration: the algorithm.

use tch::Tensor;

use super::TrainingError;
use super::inputs::Inputs;
use super::phases::{ADA_SIGNAL, LABELS_ADA_SIGNAL, Shown};
use super::schedule::{self, Phase};
use super::state::State;
use super::steps::Steps;
use super::work::Work;
use crate::losses::cut_mix::Cut;
use crate::optim::ema;

/// Takes all steps that are due, and moves the generator's average. `weight [1, 1, 1, H, W]` is that of the pixel losses.
///
/// # Errors
/// What [`Steps::run`] says.
pub fn iterate(
    inputs: &Inputs,
    weight: Option<&Tensor>,
    state: &mut State,
    steps: &mut Steps,
) -> Result<(), TrainingError> {
    let (config, real) = (inputs.config, inputs.real);
    let cut_mix = inputs.cut_mix();
    let mut shown: Vec<Shown> = Vec::new();

    for phase in schedule::due(inputs.iteration, config, cut_mix.is_some()) {
        let seen = || shown.iter().map(Shown::shallow_clone).collect();
        let weight = weight.map(Tensor::shallow_clone);
        let work = match phase {
            Phase::DiscriminatorMain => Work::DiscriminatorMain(weight, inputs.discriminator(state)),
            Phase::DiscriminatorR1 => Work::DiscriminatorR1(seen()),
            Phase::CutMix => Work::CutMix(seen(), map(cut_mix.map(|c| c[0]), real)),
            Phase::CutMixConsistency => Work::CutMixConsistency(seen(), map(cut_mix.map(|c| c[1]), real)),
            Phase::GeneratorMain => {
                Work::GeneratorMain(weight, inputs.moment.top_k_fraction, inputs.generator(state))
            }
            Phase::PathLength => Work::PathLength(inputs.path_length(state)),
        };
        let done = steps.run(&work, state, config)?;
        if !done.shown.is_empty() {
            shown = done.shown;
        }
        for (name, signal) in &done.values {
            match *name {
                ADA_SIGNAL => state.ada.observe(signal),
                LABELS_ADA_SIGNAL => state.labels_ada.observe(signal),
                _ => {}
            }
        }
        state.since_tick.add(done.values);
        state.ada.adapt(&config.ada);
        state.labels_ada.adapt(&config.ada);
    }

    // Gema: the average that images are made from.
    let decay = ema::decay(config.ema_half_life_kimg, config.ema_rampup, state.kimg(), config.batch);
    ema::update(&mut state.generator_ema.parameters, &state.generator.parameters, decay);
    Ok(())
}

/// Returns the map of a cut for images like `real`. `[1, 1, 1, H, W]`
fn map(cut: Option<Cut>, real: &Tensor) -> Tensor {
    let (height, width) = (real.size()[3], real.size()[4]);
    cut.expect("the phase is due only where a cut was drawn").map(height, width, real.device())
}
