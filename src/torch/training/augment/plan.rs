//! What augmentation does to a batch, step by step, with its numbers on the device.

use tch::{Device, Tensor};

use super::warp::{IDENTITY, Matrix, replace, thetas, warp};
use crate::transfer::upload;

/// The steps of a batch's augmentation.
#[derive(Debug, Default)]
pub struct Plan(Vec<Step>);

/// One change of some samples.
#[derive(Debug)]
struct Step {
    who: Who,
    change: Change,
}

/// Which samples change.
#[derive(Debug)]
enum Who {
    /// Those at these indices. `[K]`, i64
    Rows(Tensor),
    /// Those where this is set: the work is the same whoever it is. `[N, 1, 1, 1]`, bool
    Mask(Tensor),
}

#[derive(Debug)]
enum Change {
    Mirror,
    QuarterTurns(i64),
    Shift([i64; 2]),
    /// `[K, 2, 3]`, or `[N, 2, 3]` beside a mask, see [`thetas`]
    Warp(Tensor),
}

impl Plan {
    /// Adds a mirror of columns.
    pub fn mirror(&mut self, selected: &[bool], device: Device) {
        self.add(selected, Change::Mirror, device);
    }

    /// Adds counter-clockwise quarter turns.
    pub fn quarter_turns(&mut self, selected: &[bool], quarters: i64, device: Device) {
        self.add(selected, Change::QuarterTurns(quarters), device);
    }

    /// Adds a cyclic shift by rows and columns.
    pub fn shift(&mut self, selected: &[bool], pixels: [i64; 2], device: Device) {
        self.add(selected, Change::Shift(pixels), device);
    }

    /// Adds a warp by one matrix per sample of `size` px; `None` leaves a sample alone.
    pub fn warp(&mut self, matrices: &[Option<Matrix>], size: i64, device: Device) {
        let selected: Vec<bool> = matrices.iter().map(Option::is_some).collect();
        let there: Vec<Matrix> = matrices.iter().flatten().copied().collect();
        if !there.is_empty() {
            self.add(&selected, Change::Warp(thetas(&there, [size, size], device)), device);
        }
    }

    /// Adds a warp of fixed shape: where there is no matrix, the sample is warped by the identity, and stays as it was.
    pub fn masked_warp(&mut self, matrices: &[Option<Matrix>], size: i64, device: Device) {
        let mask: Vec<bool> = matrices.iter().map(Option::is_some).collect();
        let all: Vec<Matrix> = matrices.iter().map(|matrix| matrix.unwrap_or(IDENTITY)).collect();
        self.0.push(Step {
            who: Who::Mask(upload(&Tensor::from_slice(&mask).view([-1, 1, 1, 1]), device)),
            change: Change::Warp(thetas(&all, [size, size], device)),
        });
    }

    /// Returns handles of its numbers on the device; `None` where what it does depends on what was drawn.
    pub fn tensors(&self) -> Option<Vec<Tensor>> {
        let step = |step: &Step| match (&step.who, &step.change) {
            (Who::Mask(mask), Change::Warp(thetas)) => Some([mask.shallow_clone(), thetas.shallow_clone()]),
            _ => None,
        };
        let steps: Option<Vec<_>> = self.0.iter().map(step).collect();
        steps.map(|steps| steps.into_iter().flatten().collect())
    }

    fn add(&mut self, selected: &[bool], change: Change, device: Device) {
        let rows: Vec<i64> = (0_i64..).zip(selected).filter(|(_, on)| **on).map(|(i, _)| i).collect();
        if !rows.is_empty() {
            self.0.push(Step { who: Who::Rows(upload(&Tensor::from_slice(&rows), device)), change });
        }
    }

    /// Returns the augmented planes; differentiable. `[N, P, S, S]`, shape kept
    pub fn apply(&self, x: &Tensor) -> Tensor {
        self.0.iter().fold(x.shallow_clone(), |x, step| match &step.who {
            Who::Rows(rows) => replace(&x, rows, |x| step.change.of(x)),
            Who::Mask(mask) => step.change.of(&x).where_self(mask, &x),
        })
    }
}

impl Change {
    fn of(&self, x: &Tensor) -> Tensor {
        match self {
            Self::Mirror => mirror(x),
            Self::QuarterTurns(quarters) => quarter_turns(x, *quarters),
            Self::Shift(pixels) => shift(x, *pixels),
            Self::Warp(theta) => warp(x, theta),
        }
    }
}

/// Reverses the last axis.
pub fn mirror(x: &Tensor) -> Tensor {
    x.flip([-1])
}

/// Turns counter-clockwise by multiples of 90 degrees.
pub fn quarter_turns(x: &Tensor, quarters: i64) -> Tensor {
    x.rot90(quarters, [2, 3])
}

/// Rolls by rows and columns.
pub fn shift(x: &Tensor, [dy, dx]: [i64; 2]) -> Tensor {
    x.roll([dy, dx], [2, 3])
}
