//! The space in which sequences are compared: smoothed, centred and standardised pictures.
//!
//! Every frame of every channel, in the calibrated range, becomes means over square blocks of pixels. Of each sequence and
//! channel the mean is taken away, and the rest divided by the standard deviation that training sequences have on
//! average. So brightness of the lamp does not count, no channel outweighs another, and grain hardly does.

use ndarray::{Array2, Array3, s};
use rayon::prelude::*;

use crate::realism::pool::Pool;

/// Blocks along the longer side of an image.
const CELLS: usize = 32;

/// Fewest pixels along a block: single ones are grain, which a generator draws anew in a copy.
const LEAST_BLOCK: usize = 2;

/// Blocks along a side where candidates are looked for.
const COARSE_CELLS: usize = 16;

/// Most numbers that all sequences together are kept as; beyond them blocks are larger.
const MOST_NUMBERS: usize = 1 << 26;

/// Smallest standard deviation that is divided by, as a share of the calibrated range: below, a channel is constant.
const LEAST_SPREAD: f64 = 1e-3;

/// Shifts go up to this part of the shorter side.
const REACH: usize = 32;

/// Where the blocks of a picture lie, and what a channel is divided by.
#[derive(Clone, Debug)]
pub struct Space {
    /// Rows and columns of an image.
    pub size: [usize; 2],
    /// Pixels along a block.
    pub block: usize,
    /// Blocks in rows and columns.
    pub cells: [usize; 2],
    /// Pixels before the first block, in rows and columns.
    pub offset: [usize; 2],
    /// Most pixels that a sequence is moved, in rows and columns.
    pub reach: usize,
    /// Standard deviation of each channel, in units of the calibrated range.
    pub spread: Vec<f64>,
}

/// A sequence in the space.
#[derive(Clone, Debug)]
pub struct Features {
    /// Standardised block means; planes are the frames of the first channel, then of the next. `[C * T, rows, columns]`
    pub cells: Array3<f32>,
    /// Mean of each channel, in units of the calibrated range.
    centre: Vec<f64>,
}

/// All sequences like one, moved by pixels: block means at every position.
#[derive(Clone, Debug)]
pub struct Shifted {
    block: usize,
    /// Block means whose first row is `y` and first column `x`, at `y * block + x`. `[C * T, rows, columns]` each
    phases: Vec<Array3<f32>>,
}

impl Space {
    /// Returns the space of images like those of `training`, for `sequences` of them in memory at once.
    pub fn of(training: &Pool, sequences: usize) -> Self {
        let (_, frames, height, width) = training.stacks.first().map_or((0, 0, 1, 1), |s| s.counts.dim());
        let planes = frames * training.stacks.len();
        let mut along = CELLS;
        while along > COARSE_CELLS && sequences * planes * along * along > MOST_NUMBERS {
            along /= 2;
        }
        let block = height.max(width).div_ceil(along).max(LEAST_BLOCK).min(height.min(width));
        let cells = [height / block, width / block];
        let mut space = Self {
            size: [height, width],
            block,
            cells,
            offset: [(height - cells[0] * block) / 2, (width - cells[1] * block) / 2],
            reach: (height.min(width) / REACH).max(1),
            spread: vec![1.0; training.stacks.len()],
        };
        let squares: Vec<Vec<f64>> = (0..training.len())
            .into_par_iter()
            .map(|i| {
                let cells = space.features(training, i).cells;
                (0..training.stacks.len())
                    .map(|c| {
                        let channel = cells.slice(s![c * frames..(c + 1) * frames, .., ..]);
                        channel.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>() / channel.len() as f64
                    })
                    .collect()
            })
            .collect();
        for (c, spread) in space.spread.iter_mut().enumerate() {
            let mean = squares.iter().map(|of| of[c]).sum::<f64>() / squares.len().max(1) as f64;
            *spread = mean.sqrt().max(LEAST_SPREAD);
        }
        space
    }

    /// Returns a sequence of a pool in this space.
    pub fn features(&self, pool: &Pool, index: usize) -> Features {
        let sums = sums(pool, index);
        let [rows, columns] = self.cells;
        let mut cells = Array3::zeros((sums.len(), rows, columns));
        let [top, left] = self.offset;
        for (sums, mut plane) in sums.iter().zip(cells.outer_iter_mut()) {
            for ((y, x), cell) in plane.indexed_iter_mut() {
                *cell = self.mean(sums, top + y * self.block, left + x * self.block);
            }
        }
        let frames = sums.len() / pool.stacks.len().max(1);
        let mut centre = Vec::new();
        for (c, spread) in self.spread.iter().enumerate() {
            let mut channel = cells.slice_mut(s![c * frames..(c + 1) * frames, .., ..]);
            let mean = channel.sum() / channel.len() as f64;
            channel.mapv_inplace(|v| (v - mean) / spread);
            centre.push(mean);
        }
        Features { cells: cells.mapv(|v| v as f32), centre }
    }

    /// Returns the block means of a sequence at every position of a block.
    pub fn shifted(&self, pool: &Pool, index: usize, features: &Features) -> Shifted {
        let sums = sums(pool, index);
        let frames = sums.len() / pool.stacks.len().max(1);
        let block = self.block;
        let phase = |y0: usize, x0: usize| {
            let along = |side: usize, from: usize| side.saturating_sub(from) / block;
            let size = [along(self.size[0], y0), along(self.size[1], x0)];
            Array3::from_shape_fn((sums.len(), size[0], size[1]), |(p, y, x)| {
                let c = p / frames;
                let mean = self.mean(&sums[p], y0 + y * block, x0 + x * block);
                ((mean - features.centre[c]) / self.spread[c]) as f32
            })
        };
        Shifted { block, phases: (0..block * block).map(|i| phase(i / block, i % block)).collect() }
    }

    /// Returns the mean over the block that begins at a pixel.
    fn mean(&self, sums: &Array2<f64>, y: usize, x: usize) -> f64 {
        let (bottom, right) = (y + self.block, x + self.block);
        let sum = sums[[bottom, right]] - sums[[y, right]] - sums[[bottom, x]] + sums[[y, x]];
        sum / (self.block * self.block) as f64
    }
}

impl Shifted {
    /// Returns the block means whose first block begins at a pixel of each axis, which may lie outside: the planes, and how
    /// many blocks of theirs lie before that one.
    pub fn from(&self, start: [i64; 2]) -> (&Array3<f32>, [i64; 2]) {
        let block = self.block as i64;
        let [y, x] = start.map(|at| at.rem_euclid(block) as usize);
        (&self.phases[y * self.block + x], start.map(|at| at.div_euclid(block)))
    }
}

/// Returns means over at most 16 x 16 parts of every plane.
pub fn coarse(cells: &Array3<f32>) -> Array3<f32> {
    let (planes, rows, columns) = cells.dim();
    let (n, m) = (rows.min(COARSE_CELLS), columns.min(COARSE_CELLS));
    Array3::from_shape_fn((planes, n, m), |(p, y, x)| {
        // Parts share a block where they do not divide a side, so that they are the same in a mirrored picture.
        let part = cells.slice(s![
            p,
            y * rows / n..((y + 1) * rows).div_ceil(n),
            x * columns / m..((x + 1) * columns).div_ceil(m)
        ]);
        part.sum() / part.len() as f32
    })
}

/// Returns, for each frame of each channel, the sums over all pixels above and to the left of a pixel. `[H + 1, W + 1]`
fn sums(pool: &Pool, index: usize) -> Vec<Array2<f64>> {
    let of_frame = |frame: Array2<f64>| {
        let (height, width) = frame.dim();
        let mut sums = Array2::zeros((height + 1, width + 1));
        for y in 0..height {
            let mut row = 0.0;
            for x in 0..width {
                row += frame[[y, x]];
                sums[[y + 1, x + 1]] = sums[[y, x + 1]] + row;
            }
        }
        sums
    };
    pool.stacks
        .iter()
        .flat_map(|stack| {
            let frames = stack.counts.dim().1;
            (0..frames).map(move |t| of_frame(stack.frame(index * frames + t)))
        })
        .collect()
}
