//! What is said of requests that did not go as the flows expect: of so many that the data of the
//! run, or of a window that is labelled normal, is of little use.

use loadgen_timeline::summary::{ScenarioSummary, Summary};

/// A normal window is told of when so large a share of its requests failed.
const TOLD_SHARE: f64 = 0.5;

/// Whether requests were sent and none of them went as expected.
pub(crate) fn nothing_succeeded(summary: &Summary) -> bool {
    let scenarios = summary.scenarios.iter();
    let (failed, requests) = scenarios.fold((0, 0), |(failed, requests), scenario| {
        (failed + scenario.failed, requests + scenario.requests)
    });
    requests > 0 && failed == requests
}

/// Warnings, a line each.
pub(crate) fn warnings(summary: &Summary) -> Vec<String> {
    if nothing_succeeded(summary) {
        return vec![
            "no request of the run went as the flows expect: its data says nothing of a normal \
             system. `loadgen doctor` says what the target answers"
                .to_owned(),
        ];
    }
    let normal = summary
        .scenarios
        .iter()
        .filter(|s| s.anomaly_type == "none");
    let failing = normal.filter(|s| share_failed(s) >= TOLD_SHARE);
    failing
        .map(|scenario| {
            format!(
                "{} of {} requests of `{}` did not go as the flows expect, and its window is \
                 labelled normal",
                scenario.failed, scenario.requests, scenario.scenario
            )
        })
        .collect()
}

fn share_failed(scenario: &ScenarioSummary) -> f64 {
    scenario.failed as f64 / scenario.requests.max(1) as f64
}
