//! Bringing planes to one pixel grid: binned channels up by replication, everything down by whole blocks.

use std::collections::BTreeMap;

use ndarray::{Array2, ArrayView2, s};

/// Returns a plane with every pixel repeated `k` x `k` times. `[H, W]` -> `[k H, k W]`
pub(super) fn replicate<A: Copy>(plane: ArrayView2<'_, A>, k: usize) -> Array2<A> {
    let (h, w) = plane.dim();
    Array2::from_shape_fn((h * k, w * k), |(y, x)| plane[[y / k, x / k]])
}

/// Returns the rounded means of `k` x `k` blocks; a rest at the right and lower edge is cut. `[H, W]` -> `[H/k, W/k]`
pub(super) fn block_mean(counts: ArrayView2<'_, u16>, k: usize) -> Array2<u16> {
    let (h, w) = counts.dim();
    let area = (k * k) as u64;
    Array2::from_shape_fn((h / k, w / k), |(y, x)| {
        let block = counts.slice(s![y * k..(y + 1) * k, x * k..(x + 1) * k]);
        let sum: u64 = block.iter().map(|&v| u64::from(v)).sum();
        ((sum + area / 2) / area) as u16
    })
}

/// Returns per `k` x `k` block the object that fills most of it, where objects fill at least half, else background.
/// `[H, W]` -> `[H/k, W/k]`
pub(super) fn block_majority(ids: ArrayView2<'_, u32>, k: usize) -> Array2<u32> {
    let (h, w) = ids.dim();
    let mut votes: BTreeMap<u32, usize> = BTreeMap::new();
    Array2::from_shape_fn((h / k, w / k), |(y, x)| {
        votes.clear();
        for &id in ids.slice(s![y * k..(y + 1) * k, x * k..(x + 1) * k]) {
            if id != 0 {
                *votes.entry(id).or_default() += 1;
            }
        }
        if 2 * votes.values().sum::<usize>() < k * k {
            return 0;
        }
        // The smaller id where two fill the same.
        votes.iter().rev().max_by_key(|(_, n)| **n).map_or(0, |(id, _)| *id)
    })
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn replication_is_undone_by_the_block_mean() {
        let plane = array![[1_u16, 2, 3], [40, 50, 65535]];
        let large = replicate(plane.view(), 3);
        assert_eq!(large.dim(), (6, 9));
        assert_eq!(block_mean(large.view(), 3), plane);
    }

    #[test]
    fn a_rest_at_the_edge_is_cut() {
        assert_eq!(block_mean(array![[1_u16, 2, 9], [3, 4, 9], [9, 9, 9]].view(), 2), array![[3_u16]]);
    }

    #[test]
    fn the_largest_object_takes_a_block_that_is_half_full() {
        let ids = array![[7_u32, 7, 0, 5, 0, 0], [3, 0, 0, 5, 0, 9]];
        assert_eq!(block_majority(ids.view(), 2), array![[7_u32, 5, 0]]);
        assert_eq!(block_majority(array![[4_u32, 2], [2, 4]].view(), 2), array![[2_u32]]);
    }
}
