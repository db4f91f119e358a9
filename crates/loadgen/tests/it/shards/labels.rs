//! A merged run is labelled and evaluated as one of one process.

use std::path::PathBuf;

use serde_json::Value;

use super::*;
use crate::program::shop::{self, Shop};
use crate::program::{Place, end, events, ledger, text};

/// Calm, slow, calm, failing: on a shop that has telemetry.
const FAULTS: &str = "
version: 1
guard: 5%
defaults: {timeout: 5s, graceful_stop: 1s}
flows:
  default:
    vars: {sku: {pick: [Watson, HPTD, UHJ, EPE]}}
    steps:
      - {path: /api/catalogue/products, think_time: 50ms}
      - {path: '/api/catalogue/product/${sku}', expect: {status: 200}}
anomalies:
  slow: {root_cause: query, root_cause_service: catalogue}
  failing: {root_cause: errors, root_cause_service: catalogue}
scenarios:
  calm: {executor: constant-arrival-rate, rate: 24, duration: 6s, pre_allocated_vus: 40}
  slow: {executor: constant-arrival-rate, rate: 24, duration: 6s, pre_allocated_vus: 40, anomaly: slow, fault: {fault: slow_query, service: catalogue}}
  between: {executor: constant-vus, vus: 6, duration: 6s}
  failing: {executor: constant-vus, vus: 6, duration: 6s, anomaly: failing, fault: {fault: error_responses, service: catalogue}}
";

/// Verdicts by scenario, and the worst level of the audit's checks that speak of the run itself.
fn verdicts(place: &Place, telemetry: &Path, run: &str) -> (BTreeMap<String, String>, Vec<String>) {
    let run = place.path(run);
    let [telemetry, timeline, out] = [
        telemetry.to_owned(),
        run.join("timeline.jsonl"),
        run.join("dataset"),
    ]
    .map(|path| path.to_string_lossy().into_owned());
    let args = [
        "extract",
        &telemetry,
        "--timeline",
        &timeline,
        "--out",
        &out,
        "--json",
    ];
    let output = place.loadgen(args);
    let report: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|_| panic!("{}", text(&output.stderr)));
    let mut files = std::fs::read_dir(&out)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let is_it = |path: &PathBuf| {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        name.starts_with("windows_2") && name.ends_with(".csv")
    };
    let mut reader = csv::Reader::from_path(files.find(is_it).unwrap()).unwrap();
    let columns = reader.headers().unwrap().clone();
    let at = |name| columns.iter().position(|c| c == name).unwrap();
    let rows = reader.records().map(Result::unwrap);
    let verdicts = rows.map(|row| {
        (
            row[at("scenario")].to_owned(),
            row[at("verdict")].to_owned(),
        )
    });
    let checks = report["audit"]["checks"].as_array().unwrap().iter();
    let of_the_run = ["timeline", "ledger", "faults", "lost-traces", "roots"];
    let wrong = checks.filter(|check| {
        let id = check["id"].as_str().unwrap();
        of_the_run.contains(&id) && !["ok", "info"].contains(&check["level"].as_str().unwrap())
    });
    (verdicts.collect(), wrong.map(Value::to_string).collect())
}

#[test]
fn merged_shards_are_labelled_and_evaluated_as_one_process() {
    let place = Place::new();
    let telemetry = place.path("telemetry");
    let (collector, grpc) = shop::collector(&place, &telemetry);
    let shop = Shop::start_exporting(&place, &grpc);
    place.write("file.yaml", FAULTS);
    let common = ["--admin-url", &shop.admin_url, "--otlp-endpoint", &grpc];
    let args = [
        "run",
        "file.yaml",
        "--base-url",
        &shop.base_url,
        "--quiet",
        "--out",
        "alone",
    ];
    let out = place.loadgen(args.iter().chain(&common));
    assert_eq!(out.status.code(), Some(0), "{}", text(&out.stderr));
    let extra: Vec<&str> = common.into_iter().chain(["--rendezvous", "met"]).collect();
    for shard in start(&place, "file.yaml", &shop.base_url, 8, &extra) {
        let (code, errors) = end(shard);
        assert_eq!(code, Some(0), "{errors}");
    }
    let (code, said) = merge(&place, &["met"], "merged", &[]);
    assert_eq!(code, Some(0), "{said}");
    let merged = place.path("merged");
    assert_consistent(&merged, &ledger(&merged).report);
    assert_eq!(events(&merged, "fault_injected").len(), 2);
    assert_eq!(events(&merged, "fault_cleared").len(), 2);
    for pair in [
        ["calm", "slow"],
        ["slow", "between"],
        ["between", "failing"],
    ] {
        let at = |kind: &str, scenario: &str| {
            let lines = events(&merged, kind);
            let line = lines
                .iter()
                .find(|line| line["scenario"] == scenario)
                .cloned();
            line.unwrap()["at_ns"].as_i64()
        };
        assert_eq!(
            at("window_closed", pair[0]),
            at("window_opened", pair[1]),
            "windows meet"
        );
    }
    // They hand over what they still have when they are ended.
    drop(shop);
    drop(collector);
    let (alone, wrong) = verdicts(&place, &telemetry, "alone");
    assert_eq!(wrong, Vec::<String>::new());
    let (together, wrong) = verdicts(&place, &telemetry, "merged");
    assert_eq!(wrong, Vec::<String>::new());
    for (scenario, verdict) in &together {
        match scenario.as_str() {
            "slow" | "failing" => assert_eq!([verdict, &alone[scenario]], ["supported"; 2]),
            // Other work on the machine can disturb a window, of either run.
            _ => assert!(
                ["clean", "disturbed"].contains(&verdict.as_str()),
                "{verdict}"
            ),
        }
    }

    // One shard by itself is told to be one.
    let (_, wrong) = verdicts(&place, &telemetry, "met/shard-3");
    assert!(
        wrong
            .iter()
            .any(|check| check.contains("one shard of several alone, 3/8")),
        "{wrong:?}"
    );
}
