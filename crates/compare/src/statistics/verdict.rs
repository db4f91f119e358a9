//! What an interval says: an equivalence test, so that "same" has to be shown, too, and is not what
//! is left when a difference could not be.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How two figures are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// `100 (b - a) / a`, in percent of a.
    Relative,
    /// `b - a`, in the figure's own unit.
    Absolute,
}

impl Kind {
    /// The difference of a pair on the scale on which differences are averaged and resampled: the
    /// logarithm of the ratio, or the difference itself. None: a ratio of what is not above 0.
    pub(super) fn scaled(self, a: f64, b: f64) -> Option<f64> {
        match self {
            Kind::Relative => (a > 0.0 && b > 0.0).then(|| (b / a).ln()),
            Kind::Absolute => Some(b - a),
        }
    }

    /// A difference on the scale of [`scaled`](Self::scaled). None: nothing is left of what it is
    /// relative to.
    pub(super) fn rescaled(self, difference: f64) -> Option<f64> {
        match self {
            Kind::Relative => (difference > -100.0).then(|| (difference / 100.0).ln_1p()),
            Kind::Absolute => Some(difference),
        }
    }

    /// Back to a difference.
    pub(super) fn unscaled(self, scaled: f64) -> f64 {
        match self {
            Kind::Relative => 100.0 * scaled.exp_m1(),
            Kind::Absolute => scaled,
        }
    }
}

/// Whether two figures are the same.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum FigureVerdict {
    /// The whole interval lies within the tolerance.
    Same,
    /// The whole interval lies outside of it.
    Different,
    /// Neither, or there is no interval: more repetitions, or longer ones, could tell.
    NotEnoughData,
    /// The figure is not there in any pair.
    NotAvailable,
}

impl FigureVerdict {
    /// The verdict in words.
    pub fn words(self) -> &'static str {
        match self {
            FigureVerdict::Same => "same",
            FigureVerdict::Different => "different",
            FigureVerdict::NotEnoughData => "not enough data",
            FigureVerdict::NotAvailable => "not available",
        }
    }
}

/// The verdict on an interval and a tolerance, both in the unit of the difference. A tolerance of 0
/// asks for equality.
pub fn verdict(interval: Option<(f64, f64)>, tolerance: f64) -> FigureVerdict {
    match interval {
        Some((low, high)) if -tolerance <= low && high <= tolerance => FigureVerdict::Same,
        Some((low, high)) if high < -tolerance || tolerance < low => FigureVerdict::Different,
        _ => FigureVerdict::NotEnoughData,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn same_and_different_are_both_to_be_shown() {
        for (interval, expected) in [
            (Some((-10.0, 10.0)), FigureVerdict::Same),
            (Some((0.0, 0.0)), FigureVerdict::Same),
            (Some((-1.0, 11.0)), FigureVerdict::NotEnoughData),
            (Some((9.0, 11.0)), FigureVerdict::NotEnoughData),
            (Some((-50.0, 50.0)), FigureVerdict::NotEnoughData),
            (Some((10.5, 11.0)), FigureVerdict::Different),
            (Some((-300.0, -10.1)), FigureVerdict::Different),
            (None, FigureVerdict::NotEnoughData),
        ] {
            assert_eq!(verdict(interval, 10.0), expected, "{interval:?}");
        }
    }

    #[test]
    fn without_a_tolerance_only_equality_is_the_same() {
        assert_eq!(verdict(Some((0.0, 0.0)), 0.0), FigureVerdict::Same);
        assert_eq!(verdict(Some((0.1, 2.0)), 0.0), FigureVerdict::Different);
        assert_eq!(verdict(Some((0.0, 2.0)), 0.0), FigureVerdict::NotEnoughData);
    }
}
