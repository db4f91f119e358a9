//! Runs on the embedded shop whose labels nothing backs, shams and harmless changes: what becomes of
//! them. How often the evidence is right is measured by `just calibrate`; nothing here depends on it.

use std::path::{Path, PathBuf};

use crate::program::{Place, events, json_lines, scenario, text};
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

/// The file of a table.
fn table(place: &Place, name: &str) -> PathBuf {
    let files = std::fs::read_dir(place.path("run/dataset")).unwrap();
    let is_it = |path: &PathBuf| {
        let file = path.file_name().unwrap().to_string_lossy().into_owned();
        file.starts_with(&format!("{name}_2")) && file.ends_with(".csv")
    };
    let mut files = files.map(|entry| entry.unwrap().path()).filter(is_it);
    files.next().unwrap()
}

/// Rows of the table of windows, by column and scenario.
fn windows(place: &Place) -> impl Fn(&str, &str) -> String {
    let mut reader = csv::Reader::from_path(table(place, "windows")).unwrap();
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
/// anything; `sham` does not inject what it names; `release` brings a new release without bugs.
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
  release:
    {executor: constant-vus, vus: 4, duration: 4s, anomaly: slow,
     fault: {fault: deployment, service: catalogue}}
";

#[test]
fn a_fault_that_no_trace_meets_backs_no_label_and_shams_and_releases_are_normal() {
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
    // It is evaluated as if it had been one.
    assert!(!of("sham", "verdict").is_empty());
    let injected = events(&place.path("run"), "fault_injected");
    let injected = |scenario| injected.iter().find(|event| event["scenario"] == scenario);
    assert_eq!(injected("sham").unwrap()["sham"], true);
    let release = injected("release").unwrap();
    assert_eq!(
        (&release["harmless"], &release["sham"]),
        (&true.into(), &Value::Null)
    );
    for (column, is) in [
        ("fault_state", "harmless"),
        ("anomaly_type", "none"),
        ("anomaly_label", "normal"),
        ("sham_of", "slow"),
    ] {
        assert_eq!(of("release", column), is);
    }
    assert!(!of("release", "verdict").is_empty());
    let changes = [
        of("release", "fault_injected_ns"),
        of("release", "fault_cleared_ns"),
    ];
    the_release_is_normal(&place, changes.map(|ns| ns.parse().unwrap()));
}

/// All rows of the time in which the new release was there are normal, and their spans are of both
/// versions: it was there.
fn the_release_is_normal(place: &Place, [from_ns, to_ns]: [u64; 2]) {
    let mut reader = csv::Reader::from_path(table(place, "traces_labeled")).unwrap();
    let columns = reader.headers().unwrap().clone();
    let at = |name| columns.iter().position(|c| c == name).unwrap();
    let mut rows = 0;
    for row in reader.records().map(Result::unwrap) {
        if &row[at("fault_state")] == "harmless" {
            rows += 1;
            assert_eq!(
                (&row[at("anomaly_type")], &row[at("anomaly_label")]),
                ("none", "normal")
            );
        }
    }
    assert!(rows > 100, "{rows}");
    let mut versions = std::collections::BTreeMap::new();
    for line in json_lines(&place.path("run/telemetry/traces.jsonl")) {
        for resource in line["resourceSpans"].as_array().unwrap() {
            let attribute = |key: &str| {
                let all = resource["resource"]["attributes"].as_array().unwrap();
                let it = all.iter().find(|of| of["key"] == key);
                it.map(|of| of["value"]["stringValue"].as_str().unwrap().to_owned())
            };
            if attribute("service.name").as_deref() != Some("catalogue") {
                continue;
            }
            let scopes = resource["scopeSpans"].as_array().unwrap();
            let spans = scopes.iter().flat_map(|of| of["spans"].as_array().unwrap());
            let begin = |span: &Value| span["startTimeUnixNano"].as_str().unwrap().parse::<u64>();
            for span in spans {
                let is_within = (from_ns..to_ns).contains(&begin(span).unwrap());
                let of = (attribute("service.version").unwrap(), is_within);
                *versions.entry(of).or_insert(0) += 1;
            }
        }
    }
    let new = |is_within| versions.get(&("0.2.0-rc.1".to_owned(), is_within));
    let all = versions.values().sum::<u32>();
    // What is answered just before a change is confirmed is of the version before or after it.
    let outside = new(false).copied().unwrap_or(0);
    assert!(
        new(true) > Some(&100) && outside < 50 && outside < all / 10,
        "{versions:?}"
    );
}
