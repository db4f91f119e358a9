//! A run folder whose truth is known is read as it is.

use crate::made;
use std::path::Path;

use loadgen_compare::{LoadError, LoadedRun};
use loadgen_extract::{ExtractOptions, extract};
use loadgen_timeline::ledger::LedgerWriter;
use loadgen_timeline::{Failure, RequestRecord};
use serde_json::json;

const SECOND: i64 = 1_000_000_000;
/// 2026-02-02.
const START: i64 = 1_770_000_000 * SECOND;
const MS: i64 = 1_000_000;

fn record(number: u8, scenario: u16, failure: Option<Failure>) -> RequestRecord {
    let sent_ns = START + i64::from(scenario) * 10 * SECOND + i64::from(number) * 100 * MS;
    RequestRecord {
        trace_id: [number; 16],
        span_id: [number; 8],
        scenario,
        flow: 0,
        step: 0,
        iteration: u64::from(number),
        intended_ns: sent_ns - 2 * MS,
        sent_ns,
        finished_ns: sent_ns + i64::from(number) * 10 * MS,
        status: failure.is_none().then_some(200),
        failure,
        path: "/".into(),
    }
}

/// A server span of the edge, a millisecond shorter than the request at either end, with a span of
/// another service below it; and the generator's own.
fn spans(record: &RequestRecord) -> serde_json::Value {
    let hex = |bytes: &[u8]| bytes.iter().map(|b| format!("{b:02x}")).collect::<String>();
    let (trace, own) = (hex(&record.trace_id), hex(&record.span_id));
    let span = |id: &str, parent: &str, kind: u8, inset: i64| {
        json!({
            "traceId": trace, "spanId": id, "parentSpanId": parent, "name": "GET /", "kind": kind,
            "startTimeUnixNano": (record.sent_ns + inset).to_string(),
            "endTimeUnixNano": (record.finished_ns - inset).to_string(),
        })
    };
    let of = |service: &str, span: serde_json::Value| {
        json!({
            "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": service}}]},
            "scopeSpans": [{"spans": [span]}],
        })
    };
    let edge = format!("{:016x}", 1000 + u64::from(record.trace_id[0]));
    let inner = format!("{:016x}", 2000 + u64::from(record.trace_id[0]));
    json!({"resourceSpans": [
        of("loadgen", span(&own, "", 3, 0)),
        of("web", span(&edge, &own, 2, MS)),
        of("cart", span(&inner, &edge, 2, 2 * MS)),
    ]})
}

fn make(folder: &Path) {
    let plan = made::plan();
    let write = |name: &str, text: String| std::fs::write(folder.join(name), text).unwrap();
    let mut timeline = json!({
        "event": "run_started", "schema_version": 1, "run_id": "ab", "at_ns": START,
        "scenario_file": "made.yaml", "scenario_sha256": "", "seed": 1, "time_scale": 1.0,
        "engine": "k6", "target": "http://127.0.0.1:1", "loadgen_version": "0.1.0",
    })
    .to_string();
    for (index, scenario) in plan.scenarios.iter().enumerate() {
        let opened = START + index as i64 * 10 * SECOND;
        let closed = opened + 10 * SECOND;
        let window = json!({
            "event": "window_opened", "scenario": scenario.name, "anomaly": scenario.anomaly,
            "planned_start_ns": opened, "planned_end_ns": closed, "at_ns": opened,
        });
        let end = json!({
            "event": "window_closed", "scenario": scenario.name, "at_ns": closed,
            "last_completed_ns": null, "sent": 0, "completed": 0, "failed": 0, "dropped": 0,
        });
        timeline += &format!("\n{window}\n{end}");
    }
    write("timeline.jsonl", timeline + "\n");
    write("plan.json", serde_json::to_string(&plan).unwrap());
    write(
        "summary.json",
        json!({
            "schema_version": 1, "run": null, "status": "completed", "seconds": 20.0,
            "scenarios": [], "fault_failures": [], "clock_steps_ns": [],
        })
        .to_string(),
    );
    let records = [
        record(1, 0, None),
        record(2, 0, Some(Failure::Status)),
        record(3, 0, Some(Failure::Interrupted)),
        record(4, 0, Some(Failure::Request)),
        record(5, 1, None),
        // Of this one nothing arrives.
        record(6, 1, None),
    ];
    let mut ledger = LedgerWriter::create(&folder.join("ledger.arrows"), &plan, "ab").unwrap();
    ledger.append(&records).unwrap();
    ledger.finish().unwrap();
    let arrived = [&records[0], &records[1], &records[2], &records[4]];
    let traces: String = arrived.map(|r| spans(r).to_string() + "\n").concat();
    write("traces.jsonl", traces);
}

fn with_dataset(folder: &Path) {
    extract(&ExtractOptions {
        traces: vec![folder.join("traces.jsonl")],
        timeline: Some(folder.join("timeline.jsonl")),
        output: folder.join("dataset"),
        ..ExtractOptions::default()
    })
    .unwrap();
}

#[test]
fn requests_are_joined_to_what_the_target_measured() {
    let folder = tempfile::tempdir().unwrap();
    make(folder.path());
    with_dataset(folder.path());
    let run = LoadedRun::load(folder.path()).unwrap();
    assert_eq!(run.engine(), "k6");
    assert!(run.warnings.is_empty(), "{:?}", run.warnings);
    let first = &run.scenarios[0];
    assert_eq!(first.scenario, "vus");
    // The fourth was never handed to the network; the third was broken off by the engine.
    assert_eq!(first.sent, 3);
    assert_eq!(first.failures["status"], 1);
    assert_eq!(first.failures["interrupted"], 1);
    assert_eq!(first.client_ms.values(), [10.0, 20.0]);
    assert_eq!(first.intended_ms.values(), [12.0, 22.0]);
    assert_eq!(first.server_ms.values(), [8.0, 18.0]);
    assert_eq!(first.outside_ms.values(), [2.0, 2.0]);
    assert_eq!(first.labelled, Some(3));
    assert_eq!(first.window_s, Some(10.0));
    assert_eq!(first.sent_at_s, [0.1, 0.2, 0.3]);
    let numbers: Vec<u64> = first.choices.iter().map(|c| c.iteration).collect();
    assert_eq!(numbers, [1, 2, 3]);
    let second = &run.scenarios[1];
    assert_eq!((second.sent, second.labelled), (2, Some(1)));
    assert_eq!(second.server_ms.values(), [48.0]);
    let side = run.target_side.unwrap();
    assert_eq!(side.header_coverage_percent, Some(0.0));
}

#[test]
fn without_a_dataset_there_is_no_target_side() {
    let folder = tempfile::tempdir().unwrap();
    make(folder.path());
    let run = LoadedRun::load(folder.path()).unwrap();
    assert_eq!(run.target_side, None);
    assert_eq!(run.scenarios[0].client_ms.len(), 2);
    assert_eq!(run.scenarios[0].labelled, None);
    assert!(run.scenarios[0].server_ms.is_empty());
}

#[test]
fn a_folder_that_is_no_run_says_what_it_lacks() {
    let folder = tempfile::tempdir().unwrap();
    make(folder.path());
    std::fs::remove_file(folder.path().join("ledger.arrows")).unwrap();
    let error = LoadedRun::load(folder.path()).unwrap_err();
    assert!(
        matches!(
            error,
            LoadError::NotARun {
                missing: "ledger.arrows",
                ..
            }
        ),
        "{error}"
    );
    std::fs::write(folder.path().join("ledger.arrows"), "no ledger").unwrap();
    let error = LoadedRun::load(folder.path()).unwrap_err();
    assert!(error.to_string().contains("ledger.arrows"), "{error}");
}
