//! A target that stalls for one second in every ten: the open-model scenarios of both engines show
//! the stall in the latency from the intended send.

use std::time::Duration;

use crate::program;
use crate::program::Place;
use crate::program::k6::k6;
use crate::program::target::{Target, now_ns};
use serde_json::Value;

/// Both at once, and long enough that a stall falls into them whenever they begin.
const FILE: &str = "
version: 1
overlap: allow
defaults: {graceful_stop: 2s}
flows: {default: {steps: [{path: /a}]}}
scenarios:
  constant: {executor: constant-arrival-rate, rate: 20, duration: 11s, pre_allocated_vus: 40}
  ramping: {executor: ramping-arrival-rate, start_rate: 15, stages: [{duration: 11s, target: 25}], pre_allocated_vus: 40, start_time: 0s}
";

/// What is left of the stall.
fn stall(_: &str) -> (Duration, &'static str, String) {
    const SECOND: i64 = 1_000_000_000;
    let left_ns = SECOND - now_ns() % (10 * SECOND);
    let delay = Duration::from_nanos(u64::try_from(left_ns).unwrap_or(0));
    (delay, "application/json", "{}".into())
}

#[test]
fn both_engines_show_a_stall_of_the_target() {
    let place = Place::new();
    place.write("stall.yaml", FILE);
    let target = Target::start(stall);
    let args = [
        "compare",
        "stall.yaml",
        "--repetitions",
        "1",
        "--cool-down",
        "100ms",
        "--out",
        "compared",
    ];
    let out = place
        .command(args)
        .args(["--no-client-spans", "--base-url", &target.url])
        .env("K6_BIN", k6())
        .output()
        .unwrap();
    assert_eq!(out.status.code(), Some(0), "{}", program::text(&out.stderr));
    assert!(place.path("compared/comparison.html").is_file());
    let text = std::fs::read(place.path("compared/comparison.json")).unwrap();
    let comparison: Value = serde_json::from_slice(&text).unwrap();
    for scenario in comparison["scenarios"].as_array().unwrap() {
        let rows = scenario["rows"].as_array().unwrap();
        let value = |metric: &str, side: &str| {
            let row = rows
                .iter()
                .find(|row| row["metric"]["id"] == metric)
                .unwrap();
            row[side][0].as_f64().unwrap()
        };
        for side in ["a", "b"] {
            // A tenth of the time is the stall, and what is due in it waits for half of it on average.
            let (p50, p99) = (value("intended.p50", side), value("intended.p99", side));
            assert!(p99 > 600.0 && p99 < 2000.0, "{side}: {p99} ms: {scenario}");
            assert!(p50 < 200.0, "{side}: {p50} ms");
            assert_eq!(value("dropped", side), 0.0, "{side}");
        }
        // k6 may leave out the iteration that falls on the very end.
        let more = value("requests", "a") - value("requests", "b");
        assert!((0.0..=1.0).contains(&more), "{more}: {scenario}");
    }
}
