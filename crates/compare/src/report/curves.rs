//! Points of the curves in plots. Pure.

use crate::load::ScenarioRequests;
use crate::statistics::SortedValues;

/// Points of a curve.
pub(super) type Points = Vec<(f64, f64)>;

/// Quantiles of a sample, up to its largest value; only positive ones. They lie over −log10(1 − share):
/// each further nine of 90, 99, 99.9 % has the same room, as tails are what latencies are about.
pub(super) fn quantiles(sample: &SortedValues) -> Points {
    const STEPS: usize = 240;
    if sample.is_empty() {
        return Vec::new();
    }
    let last = (sample.len() as f64).log10();
    let point = |step: usize| {
        let x = last * step as f64 / STEPS as f64;
        let share = match step {
            STEPS => 1.0,
            _ => (1.0 - 10f64.powf(-x)).max(f64::MIN_POSITIVE),
        };
        Some((x, sample.quantile(share)?))
    };
    let mut points: Points = (0..=STEPS)
        .filter_map(point)
        .filter(|p| p.1 > 0.0)
        .collect();
    // A step of a small sample is many points of the same height: its two ends do.
    let mut index = 1;
    while index + 1 < points.len() {
        if points[index - 1].1 == points[index].1 && points[index].1 == points[index + 1].1 {
            points.remove(index);
        } else {
            index += 1;
        }
    }
    points
}

/// Requests sent per second over a window, in slices of one fortieth of it and at least a tenth of
/// a second.
pub(super) fn rates(requests: &ScenarioRequests) -> Points {
    let Some(window_s) = requests.window_s.filter(|s| *s > 0.0) else {
        return Vec::new();
    };
    let slices = (window_s * 10.0).floor().clamp(1.0, 40.0);
    let width_s = window_s / slices;
    let mut counts = vec![0u32; slices as usize];
    for &at_s in &requests.sent_at_s {
        // Those of iterations that went on after the window fall behind the last slice.
        if let Some(count) = counts.get_mut((f64::from(at_s) / width_s) as usize)
            && at_s >= 0.0
        {
            *count += 1;
        }
    }
    let point = |(slice, count): (usize, &u32)| {
        let middle_s = (slice as f64 + 0.5) * width_s;
        (middle_s, f64::from(*count) / width_s)
    };
    counts.iter().enumerate().map(point).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_curve_goes_up_from_the_smallest_to_the_largest_value() {
        let points = quantiles(&SortedValues::new((1..=1000).map(f64::from).collect()));
        assert_eq!(points[0], (0.0, 1.0));
        assert_eq!(points.last().map(|p| p.1), Some(1000.0));
        assert!(points.is_sorted_by(|a, b| a.0 < b.0 && a.1 <= b.1));
        assert!(quantiles(&SortedValues::default()).is_empty());
    }

    #[test]
    fn rates_add_up_to_what_was_sent_in_the_window() {
        let requests = ScenarioRequests {
            window_s: Some(2.0),
            sent_at_s: vec![0.0, 0.05, 1.99, 2.0, 2.5],
            ..ScenarioRequests::default()
        };
        let points = rates(&requests);
        assert_eq!(points.len(), 20);
        let sent: f64 = points.iter().map(|p| p.1 * 0.1).sum();
        assert!((sent - 3.0).abs() < 1e-9);
    }
}
