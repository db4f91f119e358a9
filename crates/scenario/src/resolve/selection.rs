//! A run of some of a file's scenarios. The whole file is checked first, so that a file is right or
//! wrong whatever is chosen of it; then the time in which only scenarios would run that were left
//! out is cut away. So what is kept keeps its length, its overlaps and the pauses around it, and
//! windows that were apart only because of others now meet.

use crate::diagnostic::Finding;
use crate::file::ScenarioFile;
use crate::options::PlanOptions;
use crate::plan::PlannedScenario;

/// Finds chosen names that the file does not have.
pub(super) fn check(file: &ScenarioFile, options: &PlanOptions, findings: &mut Vec<Finding>) {
    for name in &options.scenarios {
        if !file.scenarios.contains_key(name) {
            findings.push(
                Finding::whole(format!(
                    "unknown scenario `{name}` (it was given for this run)"
                ))
                .suggest(name, file.scenarios.keys().map(String::as_str)),
            );
        }
    }
}

/// The chosen ones of all scenarios, which are sorted by start; none chosen: all.
pub(super) fn select(all: Vec<PlannedScenario>, chosen: &[String]) -> Vec<PlannedScenario> {
    if chosen.is_empty() {
        return all;
    }
    let (mut kept, left_out): (Vec<_>, Vec<_>) =
        all.into_iter().partition(|s| chosen.contains(&s.name));
    let cuts = without(merged(&left_out), &merged(&kept));
    for scenario in &mut kept {
        // No cut lies within a window that is kept: its end moves as its start does.
        let cut_ns: u64 = cuts
            .iter()
            .filter(|(from, _)| *from < scenario.start_ns)
            .map(|(from, to)| to - from)
            .sum();
        scenario.start_ns -= cut_ns;
        scenario.end_ns -= cut_ns;
    }
    kept
}

type Interval = (u64, u64);

/// The windows of scenarios that are sorted by start, as intervals that are apart.
fn merged(scenarios: &[PlannedScenario]) -> Vec<Interval> {
    let mut merged: Vec<Interval> = Vec::new();
    for scenario in scenarios {
        match merged.last_mut() {
            Some((_, end)) if scenario.start_ns <= *end => *end = scenario.end_ns.max(*end),
            _ => merged.push((scenario.start_ns, scenario.end_ns)),
        }
    }
    merged
}

/// What is in the first intervals and not in the second; both sorted, and each apart.
fn without(from: Vec<Interval>, holes: &[Interval]) -> Vec<Interval> {
    let mut left = Vec::new();
    for (mut start, end) in from {
        for &(hole_start, hole_end) in holes {
            if hole_end <= start || end <= hole_start {
                continue;
            }
            if start < hole_start {
                left.push((start, hole_start));
            }
            start = hole_end.min(end);
        }
        if start < end {
            left.push((start, end));
        }
    }
    left
}
