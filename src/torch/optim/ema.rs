//! Exponential moving average of parameters.

use tch::Tensor;

use super::lists;

/// Moves `average` towards `current`: `decay average + (1 - decay) current`, parameter by parameter.
pub fn update(average: &mut [Tensor], current: &[Tensor], decay: f64) {
    lists::lerp(average, current, 1.0 - decay);
}

/// Returns the decay of one iteration for a half-life in kimg.
///
/// The half-life grows with the run (`rampup` of what was seen so far), since an average over a short run must not
/// hold on to the initial weights. `rampup = 0` switches that off.
pub fn decay(half_life_kimg: f64, rampup: f64, seen_kimg: f64, batch: usize) -> f64 {
    let half_life = if rampup > 0.0 { half_life_kimg.min(seen_kimg * rampup) } else { half_life_kimg };
    // At the very start nothing of the initial weights stays.
    if half_life <= 0.0 { 0.0 } else { 0.5_f64.powf(batch as f64 / 1000.0 / half_life) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_one_half_life_half_of_the_start_is_left() {
        let left = decay(2.0, 0.0, 100.0, 20).powi(100);
        assert!((left - 0.5).abs() < 1e-12);
        assert_eq!(decay(2.0, 0.05, 0.0, 20), 0.0);
        assert_eq!(decay(2.0, 0.05, 1e6, 20), decay(2.0, 0.0, 0.0, 20));
    }
}
