//! Numbers as people read them.

use crate::comparison::{Difference, Row};
use crate::figures::FigureUnit;
use crate::statistics::Kind;

/// A value in its unit, without the unit.
pub(super) fn value(value: Option<f64>, unit: FigureUnit) -> String {
    let Some(value) = value else {
        return "-".to_owned();
    };
    match unit {
        FigureUnit::Count if value.fract() == 0.0 => format!("{value:.0}"),
        FigureUnit::Percent => format!("{value:.2}"),
        _ => significant(value),
    }
}

/// At least three digits that say something.
pub(super) fn significant(value: f64) -> String {
    match value.abs() {
        0.0 => "0".to_owned(),
        size if size < 1.0 => format!("{value:.3}"),
        size if size < 10.0 => format!("{value:.2}"),
        size if size < 100.0 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}

/// A difference with its sign, without its unit. What rounds to nothing has none.
pub(super) fn signed(value: f64) -> String {
    let text = match value.abs() {
        size if size < 0.05 => format!("{value:+.2}"),
        size if size < 100.0 => format!("{value:+.1}"),
        _ => format!("{value:+.0}"),
    };
    if text.trim_start_matches(['+', '-', '0', '.']).is_empty() {
        "0".to_owned()
    } else {
        text
    }
}

/// The unit of a row's difference.
pub(super) fn unit_of_difference(row: &Row) -> &'static str {
    match (row.difference.as_ref().map(|d| d.kind), row.metric.unit) {
        (Some(Kind::Absolute), FigureUnit::Percent) => "points",
        (Some(Kind::Absolute), unit) => unit.symbol(),
        _ => "%",
    }
}

/// A row's difference with its unit.
pub(super) fn difference(row: &Row) -> String {
    row.difference
        .as_ref()
        .map_or("-".to_owned(), |difference| {
            let unit = unit_of_difference(row);
            format!("{} {unit}", signed(difference.mean))
                .trim_end()
                .to_owned()
        })
}

/// The interval of a row's difference, in the same unit.
pub(super) fn interval(row: &Row) -> String {
    match row.difference.as_ref().and_then(Difference::interval) {
        Some((low, high)) => format!("{} to {}", signed(low), signed(high)),
        None => "-".to_owned(),
    }
}

/// A name or number and its unit.
pub(super) fn with_unit(text: &str, unit: FigureUnit) -> String {
    match unit.symbol() {
        "" => text.to_owned(),
        symbol => format!("{text}, {symbol}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_the_digits_that_say_something() {
        for (number, text) in [
            (0.0, "0"),
            (0.1234, "0.123"),
            (1.234, "1.23"),
            (1234.5, "1234"),
        ] {
            assert_eq!(significant(number), text);
        }
        for (number, text) in [
            (0.0, "0"),
            (-0.0001, "0"),
            (0.02, "+0.02"),
            (-3.25, "-3.2"),
            (250.4, "+250"),
        ] {
            assert_eq!(signed(number), text);
        }
    }
}
