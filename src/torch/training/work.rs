//! A phase with all that it starts from, as tensors, so that it can be recorded once and replayed with other numbers.

use tch::Tensor;

use super::config::TrainingConfig;
use super::draws::Latents;
use super::phases::{self, DiscriminatorPart, GeneratorPart, Shown, Values};
use super::schedule::Phase;
use super::state::State;
use crate::graphs::replayed::Leaves;

/// A phase and what it starts from.
#[derive(Debug)]
pub enum Work {
    /// Dmain, with the weight of the pixel losses.
    DiscriminatorMain(Option<Tensor>, Vec<DiscriminatorPart>),
    /// Dreg.
    DiscriminatorR1(Vec<Shown>),
    /// Dcut, with the map of the cut.
    CutMix(Vec<Shown>, Tensor),
    /// Dcons, with the map of the cut.
    CutMixConsistency(Vec<Shown>, Tensor),
    /// Gmain, with the weight of the pixel losses and the share of samples that count.
    GeneratorMain(Option<Tensor>, f64, Vec<GeneratorPart>),
    /// Gpl.
    PathLength(Vec<(Latents, Tensor)>),
}

/// What a phase leaves.
#[derive(Debug)]
pub struct Done {
    /// Named values of the step.
    pub values: Values,
    /// What the later phases of the iteration start from, where the phase says anew.
    pub shown: Vec<Shown>,
}

impl Work {
    /// Returns the phase.
    pub fn phase(&self) -> Phase {
        match self {
            Self::DiscriminatorMain(..) => Phase::DiscriminatorMain,
            Self::DiscriminatorR1(..) => Phase::DiscriminatorR1,
            Self::CutMix(..) => Phase::CutMix,
            Self::CutMixConsistency(..) => Phase::CutMixConsistency,
            Self::GeneratorMain(..) => Phase::GeneratorMain,
            Self::PathLength(..) => Phase::PathLength,
        }
    }

    /// Does it.
    pub fn run(&self, state: &mut State, config: &TrainingConfig) -> Done {
        let only = |values| Done { values, shown: Vec::new() };
        match self {
            Self::DiscriminatorMain(weight, parts) => {
                let (values, shown) = phases::discriminator_main(state, config, weight.as_ref(), parts);
                Done { values, shown }
            }
            Self::DiscriminatorR1(shown) => {
                let mut shown: Vec<Shown> = shown.iter().map(Shown::shallow_clone).collect();
                let values = phases::discriminator_r1(state, config, &mut shown);
                Done { values, shown }
            }
            Self::CutMix(shown, map) => only(phases::cut_mix(state, config, shown, map)),
            Self::CutMixConsistency(shown, map) => {
                only(phases::cut_mix_consistency(state, config, shown, map))
            }
            Self::GeneratorMain(weight, share, parts) => {
                only(phases::generator_main(state, config, weight.as_ref(), *share, parts))
            }
            Self::PathLength(parts) => only(phases::generator_path_length(state, config, parts)),
        }
    }

    /// Returns handles of all tensors that it starts from, always in the same order; `None` where what it does depends on
    /// more than their shapes and [`Work::key`].
    pub fn tensors(&self) -> Option<Vec<Tensor>> {
        let mut tensors: Vec<Tensor> = Vec::new();
        match self {
            Self::DiscriminatorMain(weight, parts) => {
                tensors.extend(weight.as_ref().map(Tensor::shallow_clone));
                for part in parts {
                    tensors.push(part.real.shallow_clone());
                    tensors.extend(part.latents.tensors());
                    tensors.extend(part.wrong_order.iter().map(|(_, order)| order.shallow_clone()));
                    for augmentation in part.augmentations.iter().flatten() {
                        tensors.extend(augmentation.tensors()?);
                    }
                    tensors.extend(part.labelled.as_ref().map(Tensor::shallow_clone));
                }
            }
            Self::DiscriminatorR1(shown) => tensors.extend(shown.iter().flat_map(shown_tensors)),
            Self::CutMix(shown, map) | Self::CutMixConsistency(shown, map) => {
                tensors.extend(shown.iter().flat_map(shown_tensors));
                tensors.push(map.shallow_clone());
            }
            Self::GeneratorMain(weight, _, parts) => {
                tensors.extend(weight.as_ref().map(Tensor::shallow_clone));
                for part in parts {
                    tensors.extend(part.latents.tensors());
                    if let Some(augmentation) = &part.augmentation {
                        tensors.extend(augmentation.tensors()?);
                    }
                }
            }
            Self::PathLength(parts) => {
                for (latents, noise) in parts {
                    tensors.extend(latents.tensors());
                    tensors.push(noise.shallow_clone());
                }
            }
        }
        Some(tensors)
    }

    /// Returns what it depends on besides tensors: how many samples count, and how many are shown in wrong order.
    pub fn key(&self) -> Vec<i64> {
        match self {
            Self::DiscriminatorMain(weight, parts) => {
                let count =
                    |part: &DiscriminatorPart| part.wrong_order.as_ref().map_or(0, |(count, _)| *count);
                std::iter::once(i64::from(weight.is_some())).chain(parts.iter().map(count)).collect()
            }
            Self::GeneratorMain(weight, share, parts) => {
                let kept = |part: &GeneratorPart| super::schedule::kept(part.latents.z.size()[0], *share);
                std::iter::once(i64::from(weight.is_some())).chain(parts.iter().map(kept)).collect()
            }
            _ => Vec::new(),
        }
    }
}

fn shown_tensors(shown: &Shown) -> [Tensor; 4] {
    let Shown { real, generated, pixel_real, pixel_generated } = shown.shallow_clone();
    [real, generated, pixel_real, pixel_generated]
}

impl Leaves for Done {
    fn handles(&self) -> Self {
        let values = self.values.iter().map(|(name, value)| (*name, value.shallow_clone()));
        // Later phases of the iteration read them, whose graphs may use the same memory in between.
        Self { values: values.collect(), shown: self.shown.iter().map(Shown::copy).collect() }
    }

    fn numbers(&self) -> Vec<Tensor> {
        self.values.iter().map(|(_, value)| value.shallow_clone()).collect()
    }
}
