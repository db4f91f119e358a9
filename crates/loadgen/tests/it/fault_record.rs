//! What the demo shop's faults did to single requests, by its own record, and what the dataset says of
//! single spans. How well both agree for each fault is measured with `.ci/fault_record.py`
//! (docs/evidence.md); here are faults whose effect does not depend on the machine's speed.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;

use crate::program::{Place, text};
use serde_json::Value;

/// A baseline, and windows in which half of the requests fail, or some are asked again and again.
const SCENARIO: &str = "
version: 1
name: touched
target: embedded
guard: 500ms
defaults: {timeout: 5s, think_time: 0, graceful_stop: 2s}
anomalies:
  none: {root_cause: none, msg: Normal operation}
  errors: {root_cause: r, msg: The catalogue fails, root_cause_service: catalogue}
  retries: {root_cause: r, msg: The cart service asks again, root_cause_service: cart}
flows:
  look:
    vars: {visitor: {range: [1, 500]}}
    steps:
      - {name: product, path: /api/catalogue/product/UHJ}
      - {name: rating, path: /api/ratings/api/fetch/UHJ}
      - {name: add, path: '/api/cart/add/visitor-${visitor}/UHJ/1'}
scenarios:
  warm_up: {executor: constant-vus, vus: 2, duration: 1s, exec: look, warm_up: true}
  baseline:
    executor: constant-arrival-rate
    rate: 15
    time_unit: 1s
    duration: 5s
    pre_allocated_vus: 50
    max_vus: 200
    exec: look
    anomaly: none
  errors:
    executor: constant-arrival-rate
    rate: 15
    time_unit: 1s
    duration: 5s
    pre_allocated_vus: 50
    max_vus: 200
    exec: look
    anomaly: errors
    fault: {fault: error_responses, service: catalogue, intensity: 0.5}
  retries:
    executor: constant-arrival-rate
    rate: 15
    time_unit: 1s
    duration: 5s
    pre_allocated_vus: 50
    max_vus: 200
    exec: look
    anomaly: retries
    fault: {fault: retry_storm, service: cart, intensity: 0.7}
";

type Row = HashMap<String, String>;

/// Rows of a table.
fn table(run: &Path, table: &str) -> Vec<Row> {
    let files = std::fs::read_dir(run.join("dataset")).unwrap();
    let is_it = |path: &std::path::PathBuf| {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        name.starts_with(&format!("{table}_")) && name.ends_with(".csv")
    };
    let mut files = files.map(|entry| entry.unwrap().path()).filter(is_it);
    let reader = csv::Reader::from_path(files.next().unwrap());
    reader.unwrap().deserialize().map(Result::unwrap).collect()
}

/// Traces that each fault touched, by the record.
fn touched(run: &Path) -> BTreeMap<String, HashSet<String>> {
    let record = std::fs::read_to_string(run.join("fault-record.jsonl")).unwrap();
    let mut touched: BTreeMap<String, HashSet<String>> = BTreeMap::new();
    for line in record.lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        let text = |key: &str| line[key].as_str().unwrap().to_owned();
        assert_eq!((text("trace_id").len(), text("span_id").len()), (32, 16));
        assert!(line["at_ns"].as_u64().unwrap() > 1 << 60, "{line}");
        touched
            .entry(text("fault"))
            .or_default()
            .insert(text("trace_id"));
    }
    touched
}

/// A catalogue that fails for three clients of ten.
const SOME: &str = "
version: 1
name: some
target: embedded
guard: 500ms
defaults: {timeout: 5s, think_time: 0, graceful_stop: 2s}
anomalies:
  errors: {root_cause: r, msg: The catalogue fails, root_cause_service: catalogue}
flows:
  look:
    steps:
      - {name: product, path: /api/catalogue/product/UHJ}
      - {name: rating, path: /api/ratings/api/fetch/UHJ}
scenarios:
  calm: {executor: constant-vus, vus: 2, duration: 2s, exec: look}
  some:
    executor: constant-arrival-rate
    rate: 60
    time_unit: 1s
    duration: 6s
    pre_allocated_vus: 50
    max_vus: 200
    exec: look
    anomaly: errors
    fault: {fault: error_responses, service: catalogue, clients: 30%}
";

/// The shop and the dataset agree on who meets a fault, though neither asks the other.
#[test]
fn the_clients_that_a_fault_is_for_are_those_that_it_touched() {
    let place = Place::new();
    place.write("some.yaml", SOME);
    let args = [
        "run",
        "some.yaml",
        "--out",
        "run",
        "--quiet",
        "--record-faults",
    ];
    let out = place.loadgen(args);
    let run = place.path("run");
    assert!(run.join("dataset").exists(), "{}", text(&out.stderr));
    let touched = &touched(&run)["error_responses"];
    let mut requests: BTreeMap<(&str, bool), usize> = BTreeMap::new();
    let (traces, spans) = (table(&run, "trace_labels"), table(&run, "traces_labeled"));
    let looked: HashSet<&str> = spans
        .iter()
        .filter(|span| span["service_name"] == "catalogue")
        .map(|span| &*span["trace_id"])
        .collect();
    for trace in traces.iter().filter(|of| looked.contains(&*of["trace_id"])) {
        let is_touched = touched.contains(&trace["trace_id"]);
        match (&*trace["anomaly_type"], &*trace["phase"]) {
            ("none", _) => assert_eq!(trace["client_exposed"], "", "{trace:?}"),
            // Around a change the shop may be ahead of its confirmation, or behind.
            (_, "steady") => {
                let exposed = &*trace["client_exposed"];
                assert_eq!(exposed == "true", is_touched, "{trace:?}");
                *requests.entry((exposed, is_touched)).or_default() += 1;
            }
            _ => {}
        }
    }
    assert_eq!(requests.len(), 2, "{requests:?}");
    let all: usize = requests.values().sum();
    let share = requests[&("true", true)] as f64 / all as f64;
    // Of 200 and more, by more than five standard deviations.
    assert!(all > 200 && (0.13..0.47).contains(&share), "{requests:?}");
}

#[test]
fn spans_are_marked_in_the_requests_that_a_fault_touched() {
    let place = Place::new();
    place.write("touched.yaml", SCENARIO);
    let args = [
        "run",
        "touched.yaml",
        "--out",
        "run",
        "--quiet",
        "--record-faults",
    ];
    let out = place.loadgen(args);
    let run = place.path("run");
    assert!(run.join("dataset").exists(), "{}", text(&out.stderr));
    let (rows, touched) = (table(&run, "traces_labeled"), touched(&run));
    let faults: Vec<&str> = touched.keys().map(String::as_str).collect();
    assert_eq!(faults, ["error_responses", "retry_storm"]);

    for (scenario, fault) in [("errors", "error_responses"), ("retries", "retry_storm")] {
        let steady = rows.iter().filter(|row| {
            row["scenario"] == scenario
                && row["anomaly_type"] == scenario
                && row["phase"] == "steady"
        });
        let mut marked: HashMap<&str, bool> = HashMap::new();
        for row in steady {
            let is_marked = marked.entry(&row["trace_id"]).or_default();
            *is_marked |= row["is_root_cause_span"] == "true";
        }
        let count = |is_it: fn(bool, bool) -> bool| {
            let of = marked
                .iter()
                .filter(|(trace, marked)| is_it(touched[fault].contains(**trace), **marked));
            of.count() as f64
        };
        let hits = count(|touched, marked| touched && marked);
        let recall = hits / count(|touched, _| touched);
        let precision = hits / count(|_, marked| marked);
        assert!(
            recall > 0.8 && precision > 0.8,
            "{fault}: {recall} {precision}"
        );
    }
    // In clean normal time no span is a root cause, and hardly any is unusual.
    let clean = rows
        .iter()
        .filter(|row| row["scenario"] == "baseline" && row["phase"] == "steady");
    let (mut known, mut unusual) = (0, 0);
    for row in clean {
        assert_ne!(row["is_root_cause_span"], "true");
        known += usize::from(!row["span_anomaly"].is_empty());
        unusual += usize::from(!["", "none"].contains(&row["span_anomaly"].as_str()));
    }
    assert!(known > 100 && unusual * 20 < known, "{unusual} of {known}");
    // The record is nowhere in what the shop sent.
    for signal in ["traces", "metrics", "logs"] {
        let sent = std::fs::read_to_string(run.join(format!("telemetry/{signal}.jsonl"))).unwrap();
        for word in ["error_responses", "retry_storm", "x-shop-sent"] {
            assert!(!sent.contains(word), "{word} in {signal}");
        }
    }
}
