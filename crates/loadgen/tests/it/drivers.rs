//! Faults on a target that is nobody's demo, and what becomes of them when run and guard are
//! killed.

#![cfg(target_os = "linux")]

use std::path::Path;
use std::process::Child;
use std::time::Duration;

use crate::program::target::Target;
use crate::program::{self, Place, end, events, kill, text, until};
use serde_json::{Value, json};

fn target() -> Target {
    Target::start(|_| (Duration::ZERO, "application/json", "{}".to_owned()))
}

/// A window with a fault that a file stands for: `broken` is there while it is in force.
fn file(seconds: u32, fault: &str) -> String {
    format!(
        "
version: 1
flows:
  default: {{steps: [{{path: /, think_time: 50ms}}]}}
anomalies:
  wrong: {{root_cause: broken, root_cause_service: store}}
scenarios:
  before: {{executor: constant-vus, vus: 1, duration: 1s}}
  during:
    executor: constant-vus
    vus: 1
    duration: {seconds}s
    anomaly: wrong
    fault:
      driver: exec
      fault: broken
      service: store
      intensity: 0.5
      {fault}
  after: {{executor: constant-vus, vus: 1, duration: 1s}}
"
    )
}

const BREAK: &str = "parameters: {inject: 'echo $LOADGEN_FAULT $LOADGEN_INTENSITY > broken; echo done', \
                     confirm: [test, -f, broken], clear: rm -f broken}";

fn start(place: &Place, name: &str, file: &str, target: &Target) -> Child {
    place.write(&format!("{name}.yaml"), file);
    let file = format!("{name}.yaml");
    let args = ["run", &file, "--base-url", &target.url, "--out", name];
    place.start(args.into_iter().chain(["--quiet", "--no-client-spans"]))
}

/// The guard of a run.
fn guard_of(run: u32) -> u32 {
    let is_guard = |entry: &std::path::PathBuf| {
        let stat = std::fs::read_to_string(entry.join("stat")).unwrap_or_default();
        let after_name = stat.rsplit(')').next().unwrap_or_default();
        let parent = after_name.split_whitespace().nth(1);
        let command = std::fs::read(entry.join("cmdline")).unwrap_or_default();
        parent == Some(&run.to_string()) && text(&command).split('\0').nth(1) == Some("guard")
    };
    let processes = std::fs::read_dir("/proc").unwrap();
    let mut processes = processes.filter_map(|entry| Some(entry.ok()?.path()));
    let guard = processes.find(is_guard).expect("the run has a guard");
    guard
        .file_name()
        .unwrap()
        .to_str()
        .unwrap()
        .parse()
        .unwrap()
}

/// Kills a run, and its guard just before it.
fn kill_both(mut run: Child) {
    kill("-KILL", guard_of(run.id()));
    run.kill().unwrap();
    run.wait().unwrap();
}

fn journals(place: &Place) -> usize {
    std::fs::read_dir(place.path("state/faults")).map_or(0, Iterator::count)
}

fn change(run: &Path, event: &str) -> Value {
    let all = events(run, event);
    assert_eq!(all.len(), 1, "{event}: {all:?}");
    all[0].clone()
}

#[test]
fn commands_inject_confirm_and_clear_and_what_they_say_is_on_the_timeline() {
    let (place, target) = (Place::new(), target());
    let (code, errors) = end(start(&place, "run", &file(2, BREAK), &target));
    assert_eq!(code, Some(0), "{errors}");
    let run = place.path("run");
    let injected = change(&run, "fault_injected");
    assert_eq!(injected["driver"], "exec");
    assert_eq!(injected["parameters"]["clear"], "rm -f broken");
    assert_eq!(
        injected["confirmed_by"],
        "the command `confirm` ended with 0"
    );
    assert_eq!(
        injected["read_back"],
        json!({"inject": "done", "confirm": ""})
    );
    assert!(injected["requested_ns"].as_i64() <= injected["at_ns"].as_i64());
    let cleared = change(&run, "fault_cleared");
    assert_eq!(
        cleared["confirmed_by"],
        "the command `confirm` ended with exit status: 1"
    );
    assert!(!place.path("broken").exists());
    assert_eq!(journals(&place), 0);
}

#[test]
fn a_fault_that_cannot_be_confirmed_has_failed() {
    let (place, target) = (Place::new(), target());
    let fault = "parameters: {inject: 'true', confirm: 'echo not yet; false', clear: 'true', timeout: 500ms}";
    let (code, errors) = end(start(&place, "run", &file(2, fault), &target));
    assert_eq!(code, Some(6), "{errors}");
    let failed = change(&place.path("run"), "fault_failed");
    let reason = failed["reason"].as_str().unwrap();
    assert!(
        reason.contains("by `confirm` the fault is not in force"),
        "{reason}"
    );
    assert!(reason.contains("not yet"), "{reason}");
    assert!(events(&place.path("run"), "fault_injected").is_empty());
    assert_eq!(journals(&place), 0);
}

#[test]
fn nothing_is_injected_where_the_confirming_command_is_not_there() {
    let (place, target) = (Place::new(), target());
    let fault = "parameters: {inject: touch broken, confirm: no-such-program, clear: rm -f broken}";
    let (code, errors) = end(start(&place, "run", &file(2, fault), &target));
    assert_eq!(code, Some(6), "{errors}");
    let failed = change(&place.path("run"), "fault_failed");
    let reason = failed["reason"].as_str().unwrap();
    assert!(
        reason.contains("`confirm` does not tell whether the fault is in force"),
        "{reason}"
    );
    assert!(reason.contains("no-such-program"), "{reason}");
    assert!(!place.path("broken").exists());
}

#[test]
fn a_fault_that_is_there_already_is_somebody_elses() {
    let (place, target) = (Place::new(), target());
    place.write("broken", "by hand");
    let (code, errors) = end(start(&place, "run", &file(2, BREAK), &target));
    assert_eq!(code, Some(6), "{errors}");
    assert_eq!(
        std::fs::read_to_string(place.path("broken")).unwrap(),
        "by hand"
    );
}

#[test]
fn a_sham_runs_no_command() {
    let (place, target) = (Place::new(), target());
    let fault = format!("sham: true\n      {BREAK}");
    let (code, errors) = end(start(&place, "run", &file(2, &fault), &target));
    assert_eq!(code, Some(0), "{errors}");
    assert_eq!(change(&place.path("run"), "fault_injected")["sham"], true);
    assert!(!place.path("broken").exists());
}

#[test]
fn the_guard_of_a_killed_run_undoes_its_faults() {
    let (place, target) = (Place::new(), target());
    let mut run = start(&place, "run", &file(60, BREAK), &target);
    until("the fault", || {
        events(&place.path("run"), "fault_injected").len() == 1
    });
    run.kill().unwrap();
    run.wait().unwrap();
    until("the guard", || !place.path("broken").exists());
    until("the end of the timeline", || {
        events(&place.path("run"), "run_finished").len() == 1
    });
    change(&place.path("run"), "fault_cleared");
    until("the journal's end", || journals(&place) == 0);
}

#[test]
fn an_injection_that_was_on_its_way_is_undone_and_told() {
    let (place, target) = (Place::new(), target());
    let fault = "parameters: {inject: 'touch broken; sleep 5', confirm: [test, -f, broken], \
                 clear: rm -f broken}";
    let mut run = start(&place, "run", &file(60, fault), &target);
    until("the fault", || place.path("broken").exists());
    run.kill().unwrap();
    run.wait().unwrap();
    until("the end of the timeline", || {
        events(&place.path("run"), "run_finished").len() == 1
    });
    assert!(!place.path("broken").exists());
    let failed = change(&place.path("run"), "fault_failed");
    assert_eq!(failed["change"], "inject");
    assert_eq!(failed["scenario"], "during");
    assert!(events(&place.path("run"), "fault_injected").is_empty());
}

#[test]
fn what_run_and_guard_leave_behind_is_listed_and_cleared() {
    let (place, target) = (Place::new(), target());
    let run = start(&place, "run", &file(60, BREAK), &target);
    until("the fault", || place.path("broken").exists());
    let listed = place.loadgen(["faults", "list"]);
    assert!(
        text(&listed.stdout).contains("runs, or is being undone"),
        "{listed:?}"
    );
    let refused = place.loadgen(["faults", "clear"]);
    assert_eq!(refused.status.code(), Some(6), "{refused:?}");
    assert!(place.path("broken").exists());
    kill_both(run);
    let listed = place.loadgen(["faults", "list"]);
    assert!(
        text(&listed.stdout).contains("broken in store, by the driver exec"),
        "{listed:?}"
    );
    // From another folder: commands run where the run was started.
    let elsewhere = tempfile::tempdir().unwrap();
    let mut command = place.command(["faults", "clear"]);
    command.arg(place.path("run")).current_dir(elsewhere.path());
    let cleared = command.output().unwrap();
    assert_eq!(cleared.status.code(), Some(0), "{cleared:?}");
    assert!(text(&cleared.stderr).contains("is cleared"), "{cleared:?}");
    assert!(!place.path("broken").exists());
    let listed = place.loadgen(["faults", "list"]);
    assert!(
        text(&listed.stdout).contains("No run has left a fault behind"),
        "{listed:?}"
    );
}

#[test]
fn the_next_run_clears_what_was_left_behind() {
    let (place, target) = (Place::new(), target());
    let run = start(&place, "first", &file(60, BREAK), &target);
    until("the fault", || place.path("broken").exists());
    kill_both(run);
    assert!(place.path("broken").exists());
    let (code, errors) = end(start(&place, "second", &file(1, BREAK), &target));
    assert_eq!(code, Some(0), "{errors}");
    assert!(
        errors.contains("broken in store, left behind by the run"),
        "{errors}"
    );
    assert!(!place.path("broken").exists());
    assert_eq!(journals(&place), 0);
}

#[test]
fn what_can_not_be_cleared_stays_known_until_it_is_given_up() {
    let (place, target) = (Place::new(), target());
    let fault = "parameters: {inject: touch broken, confirm: [test, -f, broken], \
                 clear: 'test -f mended && rm broken'}";
    let run = start(&place, "run", &file(60, fault), &target);
    until("the fault", || place.path("broken").exists());
    kill_both(run);
    let failed = place.loadgen(["faults", "clear"]);
    assert_eq!(failed.status.code(), Some(6), "{failed:?}");
    assert!(
        text(&failed.stderr).contains("`clear` ended with"),
        "{failed:?}"
    );
    assert_eq!(journals(&place), 1);
    let forgotten = place.loadgen(["faults", "clear", "--forget"]);
    assert_eq!(forgotten.status.code(), Some(0), "{forgotten:?}");
    assert_eq!(journals(&place), 0);
    assert!(place.path("broken").exists());
}

#[test]
fn a_fault_made_by_hand_is_written_down_during_a_run() {
    let (place, target) = (Place::new(), target());
    let file = file(4, "").replace("    fault:\n", "").replace(
        "      driver: exec\n      fault: broken\n      service: store\n      intensity: 0.5\n",
        "",
    );
    let run = start(&place, "run", &file, &target);
    until("the window", || {
        events(&place.path("run"), "window_opened").len() == 2
    });
    let note = |time: &str| {
        let args = [
            "timeline",
            "fault",
            "run",
            "--fault",
            "cable",
            "--service",
            "store",
        ];
        let output = place.loadgen(args.into_iter().chain([time, "now"]));
        assert_eq!(output.status.code(), Some(0), "{output:?}");
    };
    note("--start");
    note("--end");
    let (code, errors) = end(run);
    assert_eq!(code, Some(0), "{errors}");
    let lines = program::json_lines(&place.path("run/faults.jsonl"));
    assert_eq!(lines.len(), 2);
    assert_eq!(lines[0]["event"], "fault_injected");
    assert_eq!(lines[1]["event"], "fault_cleared");
    assert_eq!(lines[0]["scenario"], "during");
    let args = [
        "timeline",
        "fault",
        "run",
        "--fault",
        "cable",
        "--service",
        "store",
    ];
    let wrong = place.loadgen(args.into_iter().chain(["--start", "yesterday"]));
    assert_eq!(wrong.status.code(), Some(2), "{wrong:?}");
}
