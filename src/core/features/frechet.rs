//! The Fréchet distance of two normal distributions that are fitted to feature vectors: FID and FVD.

use ndarray::{Array1, Array2, ArrayView2, Axis};

use crate::stats::singular::{nuclear_norm, pivoted_cholesky};

/// The distance, and what it is made of.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Frechet {
    /// `mean_sq + trace1 + trace2 - 2 trace_sqrt`.
    pub distance: f64,
    /// Squared distance of the means.
    pub mean_sq: f64,
    /// Trace of the covariance of the first set, with n - 1.
    pub trace1: f64,
    /// The same of the second set.
    pub trace2: f64,
    /// Trace of the square root of the product of both covariances.
    pub trace_sqrt: f64,
}

/// Returns the Fréchet distance of two sets; `None` for fewer than two vectors in one of them, and where the singular
/// values do not converge (values that are no numbers).
///
/// The trace of the square root is the sum of the singular values of `X Y^T / sqrt((n - 1) (m - 1))` of the centred sets,
/// which needs no inverse and holds for fewer vectors than dimensions.
///
/// # Shapes
/// `x`: `[N, D]`, `y`: `[M, D]`
///
/// # Reference
/// Heusel et al. 2017 (FID); Dowson and Landau 1982.
pub fn frechet(x: ArrayView2<'_, f64>, y: ArrayView2<'_, f64>) -> Option<Frechet> {
    let (n, m) = (x.nrows(), y.nrows());
    if n < 2 || m < 2 {
        return None;
    }
    let ((x, mean_x), (y, mean_y)) = (centred(x), centred(y));
    let trace = |centred: &Array2<f64>, n: usize| centred.iter().map(|v| v * v).sum::<f64>() / (n - 1) as f64;
    let (trace1, trace2) = (trace(&x, n), trace(&y, m));
    let mean_sq = (&mean_x - &mean_y).mapv(|v| v * v).sum();
    let product = factor(x).dot(&factor(y).t());
    let trace_sqrt = nuclear_norm(product)? / ((n - 1) as f64 * (m - 1) as f64).sqrt();
    let distance = mean_sq + trace1 + trace2 - 2.0 * trace_sqrt;
    distance.is_finite().then_some(Frechet { distance, mean_sq, trace1, trace2, trace_sqrt })
}

/// Returns the vectors without their mean, and the mean.
fn centred(x: ArrayView2<'_, f64>) -> (Array2<f64>, Array1<f64>) {
    let mean = x.mean_axis(Axis(0)).unwrap_or_else(|| Array1::zeros(x.ncols()));
    (&x - &mean, mean)
}

/// Returns a matrix with the same `X^T X` and at most D rows, which has the same singular values beside another one.
fn factor(x: Array2<f64>) -> Array2<f64> {
    if x.nrows() > x.ncols() { pivoted_cholesky(&x.t().dot(&x)).reversed_axes() } else { x }
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn normal_distributions_on_a_line_have_the_distance_of_the_formula() {
        let (a, b) = (array![[0.0], [2.0], [4.0]], array![[1.0], [1.0], [7.0], [7.0]]);
        let found = frechet(a.view(), b.view()).unwrap();
        let expected = (2.0_f64 - 4.0).powi(2) + (2.0 - 12_f64.sqrt()).powi(2);
        assert!((found.distance - expected).abs() < 1e-12, "{found:?}");
        assert_eq!(frechet(a.view(), b.slice(ndarray::s![..1, ..])), None);
        assert!(frechet(a.view(), a.view()).unwrap().distance.abs() < 1e-12);
        assert_eq!(frechet(a.mapv(|_| f64::NAN).view(), a.view()), None);
    }
}
