//! Random tensors by key, see [`lapsegan_core::seed`].
//!
//! [`randn`] draws on the host and has no state, so it may be called from several threads and gives the same numbers on
//! every device. [`with_seed`] is for what only libtorch's own generator can do: initial weights of networks, and the
//! latents of `generate`, whose numbers belong to published pictures.

use std::sync::{Mutex, PoisonError};

use lapsegan_core::seed::{self, Stream};
use rand::Rng;
use rand_distr::StandardNormal;
use rayon::prelude::*;
use tch::{Device, Kind, Tensor};

/// Numbers that are worth another thread.
const TASK: usize = 1 << 14;

/// Returns standard normal numbers on the CPU. `shape` is `[N, ...]`
///
/// Row `i` has the key of `counters` and `i`, so that a longer tensor begins with the numbers of a shorter one.
pub fn randn(stream: Stream, counters: &[u64], shape: &[i64]) -> Tensor {
    let row = shape.iter().skip(1).product::<i64>().max(1) as usize;
    let mut values = vec![0.0_f32; shape.iter().product::<i64>() as usize];
    let fill = |(index, row): (usize, &mut [f32])| {
        let mut rng = seed::rng(stream, &[counters, &[index as u64]].concat());
        for value in row {
            *value = rng.sample(StandardNormal);
        }
    };
    if tch::get_num_threads() > 1 {
        let rows = TASK.div_ceil(row);
        values.par_chunks_mut(row).with_min_len(rows).enumerate().for_each(fill);
    } else {
        values.chunks_mut(row).enumerate().for_each(fill);
    }
    Tensor::from_slice(&values).view(shape)
}

/// One at a time: libtorch has one generator for all threads.
static GENERATOR: Mutex<()> = Mutex::new(());

/// Libtorch's generator on the CPU while it is seeded, see [`with_seed`].
#[derive(Debug)]
pub struct SeededTorch(());

impl SeededTorch {
    /// Returns standard normal numbers on the CPU, the next ones of the generator.
    pub fn randn(&mut self, shape: &[i64]) -> Tensor {
        Tensor::randn(shape, (Kind::Float, Device::Cpu))
    }
}

/// Seeds libtorch's generator and returns what `draw` makes, which must draw on this thread and on the CPU alone.
pub fn with_seed<T>(stream: Stream, counters: &[u64], draw: impl FnOnce(&mut SeededTorch) -> T) -> T {
    // A draw that panicked leaves nothing behind: the next one seeds anew.
    let _alone = GENERATOR.lock().unwrap_or_else(PoisonError::into_inner);
    tch::manual_seed(seed::key(stream, counters) as i64);
    draw(&mut SeededTorch(()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_have_keys_of_their_own_and_normal_numbers() {
        let draw = |n| randn(Stream::PathImages, &[1, 2, 3], &[n, 40, 500]);
        let (long, short) = (draw(4), draw(2));
        assert_eq!(long.narrow(0, 0, 2), short);
        assert_ne!(short.get(0), short.get(1));
        assert_ne!(short, randn(Stream::PathImages, &[1, 2, 4], &[2, 40, 500]));
        // 80,000 numbers: the standard errors of mean and variance are 0.0035 and 0.005.
        let mean = long.mean(Kind::Double).double_value(&[]);
        assert!(mean.abs() < 0.02 && (long.var(true).double_value(&[]) - 1.0).abs() < 0.03);
    }

    #[test]
    fn one_row_is_a_tensor_without_axes_behind_it() {
        assert_eq!(randn(Stream::PathImages, &[1], &[3]).size(), [3]);
        assert_eq!(randn(Stream::PathImages, &[1], &[0, 4]).size(), [0, 4]);
    }
}
