//! Precision, recall, density and coverage: how much of one set lies where the other one is.

use ndarray::{ArrayView1, ArrayView2};
use rayon::prelude::*;
use serde::Serialize;

/// Rows that are compared at a time: 16 of 2,048 numbers stay in a cache of 256 KiB.
const ROWS: usize = 16;

/// Shares of two sets, by balls around vectors that reach to their k-th nearest neighbour.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Manifold {
    /// Share of synthetic vectors in a ball of a real one, in [0, 1].
    pub precision: f64,
    /// Share of real vectors in a ball of a synthetic one, in [0, 1].
    pub recall: f64,
    /// Mean number of real balls around a synthetic vector, by k; above 1 where it lies closer than real ones do.
    pub density: f64,
    /// Share of real vectors with a synthetic one in their ball, in [0, 1].
    pub coverage: f64,
}

/// Returns the shares with the `k` nearest neighbours; `None` where a set has no more than `k` vectors.
///
/// A vector on the edge of a ball counts for precision and recall, and not for density and coverage. Distances are those
/// of the coordinates, not of products, which lose digits where sets are far from zero.
///
/// # Shapes
/// `real`: `[N, D]`, `synthetic`: `[M, D]`
///
/// # Reference
/// Kynkäänniemi et al. 2019; Naeem et al. 2020.
pub fn manifold(real: ArrayView2<'_, f64>, synthetic: ArrayView2<'_, f64>, k: usize) -> Option<Manifold> {
    if k == 0 || real.nrows().min(synthetic.nrows()) <= k {
        return None;
    }
    let (real_radii, synthetic_radii) = (radii(real, k), radii(synthetic, k));
    // By synthetic vector: in a real ball, and in how many without their edges.
    let around = by_row(synthetic, real, |_, distances| {
        distances.iter().zip(&real_radii).fold((false, 0), |(within, balls), (d, radius)| {
            (within || d <= radius, balls + usize::from(d < radius))
        })
    });
    // By real vector: in a synthetic ball, and with a synthetic vector in its own.
    let covered = by_row(real, synthetic, |i, distances| {
        distances.iter().zip(&synthetic_radii).fold((false, false), |(within, near), (d, radius)| {
            (within || d <= radius, near || *d < real_radii[i])
        })
    });
    let (n, m) = (real.nrows() as f64, synthetic.nrows() as f64);
    let balls: usize = around.iter().map(|(_, balls)| balls).sum();
    Some(Manifold {
        precision: around.iter().filter(|(within, _)| *within).count() as f64 / m,
        recall: covered.iter().filter(|(within, _)| *within).count() as f64 / n,
        density: balls as f64 / (k as f64 * m),
        coverage: covered.iter().filter(|(_, near)| *near).count() as f64 / n,
    })
}

/// Returns the squared distance of every vector to its k-th nearest other one.
fn radii(set: ArrayView2<'_, f64>, k: usize) -> Vec<f64> {
    by_row(set, set, |i, distances| {
        // The vector itself comes last.
        distances[i] = f64::INFINITY;
        *distances.select_nth_unstable_by(k - 1, f64::total_cmp).1
    })
}

/// Calls `of_row` with every row of `a` and its squared distances to all rows of `b`, and returns the results in order.
///
/// A few rows at a time, so that each row of `b` that is fetched from memory is used several times.
fn by_row<T: Send>(
    a: ArrayView2<'_, f64>,
    b: ArrayView2<'_, f64>,
    of_row: impl Fn(usize, &mut [f64]) -> T + Sync,
) -> Vec<T> {
    let block = |first: usize| {
        let rows = first..a.nrows().min(first + ROWS);
        let mut distances = vec![vec![0.0; b.nrows()]; rows.len()];
        for (j, other) in b.rows().into_iter().enumerate() {
            for (distances, i) in distances.iter_mut().zip(rows.clone()) {
                distances[j] = squared_distance(a.row(i), other);
            }
        }
        distances.iter_mut().zip(rows).map(|(distances, i)| of_row(i, distances)).collect::<Vec<T>>()
    };
    (0..a.nrows()).into_par_iter().step_by(ROWS).flat_map_iter(block).collect()
}

/// Rows of matrices in standard layout are slices. Eight sums side by side, which a processor adds at once.
fn squared_distance(a: ArrayView1<'_, f64>, b: ArrayView1<'_, f64>) -> f64 {
    let (Some(a), Some(b)) = (a.as_slice(), b.as_slice()) else {
        return a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum();
    };
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<8>(), b.as_chunks::<8>());
    let mut sums = [0.0; 8];
    for (a, b) in a.iter().zip(b) {
        for i in 0..8 {
            sums[i] += (a[i] - b[i]) * (a[i] - b[i]);
        }
    }
    sums.iter().sum::<f64>() + a_rest.iter().zip(b_rest).map(|(a, b)| (a - b) * (a - b)).sum::<f64>()
}
