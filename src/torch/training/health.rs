//! Checks that stop a failed run: losses that are not finite, and a generator that makes one image from all latents.

use tch::{Kind, Tensor};

use super::TrainingError;

/// Spread of generated sequences, as a share of that of real ones, below which all channels of a collapsed generator are.
const COLLAPSED: f64 = 0.02;
/// The share below which a channel is reported.
const NARROW: f64 = 0.25;
/// Number of ticks in a row that stop a run, or are reported.
const TICKS: u32 = 3;
/// Loss of a discriminator that says the same of real and generated sequences: `2 ln 2`.
const CHANCE: f64 = 2.0 * std::f64::consts::LN_2;
/// Nearness to it, and smallest gradient of R1 per `r1_gamma`, at which a discriminator sees nothing. It also comes near to
/// chance where generated sequences are as good as real ones, and has gradients a hundred times as large then: 66 in a
/// run of `auto` that learned, 0.6 in one that did not.
const BLIND: (f64, f64) = (0.02, 2.0);
/// Rows and columns that sequences are reduced to, so that spread is one of scenes and not of grain.
const COARSE: i64 = 8;

/// Watches a run, tick by tick.
#[derive(Debug)]
pub struct Health {
    channels: Vec<Watched>,
    ticks_collapsed: u32,
    ticks_blind: u32,
}

/// A channel and its ticks in a row below [`NARROW`].
#[derive(Debug)]
struct Watched {
    /// `spread NAME`, as statistics have it.
    name: &'static str,
    /// `variety NAME`.
    variety: &'static str,
    ticks_narrow: u32,
}

impl Health {
    /// Watches channels of these names.
    pub fn new(names: impl IntoIterator<Item = String>) -> Self {
        let watched = |name: String| Watched {
            // The leak is small: two names per channel, once per program.
            name: format!("spread {name}").leak(),
            variety: format!("variety {name}").leak(),
            ticks_narrow: 0,
        };
        Self { channels: names.into_iter().map(watched).collect(), ticks_collapsed: 0, ticks_blind: 0 }
    }

    /// Reports a discriminator that sees no difference at three ticks in a row, by the statistics of a tick. Returns whether
    /// it was reported now.
    pub fn check_discriminator(&mut self, means: &[(&'static str, f64)], r1_gamma: f64, kimg: f64) -> bool {
        let of = |name: &str| means.iter().find(|(known, _)| *known == name).map(|(_, value)| *value);
        let (Some(loss), Some(gradient)) = (of("loss_discriminator"), of("gradient_norm_r1")) else {
            return false;
        };
        let at_chance = |loss: f64| (loss - CHANCE).abs() < BLIND.0;
        let blind = at_chance(loss)
            && of("loss_discriminator_pixel").is_none_or(at_chance)
            && gradient < BLIND.1 * r1_gamma;
        self.ticks_blind = if blind { self.ticks_blind + 1 } else { 0 };
        if self.ticks_blind != TICKS {
            return false;
        }
        tracing::warn!(
            "the discriminator sees no difference between real and generated sequences at {kimg:.3} kimg (loss {loss:.3}, \
             gradient of R1 {gradient:.3}): the generator learns nothing from it. Look at the samples; objects may have \
             too little contrast beside the differences of brightness between positions, or R1 may be too strong \
             (training.r1_gamma)"
        );
        true
    }

    /// Checks the spread of every channel over a batch: the standard deviation over the sequences, of means over frames and
    /// over the fields of an 8 x 8 grid.
    ///
    /// A collapsed generator has less than 2 % of the real spread in all channels at three ticks in a row; a channel that
    /// stays below a quarter is reported. Returns the shares by name, the mean of all as `spread`, and [`varieties`].
    /// `real`, `generated` are `[N, C, T, H, W]` of the channels that are watched, with an N of at least 2. Smaller batches
    /// have no spread, so the shares are then NaN.
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
        let n = real.size()[0].min(generated.size()[0]);
        let [real, generated] = [real, generated].map(|x| coarse(&x.narrow(0, 0, n)));
        let varieties = varieties(&real, &generated);
        let [real, generated] = [real, generated].map(|x| spreads(&x));
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
        let spreads = self.channels.iter().map(|channel| channel.name).zip(shares);
        let varieties = self.channels.iter().map(|channel| channel.variety).zip(varieties);
        Ok(std::iter::once(("spread", mean)).chain(spreads).chain(varieties).collect())
    }
}

/// Returns means over frames and over the fields of a coarse grid. `[N, C, T, H, W] -> [N, C, 8, 8]`
fn coarse(x: &Tensor) -> Tensor {
    // On a bent scale a single pixel may be a hundred times as bright as any real one. Data are in [0, 1].
    x.clamp(-1.0, 2.0)
        .mean_dim(Some([2_i64].as_slice()), false, Kind::Float)
        .adaptive_avg_pool2d([COARSE.min(x.size()[3]), COARSE.min(x.size()[4])])
}

/// Returns the spread of every channel. `[N, C, 8, 8]`
fn spreads(coarse: &Tensor) -> Vec<f64> {
    let spread = coarse.std_dim(Some([0_i64].as_slice()), true, false);
    Vec::try_from(spread.mean_dim(Some([1_i64, 2].as_slice()), false, Kind::Double))
        .expect("one number per channel")
}

/// Returns in how many ways scenes differ, as a share of the ways of real ones, for every channel. `[N, C, 8, 8]` both
///
/// A scene is an image without its brightness and contrast, and the number of ways is the participation ratio of the
/// covariance over scenes, `trace^2 / sum of squares`: one where all of them lie on a line, such as one scene in many
/// strengths, whose spread may be that of real ones.
fn varieties(real: &Tensor, generated: &Tensor) -> Vec<f64> {
    // [N, C, 8, 8] -> [C, N, 64]
    let [real, generated] = [real, generated].map(|x| {
        let x = x.flatten(2, -1).transpose(0, 1).to_kind(Kind::Double);
        &x - x.mean_dim(Some([2_i64].as_slice()), true, Kind::Double)
    });
    let contrast = |x: &Tensor| x.square().mean_dim(Some([2_i64].as_slice()), true, Kind::Double).sqrt();
    // What shows nothing stays small.
    let least = contrast(&real).mean_dim(Some([1_i64].as_slice()), true, Kind::Double) * 0.5 + 1e-12;
    let [real, generated] = [real, generated].map(|x| {
        let x = &x / contrast(&x).maximum(&least);
        let x = &x - x.mean_dim(Some([1_i64].as_slice()), true, Kind::Double);
        let products = x.matmul(&x.transpose(1, 2)); // [C, N, N]
        let sum = |x: &Tensor| x.sum_dim_intlist(Some([1_i64, 2].as_slice()), false, Kind::Double);
        sum(&x.square()).square() / (sum(&products.square()) + 1e-300)
    });
    Vec::try_from(generated / real.clamp_min(1e-12)).expect("one number per channel")
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
        assert!(shares.iter().all(|(_, share)| *share > 0.99));
        assert_eq!(
            shares.iter().map(|(name, _)| *name).collect::<Vec<_>>(),
            ["spread", "spread gfp", "variety gfp"]
        );
        assert!(health.check(&real, &same, 4.0).is_ok() && health.check(&real, &same, 5.0).is_ok());
        assert!(matches!(health.check(&real, &same, 6.0), Err(TrainingError::Collapsed { .. })));
    }

    #[test]
    fn a_discriminator_that_sees_nothing_for_three_ticks_is_reported_once() {
        let tick = |loss, gradient| [("loss_discriminator", loss), ("gradient_norm_r1", gradient)];
        let mut health = Health::new(["gfp".to_owned()]);
        let mut reported = |means: &[(&'static str, f64)]| health.check_discriminator(means, 0.025, 1.0);
        // Good generators bring it near to chance, with gradients.
        assert!((0..5).all(|_| !reported(&tick(1.38, 1.7))));
        let found: Vec<bool> = (0..5).map(|_| reported(&tick(1.3896, 0.02))).collect();
        assert_eq!(found, [false, false, true, false, false]);
        assert!(!reported(&tick(1.2, 0.02)) && !reported(&tick(1.39, 0.02)));
        assert!(!reported(&[]));
        // The other head still sees something.
        let pixel =
            [("loss_discriminator", 1.39), ("loss_discriminator_pixel", 1.1), ("gradient_norm_r1", 0.02)];
        assert!((0..5).all(|_| !reported(&pixel)));
    }

    #[test]
    fn one_scene_in_many_strengths_has_spread_but_no_variety() {
        let options = (Kind::Float, Device::Cpu);
        let scenes = Tensor::rand([32, 1, 1, 8, 8], options) - 0.5;
        let real = &scenes * (Tensor::rand([32, 1, 1, 1, 1], options) + 0.5) + 2.0;
        let one = scenes.narrow(0, 0, 1) * (Tensor::rand([32, 1, 1, 1, 1], options) * 3.0 - 1.5) + 2.0;
        let shares = Health::new(["gfp".to_owned()]).check(&real, &one, 1.0).unwrap();
        assert!(shares[1].1 > 0.5 && shares[2].1 < 0.2, "{shares:?}");
        // Other scenes of the same kind.
        let others = (Tensor::rand([32, 1, 1, 8, 8], options) - 0.5) * 0.1 + 1.0;
        let shares = Health::new(["gfp".to_owned()]).check(&real, &others, 1.0).unwrap();
        assert!((0.5..2.0).contains(&shares[2].1), "{shares:?}");
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
