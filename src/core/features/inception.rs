//! The Inception score of class logits.

use std::ops::Range;

use ndarray::{Array1, ArrayView2, Axis, s};

/// Returns the Inception score of each of `splits` equal parts, in order: the exponential of the mean divergence between
/// the classes of an image and those of all images of the part, in [1, K]. `None` for fewer rows than parts.
///
/// # Shapes
/// `logits`: `[N, K]`, before the softmax
///
/// # Reference
/// Salimans et al. 2016; the published Multi-StyleGAN takes one part.
pub fn inception_score(logits: ArrayView2<'_, f64>, splits: usize) -> Option<Vec<f64>> {
    let n = logits.nrows();
    if splits == 0 || n < splits {
        return None;
    }
    let part = |i: usize| -> Range<usize> { i * n / splits..(i + 1) * n / splits };
    Some((0..splits).map(|i| of_part(logits.slice(s![part(i), ..]))).collect())
}

fn of_part(logits: ArrayView2<'_, f64>) -> f64 {
    let log_p: Vec<Array1<f64>> = logits
        .rows()
        .into_iter()
        .map(|row| {
            let most = row.fold(f64::NEG_INFINITY, |a, &b| a.max(b));
            let sum: f64 = row.iter().map(|v| (v - most).exp()).sum();
            row.mapv(|v| v - most - sum.ln())
        })
        .collect();
    let n = log_p.len() as f64;
    let mut marginal = Array1::<f64>::zeros(logits.len_of(Axis(1)));
    for row in &log_p {
        marginal += &row.mapv(f64::exp);
    }
    let log_marginal = (marginal / n).mapv(f64::ln);
    let divergence = |row: &Array1<f64>| -> f64 {
        // A class of probability 0 adds nothing.
        let terms = row.iter().zip(&log_marginal).map(|(&p, &q)| (p.exp(), p - q));
        terms.filter(|(p, _)| *p > 0.0).map(|(p, difference)| p * difference).sum()
    };
    (log_p.iter().map(divergence).sum::<f64>() / n).exp()
}
