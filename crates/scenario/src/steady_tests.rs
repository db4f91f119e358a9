use super::*;
use crate::options::PlanOptions;
use crate::{load_str, plan_str};

const SECOND: u64 = 1_000_000_000;

/// A file with these scenarios, and the anomalies `slow` and `hung`.
fn file(scenarios: &str) -> String {
    format!(
        "version: 1\noverlap: allow\nguard: 1s\n\
         anomalies: {{slow: {{root_cause: a}}, hung: {{root_cause: b}}}}\n\
         flows: {{default: {{steps: [{{path: /}}]}}}}\nscenarios:\n{scenarios}"
    )
}

fn steady_s(scenarios: &str) -> Vec<u64> {
    let plan = plan_str("t.yaml", &file(scenarios), &PlanOptions::default()).unwrap();
    steady_ns(&plan).into_iter().map(|ns| ns / SECOND).collect()
}

fn notes(scenarios: &str, time_scale: f64) -> String {
    let options = PlanOptions {
        time_scale,
        ..PlanOptions::default()
    };
    let loaded = load_str("t.yaml", &file(scenarios), &options).unwrap();
    loaded.notes.to_string()
}

#[test]
fn a_window_loses_its_guard_and_that_of_the_anomaly_before_it() {
    let steady = steady_s(
        "  calm: {executor: constant-vus, duration: 10s}
  slow: {executor: constant-vus, duration: 10s, anomaly: slow, guard: 3s}
  short: {executor: constant-vus, duration: 10s, anomaly: hung}
  after: {executor: constant-vus, duration: 10s}
",
    );
    // `slow` ends where `short` begins, and its guard is the longer one.
    assert_eq!(steady, [9, 7, 7, 9]);
}

#[test]
fn time_with_another_anomaly_is_not_a_windows_own() {
    let steady = steady_s(
        "  calm: {executor: constant-vus, duration: 20s, start_time: 0s}
  slow: {executor: constant-vus, duration: 10s, start_time: 5s, anomaly: slow}
  hung: {executor: constant-vus, duration: 4s, start_time: 8s, anomaly: hung}
  load: {executor: constant-vus, duration: 20s, start_time: 0s}
  sham: {executor: constant-vus, duration: 20s, start_time: 0s, anomaly: slow,
         fault: {fault: a, service: b, sham: true}}
",
    );
    // calm: 1 to 5 and 16 to 20. slow: 6 to 8 and 13 to 15. hung: never alone.
    let by_start = [8, 8, 8, 4, 0];
    assert_eq!(steady, by_start);
}

#[test]
fn windows_that_are_too_short_are_told_with_a_time_scale_that_would_do() {
    let scenarios = "  warm: {executor: constant-vus, duration: 2s, warm_up: true, guard: 0s}
  calm: {executor: constant-vus, duration: 24s}
  slow: {executor: constant-vus, duration: 24s, anomaly: slow}
";
    assert_eq!(notes(scenarios, 1.0), "");
    insta::assert_snapshot!(notes(scenarios, 0.1), @r"
    note: 2 windows are too short for evidence: `calm` is 2.4 s long, after guards about 2.3 s are left, `slow` is 2.4 s long, after guards about 2.3 s are left; their verdicts will likely be `not_enough_data`
      --> t.yaml
       = help: use a larger --time-scale: 0.14 leaves each at least 3.0 s
    ");
    assert_eq!(notes(scenarios, 0.14), "");
    let one = "  calm: {executor: constant-vus, duration: 24s}
  slow: {executor: constant-vus, duration: 3s, anomaly: slow}
";
    insta::assert_snapshot!(notes(one, 1.0), @r"
    note: the window `slow` is 3.0 s long: after guards about 2.0 s are left, too short for evidence; its verdict will likely be `not_enough_data`
      --> t.yaml
       = help: use a larger --time-scale: 1.5 leaves each at least 3.0 s
    ");
}

#[test]
fn a_plan_without_an_anomaly_is_not_evaluated() {
    assert_eq!(
        notes("  calm: {executor: constant-vus, duration: 2s}\n", 1.0),
        ""
    );
    let sham = "  calm: {executor: constant-vus, duration: 9s}
  sham: {executor: constant-vus, duration: 2s, anomaly: slow, fault: {fault: a, service: b, sham: true}}
";
    assert!(notes(sham, 1.0).contains("the window `sham`"));
}

#[test]
fn scales_are_rounded_up_to_two_digits() {
    for (number, text) in [
        (0.1316, "0.14"),
        (0.1, "0.10"),
        (0.02631, "0.027"),
        (1.5, "1.5"),
        (1.51, "1.6"),
        (123.4, "130"),
        (0.999, "1.00"),
    ] {
        assert_eq!(rounded_up(number), text);
    }
}
