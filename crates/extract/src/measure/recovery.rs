//! When a system is back at its baseline after a fault was cleared.
//!
//! Traces are compared by operation (service and name of the root) with those of steady baseline
//! windows. A slice of time is as at the baseline when few of its traces are slower than the
//! operation ever is there, or end in an error. Design: `docs/design/0052-recovery.md`.

use std::collections::HashMap;

use hdrhistogram::Histogram;
use loadgen_timeline::Timeline;

use super::phase::Interval;

/// Slices in a row that must be as at the baseline.
const SLICES_IN_A_ROW: usize = 3;

/// Share of slow or failed traces up to which a slice is as at the baseline; the baseline's own
/// share of errors is added.
const ALLOWED_SHARE: f64 = 0.05;

/// A root operation.
pub(crate) type Operation = (u32, u32);

/// The durations of a baseline and its errors.
#[derive(Debug, Default)]
pub(crate) struct Baseline {
    durations: HashMap<Operation, Histogram<u32>>,
    traces: u64,
    errors: u64,
}

impl Baseline {
    /// Takes a trace of a steady baseline window into account.
    pub(crate) fn observe(&mut self, operation: Operation, duration_ns: i64, failed: bool) {
        self.traces += 1;
        self.errors += u64::from(failed);
        let Ok(fresh) = Histogram::new_with_bounds(1, 3_600_000_000, 2) else {
            return;
        };
        let histogram = self.durations.entry(operation).or_insert(fresh);
        histogram.saturating_record((duration_ns / 1000).max(1) as u64);
    }

    /// Whether a trace is as at the baseline; none for an operation that did not occur there.
    fn is_usual(&self, operation: Operation, duration_ns: i64, failed: bool) -> Option<bool> {
        let histogram = self.durations.get(&operation)?;
        let limit_us = histogram.value_at_quantile(0.99) as f64 * 1.25;
        Some(!failed && duration_ns as f64 / 1000.0 <= limit_us)
    }

    /// Whether there was one.
    pub(crate) fn is_known(&self) -> bool {
        self.traces > 0
    }
}

/// The time after one fault.
#[derive(Debug)]
struct Aftermath {
    from: i64,
    /// The next fault, or the end of the run.
    until: i64,
    /// Traces and unusual ones of each slice.
    slices: Vec<(u32, u32)>,
}

/// Finds the recoveries of a run.
#[derive(Debug)]
pub(crate) struct Recoveries {
    slice_ns: i64,
    aftermaths: Vec<Aftermath>,
}

impl Recoveries {
    pub(crate) fn new(timeline: &Timeline) -> Self {
        let scale = timeline.run.as_ref().map_or(1.0, |run| run.time_scale);
        let slice_ns = (1e9 * scale).clamp(1e8, 6e10) as i64;
        let end = timeline.last_ns.unwrap_or(0);
        let injections = || timeline.faults.iter().map(|f| f.injected.requested_ns);
        let cleared = timeline.faults.iter().filter_map(|f| f.cleared.as_ref());
        let aftermaths = cleared.map(|cleared| {
            // Where windows meet, the next fault is asked for while this one is being cleared.
            let next = injections().filter(|&at| at >= cleared.requested_ns).min();
            let until = next.unwrap_or(end).max(cleared.at_ns);
            // A run of weeks has no more slices than this after a fault.
            let slices = ((until - cleared.at_ns) / slice_ns + 1).clamp(1, 100_000) as usize;
            Aftermath {
                from: cleared.at_ns,
                until,
                slices: vec![(0, 0); slices],
            }
        });
        Self {
            slice_ns,
            aftermaths: aftermaths.collect(),
        }
    }

    /// Whether there is no fault that was cleared.
    pub(crate) fn is_empty(&self) -> bool {
        self.aftermaths.is_empty()
    }

    /// Whether a time is after a fault and before the next.
    pub(crate) fn wants(&self, at_ns: i64) -> bool {
        self.aftermaths
            .iter()
            .any(|a| (a.from..a.until).contains(&at_ns))
    }

    /// Takes a trace into account.
    pub(crate) fn observe(
        &mut self,
        baseline: &Baseline,
        at_ns: i64,
        operation: Operation,
        duration_ns: i64,
        failed: bool,
    ) {
        let Some(usual) = baseline.is_usual(operation, duration_ns, failed) else {
            return;
        };
        for aftermath in &mut self.aftermaths {
            if (aftermath.from..aftermath.until).contains(&at_ns) {
                let slice = ((at_ns - aftermath.from) / self.slice_ns) as usize;
                if let Some((traces, unusual)) = aftermath.slices.get_mut(slice) {
                    *traces += 1;
                    *unusual += u32::from(!usual);
                }
            }
        }
    }

    /// The time from the clearing of each fault until the system was back.
    pub(crate) fn intervals(&self, baseline: &Baseline) -> Vec<Interval> {
        if !baseline.is_known() {
            return Vec::new();
        }
        let errors = baseline.errors as f64 / baseline.traces as f64;
        let is_calm = |&(traces, unusual): &(u32, u32)| {
            // One slow trace of a few says nothing yet: there is always a slowest in a hundred.
            f64::from(unusual) <= (f64::from(traces) * (ALLOWED_SHARE + errors)).max(1.0)
        };
        let end = |a: &Aftermath| {
            let calm: Vec<bool> = a.slices.iter().map(is_calm).collect();
            let back = calm
                .windows(SLICES_IN_A_ROW.min(calm.len()))
                .position(|w| w.iter().all(|&c| c));
            let at = back.map_or(a.until, |slice| a.from + slice as i64 * self.slice_ns);
            (a.from, at.min(a.until))
        };
        self.aftermaths
            .iter()
            .map(end)
            .filter(|(from, to)| from < to)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use loadgen_timeline::read::parse;

    fn recoveries() -> Recoveries {
        let fault = |event: &str, requested: i64, at: i64| {
            format!(
                r#"{{"event":"{event}","scenario":"a","driver":"shop","fault":"hang","requested_ns":{requested}000000000,"at_ns":{at}000000000}}"#
            ) + "\n"
        };
        let text = fault("fault_injected", 10, 10)
            + &fault("fault_cleared", 20, 20)
            + r#"{"event":"heartbeat","at_ns":60000000000,"sent":0,"completed":0,"failed":0,"dropped":0}"#
            + "\n";
        Recoveries::new(&parse(text.as_bytes()))
    }

    fn baseline() -> Baseline {
        let mut baseline = Baseline::default();
        for n in 0..100 {
            baseline.observe((0, 0), 1_000_000 + n * 10_000, false);
        }
        baseline
    }

    #[test]
    fn a_recovery_lasts_until_three_calm_slices() {
        let (mut recoveries, baseline) = (recoveries(), baseline());
        for second in 20..60 {
            for n in 0..10 {
                let slow = second < 25 || second == 26;
                let duration = if slow { 9_000_000 } else { 1_500_000 };
                let at = second * 1_000_000_000 + n;
                assert!(recoveries.wants(at));
                recoveries.observe(&baseline, at, (0, 0), duration, false);
            }
        }
        assert_eq!(
            recoveries.intervals(&baseline),
            [(20_000_000_000, 27_000_000_000)]
        );
    }

    #[test]
    fn a_fault_that_follows_at_once_leaves_no_recovery() {
        let fault = |event: &str, scenario: &str, requested: i64, at: i64| {
            format!(
                r#"{{"event":"{event}","scenario":"{scenario}","driver":"shop","fault":"hang","requested_ns":{requested},"at_ns":{at}}}"#
            ) + "\n"
        };
        let text = fault("fault_injected", "a", 10, 20)
            + &fault("fault_cleared", "a", 100, 120)
            + &fault("fault_injected", "b", 100, 110)
            + &fault("fault_cleared", "b", 900, 910);
        let recoveries = Recoveries::new(&parse(text.as_bytes()));
        assert!(!recoveries.wants(121) && !recoveries.wants(500));
    }

    #[test]
    fn a_system_that_is_back_at_once_has_none_and_one_that_never_is_has_all() {
        let (mut calm, mut never) = (recoveries(), recoveries());
        let baseline = baseline();
        for second in 20..60 {
            for n in 0..10 {
                calm.observe(
                    &baseline,
                    second * 1_000_000_000 + n,
                    (0, 0),
                    1_000_000,
                    false,
                );
                never.observe(
                    &baseline,
                    second * 1_000_000_000 + n,
                    (0, 0),
                    1_000_000,
                    true,
                );
            }
        }
        assert_eq!(calm.intervals(&baseline), []);
        assert_eq!(
            never.intervals(&baseline),
            [(20_000_000_000, 60_000_000_000)]
        );
        assert_eq!(never.intervals(&Baseline::default()), []);
    }
}
