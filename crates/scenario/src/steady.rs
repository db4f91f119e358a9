//! How much steady time the timetable leaves each window: what is certain before a run. A window's
//! verdict is evaluated by its own steady time; where there is too little of that, the run may as
//! well be told to take longer.
//!
//! Steady, by the timetable alone, is what lies in the window, after the guard at its start, and
//! outside of the overlaps with windows of other anomalies (and of the guard after their ends). The
//! run takes off more: the time until a fault is confirmed, and the 99th percentile of the requests'
//! durations at the window's end.

use std::fmt::Write as _;

use crate::diagnostic::Finding;
use crate::interval::{Interval, merged, without};
use crate::plan::{Plan, PlannedScenario};

/// The least steady time that evidence can come of, 3 s. Evidence compares stretches of at least a
/// second, one sees a spread in three at the earliest; and requests that a fault holds up until
/// their callers give up, usually after 1 to 3 s, take that much of a window's end away.
pub const MIN_STEADY_NS: u64 = 3_000_000_000;

/// Windows that are evaluated and have less than [`MIN_STEADY_NS`] of steady time, each with that
/// time in nanoseconds. None where no window of the plan has, or declares, an anomaly: nothing is
/// evaluated then.
pub fn short_windows(plan: &Plan) -> Vec<(&PlannedScenario, u64)> {
    let declares = |s: &PlannedScenario| !s.declared.as_ref().unwrap_or(&s.anomaly).is_none();
    if !plan.scenarios.iter().any(declares) {
        return Vec::new();
    }
    plan.scenarios
        .iter()
        .zip(steady_ns(plan))
        .filter(|(scenario, steady)| !scenario.warm_up && *steady < MIN_STEADY_NS)
        .collect()
}

/// Steady time of each window in nanoseconds, by the timetable alone, in the plan's order.
pub fn steady_ns(plan: &Plan) -> Vec<u64> {
    // Windows that change the condition, each until its end has had its guard. By start, as the
    // plan's scenarios are.
    let anomalous: Vec<(usize, Interval)> = (plan.scenarios.iter().enumerate())
        .filter(|(_, scenario)| !scenario.anomaly.is_none())
        .map(|(index, scenario)| {
            let until = scenario.end_ns.saturating_add(scenario.guard_ns);
            (index, (scenario.start_ns, until))
        })
        .collect();
    let own = |(index, scenario): (usize, &PlannedScenario)| {
        let from = scenario.start_ns.saturating_add(scenario.guard_ns);
        let others = anomalous
            .iter()
            .filter(|(other, (start, until))| {
                *other != index && *start < scenario.end_ns && from < *until
            })
            .map(|(_, interval)| *interval);
        let own = without(vec![(from, scenario.end_ns)], &merged(others));
        own.iter().map(|(start, end)| end - start).sum()
    };
    plan.scenarios.iter().enumerate().map(own).collect()
}

/// What there is to say of windows that are too short.
pub(crate) fn note(plan: &Plan) -> Option<Finding> {
    let short = short_windows(plan);
    let least = short.iter().map(|(_, steady)| *steady).min()?;
    let seconds = |ns: u64| format!("{:.1} s", ns as f64 / 1e9);
    let length = |scenario: &PlannedScenario| seconds(scenario.end_ns - scenario.start_ns);
    let message = match short.as_slice() {
        [(one, steady)] => format!(
            "the window `{}` is {} long: after guards about {} are left, too short for evidence; its \
             verdict will likely be `not_enough_data`",
            one.name,
            length(one),
            seconds(*steady)
        ),
        several => {
            let mut message = format!("{} windows are too short for evidence:", several.len());
            for (index, (scenario, steady)) in several.iter().enumerate() {
                let comma = if index == 0 { "" } else { "," };
                // Writing to a String does not fail.
                let _ = write!(
                    message,
                    "{comma} `{}` is {} long, after guards about {} are left",
                    scenario.name,
                    length(scenario),
                    seconds(*steady)
                );
            }
            message + "; their verdicts will likely be `not_enough_data`"
        }
    };
    let help = match least {
        0 => "make the windows longer, or let them overlap less".to_owned(),
        least => format!(
            "use a larger --time-scale: {} leaves each at least {}",
            rounded_up(plan.time_scale * MIN_STEADY_NS as f64 / least as f64),
            seconds(MIN_STEADY_NS)
        ),
    };
    Some(Finding::whole(message).help(help))
}

/// A number above 0, rounded up to two digits, as text.
fn rounded_up(number: f64) -> String {
    let exponent = number.log10().floor() as i32 - 1;
    let unit = 10f64.powi(exponent);
    // A hair less than what is meant must not cost a whole unit.
    let rounded = (number / unit - 1e-9).ceil() * unit;
    let digits = usize::try_from(-exponent).unwrap_or(0);
    format!("{rounded:.digits$}")
}

#[cfg(test)]
#[path = "steady_tests.rs"]
mod tests;
