//! How phases are executed: as they are, or by graphs.

use std::any::Any;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use tch::Device;

use super::TrainingError;
use super::config::TrainingConfig;
use super::schedule::Phase;
use super::state::State;
use super::work::{Done, Work};
use crate::graphs::replayed::{Execution, Replayed};
use crate::graphs::{self, Graphs, Recorder};
use crate::panics;

/// Executes phases.
#[derive(Debug, Default)]
pub struct Steps {
    recorder: Option<Box<dyn Recorder>>,
    /// Whether a phase that cannot be recorded is an error.
    strict: bool,
    phases: BTreeMap<Phase, Replayed<Done>>,
    /// Set where memory ran out with graphs: none is recorded any more.
    is_off: bool,
}

impl Steps {
    /// Executes phases as they are.
    pub fn plain() -> Self {
        Self::default()
    }

    /// Records phases and replays them.
    pub fn recorded(recorder: Box<dyn Recorder>, wish: Graphs) -> Self {
        Self { recorder: Some(recorder), strict: wish == Graphs::On, ..Self::default() }
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

    /// Does a phase. Its values hold until the next phase, whose graph may use the same memory; what it shows to later
    /// phases is theirs.
    ///
    /// # Errors
    /// [`TrainingError::Graphs`] where `training.graphs` is "on" and a phase cannot be recorded.
    pub fn run(
        &mut self,
        work: &Work,
        state: &mut State,
        config: &TrainingConfig,
    ) -> Result<Done, TrainingError> {
        // The recorder stays where nothing is recorded: it holds the stream that all work is on.
        let Some(recorder) = self.recorder.as_ref().filter(|_| !self.is_off) else {
            return Ok(work.run(state, config));
        };
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
                let replayed = self.phases.entry(phase).or_default();
                let tried = catch_unwind(AssertUnwindSafe(|| replayed.run(&**recorder, step)));
                match tried {
                    Ok(done) => done,
                    // A phase writes at its end, so it can be done again without the memory of the graphs.
                    Err(panic) if !self.strict && is_out_of_memory(&*panic) => {
                        tracing::warn!("no CUDA graphs from here on: they do not fit beside {phase:?}");
                        (self.is_off, self.phases) = (true, BTreeMap::new());
                        return Ok(work.run(state, config));
                    }
                    Err(panic) => resume_unwind(panic),
                }
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

/// Returns whether a panic of libtorch's bindings says that the memory of a GPU is used up.
fn is_out_of_memory(panic: &(dyn Any + Send)) -> bool {
    panics::message(panic).is_some_and(|message| message.contains("CUDA out of memory"))
}
