//! One step through its life: executed as it is, recorded, replayed.

use tch::{Kind, Tensor};

use super::{Graph, Recorder};

/// Executions before a step is recorded: libraries choose their algorithms, and optimisers make their state.
const WARM_UP: u32 = 2;
/// Recordings after which a step whose shape keeps changing is left as it is.
const MOST_RECORDINGS: u32 = 64;
/// Largest relative difference between a number of the step and that of its first replay: orders of sums may differ.
const TOLERANCE: f64 = 0.01;
/// The same for all that it changes, by the norm: small gradients may change their sign.
const CHANGE_TOLERANCE: f64 = 0.25;

/// What a step leaves behind.
pub trait Leaves {
    /// Returns handles of the same tensors, and copies of those that are read after another step: all graphs share the
    /// memory that lies within them.
    #[must_use]
    fn handles(&self) -> Self;

    /// Returns the numbers that tell whether two executions did the same. `[]` each
    fn numbers(&self) -> Vec<Tensor>;
}

/// A step: what it starts from, what it works with, and what it does.
#[derive(Debug)]
pub struct Execution<'a, C, R, W> {
    /// Whatever its shape depends on besides the shapes of `inputs`.
    pub key: Vec<i64>,
    /// All tensors that are others every time, in the same order every time.
    pub inputs: Vec<Tensor>,
    /// What it changes.
    pub context: &'a mut C,
    /// Does it.
    pub run: R,
    /// Returns all tensors of the context that it writes.
    pub written: W,
}

/// The executions of a step.
#[derive(Debug)]
pub struct Replayed<L> {
    life: Life<L>,
    recordings: u32,
}

#[derive(Debug)]
enum Life<L> {
    /// Executed so often with this shape.
    Warm { shape: Shape, times: u32 },
    /// Replayed from now on. The tensors are those that the graph works on.
    Recorded { shape: Shape, inputs: Vec<Tensor>, leaves: L, graph: Box<dyn Graph> },
    /// Executed for good.
    Plain,
}

/// Two steps of one shape do the same work on different numbers.
#[derive(Clone, Debug, PartialEq)]
struct Shape {
    key: Vec<i64>,
    inputs: Vec<(Kind, Vec<i64>)>,
}

impl<L> Default for Replayed<L> {
    fn default() -> Self {
        let shape = Shape { key: Vec::new(), inputs: Vec::new() };
        Self { life: Life::Warm { shape, times: 0 }, recordings: 0 }
    }
}

impl<L: Leaves> Replayed<L> {
    /// Returns how often it was recorded.
    pub fn recordings(&self) -> u32 {
        self.recordings
    }

    /// Does a step, in whatever way is due. What it leaves holds until the next step of the same recorder, whichever that
    /// is; see [`Leaves::handles`].
    ///
    /// # Errors
    /// Why a step cannot be recorded; it is done all the same, and so will be all after it: the results come with it.
    pub fn run<C, R, W>(&mut self, recorder: &dyn Recorder, step: Execution<C, R, W>) -> (L, Option<String>)
    where
        R: Fn(&mut C) -> L,
        W: Fn(&C) -> Vec<Tensor>,
    {
        let shape = Shape {
            key: step.key.clone(),
            inputs: step.inputs.iter().map(|input| (input.kind(), input.size())).collect(),
        };
        match &mut self.life {
            Life::Plain => {}
            Life::Recorded { shape: known, inputs, leaves, graph } if *known == shape => {
                for (there, new) in inputs.iter_mut().zip(&step.inputs) {
                    there.copy_(new);
                }
                match graph.replay() {
                    Ok(()) => return (leaves.handles(), None),
                    Err(problem) => {
                        self.life = Life::Plain;
                        return ((step.run)(step.context), Some(problem));
                    }
                }
            }
            Life::Warm { shape: known, times } if *known == shape => {
                *times += 1;
                if *times > WARM_UP {
                    return self.record(recorder, step, shape);
                }
            }
            // The old graph goes before the new one is made: both may not fit.
            _ if self.recordings < MOST_RECORDINGS => self.life = Life::Warm { shape, times: 1 },
            _ => self.life = Life::Plain,
        }
        ((step.run)(step.context), None)
    }

    /// Executes the step, records it, replays it from the same state, and compares: a replay that does something else
    /// must not train a network.
    fn record<C, R, W>(
        &mut self,
        recorder: &dyn Recorder,
        step: Execution<C, R, W>,
        shape: Shape,
    ) -> (L, Option<String>)
    where
        R: Fn(&mut C) -> L,
        W: Fn(&C) -> Vec<Tensor>,
    {
        let Execution { inputs, context, run, written, .. } = step;
        self.recordings += 1;
        let mut state = written(context);
        let before = copies(&state);
        let plain = run(context);
        let (numbers, after) = (copies(&plain.numbers()), copies(&state));
        // Its memory is free for the recording.
        drop(plain);
        let mut leaves = None;
        restore(&mut state, &before);
        let recorded = recorder.record(&mut || leaves = Some(run(context)));
        restore(&mut state, &before);
        let replayed = recorded.and_then(|graph| {
            graph.replay()?;
            let leaves = leaves.take().ok_or("nothing was recorded")?;
            compare(&numbers, &leaves.numbers(), [&before, &after, &state])?;
            Ok((graph, leaves))
        });
        match replayed {
            Ok((graph, leaves)) => {
                let handles = leaves.handles();
                self.life = Life::Recorded { shape, inputs, leaves, graph };
                (handles, None)
            }
            Err(problem) => {
                self.life = Life::Plain;
                restore(&mut state, &before);
                (run(context), Some(problem))
            }
        }
    }
}

fn copies(tensors: &[Tensor]) -> Vec<Tensor> {
    tensors.iter().map(Tensor::copy).collect()
}

fn restore(state: &mut [Tensor], before: &[Tensor]) {
    for (there, before) in state.iter_mut().zip(before) {
        there.copy_(before);
    }
}

/// Compares numbers, and the change of a state from `before` to `plain` with that to `replayed`.
fn compare(
    expected: &[Tensor],
    replayed: &[Tensor],
    [before, plain, state]: [&[Tensor]; 3],
) -> Result<(), String> {
    let value = |x: &Tensor| crate::transfer::number(x);
    for (i, (expected, replayed)) in expected.iter().zip(replayed).enumerate() {
        let [a, b] = [expected, replayed].map(value);
        let near = (a - b).abs() <= TOLERANCE * a.abs().max(b.abs()) + 1e-6;
        let alike = near || (a.is_nan() && b.is_nan());
        if !alike {
            return Err(format!("its first replay gives {b} instead of {a} for number {i}"));
        }
    }
    let distance = |a: &[Tensor], b: &[Tensor]| {
        let squares = a.iter().zip(b).map(|(a, b)| (a - b).to_kind(Kind::Double).square().sum(Kind::Double));
        let squares: Vec<Tensor> = squares.collect();
        if squares.is_empty() { 0.0 } else { value(&Tensor::stack(&squares, 0).sum(Kind::Double)).sqrt() }
    };
    let (change, difference) = (distance(before, plain), distance(plain, state));
    let near = difference <= CHANGE_TOLERANCE * change;
    if !near {
        return Err(format!(
            "its first replay leaves the networks {difference} off, of a change of {change}"
        ));
    }
    Ok(())
}
