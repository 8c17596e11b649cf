//! Checks that stop a failed run: losses that are not finite, and a generator that makes one image from all latents.

use tch::{Kind, Tensor};

use super::TrainingError;

/// Spread of generated sequences, as a share of that of real ones, below which all channels of a collapsed generator are.
const COLLAPSED: f64 = 0.02;
/// The share below which a channel is reported.
const NARROW: f64 = 0.25;
/// Number of ticks in a row that stop a run, or are reported.
const TICKS: u32 = 3;
/// Rows and columns that sequences are reduced to, so that spread is one of scenes and not of grain.
const COARSE: i64 = 8;

/// Watches a run, tick by tick.
#[derive(Debug)]
pub struct Health {
    channels: Vec<Watched>,
    ticks_collapsed: u32,
}

/// A channel and its ticks in a row below [`NARROW`].
#[derive(Debug)]
struct Watched {
    /// `spread NAME`, as statistics have it.
    name: &'static str,
    ticks_narrow: u32,
}

impl Health {
    /// Watches channels of these names.
    pub fn new(names: impl IntoIterator<Item = String>) -> Self {
        let watched = |name: String| {
            // The leak is small: a name per channel, once per program.
            Watched { name: format!("spread {name}").leak(), ticks_narrow: 0 }
        };
        Self { channels: names.into_iter().map(watched).collect(), ticks_collapsed: 0 }
    }

    /// Checks the spread of every channel over a batch: the standard deviation over the sequences, of means over frames and
    /// over the fields of an 8 x 8 grid.
    ///
    /// A collapsed generator has less than 2 % of the real spread in all channels at three ticks in a row; a channel that
    /// stays below a quarter is reported. Returns the shares by name, the mean of all as `spread`.
    /// `real`, `generated` are `[N, C, T, H, W]` with an N of at least 2. Smaller batches have no spread, so the shares are
    /// then NaN.
    ///
    /// # Errors
    /// [`TrainingError::Collapsed`].
    pub fn check(
        &mut self,
        real: &Tensor,
        generated: &Tensor,
        kimg: f64,
    ) -> Result<Vec<(&'static str, f64)>, TrainingError> {
        if real.size()[0] < 2 || generated.size()[0] < 2 {
            return Ok(vec![("spread", f64::NAN)]);
        }
        let [real, generated] = [real, generated].map(spreads);
        let shares: Vec<f64> = generated.iter().zip(&real).map(|(g, r)| g / r.max(1e-12)).collect();
        for (channel, share) in self.channels.iter_mut().zip(&shares) {
            channel.ticks_narrow = if *share < NARROW { channel.ticks_narrow + 1 } else { 0 };
            if channel.ticks_narrow == TICKS {
                tracing::warn!(
                    "{} is {share:.2} of that of real sequences at {kimg:.3} kimg: generated ones may be too much alike",
                    channel.name
                );
            }
        }
        let largest = shares.iter().copied().fold(0.0, f64::max);
        self.ticks_collapsed = if largest < COLLAPSED { self.ticks_collapsed + 1 } else { 0 };
        if self.ticks_collapsed >= TICKS {
            return Err(TrainingError::Collapsed { share: largest, kimg });
        }
        let mean = shares.iter().sum::<f64>() / shares.len() as f64;
        let named = self.channels.iter().map(|channel| channel.name).zip(shares);
        Ok(std::iter::once(("spread", mean)).chain(named).collect())
    }
}

/// Returns the spread of every channel. `[N, C, T, H, W]`
fn spreads(x: &Tensor) -> Vec<f64> {
    let coarse = x
        .mean_dim(Some([2_i64].as_slice()), false, Kind::Float)
        .adaptive_avg_pool2d([COARSE.min(x.size()[3]), COARSE.min(x.size()[4])]);
    let spread = coarse.std_dim(Some([0_i64].as_slice()), true, false);
    Vec::try_from(spread.mean_dim(Some([1_i64, 2].as_slice()), false, Kind::Double))
        .expect("one number per channel")
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
        let mut health = Health::new(["gfp".to_owned()]);
        assert!(health.check(&real, &same, 1.0).is_ok() && health.check(&real, &same, 2.0).is_ok());
        let shares = health.check(&real, &real, 3.0).unwrap();
        assert!(shares.iter().all(|(_, share)| *share > 0.99) && shares[1].0 == "spread gfp");
        assert!(health.check(&real, &same, 4.0).is_ok() && health.check(&real, &same, 5.0).is_ok());
        assert!(matches!(health.check(&real, &same, 6.0), Err(TrainingError::Collapsed { .. })));
    }

    #[test]
    fn grain_is_no_spread() {
        let options = (Kind::Float, Device::Cpu);
        // Scenes that differ, and one scene with fresh grain of the same size.
        let real = Tensor::rand([8, 1, 8, 8], options).upsample_nearest2d([64, 64], None, None).unsqueeze(1);
        let grain = Tensor::rand([8, 1, 1, 64, 64], options);
        let shares = Health::new(["gfp".to_owned()]).check(&real, &grain, 1.0).unwrap();
        assert!(shares[1].1 < 0.3, "{shares:?}");
    }
}
