//! Where a channel's counts end in a wall: saturation, found in its histogram.
//!
//! A camera that is given more light than it can count reports its largest count, so all brighter pixels pile up at
//! one value at the top of the histogram. That value is 2^n - 1 of the files only where camera and file have the same
//! depth: a 12-bit camera stops at 4095, or at 65520 where its counts are shifted to the upper bits, and flat-field
//! correction, offset subtraction and averaging move the wall anywhere. So the pile itself is looked for.

use super::intensity::Histogram;

/// Counts that must occur below a pile, so that it ends a spread of brightness. Only counts that occur are looked at:
/// shifted counts leave gaps.
const BELOW: usize = 16;
/// Counts next below a pile that it is compared with.
const BESIDE: usize = 4;
/// A pile holds at least this many times the pixels of the most frequent of them: without a wall a bright tail thins
/// out, and the last count holds as few pixels as those before it.
const PILE: u64 = 8;
/// Most pixels above a camera's limit, as a share of its pile: hot pixels and corrections lie there.
const ABOVE_LIMIT: f64 = 0.05;
/// The same for a pile at any other count, where more could be a flat background with something bright on it.
const ABOVE_OTHER: f64 = 0.001;
/// Bits per pixel of cameras.
const CAMERA_BITS: [u32; 5] = [8, 10, 12, 14, 16];

/// The count at which a channel is saturated.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Saturation {
    /// The smallest count that saturated pixels have.
    pub value: u16,
    /// Share of all pixels at this count or above, in [0, 1].
    pub share: f64,
}

/// Returns where the counts of a channel pile up at their top, or `None` where they do not.
///
/// Of two kinds of counts the one with more pixels is taken:
/// - the largest count that occurs, where it is one that nothing can exceed: the largest of the file, or 2^n - 1 of a
///   camera of n = 8, 10, 12, 14 or 16 bits, in the lower or upper bits of 16;
/// - a pile: a count with at least eight times the pixels of any of the four counts that occur next below it, and
///   hardly anything above (0.1 % of the pile; 5 % where the count is a camera's limit, as hot pixels lie above it).
///
/// Sixteen counts below are needed, so a nearly flat channel is never called saturated for its noise. What cannot be
/// found: saturation that a correction per pixel has spread over many counts.
pub fn saturation(histogram: &Histogram, eight_bit: bool) -> Option<Saturation> {
    let bins = histogram.bins();
    let occurring: Vec<usize> = (0..bins.len()).filter(|&count| bins[count] > 0).collect();
    let most = if eight_bit { usize::from(u8::MAX) } else { usize::from(u16::MAX) };
    let mut best: Option<(usize, u64)> = None;
    let mut above = 0;
    for (i, &count) in occurring.iter().enumerate().rev() {
        let pixels = bins[count];
        let at_top = above == 0 && (count == most || is_limit(count));
        let spread = i >= BELOW
            && occurring[i - BESIDE..i].iter().all(|&below| pixels >= PILE * bins[below])
            && above as f64 <= pixels as f64 * if is_limit(count) { ABOVE_LIMIT } else { ABOVE_OTHER };
        if (at_top || spread) && best.is_none_or(|(_, pile)| pixels > pile) {
            best = Some((count, pixels));
        }
        above += pixels;
    }
    let (value, _) = best?;
    let share = bins[value..].iter().sum::<u64>() as f64 / histogram.total().max(1) as f64;
    Some(Saturation { value: value as u16, share })
}

/// Returns whether a camera of some depth has no larger count, in the lower or the upper bits of 16.
pub fn is_limit(count: usize) -> bool {
    CAMERA_BITS.iter().any(|bits| {
        let full = (1 << bits) - 1;
        count == full || count == full << (16 - bits)
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Counts of a channel without saturation: a noisy background with a bright tail.
    fn tail(pixels: usize, scale: f64) -> Vec<u16> {
        (0..pixels).map(|i| (300.0 - scale * ((i as f64 + 0.5) / pixels as f64).ln()) as u16).collect()
    }

    fn found(counts: &[u16]) -> Option<(u16, f64)> {
        let mut histogram = Histogram::default();
        histogram.add(counts);
        saturation(&histogram, false).map(|s| (s.value, s.share))
    }

    #[test]
    fn a_wall_is_found_where_it_stands() {
        // 12 bits in the upper bits of 16, 14 bits, 16 bits, and a wall moved by a correction.
        for (wall, shift) in [(4095_u16, 4), (16383, 0), (65535, 0), (3871, 0)] {
            let counts: Vec<u16> = tail(20_000, f64::from(wall) / 2.0).iter().map(|&c| c.min(wall)).collect();
            let n = counts.iter().filter(|&&c| c == wall).count();
            let shifted: Vec<u16> = counts.iter().map(|c| c << shift).collect();
            assert_eq!(found(&shifted), Some((wall << shift, n as f64 / 20_000.0)));
        }
    }

    #[test]
    fn hot_pixels_above_the_wall_do_not_hide_it() {
        let mut counts: Vec<u16> = tail(20_000, 2000.0).iter().map(|&c| c.min(4095)).collect();
        let n = counts.iter().filter(|&&c| c == 4095).count();
        counts.extend([4096; 30]);
        counts.extend([65535; 3]);
        assert_eq!(found(&counts), Some((4095, (n + 33) as f64 / 20_033.0)));
    }

    #[test]
    fn what_only_looks_like_a_wall_is_none() {
        // A dark background with few counts of noise, alone and with spots; a flat background with dark cells and
        // bright rims; a dim channel of small counts.
        let noise: Vec<u16> = (0..10_000_u32).map(|i| [100, 101, 101, 102][i as usize % 4]).collect();
        let spots: Vec<u16> = noise.iter().copied().chain((0..50).map(|i| 5000 + 13 * i)).collect();
        let rims: Vec<u16> = (0..10_000_u32)
            .map(|i| if i % 50 < 49 { 1000 - (i % 7 / 6 * (i % 400)) as u16 } else { 1040 })
            .collect();
        let dim: Vec<u16> = (0..20_000_u32).map(|i| i.trailing_zeros() as u16).collect();
        for counts in [noise, spots, rims, dim, tail(50_000, 900.0)] {
            assert_eq!(found(&counts), None);
        }
        assert_eq!(found(&[]), None);
    }

    #[test]
    fn the_limit_of_an_eight_bit_file_counts_without_a_pile() {
        let mut histogram = Histogram::default();
        histogram.add(&[3, 4, 255]);
        assert_eq!(saturation(&histogram, true).map(|s| s.value), Some(255));
    }

    proptest! {
        #[test]
        fn noise_is_no_wall_and_a_wall_through_it_is_one(
            mean in 500_f64..30_000.0, sigma in 8_f64..400.0, seed in any::<u64>(), part in 0.02_f64..0.4,
        ) {
            // Sums of twelve uniform numbers are nearly normal.
            let mut state = seed;
            let mut uniform = || {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                (state >> 33) as f64 / (1_u64 << 31) as f64
            };
            let counts: Vec<u16> = (0..20_000)
                .map(|_| (mean + sigma * ((0..12).map(|_| uniform()).sum::<f64>() - 6.0)).max(0.0) as u16)
                .collect();
            let largest = counts.iter().copied().max().unwrap_or(0);
            let seen = found(&counts);
            prop_assert!(seen.is_none() || is_limit(usize::from(largest)), "{seen:?}");
            let mut sorted = counts.clone();
            sorted.sort_unstable();
            let wall = sorted[((1.0 - part) * 20_000.0) as usize];
            let cut: Vec<u16> = counts.iter().map(|&c| c.min(wall)).collect();
            let share = cut.iter().filter(|&&c| c == wall).count() as f64 / 20_000.0;
            // A pile must stand out: the counts below it hold what the noise puts there.
            let beside = cut.iter().filter(|&&c| c + 1 == wall).count().max(1) as f64;
            if share * 20_000.0 > 30.0 * beside {
                prop_assert_eq!(found(&cut), Some((wall, share)));
            }
        }
    }
}
