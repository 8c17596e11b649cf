//! Units of length and time, as programs write them.

/// Returns how many micrometres a unit is.
pub(in crate::input) fn micrometres(unit: &str) -> Option<f64> {
    // ImageJ writes non-ASCII characters as escapes.
    let unit =
        unit.trim().trim_matches('"').replace("\\u00B5", "µ").replace('\u{3bc}', "µ").replace("Âµ", "µ");
    match unit.as_str() {
        "µm" | "um" | "micron" | "microns" | "micrometer" | "micrometre" | "MICROMETER" => Some(1.0),
        "nm" | "nanometer" => Some(1e-3),
        "pm" => Some(1e-6),
        "mm" | "millimeter" => Some(1e3),
        "cm" | "centimeter" => Some(1e4),
        "m" | "meter" => Some(1e6),
        "inch" | "in" => Some(25_400.0),
        "Å" | "angstrom" => Some(1e-4),
        _ => None,
    }
}

/// Returns how many seconds a unit is.
pub(in crate::input) fn seconds(unit: &str) -> Option<f64> {
    match unit.trim() {
        "s" | "sec" | "second" | "seconds" => Some(1.0),
        "ms" | "msec" | "millisecond" | "milliseconds" => Some(1e-3),
        "µs" | "us" | "\u{3bc}s" | "microsecond" => Some(1e-6),
        "ns" => Some(1e-9),
        "min" | "minute" | "minutes" => Some(60.0),
        "h" | "hour" | "hours" => Some(3600.0),
        "d" | "day" | "days" => Some(86_400.0),
        _ => None,
    }
}

/// Returns a size where it is a number above 0; equal sizes along x and y are one.
pub(in crate::input) fn positive(value: f64) -> Option<f64> {
    (value.is_finite() && value > 0.0).then_some(value)
}

/// Returns a size with the seven digits that a fraction in a file may have: 0.11, not 0.10999999999999999.
pub(in crate::input) fn seven_digits(value: f64) -> Option<f64> {
    positive(value).and_then(|v| format!("{v:.6e}").parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_micro_sign_has_many_spellings() {
        for unit in ["um", "µm", "\u{3bc}m", "\\u00B5m", "micron", " µm ", "Âµm"] {
            assert_eq!(micrometres(unit), Some(1.0), "{unit}");
        }
        assert_eq!((micrometres("pixel"), seconds("ms"), seconds("")), (None, Some(1e-3), None));
        assert_eq!((positive(0.0), positive(f64::NAN), positive(2.0)), (None, None, Some(2.0)));
    }
}
