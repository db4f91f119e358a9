//! A generator that runs out of file descriptors: it says so, and that it says nothing of the
//! target.

use std::process::Command;
use std::time::Duration;

use crate::program::target::Target;
use crate::program::{self, Place, text};
use serde_json::Value;

const FILE: &str = "
version: 1
flows: {default: {steps: [{path: /a}]}}
scenarios:
  many: {executor: per-vu-iterations, vus: 300, iterations: 1, max_duration: 60s}
";

#[test]
fn a_shortage_of_descriptors_is_the_generators_own() {
    let place = Place::new();
    place.write("many.yaml", FILE);
    // So long that all virtual users wait at the same time, and short enough for the look at whether
    // the target is there.
    let target = Target::start(|_| (Duration::from_secs(3), "text/plain", "ok".into()));
    let run = place.command(["run", "many.yaml", "--no-client-spans", "--out", "run"]);
    // Both limits, as the soft one is raised to the hard one.
    let mut limited = Command::new("sh");
    limited
        .args(["-c", "ulimit -n 120 && exec \"$@\"", "sh"])
        .arg(run.get_program())
        .args(run.get_args())
        .args(["--no-preflight", "--quiet", "--base-url", &target.url])
        .current_dir(place.path(""))
        .env("LOADGEN_STATE_DIR", place.path("state"));
    let out = limited.output().unwrap();
    let said = format!("{}{}", text(&out.stdout), text(&out.stderr));
    assert_eq!(out.status.code(), Some(0), "{said}");
    assert!(said.contains("ran out of file descriptors"), "{said}");

    let summary = std::fs::read(place.path("run/summary.json")).unwrap();
    let summary: Value = serde_json::from_slice(&summary).unwrap();
    let of_scenario = &summary["scenarios"][0];
    assert_eq!(of_scenario["requests"], 300);
    let failures = of_scenario["failures"].as_object().unwrap();
    let kinds: Vec<&str> = failures.keys().map(String::as_str).collect();
    assert_eq!(kinds, ["generator"], "{summary}");
    let ledger = program::ledger(&place.path("run"));
    let unsent = ledger.rows().filter(|row| !row.was_sent()).count();
    assert_eq!(failures["generator"], unsent);
}
