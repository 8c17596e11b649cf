//! The kernel distance of two sets of feature vectors (KID).

use ndarray::{Array2, ArrayView2, Axis};
use rand::seq::index;
use rayon::prelude::*;

use crate::seed::{self, Stream};

/// Returns the unbiased squared maximum mean discrepancy with the kernel `(a . b / D + 1)^3`; it may be negative. `None`
/// for fewer than two vectors in one of the sets.
///
/// # Shapes
/// `x`: `[N, D]`, `y`: `[M, D]`
///
/// # Reference
/// Bińkowski et al. 2018.
pub fn mmd2(x: ArrayView2<'_, f64>, y: ArrayView2<'_, f64>) -> Option<f64> {
    let (n, m) = (x.nrows() as f64, y.nrows() as f64);
    if n < 2.0 || m < 2.0 {
        return None;
    }
    let without_diagonal = |k: Array2<f64>| k.sum() - k.diag().sum();
    let (xx, yy) = (without_diagonal(gram(x, x)), without_diagonal(gram(y, y)));
    Some(xx / (n * (n - 1.0)) + yy / (m * (m - 1.0)) - 2.0 * gram(x, y).sum() / (n * m))
}

/// Returns the kernel of every pair. `[N, M]`
pub(super) fn gram(a: ArrayView2<'_, f64>, b: ArrayView2<'_, f64>) -> Array2<f64> {
    let dimensions = a.ncols() as f64;
    a.dot(&b.t()).mapv(|v| (v / dimensions + 1.0).powi(3))
}

/// Returns [`mmd2`] of random subsets of `size` vectors of each set, drawn without replacement. `None` where a set is
/// smaller.
pub fn of_subsets(
    x: ArrayView2<'_, f64>,
    y: ArrayView2<'_, f64>,
    subsets: usize,
    size: usize,
    seed: u64,
) -> Option<Vec<f64>> {
    if size > x.nrows().min(y.nrows()) {
        return None;
    }
    let mut rng = seed::rng(Stream::KernelSubsets, &[seed]);
    let mut draw = |n: usize| index::sample(&mut rng, n, size).into_vec();
    // All rows are drawn first, so that they do not depend on the threads.
    let rows: Vec<[Vec<usize>; 2]> = (0..subsets).map(|_| [draw(x.nrows()), draw(y.nrows())]).collect();
    rows.into_par_iter()
        .map(|[a, b]| mmd2(x.select(Axis(0), &a).view(), y.select(Axis(0), &b).view()))
        .collect()
}
