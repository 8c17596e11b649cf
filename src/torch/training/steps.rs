//! How phases are executed: as they are, or by graphs.

use std::collections::BTreeMap;

use tch::Device;

use super::TrainingError;
use super::config::TrainingConfig;
use super::schedule::Phase;
use super::state::State;
use super::work::{Done, Work};
use crate::graphs::replayed::{Execution, Replayed};
use crate::graphs::{self, Graphs, Recorder};

/// Executes phases.
#[derive(Debug, Default)]
pub struct Steps {
    recorder: Option<Box<dyn Recorder>>,
    /// Whether a phase that cannot be recorded is an error.
    strict: bool,
    phases: BTreeMap<Phase, Replayed<Done>>,
}

impl Steps {
    /// Executes phases as they are.
    pub fn plain() -> Self {
        Self::default()
    }

    /// Records phases and replays them.
    pub fn recorded(recorder: Box<dyn Recorder>, wish: Graphs) -> Self {
        Self { recorder: Some(recorder), strict: wish == Graphs::On, phases: BTreeMap::new() }
    }

    /// Executes phases as `training.graphs` wishes on a device. Make it before anything is put on the device.
    ///
    /// # Errors
    /// [`TrainingError::Graphs`] where graphs are wished for and cannot be had.
    pub fn on(device: Device, wish: Graphs) -> Result<Self, TrainingError> {
        let recorder = graphs::recorder(device, wish).map_err(|problem| TrainingError::Graphs { problem })?;
        Ok(recorder.map_or_else(Self::plain, |recorder| Self::recorded(recorder, wish)))
    }

    /// Returns how often each phase was recorded.
    pub fn recordings(&self) -> Vec<(Phase, u32)> {
        self.phases.iter().map(|(phase, replayed)| (*phase, replayed.recordings())).collect()
    }

    /// Does a phase. What it leaves holds until the same phase of the next iteration.
    ///
    /// # Errors
    /// [`TrainingError::Graphs`] where `training.graphs` is "on" and a phase cannot be recorded.
    pub fn run(
        &mut self,
        work: &Work,
        state: &mut State,
        config: &TrainingConfig,
    ) -> Result<Done, TrainingError> {
        let Some(recorder) = &self.recorder else { return Ok(work.run(state, config)) };
        let phase = work.phase();
        let done = match work.tensors() {
            Some(inputs) => {
                let layouts =
                    [&state.generator_adam, &state.discriminator_adam].map(|adam| adam.layout() as i64);
                let step = Execution {
                    key: work.key().into_iter().chain(layouts).collect(),
                    inputs,
                    context: state,
                    run: |state: &mut State| work.run(state, config),
                    written: |state: &State| state.written(phase),
                };
                self.phases.entry(phase).or_default().run(&**recorder, step)
            }
            None if self.strict => {
                let why = "ada.geometry = \"original\" does other work for every draw";
                (work.run(state, config), Some(why.to_owned()))
            }
            None => (work.run(state, config), None),
        };
        match done {
            (done, None) => Ok(done),
            (_, Some(problem)) if self.strict => {
                Err(TrainingError::Graphs { problem: format!("{phase:?} cannot be recorded: {problem}") })
            }
            (done, Some(problem)) => {
                tracing::warn!("{phase:?} is executed without a CUDA graph: {problem}");
                Ok(done)
            }
        }
    }
}
