use std::sync::{Arc, Mutex};

use super::super::log::{LogError, read_log};
use super::*;
use loadgen_scenario::{PlanOptions, plan_str};

const ZERO_MS: i64 = 1_795_573_449_000;

const SCENARIOS: &str = "  a: {executor: constant-vus, duration: 1s, graceful_stop: 1s}\n  \
                         b: {executor: shared-iterations, iterations: 2, max_duration: 5s}\n";

#[derive(Default, Clone)]
struct Kept(Arc<Mutex<Vec<EngineEvent>>>);

impl Consumer for Kept {
    fn name(&self) -> &str {
        "the test's memory"
    }

    fn take(&mut self, event: &EngineEvent) -> io::Result<()> {
        self.0.lock().unwrap().push(event.clone());
        Ok(())
    }
}

/// What a log becomes: the timeline without heartbeats, in milliseconds of the plan, and the number
/// of requests.
fn replayed(lines: &[&str]) -> (Vec<String>, usize) {
    let (story, requests, _) = told(&log_of(lines)).unwrap();
    (story, requests)
}

/// A log with a first line before these.
fn log_of(lines: &[&str]) -> String {
    let text = format!(
        "version: 1\nflows: {{default: {{steps: [{{path: /a, name: one}}]}}}}\nscenarios:\n{SCENARIOS}"
    );
    let plan = plan_str("t.yaml", &text, &PlanOptions::default()).unwrap();
    let header = serde_json::json!({
        "schema_version": 1, "run_id": "0", "base_url": "http://t", "module_version": "1",
        "plan": plan,
    });
    let mut log = format!("lg1 run {header}\nlg1 zero {ZERO_MS}\n");
    for line in lines {
        log.push_str(&format!("lg1 {line}\n"));
    }
    log
}

/// The same of a log as it is, and what is missing from it.
fn told(log: &str) -> Result<(Vec<String>, usize, Vec<MissingLines>), LogError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events.log");
    std::fs::write(&path, log).unwrap();
    let kept = Kept::default();
    let replay = read_log(&path)?;
    let missing = replay.play(&mut [Box::new(kept.clone())]).unwrap();
    let ms = |at_ns: i64| (at_ns - ZERO_MS * 1_000_000) as f64 / 1e6;
    let events = kept.0.lock().unwrap();
    let mut requests = 0;
    let mut story = Vec::new();
    for event in events.iter() {
        let line = match event {
            EngineEvent::Requests(records) => {
                requests += records.len();
                continue;
            }
            EngineEvent::Timeline(line) => line,
            EngineEvent::Generator(_) => continue,
        };
        story.push(match line {
            Event::WindowOpened(w) => format!("{} opened {}", ms(w.at_ns), w.scenario),
            Event::WindowClosed(w) => format!("{} closed {}", ms(w.at_ns), w.scenario),
            Event::WindowDrained(w) => format!("{} drained {}", ms(w.at_ns), w.scenario),
            Event::RunFinished(end) => format!("{} {:?}", ms(end.at_ns), end.status),
            _ => continue,
        });
    }
    Ok((story, requests, missing))
}

/// A request of an only VU: when it began, of which scenario and iteration.
fn begin(ms: i64, scenario: u16, iteration: u64) -> String {
    let at = ZERO_MS + ms;
    format!(
        "b 1 {scenario} {iteration} 0 0 43b54f0272634fbeb85015083d013198 b85015083d013198 {at} /a"
    )
}

#[test]
fn windows_of_a_log_are_those_of_a_run() {
    let (story, requests) = replayed(&[
        &begin(0, 0, 0),
        // Beyond the window's end.
        "e 1 1200 200 - .",
        &begin(1300, 1, 0),
        "e 1 100 200 - .",
        &begin(1500, 1, 1),
        "e 1 100 200 - .",
        r#"end {"test_run_duration_ms": 1700, "scenarios": {"b": {"iterations": 2}}}"#,
    ]);
    assert_eq!(
        story,
        [
            "0 opened a",
            "1000 closed a",
            "1000 opened b",
            "1200.5 drained a",
            "1600.5 closed b",
            "1600.5 drained b",
            "1700 Completed",
        ]
    );
    assert_eq!(requests, 3);
}

#[test]
fn a_log_that_a_signal_ended_closes_what_is_open() {
    let (story, requests) = replayed(&[
        &begin(0, 0, 0),
        "e 1 300 200 - .",
        &begin(400, 0, 1),
        r#"end {"test_run_duration_ms": 500}"#,
    ]);
    assert_eq!(story[0], "0 opened a");
    assert!(story[1].ends_with("closed a"), "{story:?}");
    assert!(story[2].ends_with("drained a"), "{story:?}");
    assert!(story[3].ends_with("Interrupted"), "{story:?}");
    assert_eq!((story.len(), requests), (4, 2));
}

#[test]
fn a_log_that_breaks_off_has_no_end() {
    let (story, requests) = replayed(&[&begin(0, 0, 0), "e 1 300 200 - .", &begin(1400, 1, 0)]);
    assert_eq!(story[..3], ["0 opened a", "1000 closed a", "1000 opened b"]);
    assert!(
        !story
            .iter()
            .any(|line| line.contains("b") && line.contains("closed")),
        "{story:?}"
    );
    assert_eq!(requests, 2);
}

/// A run of two scenarios, whole.
fn whole() -> Vec<String> {
    [
        begin(0, 0, 0),
        "e 1 1200 200 - .".into(),
        begin(1300, 1, 0),
        "e 1 100 200 - .".into(),
        begin(1500, 1, 1),
        "e 1 100 200 - .".into(),
        r#"end {"test_run_duration_ms": 1700, "scenarios": {"a": {"iterations": 1}, "b": {"iterations": 2}}}"#.into(),
    ]
    .into()
}

#[test]
fn however_a_log_was_kept_it_tells_the_same() {
    let lines = whole();
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let log = log_of(&lines);
    let (story, requests, missing) = told(&log).unwrap();
    assert_eq!((story.len(), requests, missing), (7, 3, vec![]));
    let each = |form: &dyn Fn(&str) -> String| log.lines().map(form).collect::<String>();
    for kept in [
        each(&|line| format!("[pod/k6-1/k6] 2026-11-25T02:31:00.1Z {line}\n")),
        each(&|line| format!("k6-1  | {line}\n")),
        each(&|line| format!("2026-11-25T02:31:00.1Z stderr F {line}\n")),
        each(&|line| format!("INFO[0003] {line}          source=console\n")),
    ] {
        assert_eq!(told(&kept).unwrap().0, story, "{kept}");
    }
}

#[test]
fn lines_in_another_order_are_refused() {
    let lines = whole();
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let log = log_of(&lines);
    let mut reversed: Vec<&str> = log.lines().collect();
    reversed.reverse();
    let late = begin(12_000, 1, 1);
    let mixed = [
        lines[0], lines[1], &late, lines[3], lines[2], lines[3], lines[6],
    ];
    for (log, line) in [(reversed.join("\n") + "\n", 1), (log_of(&mixed), 7)] {
        let error = told(&log).unwrap_err();
        assert!(
            matches!(error, LogError::OutOfOrder { line: at, .. } if at == line),
            "{error}"
        );
    }
}

#[test]
fn lines_that_are_lost_are_told_by_what_k6_counted() {
    let lines = whole();
    let without = |lost: usize| {
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        let kept: Vec<&str> = [&lines[..lost], &lines[lost + 1..]].concat();
        let log = log_of(&kept);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.log");
        std::fs::write(&path, &log).unwrap();
        let ends = read_log(&path).unwrap().ends_without_begin;
        (told(&log).unwrap().2, ends)
    };
    let of_b = MissingLines {
        scenario: "b".to_owned(),
        counted: 2,
        in_log: 1,
    };
    // The end, then the begin, of the same request.
    assert_eq!(without(3), (vec![of_b.clone()], 0));
    assert_eq!(without(2), (vec![of_b], 1));
}
