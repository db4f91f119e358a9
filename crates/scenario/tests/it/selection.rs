//! Runs of some of a file's scenarios: how the windows close up, and names that are not there.

use loadgen_scenario::{Plan, PlanOptions, ScenarioErrors, plan_str};
use proptest::prelude::*;

const SECOND: u64 = 1_000_000_000;

const FILE: &str = "
version: 1
overlap: allow
flows: {default: {steps: [{path: /}]}}
scenarios:
  baseline: {executor: constant-vus, duration: 10s}
  spike: {executor: constant-vus, duration: 5s}
  errors: {executor: constant-vus, duration: 20s, start_time: 20s}
  beside: {executor: constant-vus, duration: 10s, start_time: 35s}
  last: {executor: constant-vus, duration: 3s, start_time: 45s}
";

fn choose(names: &[&str]) -> Result<Plan, ScenarioErrors> {
    let options = PlanOptions {
        scenarios: names.iter().map(|name| (*name).to_owned()).collect(),
        ..PlanOptions::default()
    };
    plan_str("test.yaml", FILE, &options)
}

fn windows(names: &[&str]) -> Vec<(String, u64, u64)> {
    let plan = choose(names).unwrap_or_else(|errors| panic!("{errors}"));
    let window = |s: &loadgen_scenario::PlannedScenario| {
        (s.name.clone(), s.start_ns / SECOND, s.end_ns / SECOND)
    };
    plan.scenarios.iter().map(window).collect()
}

fn is(found: &[(String, u64, u64)], expected: &[(&str, u64, u64)]) {
    let found: Vec<_> = found.iter().map(|(n, a, b)| (n.as_str(), *a, *b)).collect();
    assert_eq!(found, expected);
}

#[test]
fn windows_close_up_over_scenarios_that_are_left_out() {
    is(
        &windows(&["last", "baseline"]),
        // The pause of 5 s before `errors` is a pause still; 30 s of others are gone.
        &[("baseline", 0, 10), ("last", 15, 18)],
    );
    is(&windows(&["spike"]), &[("spike", 0, 5)]);
}

#[test]
fn windows_that_overlap_still_do() {
    is(
        &windows(&["errors", "beside"]),
        &[("errors", 5, 25), ("beside", 20, 30)],
    );
    // Half of `beside` ran while `errors` did: only the other half is cut out.
    is(
        &windows(&["errors", "last"]),
        &[("errors", 5, 25), ("last", 25, 28)],
    );
}

#[test]
fn all_names_are_the_whole_file_and_so_is_none() {
    let all = ["baseline", "spike", "errors", "beside", "last"];
    assert_eq!(choose(&all).unwrap(), choose(&[]).unwrap());
}

#[test]
fn a_name_that_is_not_there_is_told_with_the_nearest_one() {
    let message = choose(&["basline", "nothing"]).unwrap_err().to_string();
    assert!(
        message.contains("unknown scenario `basline`") && message.contains("`baseline`?"),
        "{message}"
    );
    assert!(
        message.contains("possible: `baseline`, `spike`"),
        "{message}"
    );
}

proptest! {
    #[test]
    fn what_is_kept_keeps_its_length_and_its_order(keep in prop::collection::vec(any::<bool>(), 5)) {
        let all = choose(&[]).unwrap();
        let names: Vec<&str> = all
            .scenarios
            .iter()
            .zip(&keep)
            .filter(|(_, keep)| **keep)
            .map(|(s, _)| s.name.as_str())
            .collect();
        prop_assume!(!names.is_empty());
        let some = choose(&names).unwrap();
        prop_assert_eq!(some.scenarios.len(), names.len());
        for scenario in &some.scenarios {
            let before = all.scenarios.iter().find(|s| s.name == scenario.name).unwrap();
            prop_assert_eq!(
                scenario.end_ns - scenario.start_ns,
                before.end_ns - before.start_ns
            );
            prop_assert!(scenario.start_ns <= before.start_ns);
        }
        prop_assert!(some.scenarios.is_sorted_by_key(|s| s.start_ns));
        prop_assert!(some.end_ns() <= all.end_ns());
    }
}
