//! The k6 module under the real k6: its own tests, and a person's own script that uses it.

use std::time::Duration;

use crate::program::k6::{k6_run, module};
use crate::program::target::Target;
use crate::program::{self, Place, json_lines, text};
use serde_json::Value;

#[test]
fn the_tests_of_the_module_pass() {
    let mut tests: Vec<_> = std::fs::read_dir(module("tests"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.to_string_lossy().ends_with(".test.js"))
        .collect();
    tests.sort();
    assert!(tests.len() >= 6, "{tests:?}");
    for test in tests {
        let out = k6_run(&test).output().unwrap();
        assert!(
            out.status.success(),
            "{}: {}{}",
            test.display(),
            text(&out.stdout),
            text(&out.stderr)
        );
    }
}

/// The example of an own script: stamped requests, and a timeline from its log.
#[test]
fn a_script_of_ones_own_writes_ground_truth() {
    let place = Place::new();
    let target = Target::start(|path| {
        let answer = if path.contains("uniqueid") {
            r#"{"uuid":"anonymous-7"}"#
        } else {
            "[]"
        };
        (
            Duration::from_millis(5),
            "application/json",
            answer.to_owned(),
        )
    });
    let out = k6_run(&module("examples/own-script.js"))
        .current_dir(place.path(""))
        .args(["--console-output", "events.log", "-e"])
        .arg(format!("BASE_URL={}", target.url))
        .output()
        .unwrap();
    assert!(out.status.success(), "{}", text(&out.stderr));
    let made = place.loadgen([
        "timeline",
        "from-k6",
        "events.log",
        "--output",
        "run",
        "--json",
    ]);
    assert!(made.status.success(), "{}", text(&made.stderr));
    let made: Value = serde_json::from_slice(&made.stdout).unwrap();
    assert_eq!(made["bad_lines"], 0);
    assert_eq!(made["status"], "completed");

    let ledger = program::ledger(&place.path("run"));
    let arrived = target.take();
    let stamped: Vec<_> = arrived.iter().filter(|r| !r.trace_id.is_empty()).collect();
    assert!(stamped.len() > 10);
    assert_eq!(ledger.len(), stamped.len());
    let lines = json_lines(&place.path("run/timeline.jsonl"));
    let run_id = lines[0]["run_id"].as_str().unwrap();
    // What was stamped is what the timeline says of the scenario that sent it.
    let opened: Vec<&Value> = lines
        .iter()
        .filter(|line| line["event"] == "window_opened")
        .collect();
    assert!(opened.len() >= 2);
    for row in ledger.rows() {
        let trace = program::hex(row.trace_id);
        let request = stamped.iter().find(|r| r.trace_id == trace).unwrap();
        let of_it = opened
            .iter()
            .find(|o| o["scenario"] == row.scenario)
            .unwrap();
        let header = |name: &str| {
            request
                .headers
                .iter()
                .find(|h| h.0 == name)
                .unwrap()
                .1
                .clone()
        };
        assert_eq!(of_it["anomaly"]["type"], header("x-anomaly-type"));
        assert_eq!(of_it["anomaly"]["label"], header("x-anomaly-label"));
        assert!(header("baggage").contains("anomaly.type="));
        assert!(header("baggage").ends_with(&format!(",loadgen.run_id={run_id}")));
    }
    let steps: std::collections::BTreeSet<_> = ledger.rows().map(|row| row.step).collect();
    assert!(steps.len() >= 2, "{steps:?}");
}
