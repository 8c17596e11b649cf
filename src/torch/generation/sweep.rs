//! How sequences differ from each other and from real ones, at several values of truncation.

use std::collections::BTreeMap;
use std::str::FromStr;

use ndarray::{Array4, Axis};

use lapsegan_core::error::DataError;
use lapsegan_core::plate::{Calibration, Plate, PlateMeta};
use lapsegan_core::realism::pool::Stack;
use lapsegan_core::realism::suite::{Texture, mean_swd, projections};

/// Patches per image and directions of the distance, as in `evaluate`'s smaller settings.
const PATCHES: usize = 64;
const DIRECTIONS: usize = 128;

/// Values of truncation psi: `0.5,0.7,1`.
#[derive(Clone, Debug, PartialEq)]
pub struct Psis(pub Vec<f64>);

impl FromStr for Psis {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("expected up to 64 values from 0 to 2, as in 0.5,0.7,1, not `{text:.80}`");
        let values: Vec<f64> = text
            .split(',')
            .map(|word| word.trim().parse::<f64>().ok().filter(|psi| (0.0..=2.0).contains(psi)))
            .collect::<Option<_>>()
            .ok_or_else(wrong)?;
        if values.len() > 64 { Err(wrong()) } else { Ok(Self(values)) }
    }
}

/// How much sequences differ from each other.
#[derive(Clone, Debug)]
pub struct Spread {
    by_channel: Vec<(String, f64)>,
}

impl Spread {
    /// Measures the standard deviation over sequences of every pixel in the calibrated range, and takes the root of its
    /// mean square over pixels and frames, by channel. 0 for fewer than two sequences. `[T, C, H, W]` each
    pub fn of<'a>(images: impl Iterator<Item = &'a Array4<u16>>, plate: &PlateMeta) -> Self {
        let (mut n, mut sums) = (0.0, None::<(Array4<f64>, Array4<f64>)>);
        for image in images {
            let values = image.mapv(f64::from);
            n += 1.0;
            match &mut sums {
                None => sums = Some((values.clone(), &values * &values)),
                Some((sum, squares)) => {
                    *squares += &(&values * &values);
                    *sum += &values;
                }
            }
        }
        let mut by_channel = Vec::new();
        for (c, channel) in plate.channels.iter().enumerate() {
            let Calibration { lo, hi, .. } = channel.calibration;
            let spread = sums.as_ref().map_or(0.0, |(sum, squares)| {
                let (sum, squares) = (sum.index_axis(Axis(1), c), squares.index_axis(Axis(1), c));
                let variance = (&squares / n - (&sum / n).mapv(|mean| mean * mean)).mapv(|v| v.max(0.0));
                variance.mean().unwrap_or(0.0).sqrt() / (hi - lo)
            });
            by_channel.push((channel.name.clone(), spread));
        }
        Self { by_channel }
    }

    /// Returns it by channel.
    pub fn by_channel(&self) -> BTreeMap<&str, f64> {
        self.by_channel.iter().map(|(name, spread)| (name.as_str(), *spread)).collect()
    }
}

/// Returns the sliced Wasserstein distance, times 1000, of textures of all channels together, between sequences and as
/// many real ones, spread evenly over the plate; of fewer where it holds fewer.
///
/// # Errors
/// [`DataError`] of a real sequence that cannot be read.
pub fn swd<'a>(
    real: &Plate,
    images: impl Iterator<Item = &'a Array4<u16>>,
    seed: u64,
) -> Result<f64, DataError> {
    let images: Vec<&Array4<u16>> = images.collect();
    let picked = evenly(real, images.len())?;
    let real_images: Vec<&Array4<u16>> = picked.iter().collect();
    Ok(textures(&real_images, &images[..picked.len()], &real.meta, seed))
}

/// Reads at most `n` sequences, spread evenly over a plate. `[T, C, H, W]` each
///
/// # Errors
/// [`DataError`] of a sequence that cannot be read.
pub fn evenly(plate: &Plate, n: usize) -> Result<Vec<Array4<u16>>, DataError> {
    let (all, n) = (plate.wells.len(), n.min(plate.wells.len()));
    (0..n).map(|i| Ok(plate.read(i * all / n)?.image)).collect()
}

/// Returns the sliced Wasserstein distance, times 1000, between two sets of as many sequences. `[T, C, H, W]` each
pub fn textures(real: &[&Array4<u16>], others: &[&Array4<u16>], plate: &PlateMeta, seed: u64) -> f64 {
    let texture = Texture { patches_per_image: PATCHES, directions: DIRECTIONS, seed, draw: 0 };
    let side = |images: &[&Array4<u16>], side: usize| {
        let stacks: Vec<Stack> = (0..plate.channels.len()).map(|c| stack(images, c, plate)).collect();
        let stacks: Vec<&Stack> = stacks.iter().collect();
        projections(&stacks, &texture, stacks.len(), side)
    };
    mean_swd(&side(real, 0), &side(others, 0))
}

/// `[N, T, H, W]` of one channel
fn stack(images: &[&Array4<u16>], channel: usize, plate: &PlateMeta) -> Stack {
    let mut counts = Array4::zeros((images.len(), plate.frames, plate.height, plate.width));
    for (mut sequence, image) in counts.outer_iter_mut().zip(images) {
        sequence.assign(&image.index_axis(Axis(1), channel));
    }
    Stack::new(counts, plate.channels[channel].calibration)
}
