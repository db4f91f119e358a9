//! Numbers as they stand in the page.

/// A number with six significant digits: more than anybody reads, and shorter as text.
pub(crate) fn six(value: f64) -> f64 {
    rounded(value, 6)
}

/// A number of a chart: four significant digits are finer than a pixel.
pub(crate) fn four(value: f64) -> f64 {
    rounded(value, 4)
}

fn rounded(value: f64, digits: i32) -> f64 {
    if value == 0.0 || !value.is_finite() {
        return value;
    }
    let power = digits - 1 - value.abs().log10().floor() as i32;
    // A power of ten with a negative exponent is not exact: divide by the positive one.
    match power {
        0..=300 => {
            let factor = 10f64.powi(power);
            (value * factor).round() / factor
        }
        _ if power < 0 => {
            let factor = 10f64.powi(-power);
            (value / factor).round() * factor
        }
        _ => value,
    }
}

/// Seconds from one moment to another, to the millisecond.
pub(crate) fn seconds_since(from_ns: i64, at_ns: i64) -> f64 {
    ((at_ns.saturating_sub(from_ns)) as f64 / 1e6).round() / 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_that_count_are_kept_at_any_size() {
        assert_eq!(four(0.000_123_456), 0.000_123_5);
        assert_eq!(four(12.345_6), 12.35);
        assert_eq!(six(1_234_567.0), 1_234_570.0);
        assert_eq!(six(-0.1), -0.1);
        assert_eq!(four(0.0), 0.0);
        assert!(four(f64::NAN).is_nan());
        assert_eq!(four(5e-324), 5e-324);
    }

    #[test]
    fn times_are_told_to_the_millisecond() {
        assert_eq!(seconds_since(1_000_000_000, 3_500_600_000), 2.501);
        assert_eq!(seconds_since(3_000_000_000, 1_000_000_000), -2.0);
    }
}
