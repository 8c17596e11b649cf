//! Checks that stop a failed run: losses that are not finite, and a generator that makes one image from all latents.

use tch::{Kind, Tensor};

use super::TrainingError;

/// Spread of generated sequences, as a share of that of real ones, below which a generator counts as collapsed.
const COLLAPSED: f64 = 0.02;
/// Number of ticks in a row below [`COLLAPSED`] that stop a run.
const TICKS: u32 = 3;

/// Watches a run, tick by tick.
#[derive(Debug, Default)]
pub struct Health {
    ticks_collapsed: u32,
}

impl Health {
    /// Checks the spread over a batch: the standard deviation over the sequences at every pixel, averaged over pixels.
    ///
    /// A collapsed generator has less than 2 % of the real spread at three ticks in a row. Returns the share.
    /// `real`, `generated` are `[N, C, T, H, W]` with an N of at least 2. Smaller batches have no spread, so the share is then NaN.
    ///
    /// # Errors
    /// [`TrainingError::Collapsed`].
    pub fn check(&mut self, real: &Tensor, generated: &Tensor, kimg: f64) -> Result<f64, TrainingError> {
        let spread = |x: &Tensor| {
            x.std_dim(Some([0_i64].as_slice()), true, false).mean(Kind::Double).double_value(&[])
        };
        if real.size()[0] < 2 || generated.size()[0] < 2 {
            return Ok(f64::NAN);
        }
        let share = spread(generated) / spread(real).max(1e-12);
        self.ticks_collapsed = if share < COLLAPSED { self.ticks_collapsed + 1 } else { 0 };
        if self.ticks_collapsed >= TICKS {
            return Err(TrainingError::Collapsed { share, kimg });
        }
        Ok(share)
    }
}

/// Returns an error where a value is not finite.
///
/// # Errors
/// [`TrainingError::Diverged`] naming the first.
pub fn expect_finite(values: &[(&'static str, f64)], kimg: f64) -> Result<(), TrainingError> {
    match values.iter().find(|(_, value)| !value.is_finite()) {
        Some((loss, value)) => Err(TrainingError::Diverged { loss: (*loss).into(), value: *value, kimg }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::Device;

    #[test]
    fn three_ticks_of_one_image_are_a_collapse() {
        let options = (Kind::Float, Device::Cpu);
        let real = Tensor::rand([4, 1, 1, 8, 8], options);
        let same = Tensor::ones([4, 1, 1, 8, 8], options);
        let mut health = Health::default();
        assert!(health.check(&real, &same, 1.0).is_ok() && health.check(&real, &same, 2.0).is_ok());
        assert!(health.check(&real, &real, 3.0).unwrap() > 0.99);
        assert!(health.check(&real, &same, 4.0).is_ok() && health.check(&real, &same, 5.0).is_ok());
        assert!(matches!(health.check(&real, &same, 6.0), Err(TrainingError::Collapsed { .. })));
    }
}
