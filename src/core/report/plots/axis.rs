//! One axis: from values to pixels, and where its ticks stand.

/// A linear or logarithmic axis that maps `[low, high]` to pixels `[start, end]`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Axis {
    low: f64,
    high: f64,
    start: f64,
    end: f64,
    log: bool,
}

impl Axis {
    /// Returns an axis that holds all usable values: finite ones, on a log axis above 0. Without any it is [0, 1] or
    /// [1, 10]; a single value gets room on both sides.
    pub(super) fn around(values: impl Iterator<Item = f64>, log: bool, start: f64, end: f64) -> Self {
        let usable = values.filter(|v| v.is_finite() && (!log || *v > 0.0));
        let (mut low, mut high) =
            usable.fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(v), h.max(v)));
        if low > high {
            (low, high) = if log { (1.0, 10.0) } else { (0.0, 1.0) };
        } else if low == high {
            (low, high) = match (log, low == 0.0) {
                (true, _) => (low / 2.0, high * 2.0),
                (false, true) => (-1.0, 1.0),
                (false, false) => (low - 0.5 * low.abs(), high + 0.5 * high.abs()),
            };
        }
        Self { low, high, start, end, log }
    }

    /// Widens the axis by a share of its length on both sides.
    pub(super) fn padded(mut self, share: f64) -> Self {
        if self.log {
            let by = (self.high / self.low).powf(share);
            (self.low, self.high) = (self.low / by, self.high * by);
        } else {
            let by = (self.high - self.low) * share;
            (self.low, self.high) = (self.low - by, self.high + by);
        }
        self
    }

    /// Returns the pixel of a value, or `None` where the value has no place on this kind of axis.
    pub(super) fn pixel(&self, value: f64) -> Option<f64> {
        if !value.is_finite() || (self.log && value <= 0.0) {
            return None;
        }
        let share = if self.log {
            (value / self.low).ln() / (self.high / self.low).ln()
        } else {
            (value - self.low) / (self.high - self.low)
        };
        Some(self.start + share * (self.end - self.start))
    }

    /// Returns tick values inside of the axis with their texts.
    pub(super) fn ticks(&self) -> Vec<(f64, String)> {
        if self.log { self.log_ticks() } else { self.linear_ticks() }
    }

    fn linear_ticks(&self) -> Vec<(f64, String)> {
        let rough = (self.high - self.low) / 5.0;
        let power = 10_f64.powf(rough.log10().floor());
        let step =
            [1.0, 2.0, 5.0, 10.0].iter().map(|m| m * power).find(|s| *s >= rough).unwrap_or(10.0 * power);
        let first = (self.low / step).ceil() as i64;
        (first..first + 12)
            .map(|i| i as f64 * step)
            .filter(|v| *v <= self.high + step * 1e-9)
            .map(|v| (v, number(v, step)))
            .collect()
    }

    fn log_ticks(&self) -> Vec<(f64, String)> {
        let (first, last) = (self.low.log10().floor() as i32, self.high.log10().ceil() as i32);
        let decades = last - first;
        let every = (decades / 7 + 1).max(1);
        let within: &[f64] = if decades <= 2 { &[1.0, 2.0, 5.0] } else { &[1.0] };
        (first..=last)
            .filter(|e| (e - first) % every == 0)
            .flat_map(|e| within.iter().map(move |m| m * 10_f64.powi(e)))
            .filter(|v| *v >= self.low * (1.0 - 1e-9) && *v <= self.high * (1.0 + 1e-9))
            .map(|v| (v, number(v, v)))
            .collect()
    }
}

/// Returns a number with as many digits as the distance between ticks asks for.
fn number(value: f64, step: f64) -> String {
    let size = value.abs().max(step.abs());
    if value == 0.0 {
        return "0".to_owned();
    }
    if !(1e-3..1e5).contains(&size) {
        let text = format!("{value:.1e}");
        return text.replace(".0e", "e");
    }
    let digits = (-step.abs().log10().floor()).clamp(0.0, 6.0) as usize;
    format!("{value:.digits$}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(axis: &Axis) -> Vec<String> {
        axis.ticks().into_iter().map(|t| t.1).collect()
    }

    #[test]
    fn linear_ticks_are_round_numbers_inside_of_the_axis() {
        let axis = Axis::around([0.0, 0.93].into_iter(), false, 0.0, 100.0);
        assert_eq!(texts(&axis), ["0", "0.2", "0.4", "0.6", "0.8"]);
        assert_eq!(axis.pixel(0.93), Some(100.0));
        let axis = Axis::around([-120.0, 3000.0].into_iter(), false, 0.0, 100.0);
        assert_eq!(texts(&axis), ["0", "1000", "2000", "3000"]);
    }

    #[test]
    fn log_ticks_are_decades_and_zero_has_no_place() {
        let axis = Axis::around([0.0, 1e-6, 3.0].into_iter(), true, 100.0, 0.0);
        assert_eq!(texts(&axis), ["1e-6", "1e-4", "0.01", "1"]);
        assert_eq!(axis.pixel(0.0), None);
        assert_eq!(axis.pixel(1e-6), Some(100.0));
    }

    #[test]
    fn axes_without_values_or_with_one_still_have_a_length() {
        for values in [vec![], vec![f64::NAN], vec![0.0], vec![4.0], vec![-3.0, -3.0]] {
            for log in [false, true] {
                let axis = Axis::around(values.iter().copied(), log, 0.0, 1.0);
                assert!(axis.low < axis.high && !axis.ticks().is_empty(), "{values:?} {log}");
            }
        }
    }
}
