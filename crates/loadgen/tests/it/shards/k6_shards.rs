//! The same with stock k6, started by loadgen or alone.

use loadgen_scenario::ArrivalSchedule;

use super::*;
use crate::program::k6::{k6, k6_run, module};
use crate::program::target::{Target, now_ns};
use crate::program::{Place, end, events, ledger, spawn, text};

/// Enough VUs for each k6, and none of a number that divides evenly.
const FOR_K6: &str = r#"
version: 1
flows:
  pick: {vars: {n: {range: [1, 1000000]}}, steps: [{path: '/at/${n}'}]}
scenarios:
  rate: {executor: constant-arrival-rate, rate: 30, duration: 2s, pre_allocated_vus: 7, exec: pick}
  vus: {executor: constant-vus, vus: 4, duration: 1s, exec: pick, start_time: 2s}
  shared: {executor: shared-iterations, vus: 5, iterations: 33, max_duration: 5s, exec: pick, start_time: 4s}
"#;

fn assert_of_three(run: &Path, target: &Target) {
    let (plan, ledger) = (plan(run), ledger(run));
    assert_consistent(run, &ledger.report);
    assert_eq!(ledger.len(), target.take().len());
    let rate = iterations(&ledger, "rate");
    let (made, dropped) = (
        drained(run, "rate", "iterations"),
        drained(run, "rate", "dropped"),
    );
    assert_eq!(rate.len() as u64, made);
    let schedule = ArrivalSchedule::new(&plan.scenarios[0].executor).unwrap();
    // k6 may leave out the one that is due at the very end.
    assert!(
        schedule.count() - (made + dropped) <= 1,
        "{made} + {dropped}"
    );
    assert_eq!(iterations(&ledger, "shared").len(), 33);
    assert_eq!(drained(run, "shared", "iterations"), 33);
    iterations(&ledger, "vus");
}

#[test]
fn three_k6_are_one_run() {
    let (place, target) = (Place::new(), target());
    place.write("file.yaml", FOR_K6);
    let at = (now_ns() / SECOND + 20).to_string();
    let id = "0123456789abcdef".repeat(2);
    let run = |index: u32| {
        let (shard, out) = (format!("{index}/3"), format!("shard-{index}"));
        let args = [
            "run",
            "file.yaml",
            "--base-url",
            &target.url,
            "--engine",
            "k6",
            "--quiet",
        ];
        let more = [
            "--no-client-spans",
            "--shard",
            &shard,
            "--start-at",
            &at,
            "--run-id",
            &id,
            "--out",
            &out,
        ];
        let mut command = place.command(args.iter().chain(&more));
        command.env("K6_BIN", k6());
        spawn(command)
    };
    let shards: Vec<Child> = (0..3).map(run).collect();
    for shard in shards {
        let (code, errors) = end(shard);
        assert_eq!(code, Some(0), "{errors}");
    }
    let (code, said) = merge(&place, &["shard-0", "shard-1", "shard-2"], "merged", &[]);
    assert_eq!(code, Some(0), "{said}");
    let merged = place.path("merged");
    assert_of_three(&merged, &target);
    assert_eq!(events(&merged, "run_started")[0]["run_id"], id.as_str());
}

#[test]
fn logs_of_k6_pods_are_one_run() {
    let (place, target) = (Place::new(), target());
    place.write("file.yaml", FOR_K6);
    let out = place.loadgen([
        "plan",
        "file.yaml",
        "--base-url",
        &target.url,
        "--format",
        "json",
    ]);
    assert_eq!(out.status.code(), Some(0), "{}", text(&out.stderr));
    let plan = place.write("plan.json", &text(&out.stdout));
    let at = (now_ns() / SECOND + 20).to_string();
    let start = |index: u32| {
        let mut command = k6_run(&module("replay.js"));
        command
            .arg("--console-output")
            .arg(place.path(&format!("events-{index}.log")));
        command.args(["--execution-segment", &format!("{index}/3:{}/3", index + 1)]);
        command.args(["--execution-segment-sequence", "0,1/3,2/3,1"]);
        command
            .env("LOADGEN_PLAN", &plan)
            .env("LOADGEN_START_AT", &at);
        command.env("LOADGEN_RUN_ID", "fedcba9876543210".repeat(2));
        command.env("LOADGEN_QUIET", "1");
        command.args(["--include-system-env-vars"]);
        spawn(command)
    };
    let started: Vec<Child> = (0..3).map(start).collect();
    for k6 in started {
        let (code, errors) = end(k6);
        assert_eq!(code, Some(0), "{errors}");
    }
    let folders = ["pod-0", "pod-1", "pod-2"];
    for (index, folder) in folders.iter().enumerate() {
        let log = format!("events-{index}.log");
        let out = place.loadgen(["timeline", "from-k6", &log, "--out", folder]);
        assert_eq!(out.status.code(), Some(0), "{}", text(&out.stderr));
    }
    let (code, said) = merge(&place, &folders, "merged", &[]);
    assert_eq!(code, Some(0), "{said}");
    assert_of_three(&place.path("merged"), &target);
    let (code, said) = merge(&place, &folders[..2], "two", &[]);
    assert_eq!(code, Some(3), "{said}");
    assert!(said.contains("of 3 shards 1 is missing: 2"), "{said}");
}
