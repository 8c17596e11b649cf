//! What a calibration cuts off: not how many pixels, but how much light.
//!
//! Percentiles count pixels. Rare bright spots are few pixels and most of a channel's light: with the upper end at the
//! 99.9th percentile, spots on 0.07 % of the pixels lie wholly above it, and a generator can never draw one.

use super::intensity::Histogram;

/// Share of a channel's light above its calibration from which on a person should know. Ten channels of
/// six public recordings lose up to 1.3 % at the 99.9th percentile.
pub const MUCH_LIGHT: f64 = 0.05;
/// Percentiles that may keep what the default clips.
const WIDER: [f64; 3] = [99.99, 99.999, 100.0];

/// Returns the share of a channel's light that `hi` cuts off, in [0, 1]: the sum of `x - hi` over all pixels `x` above
/// `hi`, divided by the sum of `x - median` over all pixels above the median. The median stands for the background,
/// whose offset is no light of the specimen. 0 where no pixel is above the median.
pub fn clipped_light(histogram: &Histogram, hi: f64) -> f64 {
    let above = |from: f64| -> f64 {
        let bins = histogram.bins().iter().enumerate();
        bins.map(|(count, &pixels)| (count as f64 - from).max(0.0) * pixels as f64).sum()
    };
    let background = f64::from(histogram.quantile(0.5));
    let light = above(background);
    if light > 0.0 { (above(hi.max(background)) / light).min(1.0) } else { 0.0 }
}

/// Returns the smallest of some percentiles, in percent, that keeps the light of a channel.
pub fn keeping_percentile(histogram: &Histogram) -> f64 {
    let keeps = |percent: &f64| {
        clipped_light(histogram, f64::from(histogram.quantile(percent / 100.0))) <= MUCH_LIGHT
    };
    WIDER.into_iter().find(keeps).unwrap_or(100.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rare_spots_are_most_of_the_light_and_few_of_the_pixels() {
        let mut histogram = Histogram::default();
        histogram.add(&(0..99_930_u32).map(|i| 100 + (i % 20) as u16).collect::<Vec<_>>());
        histogram.add(&[30_000; 70]);
        let hi = histogram.percentile_calibration([0.1, 99.9]).unwrap();
        assert_eq!((hi.lo, hi.hi), (100.0, 119.0));
        assert!(hi.clipped_high < 0.001);
        let lost = clipped_light(&histogram, hi.hi);
        // Background counts above the median of 110 are its noise: 1 to 9 counts on a twentieth of the pixels each.
        let light = 70.0 * 29_890.0 + 99_930.0 / 20.0 * 45.0;
        assert!((lost - 70.0 * 29_881.0 / light).abs() < 1e-3, "{lost}");
        assert_eq!(keeping_percentile(&histogram), 99.99);
        assert_eq!(clipped_light(&histogram, 30_000.0), 0.0);
    }

    #[test]
    fn a_tail_loses_little_and_a_flat_channel_nothing() {
        let mut histogram = Histogram::default();
        histogram.add(&(0..10_000).collect::<Vec<u16>>());
        assert!(clipped_light(&histogram, 9989.0) < 1e-4);
        let mut flat = Histogram::default();
        flat.add(&[7; 100]);
        assert_eq!(clipped_light(&flat, 7.0), 0.0);
        assert_eq!(clipped_light(&Histogram::default(), 0.0), 0.0);
    }
}
