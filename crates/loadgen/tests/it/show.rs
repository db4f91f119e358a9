//! What the evidence decides, and how it is shown, on telemetry that is made here.

use std::fmt::Write;

use crate::program::{Place, text};
use serde_json::{Value, json};

const SECOND: i64 = 1_000_000_000;
const START: i64 = 1_770_000_000 * SECOND;
/// Length of each window, in seconds.
const WINDOW: i64 = 30;

/// A timeline of windows that follow each other, without any fault event.
fn timeline(windows: &[(&str, &str)]) -> String {
    let mut lines = vec![json!({
        "event": "run_started", "schema_version": 1, "run_id": "ab".repeat(16), "at_ns": START,
        "scenario_file": "made.yaml", "scenario_sha256": "", "seed": 1, "time_scale": 1.0,
        "engine": "rust", "target": "http://127.0.0.1:1", "loadgen_version": "0.1.0",
    })];
    for (number, (scenario, kind)) in (0..).zip(windows) {
        let (opened, closed) = (
            START + number * WINDOW * SECOND,
            START + (number + 1) * WINDOW * SECOND,
        );
        let label = if *kind == "none" {
            "normal"
        } else {
            "anomalous"
        };
        lines.push(json!({
            "event": "window_opened", "scenario": scenario, "at_ns": opened,
            "planned_start_ns": opened, "planned_end_ns": closed, "guard_ns": SECOND,
            "anomaly": {"type": kind, "label": label, "root_cause": kind, "msg": "m",
                        "root_cause_service": "cart"},
        }));
        lines.push(json!({
            "event": "window_closed", "scenario": scenario, "at_ns": closed,
            "last_completed_ns": closed, "sent": 0, "completed": 0, "failed": 0, "dropped": 0,
        }));
    }
    let end = START + windows.len() as i64 * WINDOW * SECOND;
    lines.push(json!({"event": "run_finished", "at_ns": end, "status": "completed"}));
    lines
        .iter()
        .fold(String::new(), |text, line| text + &line.to_string() + "\n")
}

/// Ten traces a second, each of a request of `web` that calls `cart`. How long the call takes scatters
/// by a pattern that no window owns; in the windows that are named it takes five times as long.
fn traces(windows: i64, slow: &[i64]) -> String {
    let mut out = String::new();
    for number in 0..windows * WINDOW * 10 {
        let start = START + number * SECOND / 10;
        let times = if slow.contains(&(number / (WINDOW * 10))) {
            5
        } else {
            1
        };
        let call = (10 + number * 7919 % 7) * 1_000_000 * times;
        let span = |service: &str, id: i64, parent: &str, from: i64, to: i64| {
            json!({
                "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": service}}]},
                "scopeSpans": [{"spans": [{
                    "traceId": format!("{:032x}", number + 1), "spanId": format!("{id:016x}"),
                    "parentSpanId": parent, "name": format!("GET /{service}"), "kind": 2,
                    "startTimeUnixNano": from.to_string(), "endTimeUnixNano": to.to_string(),
                }]}],
            })
        };
        let root = format!("{:016x}", 2 * number + 1);
        let spans = [
            span("web", 2 * number + 1, "", start, start + call + 2_000_000),
            span(
                "cart",
                2 * number + 2,
                &root,
                start + 1_000_000,
                start + 1_000_000 + call,
            ),
        ];
        writeln!(out, "{}", json!({"resourceSpans": spans})).unwrap();
    }
    out
}

/// Extracts what was made to the folder `d`. Gives the exit code and the report.
fn extract(place: &Place, windows: &[(&str, &str)], slow: &[i64]) -> (Option<i32>, Value) {
    place.write("timeline.jsonl", &timeline(windows));
    place.write("traces.jsonl", &traces(windows.len() as i64, slow));
    let args = [
        "extract",
        "traces.jsonl",
        "--timeline",
        "timeline.jsonl",
        "--out",
        "d",
        "--json",
    ];
    let out = place.loadgen(args);
    let report = serde_json::from_slice(&out.stdout);
    (
        out.status.code(),
        report.unwrap_or_else(|_| panic!("{}", text(&out.stderr))),
    )
}

fn level<'r>(report: &'r Value, id: &str) -> &'r Value {
    let checks = report["audit"]["checks"].as_array().unwrap();
    &checks.iter().find(|check| check["id"] == id).unwrap()["level"]
}

#[test]
fn a_timeline_without_anomalies_is_in_order() {
    let place = Place::new();
    let (code, report) = extract(&place, &[("calm", "none"), ("calm2", "none")], &[]);
    assert_eq!(level(&report, "evidence"), "ok", "{:#}", report["audit"]);
    assert_eq!(level(&report, "faults"), "ok");
    assert_ne!(code, Some(8));
}

#[test]
fn declared_anomalies_without_fault_events_stand_or_fall_by_the_evidence() {
    let windows = [("calm", "none"), ("slow", "latency_spike")];
    let place = Place::new();
    let (code, report) = extract(&place, &windows, &[1]);
    assert_eq!(level(&report, "evidence"), "ok", "{:#}", report["audit"]);
    assert_eq!(level(&report, "faults"), "info");
    assert_ne!(code, Some(8));
    let place = Place::new();
    let (code, report) = extract(&place, &windows, &[]);
    assert_eq!(level(&report, "evidence"), "error");
    assert_eq!(report["figures"]["windows"][1]["verdict"], "not_supported");
    assert_eq!(code, Some(8));
}

#[test]
fn a_dataset_is_shown_window_by_window() {
    let place = Place::new();
    extract(&place, &[("calm", "none"), ("slow", "latency_spike")], &[1]);
    // The folder of a run has its dataset inside.
    std::fs::create_dir(place.path("run")).unwrap();
    std::fs::rename(place.path("d"), place.path("run/dataset")).unwrap();
    let out = place.loadgen(["show", "run"]);
    let shown = text(&out.stdout);
    assert!(out.status.success(), "{}", text(&out.stderr));
    let has = |parts: &[&str]| {
        shown
            .lines()
            .any(|l| parts.iter().all(|part| l.contains(part)))
    };
    assert!(has(&["0  calm (none): clean"]), "{shown}");
    assert!(has(&["1  slow (latency_spike): supported"]), "{shown}");
    assert!(
        has(&["duration", " GET /cart ", "5.00 ×", "+1.00"]),
        "{shown}"
    );
    assert!(has(&[" 1 cart ", "affected", "declared"]), "{shown}");
    assert!(has(&["type: latency_spike 600, none 600"]), "{shown}");
    assert!(has(&["phase: steady"]), "{shown}");
    assert!(
        shown.lines().all(|line| line.chars().count() <= 100),
        "{shown}"
    );

    let out = place.loadgen(["show", "run/dataset", "--window", "1", "--json"]);
    let said: Value = serde_json::from_slice(&out.stdout).unwrap();
    let windows = said["windows"].as_array().unwrap();
    assert_eq!((windows.len(), &windows[0]["number"]), (1, &json!(1)));
    assert_eq!(windows[0]["row"]["scenario"], "slow");
    assert_eq!(windows[0]["evidence"]["verdict"], "supported");
    let out = place.loadgen(["show", "run", "--window", "1"]);
    assert!(!text(&out.stdout).contains("calm"));
}

#[test]
fn what_can_not_be_shown_is_told() {
    let place = Place::new();
    extract(&place, &[("calm", "none")], &[]);
    let told = |args: &[&str], expected: &str| {
        let out = place.loadgen(["show"].iter().chain(args));
        // A number that there is none of was typed; everything else is in the folder.
        let code = if args.contains(&"--window") { 2 } else { 3 };
        assert_eq!(out.status.code(), Some(code), "{args:?}");
        assert!(
            text(&out.stderr).contains(expected),
            "{args:?}: {}",
            text(&out.stderr)
        );
    };
    told(&["nowhere"], "can't read nowhere");
    std::fs::create_dir(place.path("r")).unwrap();
    told(&["r"], "no audit_<stamp>.json");
    place.write("r/timeline.jsonl", "");
    told(&["r"], "`loadgen extract r` makes it");
    told(&["d", "--window", "7"], "windows 0 to 0");
    told(
        &["d", "--stamp", "20200101_000000"],
        "audit_20200101_000000.json",
    );
    let file = |name: &str| {
        let files = std::fs::read_dir(place.path("d")).unwrap();
        let paths = files.map(|file| file.unwrap().path());
        let mut paths =
            paths.filter(|p| p.file_name().unwrap().to_string_lossy().starts_with(name));
        paths.find(|p| p.extension().unwrap() != "parquet").unwrap()
    };
    let windows = std::fs::read_to_string(file("windows_2")).unwrap();
    let header = windows.lines().next().unwrap().to_owned() + "\n";
    std::fs::write(file("windows_2"), header).unwrap();
    told(&["d"], "are not those of one extraction");
    std::fs::remove_file(file("windows_2")).unwrap();
    told(&["d"], "table of windows");
    let evidence = std::fs::read_to_string(file("evidence_")).unwrap();
    std::fs::write(file("evidence_"), &evidence[..evidence.len() / 2]).unwrap();
    told(&["d"], "is not a file of evidence");
    std::fs::remove_file(file("evidence_")).unwrap();
    told(&["d"], "an older loadgen made this dataset");
    std::fs::write(file("audit_"), r#"{"schema_version":99}"#).unwrap();
    told(&["d"], "schema version 99");
}
