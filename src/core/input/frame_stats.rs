//! What one raw frame is like: its brightness, its sharpness, and profiles by which its drift is found.

use ndarray::ArrayView2;

/// Values of a profile: drift is found to a fraction of a bin.
const BINS: usize = 256;
/// Share of the field that a frame may have moved from one to the next.
const FARTHEST: usize = 8;

/// What one frame is like.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FrameStats {
    /// Mean count.
    pub mean: f64,
    /// Brenner's gradient: the mean square of differences between pixels two apart, divided by the square of the mean.
    /// It falls where an image is blurred, and does not depend on the exposure.
    pub focus: f64,
    /// Mean counts of bins of rows, and of columns; the anchor's only.
    profiles: Option<[Vec<f32>; 2]>,
    /// Pixels per bin of rows, and of columns.
    bin: [usize; 2],
}

impl FrameStats {
    /// Returns what a frame is like; profiles are kept where drift is wanted. `[H, W]`
    pub fn of(counts: ArrayView2<'_, u16>, with_profiles: bool) -> Self {
        let (h, w) = counts.dim();
        let pixels = (h * w).max(1) as f64;
        let (mut sum, mut gradient, mut pairs) = (0_u64, 0.0, 0_u64);
        let bin = [h.div_ceil(BINS).max(1), w.div_ceil(BINS).max(1)];
        let mut profiles = [vec![0.0_f32; h / bin[0]], vec![0.0_f32; w / bin[1]]];
        let mut columns = vec![0_u64; w];
        for (y, row) in counts.rows().into_iter().enumerate() {
            let mut row_sum = 0_u64;
            for (x, &v) in row.iter().enumerate() {
                row_sum += u64::from(v);
                columns[x] += u64::from(v);
            }
            for (a, b) in row.iter().zip(row.iter().skip(2)) {
                let difference = f64::from(*b) - f64::from(*a);
                gradient += difference * difference;
            }
            pairs += w.saturating_sub(2) as u64;
            sum += row_sum;
            if let Some(value) = profiles[0].get_mut(y / bin[0]) {
                *value += row_sum as f32;
            }
        }
        for (x, column) in columns.iter().enumerate() {
            if let Some(value) = profiles[1].get_mut(x / bin[1]) {
                *value += *column as f32;
            }
        }
        let mean = sum as f64 / pixels;
        let focus = if mean > 0.0 { gradient / pairs.max(1) as f64 / (mean * mean) } else { 0.0 };
        Self { mean, focus, profiles: with_profiles.then_some(profiles), bin }
    }

    /// Returns how far this frame has moved since another one, in pixels along y and x; `None` without profiles.
    pub fn moved_since(&self, before: &Self) -> Option<[f64; 2]> {
        let (now, before) = (self.profiles.as_ref()?, before.profiles.as_ref()?);
        let along = |axis: usize| shift(&before[axis], &now[axis]) * self.bin[axis] as f64;
        Some([along(0), along(1)])
    }
}

/// Returns by how many bins `b` lies behind `a`: the shift at which they differ least, between bins by a parabola.
fn shift(a: &[f32], b: &[f32]) -> f64 {
    let n = a.len().min(b.len());
    let most = n / FARTHEST;
    if most == 0 {
        return 0.0;
    }
    let mean = |v: &[f32]| v.iter().map(|v| f64::from(*v)).sum::<f64>() / v.len().max(1) as f64;
    let (mean_a, mean_b) = (mean(a), mean(b));
    if mean_a <= 0.0 || mean_b <= 0.0 {
        return 0.0;
    }
    // Frames of another brightness have the same profile up to a factor.
    let difference = |by: isize| {
        let pairs = (0..n as isize).filter(|i| (0..n as isize).contains(&(i + by)));
        let (mut sum, mut count) = (0.0, 0_u32);
        for i in pairs {
            let d = f64::from(a[i as usize]) / mean_a - f64::from(b[(i + by) as usize]) / mean_b;
            sum += d * d;
            count += 1;
        }
        sum / f64::from(count.max(1))
    };
    let most = most as isize;
    let all: Vec<f64> = (-most..=most).map(difference).collect();
    let Some(best) = (0..all.len()).min_by(|i, j| all[*i].total_cmp(&all[*j])) else { return 0.0 };
    // Equal everywhere: nothing can be seen to move.
    if all.iter().all(|v| *v <= all[best]) {
        return 0.0;
    }
    let at = best as f64 - most as f64;
    let (Some(&left), Some(&right)) = (all.get(best.wrapping_sub(1)), all.get(best + 1)) else { return at };
    let bend = left - 2.0 * all[best] + right;
    if bend > 0.0 { at + 0.5 * (left - right) / bend } else { at }
}

#[cfg(test)]
mod tests {
    use ndarray::Array2;

    use super::*;

    fn blobs(y: f64, x: f64, width: f64) -> Array2<u16> {
        Array2::from_shape_fn((128, 96), |(v, u)| {
            let spots = [(40.0, 30.0), (80.0, 60.0), (64.0, 20.0)];
            let light: f64 = spots
                .iter()
                .map(|(a, b)| {
                    (-((v as f64 - a - y).powi(2) + (u as f64 - b - x).powi(2)) / (2.0 * width * width)).exp()
                })
                .sum();
            (500.0 + 3000.0 * light) as u16
        })
    }

    fn stats(counts: &Array2<u16>) -> FrameStats {
        FrameStats::of(counts.view(), true)
    }

    #[test]
    fn a_frame_that_moved_is_found_to_a_fraction_of_a_pixel() {
        let before = stats(&blobs(0.0, 0.0, 5.0));
        for (y, x) in [(3.0, -4.0), (0.4, 0.0), (-7.5, 6.25)] {
            let [dy, dx] = stats(&blobs(y, x, 5.0)).moved_since(&before).unwrap();
            assert!((dy - y).abs() < 0.3 && (dx - x).abs() < 0.3, "{y} {x}: {dy} {dx}");
        }
        // Twice as bright, and nowhere else.
        let bright = blobs(0.0, 0.0, 5.0).mapv(|v| v * 2);
        let [dy, dx] = stats(&bright).moved_since(&before).unwrap();
        assert!(dy.abs() < 0.05 && dx.abs() < 0.05);
        assert_eq!(
            stats(&Array2::zeros((64, 64))).moved_since(&stats(&Array2::zeros((64, 64)))),
            Some([0.0, 0.0])
        );
    }

    #[test]
    fn blur_lowers_the_focus_and_light_does_not() {
        let (sharp, blurred) = (blobs(0.0, 0.0, 3.0), blobs(0.0, 0.0, 9.0));
        assert!(stats(&blurred).focus < 0.5 * stats(&sharp).focus);
        let bright = sharp.mapv(|v| 3 * v);
        assert!((stats(&bright).focus - stats(&sharp).focus).abs() < 1e-9);
        let flat = FrameStats::of(Array2::from_elem((1, 1), 7_u16).view(), false);
        assert_eq!((flat.mean, flat.focus), (7.0, 0.0));
        assert_eq!(flat.moved_since(&flat), None);
    }
}
