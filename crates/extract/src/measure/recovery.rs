//! When a system is back at its normal after a fault was cleared.
//!
//! Traces are compared by operation (service and name of the root) with those of steady normal
//! time. A slice of time is as normal when few of its traces are slower than the operation ever is
//! then, or end in an error. Design: `docs/design/0052-recovery.md`.

use std::collections::HashMap;

use hdrhistogram::Histogram;
use loadgen_timeline::condition::{Conditions, Label, TimeSpan};
use loadgen_timeline::phase::{Phase, Phases};
use loadgen_timeline::{FaultInterval, Timeline};

use super::outcomes::{Outcome, Outcomes};

/// Slices in a row that must be as normal.
const SLICES_IN_A_ROW: usize = 3;

/// Share of slow or failed traces up to which a slice is as normal; the share of errors in normal
/// time is added.
const ALLOWED_SHARE: f64 = 0.05;

/// Durations and errors of steady normal time.
#[derive(Debug, Default)]
struct Normal {
    /// By operation, in microseconds.
    durations: HashMap<u32, Histogram<u32>>,
    traces: u64,
    errors: u64,
}

impl Normal {
    fn observe(&mut self, outcome: &Outcome) {
        self.traces += 1;
        self.errors += u64::from(outcome.failed);
        let Ok(fresh) = Histogram::new_with_bounds(1, 3_600_000_000, 2) else {
            return;
        };
        let histogram = self.durations.entry(outcome.operation).or_insert(fresh);
        histogram.saturating_record((outcome.duration_ns / 1000).max(1) as u64);
    }

    /// Whether a trace is as in normal time; none for an operation that did not occur there.
    fn is_usual(&self, outcome: &Outcome) -> Option<bool> {
        let histogram = self.durations.get(&outcome.operation)?;
        let limit_us = histogram.value_at_quantile(0.99) as f64 * 1.25;
        Some(!outcome.failed && outcome.duration_ns as f64 / 1000.0 <= limit_us)
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

/// The times from the clearing of each fault until the system was back; none where there is no steady
/// normal time to compare with.
pub(crate) fn recoveries(
    timeline: &Timeline,
    conditions: &Conditions,
    phases: &Phases,
    outcomes: &Outcomes,
) -> Option<Vec<TimeSpan>> {
    let mut normal = Normal::default();
    for (stretch, outcome) in outcomes.all() {
        let condition = conditions.stretches()[stretch].condition;
        let is_normal = conditions.all()[condition].label == Label::Normal;
        if is_normal && phases.at(outcome.moment_ns) == Phase::Steady {
            normal.observe(outcome);
        }
    }
    if normal.traces == 0 {
        return None;
    }
    let slice_ns = slice_ns(timeline);
    let mut aftermaths = aftermaths(timeline, slice_ns);
    for (_, outcome) in outcomes.all() {
        let Some(usual) = normal.is_usual(outcome) else {
            continue;
        };
        for aftermath in &mut aftermaths {
            if (aftermath.from..aftermath.until).contains(&outcome.moment_ns) {
                let slice = ((outcome.moment_ns - aftermath.from) / slice_ns) as usize;
                if let Some((traces, unusual)) = aftermath.slices.get_mut(slice) {
                    *traces += 1;
                    *unusual += u32::from(!usual);
                }
            }
        }
    }
    let errors = normal.errors as f64 / normal.traces as f64;
    let ends = aftermaths.iter().map(|a| (a.from, a.end(errors, slice_ns)));
    Some(ends.collect())
}

/// A second of the timetable, within reason.
fn slice_ns(timeline: &Timeline) -> i64 {
    let scale = timeline.run.as_ref().map_or(1.0, |run| run.time_scale);
    (1e9 * scale).clamp(1e8, 6e10) as i64
}

fn aftermaths(timeline: &Timeline, slice_ns: i64) -> Vec<Aftermath> {
    let end = timeline.last_ns.unwrap_or(0);
    let real = timeline.faults.iter().filter(|f| f.injected.breaks());
    let cleared = real.filter_map(|fault| Some((fault, fault.cleared.as_ref()?)));
    cleared
        .map(|(fault, cleared)| {
            let next = next_fault_ns(timeline, fault);
            let until = next.unwrap_or(end).max(cleared.at_ns);
            // A run of weeks has no more slices than this after a fault.
            let slices = ((until - cleared.at_ns) / slice_ns + 1).clamp(1, 100_000) as usize;
            Aftermath {
                from: cleared.at_ns,
                until,
                slices: vec![(0, 0); slices],
            }
        })
        .collect()
}

/// When the first other fault that is in force after the clearing of this one was asked for, and not
/// before that was. Where windows meet, that is while this one is being cleared, or just before.
pub(crate) fn next_fault_ns(timeline: &Timeline, fault: &FaultInterval) -> Option<i64> {
    let cleared = fault.cleared.as_ref()?;
    let real = timeline.faults.iter().filter(|f| f.injected.breaks());
    let others = real.filter(|other| *other != fault);
    let next = others.filter_map(|other| {
        let ended = other.cleared.as_ref().map_or(i64::MAX, |c| c.at_ns);
        let asked_for = other.injected.requested_ns.max(cleared.requested_ns);
        (ended > cleared.requested_ns).then_some(asked_for)
    });
    next.min()
}

impl Aftermath {
    fn end(&self, errors: f64, slice_ns: i64) -> i64 {
        let is_calm = |&(traces, unusual): &(u32, u32)| {
            // One slow trace of a few says nothing yet: there is always a slowest in a hundred.
            f64::from(unusual) <= (f64::from(traces) * (ALLOWED_SHARE + errors)).max(1.0)
        };
        let calm: Vec<bool> = self.slices.iter().map(is_calm).collect();
        let back = calm
            .windows(SLICES_IN_A_ROW.min(calm.len()))
            .position(|w| w.iter().all(|&c| c));
        let at = back.map_or(self.until, |slice| self.from + slice as i64 * slice_ns);
        at.min(self.until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::label::truth::Truth;
    use loadgen_timeline::read::parse;

    const SECOND: i64 = 1_000_000_000;

    /// A run of 100 seconds with a fault from 40 to 60.
    fn truth(lines: &str) -> Truth {
        let fault = |event: &str, at: i64| {
            let at = at * SECOND;
            format!(
                r#"{{"event":"{event}","scenario":"a","driver":"shop","fault":"hang","requested_ns":{at},"at_ns":{at}}}"#
            ) + "\n"
        };
        let window = |scenario: &str, kind: &str, from: i64| {
            let at = from * SECOND;
            format!(
                r#"{{"event":"window_opened","scenario":"{scenario}","anomaly":{{"type":"{kind}","label":"l","root_cause":"r","msg":"m"}},"planned_start_ns":0,"planned_end_ns":0,"at_ns":{at}}}"#
            ) + "\n"
        };
        let text = window("calm", "none", 1)
            + &window("a", "timeout", 40)
            + &fault("fault_injected", 40)
            + &fault("fault_cleared", 60)
            + lines
            + r#"{"event":"run_finished","at_ns":100000000000,"status":"completed"}"#
            + "\n";
        Truth::new(Some(parse(text.as_bytes())), false, Vec::new())
    }

    /// Ten traces a second: fast, but slow or failed as a test says.
    fn found(truth: &Truth, unusual: impl Fn(i64) -> bool) -> Option<Vec<TimeSpan>> {
        let mut outcomes = Outcomes::default();
        for tenth in 10..1000i64 {
            let moment = tenth * SECOND / 10;
            let slow = unusual(tenth / 10);
            let duration = if slow { 9_000_000 } else { 1_000_000 };
            outcomes.add(
                truth,
                tenth as u64,
                ("web", "GET /"),
                moment,
                duration,
                slow,
            );
        }
        let phases = Phases::new(&truth.timeline, |_| 0);
        recoveries(&truth.timeline, &truth.conditions, &phases, &outcomes)
    }

    #[test]
    fn a_recovery_lasts_until_three_calm_slices() {
        let found = found(&truth(""), |second| {
            (40..65).contains(&second) || second == 66
        });
        assert_eq!(found, Some(vec![(60 * SECOND, 67 * SECOND)]));
    }

    #[test]
    fn a_system_that_is_back_at_once_has_none_and_one_that_never_is_has_all() {
        let at_once = found(&truth(""), |second| (40..60).contains(&second));
        assert_eq!(at_once, Some(vec![(60 * SECOND, 60 * SECOND)]));
        let never = found(&truth(""), |second| second >= 40);
        assert_eq!(never, Some(vec![(60 * SECOND, 100 * SECOND)]));
    }

    #[test]
    fn a_fault_that_follows_at_once_leaves_no_time_to_recover() {
        let next = r#"{"event":"fault_injected","scenario":"b","driver":"shop","fault":"hang","requested_ns":60000000000,"at_ns":61000000000}
"#;
        for asked_for in ["60000000000", "59999000000"] {
            let truth = truth(&next.replace("60000000000", asked_for));
            let found = found(&truth, |second| second >= 40);
            assert_eq!(found, Some(vec![(60 * SECOND, 60 * SECOND)]));
        }
    }

    #[test]
    fn without_normal_time_nothing_is_known() {
        let truth = truth("");
        let phases = Phases::new(&truth.timeline, |_| 0);
        let none = recoveries(
            &truth.timeline,
            &truth.conditions,
            &phases,
            &Outcomes::default(),
        );
        assert_eq!(none, None);
    }
}
