//! Numbers of other kinds as counts: signed, 32-bit and floating point images become 16-bit ones by one rule per channel.
//!
//! Whole numbers are kept where they fit, moved where they begin below 0, and else brought to the range; fractions are
//! always brought to the range: the smallest becomes 0, the largest 65,535. What was done is recorded, and can be undone.

use rayon::prelude::*;
use serde::Serialize;

use super::image_file::Pixels;
use super::listing::PlaneRef;
use crate::error::DataError;

/// `count = round((value - offset) * gain)`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Conversion {
    /// Value that becomes 0.
    pub offset: f64,
    /// Counts per one.
    pub gain: f64,
}

/// What a channel holds.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Range {
    min: f64,
    max: f64,
    whole: bool,
}

impl Conversion {
    /// Returns the count of a value.
    pub(super) fn count(self, value: f64) -> u16 {
        // Float to integer conversion stays within the range.
        ((value - self.offset) * self.gain).round() as u16
    }

    /// Returns what is done, in words.
    pub(super) fn words(self) -> String {
        let Self { offset, gain } = self;
        if offset == 0.0 && gain == 1.0 {
            "its numbers are kept as counts".into()
        } else {
            let sign = if offset < 0.0 { '+' } else { '-' };
            let moved = if offset == 0.0 { "value".into() } else { format!("value {sign} {}", offset.abs()) };
            match (gain == 1.0, offset == 0.0) {
                (true, _) => format!("count = {moved}"),
                (false, true) => format!("count = value x {gain}"),
                (false, false) => format!("count = ({moved}) x {gain}"),
            }
        }
    }

    fn of(range: Range) -> Self {
        let Range { min, max, whole } = range;
        let most = f64::from(u16::MAX);
        if whole && min >= 0.0 && max <= most {
            return Self { offset: 0.0, gain: 1.0 };
        }
        if whole && max - min <= most {
            return Self { offset: min, gain: 1.0 };
        }
        let span = max - min;
        Self { offset: min, gain: if span > 0.0 { most / span } else { 1.0 } }
    }
}

/// Reads all planes of a channel, and returns the rule that brings them to counts.
///
/// # Errors
/// [`DataError`] naming the plane that cannot be read, or holds what is no finite number.
pub(super) fn conversion(planes: &[&PlaneRef]) -> Result<Conversion, DataError> {
    let range = |plane: &&PlaneRef| {
        let all = |mut values: Box<dyn Iterator<Item = f64> + '_>| {
            let start = Range { min: f64::INFINITY, max: f64::NEG_INFINITY, whole: true };
            values.try_fold(start, |r, v| {
                v.is_finite().then(|| Range {
                    min: r.min.min(v),
                    max: r.max.max(v),
                    whole: r.whole && v.fract() == 0.0,
                })
            })
        };
        let range = match &plane.read()?.pixels {
            Pixels::Bits8(v) => all(Box::new(v.iter().map(|v| f64::from(*v)))),
            Pixels::Bits16(v) => all(Box::new(v.iter().map(|v| f64::from(*v)))),
            Pixels::Wide(v) => all(Box::new(v.iter().map(|v| *v as f64))),
            Pixels::Float(v) => all(Box::new(v.iter().map(|v| f64::from(*v)))),
        };
        range.ok_or_else(|| DataError::Unusable {
            path: plane.path.to_path_buf(),
            found: format!("{} holds numbers that are not finite (NaN or infinity)", plane.name()),
            expected: "finite numbers".into(),
            hint: "mask or fill them in the program that wrote the file, or leave the frame out".into(),
        })
    };
    let both = |a: Range, b: Range| Range {
        min: a.min.min(b.min),
        max: a.max.max(b.max),
        whole: a.whole && b.whole,
    };
    let all = planes.par_iter().map(range).collect::<Result<Vec<Range>, DataError>>()?;
    let range = all.into_iter().reduce(both).unwrap_or(Range { min: 0.0, max: 0.0, whole: true });
    Ok(Conversion::of(range))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_numbers_are_kept_where_they_fit_and_fractions_fill_the_range() {
        let of = |min, max, whole| Conversion::of(Range { min, max, whole });
        assert_eq!(of(0.0, 4000.0, true), Conversion { offset: 0.0, gain: 1.0 });
        assert_eq!(of(-1.0, 96.0, true), Conversion { offset: -1.0, gain: 1.0 });
        assert_eq!(of(0.0, 1.0, false), Conversion { offset: 0.0, gain: 65_535.0 });
        assert_eq!(of(0.0, 131_070.0, true).count(131_070.0), 65_535);
        assert_eq!(of(2.0, 2.5, false).count(2.5), 65_535);
        assert_eq!(of(2.5, 2.5, false).count(2.5), 0);
        assert_eq!(of(-1.0, 96.0, true).count(-1.0), 0);
        assert_eq!(of(-1.0, 96.0, true).words(), "count = value + 1");
        assert_eq!(of(0.0, 1.0, false).words(), "count = value x 65535");
        assert_eq!(of(0.5, 65535.5, false).words(), "count = value - 0.5");
    }
}
