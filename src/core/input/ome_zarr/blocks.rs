//! Planes that share chunks: the chunks are decoded once, not once per plane.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use ndarray::{ArrayViewD, Axis as Dim, IxDyn};

use super::metadata::Axis;
use crate::error::DataError;
use crate::input::image_file::Pixels;

/// Most bytes that decoded blocks take together.
const KEPT_BYTES: u64 = 512 << 20;
/// Bytes of a pixel in memory, at most.
const PIXEL_BYTES: u64 = 8;

/// The blocks of an array that were read last. A block is what chunks of one row hold: planes that are decoded together.
pub(super) struct Blocks {
    axes: Vec<Axis>,
    /// Indices of a block along each axis; all of them along y and x.
    shape: Vec<u64>,
    /// How many are kept.
    most: usize,
    kept: Mutex<VecDeque<(Vec<u64>, Arc<Pixels>)>>,
}

impl Blocks {
    /// Returns the blocks of an array; `None` where a chunk holds one plane only, or a block is too large to be kept.
    pub(super) fn new(axes: &[Axis], array: &[u64], chunk: &[u64]) -> Option<Self> {
        let shape: Vec<u64> = axes
            .iter()
            .zip(array.iter().zip(chunk))
            .map(|(axis, (&size, &chunk))| if in_plane(*axis) { size } else { chunk.clamp(1, size) })
            .collect();
        let planes: u64 =
            axes.iter().zip(&shape).filter(|(axis, _)| !in_plane(**axis)).map(|(_, n)| *n).product();
        let bytes = shape.iter().try_fold(PIXEL_BYTES, |bytes, n| bytes.checked_mul(*n))?;
        let most = usize::try_from(KEPT_BYTES / bytes.max(1)).unwrap_or(usize::MAX).min(64);
        (planes > 1 && most > 0).then(|| Self { axes: axes.to_vec(), shape, most, kept: Mutex::default() })
    }

    /// Returns a plane of a block, which `read` decodes where it is not there: the ranges of the block along each axis
    /// come in, its pixels go out.
    pub(super) fn plane(
        &self,
        indices: &[u64],
        array: &[u64],
        read: impl FnOnce(&[std::ops::Range<u64>]) -> Result<Pixels, DataError>,
    ) -> Result<Pixels, DataError> {
        let key: Vec<u64> = indices.iter().zip(&self.shape).map(|(i, n)| i / n).collect();
        let ranges: Vec<_> = key
            .iter()
            .zip(self.shape.iter().zip(array))
            .map(|(k, (n, size))| k * n..((k + 1) * n).min(*size))
            .collect();
        let pixels = match self.find(&key) {
            Some(pixels) => pixels,
            // No lock is held meanwhile: what decodes may run another frame's work on this thread, which would wait for
            // itself. Threads that want a block at once decode it each.
            None => self.keep(key, Arc::new(read(&ranges)?)),
        };
        let shape: Vec<usize> = ranges.iter().map(|range| (range.end - range.start) as usize).collect();
        let within: Vec<Option<usize>> = self
            .axes
            .iter()
            .zip(indices.iter().zip(&ranges))
            .map(|(axis, (i, range))| (!in_plane(*axis)).then(|| (i - range.start) as usize))
            .collect();
        Ok(match &*pixels {
            Pixels::Bits8(all) => Pixels::Bits8(cut(all, &shape, &within)),
            Pixels::Bits16(all) => Pixels::Bits16(cut(all, &shape, &within)),
            Pixels::Wide(all) => Pixels::Wide(cut(all, &shape, &within)),
            Pixels::Float(all) => Pixels::Float(cut(all, &shape, &within)),
        })
    }

    fn find(&self, key: &[u64]) -> Option<Arc<Pixels>> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.iter().find(|(other, _)| other == key).map(|(_, pixels)| pixels.clone())
    }

    fn keep(&self, key: Vec<u64>, pixels: Arc<Pixels>) -> Arc<Pixels> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.iter().all(|(other, _)| *other != key) {
            if kept.len() >= self.most {
                kept.pop_front();
            }
            kept.push_back((key, pixels.clone()));
        }
        pixels
    }
}

fn in_plane(axis: Axis) -> bool {
    matches!(axis, Axis::Y | Axis::X)
}

/// Returns the pixels of a block at these indices; axes without one are taken whole.
fn cut<A: Copy>(all: &[A], shape: &[usize], indices: &[Option<usize>]) -> Vec<A> {
    let Ok(mut view) = ArrayViewD::from_shape(IxDyn(shape), all) else { return Vec::new() };
    for (axis, index) in indices.iter().enumerate().rev() {
        if let Some(index) = index {
            view = view.index_axis_move(Dim(axis), *index);
        }
    }
    view.iter().copied().collect()
}
