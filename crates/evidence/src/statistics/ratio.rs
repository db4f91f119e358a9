//! How many times as much: ratios of medians and of means, with intervals.

use super::quantile::{NORMAL_97_5, median, median_interval};
use crate::comparison::Estimate;

/// Ratio of the medians of two samples in order; none: one of them is not above 0. The interval
/// joins those of the two medians on the scale of logarithms, each as far from its median as it is
/// (MOVER: Zou and Donner 2008). `effective` is how many independent values each sample is worth.
pub(crate) fn of_medians(a: &[f64], b: &[f64], effective: (f64, f64)) -> Option<Estimate> {
    let (upper, lower) = (median(a), median(b));
    if upper <= 0.0 || lower <= 0.0 {
        return None;
    }
    let ln = |value: f64| value.max(f64::MIN_POSITIVE).ln();
    let ((a_low, a_high), (b_low, b_high)) = (
        median_interval(a, effective.0),
        median_interval(b, effective.1),
    );
    let value = ln(upper) - ln(lower);
    Some(Estimate {
        value: value.exp(),
        low: (value - (ln(upper) - ln(a_low)).hypot(ln(b_high) - ln(lower))).exp(),
        high: (value + (ln(a_high) - ln(upper)).hypot(ln(lower) - ln(b_low))).exp(),
    })
}

/// A mean and the standard error of it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Mean {
    pub(crate) value: f64,
    pub(crate) error: f64,
}

/// Ratio of two means; none: one of them is not above 0. The interval is that of the difference of
/// their logarithms, by the delta method.
pub(crate) fn of_means(a: Mean, b: Mean) -> Option<Estimate> {
    if a.value <= 0.0 || b.value <= 0.0 {
        return None;
    }
    let value = (a.value / b.value).ln();
    let half = NORMAL_97_5 * (a.error / a.value).hypot(b.error / b.value);
    Some(Estimate {
        value: value.exp(),
        low: (value - half).exp(),
        high: (value + half).exp(),
    })
}

/// The weighted geometric mean of ratios, with the interval that theirs give it (MOVER: Zou, Huang
/// and Zhang 2009). Weights sum to 1.
pub(crate) fn geometric_mean(ratios: &[(f64, Estimate)]) -> Option<Estimate> {
    if ratios.is_empty() {
        return None;
    }
    let logarithms = ratios.iter().map(|(weight, ratio)| {
        let ln = |value: f64| value.max(f64::MIN_POSITIVE).ln();
        let (value, low, high) = (ln(ratio.value), ln(ratio.low), ln(ratio.high));
        (*weight, Estimate { value, low, high })
    });
    let mean = weighted_sum(&logarithms.collect::<Vec<_>>());
    Some(Estimate {
        value: mean.value.exp(),
        low: mean.low.exp(),
        high: mean.high.exp(),
    })
}

/// A weighted sum of estimates, with the interval that theirs give it: the distances to the ends
/// are added as squares (MOVER: Zou, Huang and Zhang 2009).
pub(crate) fn weighted_sum(parts: &[(f64, Estimate)]) -> Estimate {
    let value: f64 = parts.iter().map(|(weight, part)| weight * part.value).sum();
    let distance = |end: fn(&Estimate) -> f64| {
        parts
            .iter()
            .map(|(weight, part)| (weight * (end(part) - part.value)).powi(2))
            .sum::<f64>()
            .sqrt()
    };
    Estimate {
        value,
        low: value - distance(|part| part.low),
        high: value + distance(|part| part.high),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ratio_of_medians_lies_in_its_interval() {
        let a: Vec<f64> = (1..=100).map(|x| f64::from(x) * 2.0).collect();
        let b: Vec<f64> = (1..=100).map(f64::from).collect();
        let ratio = of_medians(&a, &b, (100.0, 100.0)).unwrap();
        assert!((ratio.value - 2.0).abs() < 1e-12);
        // Each median's interval is 40 to 61 of 50.5 by itself: log-distances 0.233 and 0.189.
        let half = (50.5_f64 / 40.0).ln().hypot((61.0_f64 / 50.5).ln());
        assert!((ratio.low - 2.0 * (-half).exp()).abs() < 1e-9, "{ratio:?}");
        assert!((ratio.high - 2.0 * half.exp()).abs() < 1e-9, "{ratio:?}");
    }

    #[test]
    fn nothing_has_no_ratio() {
        assert_eq!(of_medians(&[1.0], &[0.0], (1.0, 1.0)), None);
        let mean = |value: f64| Mean { value, error: 1.0 };
        assert_eq!(of_means(mean(1.0), mean(0.0)), None);
        assert_eq!(geometric_mean(&[]), None);
    }

    #[test]
    fn the_geometric_mean_of_two_and_eight_is_four() {
        let ratio = |value: f64| Estimate {
            value,
            low: value / 2.0,
            high: value * 2.0,
        };
        let mean = geometric_mean(&[(0.5, ratio(2.0)), (0.5, ratio(8.0))]).unwrap();
        assert!((mean.value - 4.0).abs() < 1e-12);
        // Half of ln 2, twice, as squares: ln 2 / √2.
        assert!((mean.high - 4.0 * (2.0_f64.ln() / 2.0_f64.sqrt()).exp()).abs() < 1e-12);
    }
}
