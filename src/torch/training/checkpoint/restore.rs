//! From a checkpoint back to a state, and whether the checkpoint is one of the same run.

use tch::{Device, Kind, Tensor};

use super::{
    ADA_P, ADA_PENDING, Checkpoint, Identity, LABELS_ADA_P, LABELS_ADA_PENDING, PATH_LENGTH_MEAN, TICK,
};
use crate::model::weights;
use crate::optim::adam::{Adam, Moments};
use crate::training::TrainingError;
use crate::training::augment::controller::Controller;
use crate::training::state::State;
use crate::training::stats::Accumulator;
use crate::transfer::upload;
use lapsegan_core::json_diff::differences;
use lapsegan_core::plate::labelled::LabelledSequence;

impl Checkpoint {
    /// Puts the state back, bit by bit.
    ///
    /// # Errors
    /// Names the first tensor that is missing or of another shape; the state is then unusable.
    pub fn restore(&self, state: &mut State) -> Result<(), TrainingError> {
        let file = self.path.display().to_string();
        weights::load(&state.generator.vs, &self.tensors, "generator.", &file)?;
        weights::load(&state.generator_ema.vs, &self.tensors, "generator_ema.", &file)?;
        weights::load(&state.discriminator.vs, &self.tensors, "discriminator.", &file)?;
        self.restore_moments(
            "generator_adam.",
            &state.generator.names,
            &self.manifest.generator_steps,
            &mut state.generator_adam,
        )?;
        self.restore_moments(
            "discriminator_adam.",
            &state.discriminator.names,
            &self.manifest.discriminator_steps,
            &mut state.discriminator_adam,
        )?;
        let device = state.path_length_mean.device();
        state.path_length_mean = upload(self.tensor(PATH_LENGTH_MEAN, Kind::Float, &[])?, device);
        self.restore_controller([ADA_P, ADA_PENDING], &mut state.ada, device)?;
        if self.manifest.config.training.labels.every > 0 {
            self.restore_controller([LABELS_ADA_P, LABELS_ADA_PENDING], &mut state.labels_ada, device)?;
        }
        let mut sums = Vec::new();
        for key in self.tensors.keys() {
            let Some(name) = key.strip_prefix(TICK) else { continue };
            if name
                .split_once('.')
                .is_none_or(|(place, name)| place.parse::<u8>().is_err() || name.is_empty())
            {
                return Err(self.damaged(format!("tensor {key}: expected {TICK}NN.NAME")));
            }
            sums.push((name.to_owned(), self.tensor(key, Kind::Double, &[2])?.shallow_clone()));
        }
        state.since_tick = Accumulator::from_tensors(sums, device);
        state.iteration = self.manifest.iteration;
        state.sequences_seen = self.manifest.sequences_seen;
        Ok(())
    }

    fn restore_controller(
        &self,
        [name, pending]: [&str; 2],
        ada: &mut Controller,
        device: Device,
    ) -> Result<(), TrainingError> {
        let p = self.tensor(name, Kind::Double, &[])?.double_value(&[]);
        if !(0.0..=1.0).contains(&p) {
            return Err(self.damaged(format!("{name} is {p}, expected 0 to 1")));
        }
        ada.p = p;
        let n = self.tensors.get(pending).and_then(|t| t.size().first().copied()).unwrap_or(0);
        let pending = self.tensor(pending, Kind::Double, &[n])?;
        ada.pending = (0..n).map(|i| upload(&pending.get(i), device)).collect();
        Ok(())
    }

    /// Returns the fields in which the checkpoint differs from a run, `field: checkpoint != run`.
    ///
    /// Settings that only report on a run may differ, and so may its length where the recipe does not depend on it.
    pub fn differences(&self, run: &Identity) -> Vec<String> {
        let mut theirs = self.manifest.config.clone();
        if !run.config.training.depends_on_length() {
            theirs.training.kimg = run.config.training.kimg;
        }
        theirs.training.tick_kimg = run.config.training.tick_kimg;
        theirs.training.keep_checkpoints = run.config.training.keep_checkpoints;
        // Lower where memory ran out; the run says what differs then.
        theirs.training.micro_batch = run.config.training.micro_batch;
        theirs.training.graphs = run.config.training.graphs;
        let mut fields = Vec::new();
        let (before, now) = (&self.manifest.data.labelled, &run.data.labelled);
        if before != now {
            let (gone, new) = (missing(before, now), missing(now, before));
            fields.push(format!("labelled: {gone} (before only) != {new} (now only)"));
        }
        fields.extend(differences(&theirs, &run.config));
        if self.manifest.seed != run.seed {
            fields.push(format!("seed: {} != {}", self.manifest.seed, run.seed));
        }
        fields.extend(differences(&self.manifest.mapped, &run.mapped));
        if self.manifest.data_sha256 != run.data_sha256 {
            fields.push(format!("data: {} != {}", &self.manifest.data_sha256[..12], &run.data_sha256[..12]));
        }
        fields
    }

    fn damaged(&self, problem: String) -> TrainingError {
        TrainingError::Checkpoint { path: self.path.clone(), problem }
    }

    /// Returns a tensor that must have this kind and shape.
    fn tensor(&self, name: &str, kind: Kind, shape: &[i64]) -> Result<&Tensor, TrainingError> {
        let Some(tensor) = self.tensors.get(name) else {
            return Err(self.damaged(format!("tensor {name} is missing")));
        };
        if (tensor.kind(), tensor.size().as_slice()) != (kind, shape) {
            let (found, size) = (tensor.kind(), tensor.size());
            return Err(
                self.damaged(format!("tensor {name} is {found:?} {size:?}, expected {kind:?} {shape:?}"))
            );
        }
        Ok(tensor)
    }

    fn restore_moments(
        &self,
        prefix: &str,
        names: &[String],
        steps: &[i64],
        adam: &mut Adam,
    ) -> Result<(), TrainingError> {
        if steps.len() != names.len() {
            return Err(self.damaged(if steps.is_empty() {
                "the optimiser states are missing; an export cannot be resumed, only used with --init".into()
            } else {
                format!("{} optimiser steps for {} parameters", steps.len(), names.len())
            }));
        }
        let sizes: Vec<_> = adam.parameters().iter().map(Tensor::size).collect();
        let device = adam.parameters().first().map_or(Device::Cpu, Tensor::device);
        for (index, ((name, size), step)) in names.iter().zip(&sizes).zip(steps).enumerate() {
            // The fused step of Adam trusts these sizes.
            let tensor = |kind: &str| {
                let key = format!("{prefix}{kind}.{name}");
                Ok::<_, TrainingError>(upload(self.tensor(&key, Kind::Float, size)?, device))
            };
            let state = match step {
                0 => None,
                &step => {
                    Some(Moments { step, exp_avg: tensor("exp_avg")?, exp_avg_sq: tensor("exp_avg_sq")? })
                }
            };
            adam.set_state(index, state);
        }
        Ok(())
    }
}

/// Sequences of a list that an error names.
const NAMED: usize = 3;

/// Returns which sequences of a list another one lacks, in words.
fn missing(list: &[LabelledSequence], other: &[LabelledSequence]) -> String {
    let lacking: Vec<String> = list
        .iter()
        .filter(|sequence| !other.contains(sequence))
        .map(|s| format!("{} {} frame {}", s.split_group, s.source, s.first_frame))
        .collect();
    match lacking.len() {
        0 => "none".into(),
        count if count > NAMED => format!("{} and {} more", lacking[..NAMED].join(", "), count - NAMED),
        _ => lacking.join(", "),
    }
}
