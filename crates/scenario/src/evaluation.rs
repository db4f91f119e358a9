//! The windows of a fixed length that a detector can be evaluated on, as far as the plan tells:
//! those that lie in the settled part of one condition. A run takes off a little more: the time
//! until a fault is confirmed, and the recovery.

use crate::interval::{Interval, merged};
use crate::plan::{Plan, PlannedScenario};

/// The length of window that shares are reckoned in, 5 s.
pub const EVALUATION_WINDOW_NS: u64 = 5_000_000_000;

/// How long before the end of a fault the requests begin that are under way at its end, 0.5 s: that time
/// is in transition, too. The plan can't know it; in two campaigns on the demo shop, of 132 faults each,
/// the windows that could be evaluated were as many as with 0.6 s and with 0.3 s.
pub(crate) const UNDER_WAY_NS: u64 = 500_000_000;

/// A window that a detector can be evaluated on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EvaluationWindow {
    /// Its start, in nanoseconds from the start of the run.
    pub from_ns: u64,
    /// Scenarios whose anomaly it is, by their position in [`Plan::scenarios`]. Empty: it is normal.
    pub anomalies: Vec<usize>,
}

/// The windows of a length, in nanoseconds, one after the other from the start of the run, that a
/// detector can be evaluated on.
pub fn evaluation_windows(plan: &Plan, length_ns: u64) -> Vec<EvaluationWindow> {
    let length_ns = length_ns.max(1);
    let mut unsettled: Vec<Interval> = Vec::new();
    for scenario in &plan.scenarios {
        let guard_ns = scenario.guard_ns.max(1);
        unsettled.extend(
            [scenario.start_ns, scenario.end_ns].map(|at| (at, at.saturating_add(guard_ns))),
        );
        if scenario.warm_up {
            unsettled.push((scenario.start_ns, scenario.end_ns));
        }
        if !scenario.anomaly.is_none() && scenario.fault.is_some() {
            unsettled.push((
                scenario.end_ns.saturating_sub(UNDER_WAY_NS),
                scenario.end_ns,
            ));
        }
    }
    unsettled.sort_unstable();
    let unsettled = merged(unsettled);
    let anomalous: Vec<(usize, &PlannedScenario)> = plan
        .scenarios
        .iter()
        .enumerate()
        .filter(|(_, scenario)| !scenario.anomaly.is_none())
        .collect();
    let mut windows = Vec::new();
    for number in 0..plan.end_ns() / length_ns {
        let (from_ns, to_ns) = (number * length_ns, (number + 1) * length_ns);
        let next = unsettled.partition_point(|(_, end)| *end <= from_ns);
        if unsettled.get(next).is_some_and(|(start, _)| *start < to_ns) {
            continue;
        }
        // No edge lies within: what is on at its start is on throughout.
        let on = anomalous
            .iter()
            .filter(|(_, s)| s.start_ns <= from_ns && from_ns < s.end_ns);
        windows.push(EvaluationWindow {
            from_ns,
            anomalies: on.map(|(index, _)| *index).collect(),
        });
    }
    windows
}

/// Of the evaluation windows of [`EVALUATION_WINDOW_NS`] how many are normal and how many
/// anomalous.
pub fn evaluation_counts(plan: &Plan) -> (u64, u64) {
    let windows = evaluation_windows(plan, EVALUATION_WINDOW_NS);
    let anomalous = windows.iter().filter(|w| !w.anomalies.is_empty()).count() as u64;
    (windows.len() as u64 - anomalous, anomalous)
}

/// Of a settled stretch, how many windows of [`EVALUATION_WINDOW_NS`] lie in it, wherever they
/// begin: on average.
pub(crate) fn expected_windows(stretch_ns: f64) -> f64 {
    let window_ns = EVALUATION_WINDOW_NS as f64;
    ((stretch_ns - window_ns) / window_ns).max(0.0)
}
