//! Several generators for one run, as processes of the real binary, and what `loadgen merge` makes of
//! them.

#![cfg(target_os = "linux")]

mod k6_shards;
mod labels;
mod meeting;
mod schedule;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Child;
use std::time::Duration;

use crate::program::target::Target;
use crate::program::{Place, events, text};
use loadgen_scenario::Plan;
use loadgen_timeline::{Ledger, LedgerReport, consistency, read_timeline};

pub(crate) const SECOND: i64 = 1_000_000_000;

/// Each executor. VUs are no multiple of the shards, of some there are fewer, and they come and go
/// in steps of a second. Iterations of VUs take long, so that a VU is nearly always in one.
pub(crate) const EVERY_EXECUTOR: &str = r#"
version: 1
defaults: {graceful_stop: 1s}
flows:
  pick: {vars: {n: {range: [1, 1000000]}}, steps: [{path: '/at/${n}'}]}
  slow: {vars: {n: {range: [1, 1000000]}}, steps: [{path: '/slow/${n}'}]}
scenarios:
  rate: {executor: constant-arrival-rate, rate: 50, duration: 2s, pre_allocated_vus: 21, exec: pick}
  ramp: {executor: ramping-arrival-rate, start_rate: 10, stages: [{duration: 2s, target: 60}], pre_allocated_vus: 24, exec: pick, start_time: 2s}
  few: {executor: constant-arrival-rate, rate: 20, duration: 1s, pre_allocated_vus: 1, exec: slow, start_time: 4s}
  vus: {executor: ramping-vus, start_vus: 3, stages: [{duration: 1s, target: 3}, {duration: 0s, target: 11}, {duration: 1s, target: 11}, {duration: 0s, target: 20}, {duration: 1s, target: 20}], exec: slow, start_time: 6s}
  each: {executor: per-vu-iterations, vus: 10, iterations: 3, max_duration: 5s, exec: pick, start_time: 11s}
  shared: {executor: shared-iterations, vus: 5, iterations: 33, max_duration: 5s, exec: pick, start_time: 16s}
"#;

pub(crate) fn target() -> Target {
    Target::start(|path| {
        let takes = match path.starts_with("/slow") {
            true => Duration::from_millis(300),
            false => Duration::from_millis(5),
        };
        (takes, "application/json", "{}".to_owned())
    })
}

/// Starts the shards of a run that meet in `folder`.
pub(crate) fn start(
    place: &Place,
    file: &str,
    url: &str,
    count: u32,
    extra: &[&str],
) -> Vec<Child> {
    let one = |index: u32| {
        let shard = format!("{index}/{count}");
        let args = ["run", file, "--base-url", url, "--shard", &shard, "--quiet"];
        place.start(args.iter().chain(extra))
    };
    (0..count).map(one).collect()
}

pub(crate) fn merge(
    place: &Place,
    runs: &[&str],
    out: &str,
    extra: &[&str],
) -> (Option<i32>, String) {
    let args = ["merge", "--out", out];
    let out = place.loadgen(args.iter().chain(runs).chain(extra));
    (out.status.code(), text(&out.stderr) + &text(&out.stdout))
}

pub(crate) fn plan(run: &Path) -> Plan {
    serde_json::from_slice(&std::fs::read(run.join("plan.json")).unwrap()).unwrap()
}

pub(crate) fn drained(run: &Path, scenario: &str, field: &str) -> u64 {
    let lines = events(run, "window_drained");
    let line = lines.iter().find(|line| line["scenario"] == scenario);
    line.unwrap()[field].as_u64().unwrap()
}

/// When each iteration began and ended, and what its first request asked for.
pub(crate) fn iterations(
    ledger: &Ledger,
    scenario: &str,
) -> BTreeMap<u64, (i64, i64, i64, String)> {
    let mut iterations = BTreeMap::new();
    for row in ledger.rows().filter(|row| row.scenario == scenario) {
        let times = (
            row.intended_ns,
            row.sent_ns,
            row.finished_ns,
            row.path.to_owned(),
        );
        let before = iterations.insert(row.iteration, times);
        // One step a flow here: a number that is there again would be that of two iterations.
        assert!(
            before.is_none(),
            "{scenario} {} is there twice",
            row.iteration
        );
    }
    iterations
}

pub(crate) fn assert_consistent(run: &Path, report: &LedgerReport) {
    let timeline = read_timeline(&run.join("timeline.jsonl")).unwrap();
    let found = consistency(&timeline, Some(report));
    assert!(found.is_empty(), "{found:?}");
}
