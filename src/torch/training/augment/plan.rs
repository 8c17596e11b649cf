//! What augmentation does to a batch, step by step, with its numbers on the device.

use tch::{Device, Tensor};

use super::warp::{Matrix, replace, thetas, warp};

/// The steps of a batch's augmentation.
#[derive(Debug, Default)]
pub struct Plan(Vec<Step>);

/// One change of some samples.
#[derive(Debug)]
struct Step {
    /// Indices of the samples that change. `[K]`, i64
    rows: Tensor,
    change: Change,
}

#[derive(Debug)]
enum Change {
    Mirror,
    QuarterTurns(i64),
    Shift([i64; 2]),
    /// `[K, 2, 3]`, see [`thetas`]
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

    fn add(&mut self, selected: &[bool], change: Change, device: Device) {
        let rows: Vec<i64> = (0_i64..).zip(selected).filter(|(_, on)| **on).map(|(i, _)| i).collect();
        if !rows.is_empty() {
            self.0.push(Step { rows: crate::transfer::upload(&Tensor::from_slice(&rows), device), change });
        }
    }

    /// Returns the augmented planes; differentiable. `[N, P, S, S]`, shape kept
    pub fn apply(&self, x: &Tensor) -> Tensor {
        self.0.iter().fold(x.shallow_clone(), |x, step| {
            replace(&x, &step.rows, |x| match &step.change {
                Change::Mirror => mirror(x),
                Change::QuarterTurns(quarters) => quarter_turns(x, *quarters),
                Change::Shift(pixels) => shift(x, *pixels),
                Change::Warp(theta) => warp(x, theta),
            })
        })
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
