//! Intensity ranges in camera counts, from exact histograms.

use serde::{Deserialize, Serialize};

use super::Calibration;

/// How counts become the networks' range.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Normalise {
    /// Percentiles of the training pixels, per channel.
    Percentile,
    /// As the published code: channel 0 min to max of each frame, others (counts - 150) / 2200.
    Original,
}

impl Normalise {
    /// The words of the settings, with what they mean.
    pub const WORDS: [(&'static str, &'static str); 2] = [
        ("percentile", "Percentiles of the training pixels, per channel"),
        ("original", "As the published code: channel 0 per frame, others (counts - 150) / 2200"),
    ];

    /// Returns the name as it stands in a plate's metadata.
    pub fn name(self) -> &'static str {
        match self {
            Self::Percentile => "percentile",
            Self::Original => "original",
        }
    }
}

/// The fluorescence range of the published code. Reference: it divides by 2200, not by 2200 - 150.
pub const ORIGINAL_RANGE: [f64; 2] = [150.0, 2350.0];

/// Percentiles of the training pixels that become 0 and 1, in percent: a thousandth is clipped at each end.
pub const PERCENTILES: [f64; 2] = [0.1, 99.9];

/// How often counts occur, in bins of equal width, for pictures.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct CoarseHistogram {
    /// First count of the first bin.
    pub first: u16,
    /// Counts per bin.
    pub width: u16,
    /// Share of the pixels in each bin, in [0, 1].
    pub shares: Vec<f64>,
}

/// How often each of the 65,536 counts occurs.
#[derive(Clone, Debug)]
pub struct Histogram {
    bins: Vec<u64>,
    total: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { bins: vec![0; 1 << 16], total: 0 }
    }
}

impl Histogram {
    /// Adds pixels.
    pub fn add<'a>(&mut self, counts: impl IntoIterator<Item = &'a u16>) {
        for &x in counts {
            self.bins[usize::from(x)] += 1;
            self.total += 1;
        }
    }

    /// Adds all pixels of another histogram.
    pub fn merge(&mut self, other: &Self) {
        for (a, b) in self.bins.iter_mut().zip(&other.bins) {
            *a += b;
        }
        self.total += other.total;
    }

    /// Returns the number of pixels.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// Returns the smallest count with at least the share `q` of all pixels at or below it; 0 where there are none.
    pub fn quantile(&self, q: f64) -> u16 {
        let rank = ((q * self.total as f64).ceil() as u64).max(1);
        let mut seen = 0;
        for (count, &n) in self.bins.iter().enumerate() {
            seen += n;
            if seen >= rank {
                return count as u16;
            }
        }
        0
    }

    /// Returns the smallest and the largest count; zeros where there are no pixels.
    pub fn extremes(&self) -> (u16, u16) {
        let first = self.bins.iter().position(|&n| n > 0).unwrap_or(0);
        let last = self.bins.iter().rposition(|&n| n > 0).unwrap_or(0);
        (first as u16, last as u16)
    }

    /// Returns the shares of at most `most` bins of equal width from the smallest to the largest count.
    pub fn coarse(&self, most: usize) -> CoarseHistogram {
        let (first, last) = self.extremes();
        let counts = usize::from(last - first) + 1;
        let width = counts.div_ceil(most.max(1));
        let bins = &self.bins[usize::from(first)..=usize::from(last)];
        let share = |bin: &[u64]| bin.iter().sum::<u64>() as f64 / self.total.max(1) as f64;
        CoarseHistogram { first, width: width as u16, shares: bins.chunks(width).map(share).collect() }
    }

    /// Returns the calibration to `lo..hi` with the shares of pixels outside of it.
    pub fn calibration(&self, lo: f64, hi: f64) -> Calibration {
        let share = |outside: &dyn Fn(f64) -> bool| {
            let n: u64 = self
                .bins
                .iter()
                .enumerate()
                .filter(|(count, _)| outside(*count as f64))
                .map(|(_, n)| n)
                .sum();
            n as f64 / self.total.max(1) as f64
        };
        Calibration { lo, hi, clipped_low: share(&|x| x < lo), clipped_high: share(&|x| x > hi) }
    }

    /// Returns how often each count occurs.
    pub(super) fn bins(&self) -> &[u64] {
        &self.bins
    }

    /// Returns the calibration to two percentiles, in percent, or `None` where all pixels have one count.
    pub fn percentile_calibration(&self, percentiles: [f64; 2]) -> Option<Calibration> {
        // Percent to share without the error of a division, so that 99.9 is 0.999.
        let share = |percent: f64| (percent * 1e6).round() / 1e8;
        let (mut lo, mut hi) = (self.quantile(share(percentiles[0])), self.quantile(share(percentiles[1])));
        if lo == hi {
            // A few bright pixels on a flat background: percentiles miss them, so the extremes are taken.
            (lo, hi) = self.extremes();
        }
        (lo < hi).then(|| self.calibration(f64::from(lo), f64::from(hi)))
    }
}

/// Returns the range of one frame, smallest to largest count; one count wide where the frame is flat.
pub fn frame_range<'a>(counts: impl IntoIterator<Item = &'a u16>) -> [f64; 2] {
    let (mut lo, mut hi) = (u16::MAX, 0);
    for &x in counts {
        lo = lo.min(x);
        hi = hi.max(x);
    }
    let lo = f64::from(lo.min(hi));
    [lo, f64::from(hi).max(lo + 1.0)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thousandth_is_clipped_at_each_end() {
        let mut histogram = Histogram::default();
        histogram.add(&(0..10_000).collect::<Vec<u16>>());
        let c = histogram.percentile_calibration(PERCENTILES).unwrap();
        assert_eq!((c.lo, c.hi), (9.0, 9989.0));
        assert!((c.clipped_low - 0.0009).abs() < 1e-9 && (c.clipped_high - 0.001).abs() < 1e-9);
        assert_eq!(histogram.quantile(0.5), 4999);
        let c = histogram.percentile_calibration([0.0, 100.0]).unwrap();
        assert_eq!((c.lo, c.hi, c.clipped_high), (0.0, 9999.0, 0.0));
    }

    #[test]
    fn a_constant_channel_has_no_range_and_a_sparse_one_has() {
        let mut histogram = Histogram::default();
        histogram.add(&vec![7; 100_000]);
        assert!(histogram.percentile_calibration(PERCENTILES).is_none());
        histogram.add(&[90]);
        assert_eq!(histogram.percentile_calibration(PERCENTILES).map(|c| (c.lo, c.hi)), Some((7.0, 90.0)));
    }

    #[test]
    fn a_flat_frame_has_a_range_one_count_wide() {
        assert_eq!(frame_range(&[5, 9, 2]), [2.0, 9.0]);
        assert_eq!(frame_range(&[5, 5]), [5.0, 6.0]);
    }
}
