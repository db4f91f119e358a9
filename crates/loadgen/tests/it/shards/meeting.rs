//! Who waits for whom, who comes too late, who drives the faults, and how each ends.

use super::*;
use crate::program::target::now_ns;
use crate::program::{Place, end, events, json_lines, kill, ledger, text, until};

#[test]
fn command_lines_that_make_no_sense_say_what_to_do() {
    let place = Place::new();
    place.write("file.yaml", EVERY_EXECUTOR);
    let told = |args: &[&str]| {
        let out = place.loadgen(["run", "file.yaml"].iter().chain(args));
        (out.status.code(), text(&out.stderr))
    };
    let url = "http://127.0.0.1:1";
    let cases: [(&[&str], i32, &str); 7] = [
        (&["--shard", "8/8"], 2, "give I/N with I from 0 to N - 1"),
        (&["--shard", "0/2", "--rendezvous", "r"], 2, "--base-url"),
        (
            &["--shard", "0/2", "--base-url", url],
            2,
            "--rendezvous DIR",
        ),
        (
            &["--shard", "0/2", "--base-url", url, "--start-at", "5"],
            2,
            "--run-id ID",
        ),
        (&["--rendezvous", "r", "--base-url", url], 2, "--shard I/N"),
        (
            &["--run-id", "me", "--base-url", url],
            2,
            "32 lower-case hexadecimal digits",
        ),
        (
            &["--base-url", url, "--start-at", "soon"],
            2,
            "Unix seconds",
        ),
    ];
    for (args, code, part) in cases {
        let (is, said) = told(args);
        assert_eq!(is, Some(code), "{args:?}: {said}");
        assert!(said.contains(part), "{args:?}: {said}");
    }
}

#[test]
fn a_start_that_is_past_is_too_late() {
    let (place, target) = (Place::new(), target());
    place.write("file.yaml", EVERY_EXECUTOR);
    let (at, id) = ((now_ns() / SECOND - 3).to_string(), "0".repeat(32));
    let args = [
        "run",
        "file.yaml",
        "--base-url",
        &target.url,
        "--shard",
        "1/2",
        "--out",
        "run",
    ];
    let out = place.loadgen(args.iter().chain(&["--start-at", &at, "--run-id", &id]));
    assert_eq!(out.status.code(), Some(3));
    let said = text(&out.stderr);
    assert!(said.contains("too late: the run was to start"), "{said}");
    assert!(!place.path("run").exists() && target.take().is_empty());
}

const ONE_WINDOW: &str = "
version: 1
flows: {default: {steps: [{path: /, think_time: 20ms}]}}
anomalies: {wrong: {root_cause: broken, root_cause_service: store}}
scenarios:
  long:
    executor: constant-vus
    vus: 4
    duration: 60s
    anomaly: wrong
    fault:
      driver: exec
      fault: broken
      service: store
      intensity: 1
      parameters: {inject: 'echo injected >> made; touch broken', confirm: [test, -f, broken], clear: rm broken}
";

#[test]
fn one_shard_drives_the_faults_and_each_ends_in_order() {
    let (place, target) = (Place::new(), target());
    place.write("file.yaml", ONE_WINDOW);
    let extra = ["--rendezvous", "met", "--no-client-spans"];
    let mut shards = start(&place, "file.yaml", &target.url, 3, &extra);
    let run = |index: u32| place.path(&format!("met/shard-{index}"));
    let has_sent = |index: u32| {
        let beats = events(&run(index), "heartbeat");
        beats
            .last()
            .is_some_and(|beat| beat["sent"].as_u64() > Some(0))
    };
    until("the fault, and load of all", || {
        let injected = events(&run(0), "fault_injected").len() == 1;
        injected && (0..3).all(has_sent)
    });
    // One ends by a signal, one is killed, and the third, which has the fault, goes on.
    kill("-TERM", shards[1].id());
    let (code, errors) = end(shards.remove(1));
    assert_eq!(code, Some(5), "{errors}");
    let last = |index: u32| {
        json_lines(&run(index).join("timeline.jsonl"))
            .pop()
            .unwrap()
    };
    assert_eq!(last(1)["status"], "interrupted");
    kill("-KILL", shards[1].id());
    end(shards.remove(1));
    // Its guard waits for nobody, although the journal of the run is in use.
    until("the guard of the killed one", || {
        last(2)["event"] == "run_finished"
    });
    assert_eq!(last(2)["status"], "failed");
    assert!(place.path("broken").exists());
    kill("-TERM", shards[0].id());
    let (code, errors) = end(shards.remove(0));
    assert_eq!(code, Some(5), "{errors}");
    assert!(!place.path("broken").exists());
    let made = std::fs::read_to_string(place.path("made")).unwrap();
    assert_eq!(made, "injected\n", "once, by one of them");
    for index in [1, 2] {
        assert!(events(&run(index), "fault_injected").is_empty());
    }

    let (code, said) = merge(&place, &["met"], "merged", &[]);
    assert_eq!(code, Some(7), "{said}");
    let merged = place.path("merged");
    assert_eq!(events(&merged, "fault_injected").len(), 1);
    assert_eq!(events(&merged, "fault_cleared").len(), 1);
    assert_eq!(events(&merged, "run_finished")[0]["status"], "failed");
    // What the killed one had handed over is there.
    let rows = |run: &Path| ledger(run).len();
    assert_eq!(rows(&merged), (0..3).map(|n| rows(&run(n))).sum::<usize>());
}

#[test]
fn who_waits_for_others_can_be_interrupted_and_started_again() {
    let (place, target) = (Place::new(), target());
    place.write("file.yaml", EVERY_EXECUTOR);
    let extra = [
        "--rendezvous",
        "met",
        "--no-client-spans",
        "--scenarios",
        "each",
    ];
    let mut waiting = start(&place, "file.yaml", &target.url, 2, &extra);
    // Of two only one comes.
    let _ = waiting.remove(0).kill();
    let note = place.path("met/shard-1.json");
    until("the second shard", || note.exists());
    kill("-TERM", waiting[0].id());
    let (code, errors) = end(waiting.remove(0));
    assert_eq!(code, Some(5), "{errors}");
    assert!(!note.exists() && !place.path("met/shard-1").exists());
    for shard in start(&place, "file.yaml", &target.url, 2, &extra) {
        let (code, errors) = end(shard);
        assert_eq!(code, Some(0), "{errors}");
    }
    let (code, said) = merge(&place, &["met"], "merged", &[]);
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(drained(&place.path("merged"), "each", "iterations"), 30);
}
