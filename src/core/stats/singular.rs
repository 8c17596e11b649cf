//! The sum of the singular values of a matrix.

use ndarray::linalg::general_mat_mul;
use ndarray::{Array1, Array2, ArrayView1, ArrayView2, ArrayViewMut1, Zip, s};

/// Steps of the QL iteration per eigenvalue; about two are taken.
const MOST_STEPS: usize = 60;
/// Rows or columns that are taken off a matrix before it is changed.
const PANEL: usize = 32;

/// Returns the nuclear norm of a matrix, the sum of its singular values; `None` where it holds values that are no numbers.
///
/// The matrix becomes bidiagonal by reflections from both sides, and the singular values are the eigenvalues of the
/// tridiagonal matrix `[0 B; B^T 0]`, each of them twice, so that small ones keep their digits, as they would not in
/// `A^T A`.
///
/// # Shapes
/// `a`: `[N, M]`
///
/// # Reference
/// Golub and Kahan 1965; Golub and Van Loan, Matrix Computations, sections 5.4 and 8.3.
pub fn nuclear_norm(a: Array2<f64>) -> Option<f64> {
    if a.is_empty() {
        return Some(0.0);
    }
    if !a.iter().all(|v| v.is_finite()) {
        return None;
    }
    let off_diagonal = bidiagonal(if a.nrows() < a.ncols() { a.reversed_axes() } else { a });
    let eigenvalues = tridiagonal_eigenvalues(vec![0.0; off_diagonal.len() + 1], off_diagonal)?;
    Some(eigenvalues.iter().map(|v| v.abs()).sum::<f64>() / 2.0)
}

/// Returns the entries of the upper bidiagonal form in the order of their rows: d0, e0, d1, e1 ... For at least as many
/// rows as columns.
///
/// Reflections are gathered: the matrix is read twice for each pair of them, and changed once for [`PANEL`] pairs.
///
/// # Reference
/// Dongarra, Sorensen and Hammarling 1989.
fn bidiagonal(a: Array2<f64>) -> Vec<f64> {
    let mut a = a.as_standard_layout().into_owned();
    let (rows, columns) = a.dim();
    let mut entries = Vec::with_capacity(2 * columns);
    for start in (0..columns).step_by(PANEL) {
        let width = PANEL.min(columns - start);
        // Until the panel ends, what a holds is meant without V^T Y + X^T U. Rows of V and U are reflections.
        let of = |length: usize| Array2::<f64>::zeros((width, length));
        let (mut v, mut y, mut x, mut u) = (of(rows), of(columns), of(rows), of(columns));
        for i in 0..width {
            let (k, next) = (start + i, start + i + 1);
            let mut column = a.slice(s![k.., k]).to_owned();
            column -= &combined(v.slice(s![..i, k..]), y.slice(s![..i, k]));
            column -= &combined(x.slice(s![..i, k..]), u.slice(s![..i, k]));
            let (d, beta) = reflector(column.view_mut());
            v.slice_mut(s![i, k..]).assign(&column);
            entries.push(d);
            if next == columns {
                return entries;
            }
            let mut along = combined(a.slice(s![k.., next..]), column.view());
            let (in_v, in_x) = (v.slice(s![..i, k..]).dot(&column), x.slice(s![..i, k..]).dot(&column));
            along -= &combined(y.slice(s![..i, next..]), in_v.view());
            along -= &combined(u.slice(s![..i, next..]), in_x.view());
            y.slice_mut(s![i, next..]).assign(&(along * beta));

            let mut row = a.slice(s![k, next..]).to_owned();
            row -= &combined(y.slice(s![..=i, next..]), v.slice(s![..=i, k]));
            row -= &combined(u.slice(s![..i, next..]), x.slice(s![..i, k]));
            let (e, gamma) = reflector(row.view_mut());
            u.slice_mut(s![i, next..]).assign(&row);
            entries.push(e);
            let mut along = a.slice(s![next.., next..]).dot(&row);
            let (in_y, in_u) = (y.slice(s![..=i, next..]).dot(&row), u.slice(s![..i, next..]).dot(&row));
            along -= &combined(v.slice(s![..=i, next..]), in_y.view());
            along -= &combined(x.slice(s![..i, next..]), in_u.view());
            x.slice_mut(s![i, next..]).assign(&(along * gamma));
        }
        let end = start + width;
        let mut rest = a.slice_mut(s![end.., end..]);
        for (left, right) in [(&v, &y), (&x, &u)] {
            let (left, right) = (left.slice(s![.., end..]), right.slice(s![.., end..]));
            general_mat_mul(-1.0, &left.t(), &right, 1.0, &mut rest);
        }
    }
    entries
}

/// Returns the sum of the rows of a matrix with a factor each.
fn combined(matrix: ArrayView2<'_, f64>, factors: ArrayView1<'_, f64>) -> Array1<f64> {
    let mut sum = Array1::zeros(matrix.ncols());
    let whole = matrix.nrows() / 4 * 4;
    // Four rows for one passage over the sum.
    for i in (0..whole).step_by(4) {
        let rows = [0, 1, 2, 3].map(|j| matrix.row(i + j));
        let [a, b, c, d] = [0, 1, 2, 3].map(|j| factors[i + j]);
        let [first, second, third, fourth] = &rows;
        Zip::from(&mut sum)
            .and(first)
            .and(second)
            .and(third)
            .and(fourth)
            .for_each(|sum, p, q, r, s| *sum += a * p + b * q + (c * r + d * s));
    }
    for i in whole..matrix.nrows() {
        sum.scaled_add(factors[i], &matrix.row(i));
    }
    sum
}

/// Turns a vector x into the v of the reflection `I - beta v v^T` that leaves only its first entry; returns that entry and
/// beta.
fn reflector(mut x: ArrayViewMut1<'_, f64>) -> (f64, f64) {
    // Scaled, so that squares neither overflow nor vanish.
    let scale = x.fold(0.0_f64, |most, v| most.max(v.abs()));
    if scale == 0.0 {
        return (0.0, 0.0);
    }
    let norm = x.fold(0.0, |sum, v| sum + (v / scale) * (v / scale)).sqrt() * scale;
    let entry = -norm.copysign(x[0]);
    let first = x[0] - entry;
    x.mapv_inplace(|v| v / first);
    x[0] = 1.0;
    (entry, -first / entry)
}

/// Returns the eigenvalues of a symmetric tridiagonal matrix by the implicit QL method; `None` where it does not converge.
fn tridiagonal_eigenvalues(mut d: Vec<f64>, mut e: Vec<f64>) -> Option<Vec<f64>> {
    let n = d.len();
    e.push(0.0);
    for first in 0..n {
        for step in 0.. {
            let small = |i: usize| e[i].abs() <= f64::EPSILON * (d[i].abs() + d[i + 1].abs());
            let last = (first..n - 1).find(|&i| small(i) || e[i].abs() < f64::MIN_POSITIVE).unwrap_or(n - 1);
            if last == first {
                break;
            }
            if step == MOST_STEPS {
                return None;
            }
            let g = (d[first + 1] - d[first]) / (2.0 * e[first]);
            let mut g = d[last] - d[first] + e[first] / (g + g.hypot(1.0).copysign(g));
            let (mut sine, mut cosine, mut shift) = (1.0, 1.0, 0.0);
            let mut deflated = false;
            for i in (first..last).rev() {
                let (f, b) = (sine * e[i], cosine * e[i]);
                let r = f.hypot(g);
                e[i + 1] = r;
                if r == 0.0 {
                    d[i + 1] -= shift;
                    e[last] = 0.0;
                    deflated = true;
                    break;
                }
                (sine, cosine) = (f / r, g / r);
                g = d[i + 1] - shift;
                let r = (d[i] - g) * sine + 2.0 * cosine * b;
                shift = sine * r;
                d[i + 1] = g + shift;
                g = cosine * r - b;
            }
            if !deflated {
                d[first] -= shift;
                e[first] = g;
                e[last] = 0.0;
            }
        }
    }
    Some(d)
}

/// Returns L of `G = L L^T` for a symmetric matrix without negative eigenvalues, `[D, R]`, with as many columns as its rank.
///
/// The largest entry that is left on the diagonal comes next, until rounding errors are all that is left.
///
/// # Shapes
/// `gram`: `[D, D]`
///
/// # Reference
/// Higham, Accuracy and Stability of Numerical Algorithms, section 10.3.
pub fn pivoted_cholesky(gram: &Array2<f64>) -> Array2<f64> {
    let n = gram.nrows();
    let mut gram = gram.clone();
    let mut left = gram.diag().to_owned();
    let least = left.fold(0.0_f64, |a, &b| a.max(b)) * n as f64 * f64::EPSILON;
    // Rows of L^T, so that each is contiguous.
    let mut rows = Array2::<f64>::zeros((n, n));
    // Of these, `taken` are taken off the matrix.
    let (mut rank, mut taken) = (0, 0);
    while rank < n {
        let largest = left.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1));
        let Some((pivot, &most)) = largest.filter(|(_, most)| **most > least) else { break };
        let known = rows.slice(s![taken..rank, ..]);
        let mut row = &gram.row(pivot) - &combined(known, known.column(pivot));
        row /= most.sqrt();
        Zip::from(&mut left).and(&row).for_each(|left, &v| *left -= v * v);
        // Known exactly, whatever was rounded; it is not chosen again.
        left[pivot] = f64::NEG_INFINITY;
        rows.row_mut(rank).assign(&row);
        rank += 1;
        if rank - taken == PANEL {
            let panel = rows.slice(s![taken..rank, ..]);
            general_mat_mul(-1.0, &panel.t(), &panel, 1.0, &mut gram);
            taken = rank;
        }
    }
    rows.slice(s![..rank, ..]).reversed_axes().to_owned()
}

#[cfg(test)]
mod tests {
    use ndarray::{Axis, array};
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    fn random(rows: usize, columns: usize, seed: u64) -> Array2<f64> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        Array2::from_shape_simple_fn((rows, columns), || rng.random_range(-1.0..1.0))
    }

    #[test]
    fn known_singular_values_are_summed() {
        for (matrix, expected) in [
            (array![[3.0, 0.0], [0.0, -4.0]], 7.0),
            (array![[3.0, 4.0]], 5.0),
            (array![[1.0, 1.0], [1.0, 1.0], [1.0, 1.0]], 6.0_f64.sqrt()),
            (Array2::zeros((3, 2)), 0.0),
            // Ten digits apart, which the squares could not tell from rounding errors.
            (Array2::from_diag(&Array1::from(vec![1.0, 1e-10, 1e-12])), 1.0 + 1.01e-10),
        ] {
            let found = nuclear_norm(matrix.clone()).unwrap();
            assert!(
                (found - expected).abs() < 1e-15 * expected.max(1.0) * 4.0,
                "{matrix}: {found}, {expected}"
            );
        }
        assert_eq!(nuclear_norm(array![[f64::NAN]]), None);
    }

    #[test]
    fn rotations_change_nothing() {
        // Columns of a random matrix, made orthonormal, around a diagonal of known sum.
        let orthonormal = |n: usize, seed: u64| {
            let mut q = random(n, n, seed);
            for i in 0..n {
                for j in 0..i {
                    let (before, mut after) = q.view_mut().split_at(Axis(1), i);
                    let along = before.column(j).dot(&after.column(0));
                    after.column_mut(0).scaled_add(-along, &before.column(j));
                }
                let norm = q.column(i).dot(&q.column(i)).sqrt();
                q.column_mut(i).mapv_inplace(|v| v / norm);
            }
            q
        };
        let n = 60;
        let values = Array1::from_shape_fn(n, |i| 0.8_f64.powi(i as i32));
        let a = orthonormal(n, 1).dot(&Array2::from_diag(&values)).dot(&orthonormal(n, 2));
        let found = nuclear_norm(a.slice(s![.., ..]).to_owned()).unwrap();
        assert!((found - values.sum()).abs() < 1e-12, "{found} {}", values.sum());
    }

    #[test]
    fn factors_multiply_to_the_matrix_whatever_its_rank() {
        for rank in [1, 7, 20, 50, 80] {
            let x = random(rank, 80, 3);
            let gram = x.t().dot(&x);
            let factor = pivoted_cholesky(&gram);
            assert_eq!(factor.ncols(), rank);
            let error = (factor.dot(&factor.t()) - &gram).fold(0.0_f64, |a, b| a.max(b.abs()));
            assert!(error < 1e-13 * 80.0, "rank {rank}: {error}");
        }
    }
}
