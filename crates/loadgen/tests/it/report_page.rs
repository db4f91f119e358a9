//! The page that an extraction ends with, and `loadgen report`, on telemetry that is made here.

use std::fmt::Write;
use std::fs;
use std::process::Output;

use crate::program::{Place, text};
use serde_json::{Value, json};

const SECOND: i64 = 1_000_000_000;
const START: i64 = 1_770_000_000 * SECOND;
/// Length of each of the two windows, in seconds.
const WINDOW: i64 = 20;
/// A name that would end the page's figures, were it to stand in them as it is.
const HOSTILE: &str = "</script><img src=x onerror=alert(1)>";

/// A run of two windows, `calm` and `slow`, of which the second declares an anomaly.
fn made(place: &Place) {
    let mut lines = vec![json!({
        "event": "run_started", "schema_version": 1, "run_id": "cd".repeat(16), "at_ns": START,
        "scenario_file": "made.yaml", "scenario_sha256": "", "seed": 7, "time_scale": 1.0,
        "engine": "rust", "target": "http://127.0.0.1:1", "loadgen_version": "0.1.0",
    })];
    for (number, (scenario, kind)) in (0..).zip([("calm", "none"), ("slow", "latency_spike")]) {
        let (opened, closed) = (
            START + number * WINDOW * SECOND,
            START + (number + 1) * WINDOW * SECOND,
        );
        lines.push(json!({
            "event": "window_opened", "scenario": scenario, "at_ns": opened,
            "planned_start_ns": opened, "planned_end_ns": closed, "guard_ns": SECOND,
            "anomaly": {"type": kind, "label": "l", "root_cause": kind, "msg": "m",
                        "root_cause_service": (kind != "none").then_some("cart")},
        }));
        lines.push(json!({
            "event": "window_closed", "scenario": scenario, "at_ns": closed,
            "last_completed_ns": closed, "sent": 0, "completed": 0, "failed": 0, "dropped": 0,
        }));
    }
    let end = START + 2 * WINDOW * SECOND;
    lines.push(json!({"event": "run_finished", "at_ns": end, "status": "completed"}));
    fs::create_dir_all(place.path("run")).unwrap();
    let timeline = lines
        .iter()
        .fold(String::new(), |all, line| all + &line.to_string() + "\n");
    place.write("run/timeline.jsonl", &timeline);
    let mut spans = String::new();
    for number in 0..2 * WINDOW * 10 {
        let start = START + number * SECOND / 10;
        let slow = if number >= WINDOW * 10 { 5 } else { 1 };
        let end = start + (10 + number * 7919 % 7) * 1_000_000 * slow;
        let span = json!({"resourceSpans": [{
            "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "cart"}}]},
            "scopeSpans": [{"spans": [{
                "traceId": format!("{:032x}", number + 1), "spanId": format!("{:016x}", number + 1),
                "name": HOSTILE, "kind": 2,
                "startTimeUnixNano": start.to_string(), "endTimeUnixNano": end.to_string(),
            }]}],
        }]});
        writeln!(spans, "{span}").unwrap();
    }
    place.write("traces.jsonl", &spans);
}

fn extract(place: &Place, out: &str) -> Output {
    let timeline = "run/timeline.jsonl";
    place.loadgen([
        "extract",
        "traces.jsonl",
        "--timeline",
        timeline,
        "--out",
        out,
    ])
}

/// What stands in a page.
fn figures(place: &Place, page: &str) -> Value {
    let page = fs::read_to_string(place.path(page)).unwrap();
    let figures = page.split_once("id=\"figures\">").unwrap().1;
    serde_json::from_str(figures.split_once("</script>").unwrap().0).unwrap()
}

#[test]
fn an_extraction_ends_with_a_page_of_its_tables() {
    let place = Place::new();
    made(&place);
    let out = extract(&place, "d");
    assert!(
        text(&out.stdout).contains("d/report.html"),
        "{}",
        text(&out.stdout)
    );
    let page = fs::read_to_string(place.path("d/report.html")).unwrap();
    assert!(!page.contains("<img"), "a name of a span is markup");
    let run = &figures(&place, "d/report.html")["runs"][0];
    let missing = run["missing"].as_array().unwrap();
    let names: Vec<&str> = missing
        .iter()
        .filter_map(|of| of["table"].as_str())
        .collect();
    assert_eq!(names, ["summary.json"], "nobody made one");
    assert_eq!(run["run"]["seed"], 7);
    assert_eq!(run["outcome"]["status"], "completed");
    assert_eq!(run["windows"][1]["scenario"], "slow");
    assert_eq!(run["balance"]["types"]["latency_spike"]["spans"], 200);
    let cart = &run["series"]["services"][0];
    assert_eq!(cart["service"], "cart");
    let counts = cart["kinds"]["server"]["count"].as_array().unwrap();
    assert_eq!((counts.len(), &counts[3]), (40, &json!(10)));
    let trace = &run["traces"]["windows"]["1"];
    assert_eq!(trace["within"]["spans"][0]["name"], HOSTILE);
    assert!(trace["within"]["duration_ms"].as_f64() > trace["normal"]["duration_ms"].as_f64());

    // In the run's own folder there is one page, that of the last extraction.
    let out = extract(&place, "run/dataset");
    let said = text(&out.stdout);
    assert!(said.contains("  run/report.html\n"), "{said}");
    assert!(!place.path("run/dataset/report.html").exists());
}

#[test]
fn a_dataset_and_its_run_that_lie_apart_are_one_by_the_runs_id() {
    let place = Place::new();
    made(&place);
    extract(&place, "d");
    fs::remove_file(place.path("d/report.html")).unwrap();
    let out = place.loadgen(["report", "d", "run"]);
    assert_eq!(
        text(&out.stdout),
        "run/report.html\n",
        "{}",
        text(&out.stderr)
    );
    let page = figures(&place, "run/report.html");
    assert_eq!(page["runs"].as_array().unwrap().len(), 1);
    assert_eq!(page["runs"][0]["dataset"]["spans"]["written"], 400);
    // By itself the folder of the dataset is known to be of that run by its audit alone.
    let out = place.loadgen(["report", "d", "--out", "pages/one.html"]);
    assert_eq!(out.status.code(), Some(0), "{}", text(&out.stderr));
    let page = figures(&place, "pages/one.html");
    assert_eq!(page["runs"][0]["windows"][1]["scenario"], "slow");
    assert_eq!(page["runs"][0]["outcome"], Value::Null);
}

#[test]
fn what_is_not_there_is_told_and_the_rest_is_shown() {
    let place = Place::new();
    made(&place);
    extract(&place, "d");
    for file in fs::read_dir(place.path("d")).unwrap() {
        let path = file.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if name.starts_with("windows_features") || name.starts_with("graph_") {
            fs::remove_file(&path).unwrap();
        }
        if name.starts_with("trace_labels") {
            fs::write(&path, "not a table").unwrap();
        }
    }
    let out = place.loadgen(["report", "d"]);
    assert_eq!(out.status.code(), Some(0), "{}", text(&out.stderr));
    let run = &figures(&place, "d/report.html")["runs"][0];
    let missing = run["missing"].as_array().unwrap();
    let names: Vec<&str> = missing
        .iter()
        .filter_map(|of| of["table"].as_str())
        .collect();
    for name in [
        "windows_features_5s",
        "graph_edges",
        "graph_nodes",
        "trace_labels",
    ] {
        assert!(names.contains(&name), "{names:?}");
    }
    assert_eq!(
        (&run["series"], &run["traces"]),
        (&Value::Null, &Value::Null)
    );
    assert_eq!(run["graphs"]["source"], "evidence");
    let verdicts = run["windows"]
        .as_array()
        .unwrap()
        .iter()
        .map(|of| &of["verdict"]);
    assert_eq!(verdicts.filter(|of| *of == "supported").count(), 1);
}

#[test]
fn a_page_that_can_not_be_written_spoils_nothing() {
    let place = Place::new();
    made(&place);
    let code = extract(&place, "good").status.code();
    fs::create_dir_all(place.path("d/report.html/x")).unwrap();
    let out = extract(&place, "d");
    assert_eq!(out.status.code(), code);
    let said = text(&out.stderr);
    assert!(
        said.contains("warning: there is no report: can't write d/report.html"),
        "{said}"
    );
    assert_eq!(place.loadgen(["report", "d"]).status.code(), Some(1));
}

#[test]
fn what_is_neither_a_run_nor_a_dataset_is_told() {
    let place = Place::new();
    made(&place);
    extract(&place, "d");
    let told = |args: &[&str], words: &str| {
        let out = place.loadgen([&["report"], args].concat());
        let code = if words.contains("give one folder") {
            2
        } else {
            3
        };
        assert_eq!(out.status.code(), Some(code), "{args:?}");
        assert!(text(&out.stderr).contains(words), "{}", text(&out.stderr));
    };
    told(&["."], "holds neither a dataset");
    told(&["nowhere"], "holds neither a dataset");
    told(
        &["d", "--stamp", "20200101_000000"],
        "no audit_20200101_000000.json in d",
    );
    told(
        &["d", "run", "d", "--stamp", "20200101_000000"],
        "--stamp is of one dataset: give one folder with it",
    );
}
