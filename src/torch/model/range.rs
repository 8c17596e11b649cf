//! Standardised images: what the layers see of the networks' outer range [0, 1].
//!
//! A channel `x` becomes `(x - mean) / spread`. One of rare bright objects reaches hundreds of spreads of its background, so it
//! is bent as well: `asinh(curve (x - mean) / spread) / curve` is linear around the mean and logarithmic far from it.
//!
//! Where frames differ more in brightness than in what they show, one spread would leave the objects a small fraction of a unit
//! high. So the mean `m` of each frame and what is left have a unit each: `(m - mean) / spread + (x - m) / contrast`.

use tch::{Device, Kind, Tensor};

use super::config::ModelConfig;
use crate::transfer::upload;

/// What stands for a straight channel beside bent ones: the difference is below 1e-5 for all that occurs.
const STRAIGHT: f64 = 1e-3;
/// Standardised values are restored as if they were at most this, where a channel is bent.
const LARGEST: f64 = 20.0;

/// How the channels of a model are standardised.
#[derive(Debug)]
pub(super) struct ChannelRange {
    /// `[1, C, 1, 1, 1]` each
    mean: Tensor,
    spread: Tensor,
    /// None where all channels are straight.
    curve: Option<Tensor>,
    /// None where frames are not taken apart.
    contrast: Option<Tensor>,
}

impl ChannelRange {
    /// Returns that of a model on a device; `None` for raw images.
    pub(super) fn new(config: &ModelConfig, device: Device) -> Option<Self> {
        let part = |values: Vec<f64>| {
            let values = Tensor::from_slice(&values).to_kind(Kind::Float);
            upload(&values.view([1, -1, 1, 1, 1]), device)
        };
        let of = |i: usize| part(config.range.iter().map(|pair| pair[i]).collect());
        let bent = config.curve.iter().any(|curve| *curve > 0.0);
        (config.standardise && !config.range.is_empty()).then(|| Self {
            mean: of(0),
            spread: of(1),
            curve: bent.then(|| part(config.curve.iter().map(|curve| curve.max(STRAIGHT)).collect())),
            contrast: (!config.contrast.is_empty()).then(|| part(config.contrast.clone())),
        })
    }

    /// Returns images as the layers see them. `[N, C, T, H, W]`
    pub(super) fn standardise(&self, images: &Tensor) -> Tensor {
        let straight = self.straight(images);
        match &self.curve {
            Some(curve) => (straight * curve).asinh() / curve,
            None => straight,
        }
    }

    /// Returns images as they were. `[N, C, T, H, W]`
    pub(super) fn restore(&self, standardised: &Tensor) -> Tensor {
        let straight = match &self.curve {
            Some(curve) => (standardised.clamp(-LARGEST, LARGEST) * curve).sinh() / curve,
            None => standardised.shallow_clone(),
        };
        self.in_units(&straight) + &self.mean
    }

    /// Returns a gradient with respect to images as one with respect to what the layers see of them. `[N, C, T, H, W]` each
    pub(super) fn gradient(&self, images: &Tensor, gradient: &Tensor) -> Tensor {
        let straight = self.in_units(gradient);
        match &self.curve {
            Some(curve) => straight * ((self.straight(images) * curve).square() + 1.0).sqrt(),
            None => straight,
        }
    }

    fn straight(&self, images: &Tensor) -> Tensor {
        let centred = images - &self.mean;
        match &self.contrast {
            Some(contrast) => {
                let frame = of_frames(&centred);
                &frame / &self.spread + (centred - &frame) / contrast
            }
            None => centred / &self.spread,
        }
    }

    fn in_units(&self, straight: &Tensor) -> Tensor {
        match &self.contrast {
            Some(contrast) => {
                let frame = of_frames(straight);
                &frame * &self.spread + (straight - &frame) * contrast
            }
            None => straight * &self.spread,
        }
    }
}

/// Returns the mean of each frame. `[N, C, T, 1, 1]`
fn of_frames(images: &Tensor) -> Tensor {
    images.mean_dim(Some([3_i64, 4].as_slice()), true, images.kind())
}

/// Returns mean, spread and curve of a channel whose values, sorted, are in [0, 1]: straight where 0 and 1 are at most
/// `most_deviations` standard deviations from the mean, else bent around the median so that they are.
pub fn fit(sorted: &[f32], [mean, std]: [f64; 2], most_deviations: f64) -> ([f64; 2], f64) {
    let farthest = |centre: f64, unit: f64| centre.max(1.0 - centre) / unit;
    if most_deviations == 0.0 || sorted.is_empty() || farthest(mean, std) <= most_deviations {
        return ([mean, std], 0.0);
    }
    let median = f64::from(sorted[sorted.len() / 2]);
    let mut distances: Vec<f64> = sorted.iter().map(|x| (f64::from(*x) - median).abs()).collect();
    distances.sort_by(f64::total_cmp);
    // The spread of the background, if it were normal; a background without any has a share of what there is. In units of
    // the background grain is all that is seen, in units of the whole nothing but the brightest: the middle of both.
    let background = (1.4826 * distances[distances.len() / 2]).max(std / 20.0);
    let unit = (background * std).sqrt();
    let far = farthest(median, unit);
    // asinh(curve far) / curve falls from far towards 0: halve until it is where it should be.
    let (mut low, mut high) = (0.0, 1e3_f64);
    for _ in 0..60 {
        let middle = f64::midpoint(low, high);
        if (middle * far).asinh() / middle > most_deviations { low = middle } else { high = middle }
    }
    ([median, unit], if far <= most_deviations { 0.0 } else { high })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::training::Preset;

    fn range(curve: Vec<f64>, contrast: Vec<f64>) -> ChannelRange {
        let mut config = Preset::Tiny.config(2, 2, 16).model;
        config.range = vec![[0.4, 0.2], [0.01, 0.002]];
        (config.curve, config.contrast) = (curve, contrast);
        ChannelRange::new(&config, Device::Cpu).unwrap()
    }

    fn ramp() -> Tensor {
        Tensor::linspace(0.0, 1.0, 4 * 64, (Kind::Float, Device::Cpu)).view([1, 2, 2, 8, 8])
    }

    #[test]
    fn what_is_standardised_is_restored() {
        let x = ramp();
        let curves = [vec![], vec![0.0, 0.0], vec![0.0, 1.3]];
        for (curve, contrast) in
            curves.into_iter().flat_map(|curve| [(curve.clone(), vec![]), (curve, vec![0.02, 0.002])])
        {
            let (range, bent) = (range(curve.clone(), contrast.clone()), curve.contains(&1.3));
            let z = range.standardise(&x);
            let back = (range.restore(&z) - &x).abs().max().double_value(&[]);
            assert!(back < 1e-5, "{curve:?} {contrast:?}: {back}");
            // The mean of a frame has the spread for its unit, whatever the other channel is.
            let mean = |images: &Tensor| of_frames(&images.select(1, 0).unsqueeze(1));
            let first = ((mean(&x) - 0.4) / 0.2 - mean(&z)).abs().max().double_value(&[]);
            assert!(first < 1e-4, "{curve:?} {contrast:?}: {first}");
            let height = |images: &Tensor| images.std(false).double_value(&[]);
            let unit = height(&x.get(0).get(0).get(1)) / height(&z.get(0).get(0).get(1));
            let expected = contrast.first().copied().unwrap_or(0.2);
            assert!((unit / expected - 1.0).abs() < 1e-4, "{curve:?} {contrast:?}: {unit}");
            assert_eq!(z.select(1, 1).max().double_value(&[]) < 7.0, bent);
        }
    }

    #[test]
    fn the_gradient_is_that_of_standardised_images() {
        let weights =
            Tensor::linspace(-1.0, 1.0, 256, (Kind::Float, Device::Cpu)).view([1, 2, 2, 8, 8]).square();
        for contrast in [vec![], vec![0.02, 0.002]] {
            let range = range(vec![0.0, 1.3], contrast.clone());
            let x = ramp().set_requires_grad(true);
            let z = range.standardise(&x);
            // Of a sum with these weights the gradient is the weights.
            let sum = (&z * &weights).sum(Kind::Float);
            let of_images = Tensor::run_backward(&[sum], &[&x], false, false).remove(0);
            let error = (range.gradient(&x, &of_images) - &weights).abs().max().double_value(&[]);
            assert!(error < 1e-4, "{contrast:?}: {error}");
        }
    }

    #[test]
    fn rare_bright_values_are_bent_and_others_are_not() {
        let even: Vec<f32> = (0..1000_u16).map(|i| f32::from(i) / 999.0).collect();
        assert_eq!(fit(&even, [0.5, 0.289], 6.0), ([0.5, 0.289], 0.0));
        // A background of 0.01 with grain of 0.001, and a hundredth of the pixels bright.
        let mut sparse: Vec<f32> = (0..990_u16).map(|i| 0.008 + 0.004 * f32::from(i) / 989.0).collect();
        sparse.extend([0.9; 10]);
        let ([centre, unit], curve) = fit(&sparse, [0.019, 0.0886], 6.0);
        assert!((centre - 0.01).abs() < 1e-3 && (0.006..0.02).contains(&unit));
        assert!(((curve * (1.0 - centre) / unit).asinh() / curve - 6.0).abs() < 1e-6);
        assert_eq!(fit(&sparse, [0.019, 0.0886], 0.0).1, 0.0);
    }
}
