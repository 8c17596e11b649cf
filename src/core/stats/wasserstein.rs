//! Distances between two sets of numbers on a line, and quantiles.
//!
//! Exact, in f64. Two forms of the Wasserstein distance: of samples, and of histograms over common values, which costs
//! one pass however many pixels were counted.

/// Returns the Wasserstein-1 distance of two samples: the area between their distribution functions, in the samples'
/// unit. `None` where one of them is empty.
pub fn wasserstein_1(a: &[f64], b: &[f64]) -> Option<f64> {
    area_between(a, b, f64::abs)
}

/// Returns the energy distance `sqrt(2 * integral (F - G)^2)` of two samples. `None` where one of them is empty.
///
/// # Reference
/// Székely and Rizzo 2013; SciPy's `energy_distance`.
pub fn energy_distance(a: &[f64], b: &[f64]) -> Option<f64> {
    area_between(a, b, |d| d * d).map(|area| (2.0 * area).sqrt())
}

/// Returns the Kolmogorov-Smirnov statistic of two samples, the largest gap between their distribution functions, in
/// [0, 1]. `None` where one of them is empty.
pub fn ks_statistic(a: &[f64], b: &[f64]) -> Option<f64> {
    let steps = distribution_steps(a, b)?;
    Some(steps.iter().map(|s| s.gap.abs()).fold(0.0, f64::max))
}

/// Returns the Wasserstein-1 distance of two histograms over the same values, in the values' unit.
///
/// `values` must not decrease. `None` where one of the histograms is empty.
///
/// # Shapes
/// `values`, `a`, `b`: the same length.
pub fn wasserstein_1_of_counts(values: &[f64], a: &[u64], b: &[u64]) -> Option<f64> {
    assert!(values.len() == a.len() && values.len() == b.len(), "one count per value");
    let (total_a, total_b) = (a.iter().sum::<u64>(), b.iter().sum::<u64>());
    if total_a == 0 || total_b == 0 {
        return None;
    }
    let (mut below_a, mut below_b, mut area) = (0_u64, 0_u64, 0.0);
    for i in 0..values.len() - 1 {
        below_a += a[i];
        below_b += b[i];
        let gap = below_a as f64 / total_a as f64 - below_b as f64 / total_b as f64;
        area += gap.abs() * (values[i + 1] - values[i]);
    }
    Some(area)
}

/// Returns the quantile `q` in [0, 1] with linear interpolation between order statistics, as NumPy's default.
/// `None` for an empty sample.
pub fn quantile(sample: &[f64], q: f64) -> Option<f64> {
    let sorted = sorted(sample);
    let last = sorted.len().checked_sub(1)?;
    let at = q.clamp(0.0, 1.0) * last as f64;
    let (low, high) = (sorted[at.floor() as usize], sorted[at.ceil() as usize]);
    Some(low + (high - low) * (at - at.floor()))
}

/// Returns the mean; `None` for an empty sample.
pub fn mean(sample: &[f64]) -> Option<f64> {
    (!sample.is_empty()).then(|| sample.iter().sum::<f64>() / sample.len() as f64)
}

/// Returns the standard deviation with n - 1; `None` for fewer than two numbers.
pub fn std_dev(sample: &[f64]) -> Option<f64> {
    let mean = mean(sample).filter(|_| sample.len() > 1)?;
    let squares: f64 = sample.iter().map(|x| (x - mean) * (x - mean)).sum();
    Some((squares / (sample.len() - 1) as f64).sqrt())
}

/// The gap F - G between two distribution functions, from one value to the next.
struct Step {
    length: f64,
    gap: f64,
}

fn area_between(a: &[f64], b: &[f64], of_gap: impl Fn(f64) -> f64) -> Option<f64> {
    let steps = distribution_steps(a, b)?;
    Some(steps.iter().map(|s| of_gap(s.gap) * s.length).sum())
}

fn distribution_steps(a: &[f64], b: &[f64]) -> Option<Vec<Step>> {
    if a.is_empty() || b.is_empty() {
        return None;
    }
    let (a, b) = (sorted(a), sorted(b));
    let (mut i, mut j, mut steps) = (0, 0, Vec::with_capacity(a.len() + b.len()));
    while i < a.len() || j < b.len() {
        let at = match (a.get(i), b.get(j)) {
            (Some(x), Some(y)) => x.min(*y),
            (Some(x), None) | (None, Some(x)) => *x,
            (None, None) => break,
        };
        while a.get(i).is_some_and(|x| *x <= at) {
            i += 1;
        }
        while b.get(j).is_some_and(|x| *x <= at) {
            j += 1;
        }
        let next = a.get(i).into_iter().chain(b.get(j)).copied().fold(f64::INFINITY, f64::min);
        let length = if next.is_finite() { next - at } else { 0.0 };
        steps.push(Step { length, gap: i as f64 / a.len() as f64 - j as f64 / b.len() as f64 });
    }
    Some(steps)
}

fn sorted(sample: &[f64]) -> Vec<f64> {
    let mut sorted: Vec<f64> = sample.iter().copied().filter(|x| !x.is_nan()).collect();
    sorted.sort_unstable_by(f64::total_cmp);
    sorted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shift_costs_its_length() {
        let a = [1.0, 2.0, 3.0];
        let b = [3.5, 5.5, 4.5];
        assert!((wasserstein_1(&a, &b).unwrap() - 2.5).abs() < 1e-12);
        assert_eq!(wasserstein_1(&a, &a), Some(0.0));
        assert_eq!(ks_statistic(&a, &b), Some(1.0));
        assert!(wasserstein_1(&[], &a).is_none() && energy_distance(&a, &[]).is_none());
    }

    #[test]
    fn histograms_and_samples_give_the_same_distance() {
        let values = [0.0, 1.0, 4.0, 4.0, 9.0];
        let (a, b) = ([2_u64, 0, 1, 3, 1], [0_u64, 4, 0, 1, 0]);
        let expand = |counts: &[u64]| -> Vec<f64> {
            values.iter().zip(counts).flat_map(|(v, n)| vec![*v; *n as usize]).collect()
        };
        let expected = wasserstein_1(&expand(&a), &expand(&b)).unwrap();
        assert!((wasserstein_1_of_counts(&values, &a, &b).unwrap() - expected).abs() < 1e-12);
        assert!(wasserstein_1_of_counts(&values, &a, &[0; 5]).is_none());
    }

    #[test]
    fn quantiles_interpolate() {
        assert_eq!(quantile(&[4.0, 1.0], 0.25), Some(1.75));
        assert_eq!(quantile(&[], 0.5), None);
        assert_eq!(std_dev(&[1.0]), None);
        assert_eq!(std_dev(&[1.0, 3.0]), Some(2.0_f64.sqrt()));
    }
}
