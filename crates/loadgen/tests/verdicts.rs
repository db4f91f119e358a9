//! Runs on the embedded shop whose labels nothing backs, and shams: what becomes of them. How often
//! the evidence is right is measured by `just calibrate`; nothing here depends on it.

mod program;

use std::path::Path;

use program::{Place, events, scenario, text};
use serde_json::Value;

/// Runs a file on the embedded shop. Gives the exit code and the report.
fn run(place: &Place, file: &Path, extra: &[&str]) -> (Option<i32>, Value) {
    let file = file.to_string_lossy().into_owned();
    let args = ["run", &file, "--out", "run", "--json", "--quiet"];
    let out = place.loadgen(args.iter().chain(extra));
    let report = serde_json::from_slice(&out.stdout);
    let report = report.unwrap_or_else(|_| panic!("{}", text(&out.stderr)));
    (out.status.code(), report)
}

/// Rows of the table of windows, by column and scenario.
fn windows(place: &Place) -> impl Fn(&str, &str) -> String {
    let files = std::fs::read_dir(place.path("run/dataset")).unwrap();
    let is_it = |path: &std::path::PathBuf| {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        name.starts_with("windows_2") && name.ends_with(".csv")
    };
    let mut files = files.map(|entry| entry.unwrap().path()).filter(is_it);
    let mut reader = csv::Reader::from_path(files.next().unwrap()).unwrap();
    let columns = reader.headers().unwrap().clone();
    let rows: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
    move |scenario, column| {
        let at = |name| columns.iter().position(|c| c == name).unwrap();
        let row = rows.iter().find(|row| &row[at("scenario")] == scenario);
        row.unwrap()[at(column)].to_owned()
    }
}

#[test]
fn without_faults_no_label_is_backed() {
    let place = Place::new();
    let quick = scenario("quick.yaml");
    let (code, report) = run(&place, &quick, &["--no-faults", "--time-scale", "0.3"]);
    assert_eq!(code, Some(8), "{:#}", report["dataset"]["audit"]);
    let of = windows(&place);
    // Other work on the machine can make one look a little like an effect.
    let mut weak = 0;
    for window in events(&place.path("run"), "window_opened") {
        if window["anomaly"]["type"] == "none" {
            continue;
        }
        let scenario = window["scenario"].as_str().unwrap();
        assert_eq!(of(scenario, "fault_state"), "declared");
        let verdict = of(scenario, "verdict");
        weak += usize::from(verdict == "weak");
        let unbacked = ["not_supported", "not_enough_data", "weak"];
        assert!(unbacked.contains(&&*verdict), "{scenario}: {verdict}");
    }
    assert!(weak <= 1, "{weak} windows are weak");
}

/// A shop that only shows its catalogue. `unmet` names a fault in a service that nobody asks for
/// anything; `sham` does not inject what it names.
const CATALOGUE: &str = "
version: 1
target: embedded
flows:
  default: {steps: [{path: /api/catalogue/products, think_time: 20ms}]}
anomalies:
  exhausted: {root_cause: pool, root_cause_service: shipping}
  slow: {root_cause: query, root_cause_service: catalogue}
scenarios:
  calm: {executor: constant-vus, vus: 4, duration: 4s}
  sham:
    {executor: constant-vus, vus: 4, duration: 4s, anomaly: slow,
     fault: {sham: true, fault: slow_query, service: catalogue}}
  unmet:
    {executor: constant-vus, vus: 4, duration: 4s, anomaly: exhausted,
     fault: {fault: pool_exhaustion, service: shipping}}
";

#[test]
fn a_fault_that_no_trace_meets_backs_no_label_and_a_sham_is_normal() {
    let place = Place::new();
    let file = place.write("catalogue.yaml", CATALOGUE);
    let (code, report) = run(&place, &file, &[]);
    let audit = &report["dataset"]["audit"];
    assert_eq!(code, Some(8), "{audit:#}");
    let checks = audit["checks"].as_array().unwrap();
    let evidence = checks.iter().find(|check| check["id"] == "evidence");
    let evidence = evidence.unwrap();
    assert_eq!(evidence["level"], "error");
    let details = evidence["details"].as_array().unwrap();
    let said = |detail: &&Value| detail.as_str().unwrap().starts_with("unmet (exhausted)");
    let reason = details.iter().find(said).unwrap().as_str().unwrap();
    assert!(reason.contains("shipping"), "{reason}");

    let of = windows(&place);
    assert_eq!(of("unmet", "verdict"), "not_enough_data");
    assert_eq!(of("unmet", "traces_met"), "0");
    assert_eq!(of("unmet", "fault_state"), "confirmed");
    assert_eq!(of("sham", "fault_state"), "sham");
    assert_eq!(of("sham", "anomaly_type"), "none");
    assert_eq!(of("sham", "anomaly_label"), "normal");
    // It is judged as if it had been one.
    assert!(!of("sham", "verdict").is_empty());
    let shams = events(&place.path("run"), "fault_injected");
    let sham = shams.iter().find(|event| event["scenario"] == "sham");
    assert_eq!(sham.unwrap()["sham"], true);
}
