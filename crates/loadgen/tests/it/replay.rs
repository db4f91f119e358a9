//! A run's telemetry sent again: into our collector and into the real one, with and without moved
//! moments, to receivers that do not take it, and ended early.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::sync::OnceLock;

use crate::program::collector::{Collector, free_ports};
use crate::program::{self, Place, kill, scenario, text, until};
use axum::Router;
use axum::body::Bytes;
use axum::extract::DefaultBodyLimit;
use axum::http::StatusCode;
use axum::routing::post;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

/// A run with telemetry, made once.
fn run() -> &'static Path {
    static RUN: OnceLock<(Place, PathBuf)> = OnceLock::new();
    let (_, run) = RUN.get_or_init(|| {
        let place = Place::new();
        let run = place.path("run");
        let mut command = place.command(["run", "--time-scale", "0.1", "--quiet", "--no-extract"]);
        let command = command.arg(scenario("quick.yaml")).arg("--out").arg(&run);
        let out = command.output().unwrap();
        // A window this short may be over before its fault is confirmed.
        let code = out.status.code();
        assert!([Some(0), Some(6)].contains(&code), "{}", text(&out.stderr));
        (place, run)
    });
    run
}

fn extract(place: &Place, telemetry: &Path, timeline: &Path, out: &str) -> PathBuf {
    let mut command = place.command(["extract", "--out", out, "--timeline"]);
    let extracted = command.arg(timeline).arg(telemetry).output().unwrap();
    let code = extracted.status.code();
    assert!(
        [Some(0), Some(7), Some(8)].contains(&code),
        "{}",
        text(&extracted.stderr)
    );
    place.path(out)
}

/// The file of a table.
fn table(dataset: &Path, table: &str) -> PathBuf {
    let prefix = format!("{table}_labeled_");
    let entries = fs::read_dir(dataset).unwrap().map(|e| e.unwrap().path());
    let is_it = |path: &PathBuf| {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        name.starts_with(&prefix) && name.ends_with(".csv")
    };
    entries.into_iter().find(is_it).unwrap()
}

fn sorted_lines(path: &Path) -> Vec<String> {
    let text = fs::read_to_string(path).unwrap();
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    lines.sort_unstable();
    lines
}

fn replay(place: &Place, args: &[&str]) -> (Output, Value) {
    let mut command = place.command(["replay", "--json", "--quiet"]);
    let out = command.args(args).output().unwrap();
    let report = serde_json::from_slice(&out.stdout).unwrap_or(Value::Null);
    (out, report)
}

const SIGNALS: [&str; 3] = ["spans", "data_points", "log_records"];

fn assert_the_same_rows(real: Option<&str>, protocol: &str) {
    let place = Place::new();
    let run = run();
    let timeline = run.join("timeline.jsonl");
    let before = extract(&place, &run.join("telemetry"), &timeline, "before");
    let mut collector = Collector::start_in(&place, "again", real, free_ports());
    let port = match protocol {
        "grpc" => collector.ports[0],
        _ => collector.ports[1],
    };
    let endpoint = format!("http://127.0.0.1:{port}");
    let folder = run.to_string_lossy();
    let args = ["--otlp", &endpoint, "--otlp-protocol", protocol];
    let (out, report) = replay(&place, &[&[&*folder, "--speed", "max"], &args[..]].concat());
    assert_eq!(out.status.code(), Some(0), "{}", text(&out.stderr));
    for signal in SIGNALS {
        let of = |what: &str| report[signal][what].as_u64();
        assert_eq!(of("accepted"), of("stored"), "{report:#}");
        assert_eq!(of("rejected"), Some(0), "{report:#}");
    }
    collector.stop();
    let after = extract(&place, &place.path("again"), &timeline, "after");
    for name in ["traces", "metrics", "logs"] {
        let [before, after] = [&before, &after].map(|dataset| sorted_lines(&table(dataset, name)));
        assert!(before.len() > 100, "{name}: {} rows", before.len());
        assert!(before == after, "{name}: other rows than before");
    }
}

#[test]
fn what_is_sent_again_gives_the_same_rows_by_grpc() {
    assert_the_same_rows(None, "grpc");
}

#[test]
fn what_is_sent_again_gives_the_same_rows_by_http() {
    assert_the_same_rows(None, "http/protobuf");
}

#[test]
fn what_is_sent_again_gives_the_same_rows_in_the_real_collector() {
    let Ok(binary) = std::env::var("LOADGEN_REAL_COLLECTOR") else {
        eprintln!("LOADGEN_REAL_COLLECTOR is not set: not run with the real one");
        return;
    };
    assert_the_same_rows(Some(&binary), "grpc");
    assert_the_same_rows(Some(&binary), "http/protobuf");
}

/// What each span is labelled with, by its ids.
fn labels(dataset: &Path) -> BTreeMap<[String; 2], [String; 3]> {
    let mut reader = csv::Reader::from_path(table(dataset, "traces")).unwrap();
    let headers = reader.headers().unwrap().clone();
    let rows = reader.records().map(|row| {
        let row = row.unwrap();
        let cell = |name: &str| {
            let at = headers.iter().position(|column| column == name).unwrap();
            row[at].to_owned()
        };
        (
            ["trace_id", "span_id"].map(cell),
            ["anomaly_type", "phase", "scenario"].map(cell),
        )
    });
    rows.collect()
}

#[test]
fn a_run_that_begins_now_has_a_timeline_that_fits() {
    let place = Place::new();
    let run = run();
    let telemetry = run.join("telemetry");
    let before = extract(&place, &telemetry, &run.join("timeline.jsonl"), "before");
    let mut collector = Collector::start_in(&place, "again", None, free_ports());
    let folder = run.to_string_lossy();
    let to = collector.endpoint();
    let args = [&*folder, "--now", "--out", "moved", "--otlp", &to];
    let (out, report) = replay(&place, &[&args[..], &["--otlp-protocol", "grpc"]].concat());
    assert_eq!(out.status.code(), Some(0), "{} {report}", text(&out.stderr));
    collector.stop();
    let moved = place.path("moved/timeline.jsonl");
    let [was, is] = [&run.join("timeline.jsonl"), &moved].map(|path| {
        let timeline = loadgen_timeline::read_timeline(path).unwrap();
        assert_eq!(timeline.integrity, loadgen_timeline::Integrity::Verified);
        timeline.run.unwrap()
    });
    assert!(is.at_ns > was.at_ns);
    let ledgers = [run, &place.path("moved")].map(program::ledger);
    let by_ns = is.at_ns - was.at_ns;
    let [was, is] = ledgers.each_ref().map(|ledger| ledger.rows());
    let sent: Vec<i64> = was.map(|row| row.sent_ns + by_ns).collect();
    assert_eq!(is.map(|row| row.sent_ns).collect::<Vec<_>>(), sent);
    let after = extract(&place, &place.path("again"), &moved, "after");
    let [before, after] = [labels(&before), labels(&after)];
    assert!(before.len() > 100);
    assert!(before == after, "other labels than before");
}

/// A receiver of OTLP over HTTP that refuses spans, for good or for now.
fn refuse_spans(status: StatusCode) -> (Runtime, String) {
    let runtime = Runtime::new().unwrap();
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let router = Router::new()
        .route(
            "/v1/traces",
            post(async move |_: Bytes| (status, "no spans")),
        )
        .route("/v1/metrics", post(async |_: Bytes| ""))
        .route("/v1/logs", post(async |_: Bytes| ""))
        .layer(DefaultBodyLimit::disable());
    runtime.spawn(async { axum::serve(listener, router).await });
    (runtime, address)
}

#[test]
fn what_a_receiver_does_not_take_is_counted() {
    for status in [StatusCode::BAD_REQUEST, StatusCode::SERVICE_UNAVAILABLE] {
        let place = Place::new();
        let (_runtime, address) = refuse_spans(status);
        let run = run().to_string_lossy();
        let args = [&*run, "--speed", "max", "--retry", "0", "--otlp", &address];
        let (out, report) = replay(&place, &args);
        assert_eq!(out.status.code(), Some(1), "{}", text(&out.stderr));
        assert_eq!(report["spans"]["accepted"], 0, "{report:#}");
        assert_eq!(report["spans"]["rejected"], report["spans"]["stored"]);
        assert_eq!(report["log_records"]["rejected"], 0);
        let reason = report["last_reason"].as_str().unwrap();
        assert!(reason.contains("no spans"), "{reason}");
    }
}

#[test]
fn a_receiver_that_is_not_there_is_named() {
    let place = Place::new();
    let run = run().to_string_lossy();
    for (protocol, port) in ["grpc", "http/protobuf"].into_iter().zip(free_ports()) {
        let address = format!("http://127.0.0.1:{port}");
        let args = [&*run, "--retry", "0", "--speed", "max", "--otlp-protocol"];
        let (out, _) = replay(
            &place,
            &[&args[..], &[protocol, "--otlp", &address]].concat(),
        );
        let said = text(&out.stderr);
        assert_eq!(out.status.code(), Some(4), "{said}");
        assert!(said.contains(&address) && said.contains("4317"), "{said}");
    }
}

#[test]
fn a_receiver_of_the_other_transport_is_told_from_one_that_refuses() {
    let place = Place::new();
    let collector = Collector::start_in(&place, "again", None, free_ports());
    let run = run().to_string_lossy();
    let [grpc, http] = collector
        .ports
        .map(|port| format!("http://127.0.0.1:{port}"));
    for (protocol, address) in [("grpc", http), ("http/protobuf", grpc)] {
        let args = [&*run, "--retry", "0", "--speed", "max", "--otlp", &address];
        let (out, _) = replay(
            &place,
            &[&args[..], &["--otlp-protocol", protocol]].concat(),
        );
        let said = text(&out.stderr);
        assert_eq!(out.status.code(), Some(4), "{said}");
        assert!(said.contains("right port"), "{said}");
    }
}

#[test]
fn a_dataset_without_telemetry_can_not_be_sent_again() {
    let place = Place::new();
    fs::create_dir(place.path("dataset")).unwrap();
    let (out, _) = replay(&place, &["dataset"]);
    let said = text(&out.stderr);
    assert_eq!(out.status.code(), Some(3), "{said}");
    assert!(said.contains("--telemetry"), "{said}");
    let (out, _) = replay(&place, &["dataset", "--now", "--speed", "10"]);
    assert_eq!(out.status.code(), Some(2), "{}", text(&out.stderr));
}

#[test]
fn a_signal_ends_a_replay_in_good_order() {
    let place = Place::new();
    let collector = Collector::start_in(&place, "again", None, free_ports());
    let run = run().to_string_lossy();
    // It would take hours.
    let args = ["replay", &run, "--json", "--speed", "0.001"];
    let to = ["--otlp-protocol", "grpc", "--otlp", &collector.endpoint()];
    let child = place.start(args.iter().chain(&to));
    let stored = place.path("again");
    until("the first request has arrived", || {
        let files = fs::read_dir(&stored).unwrap().flatten();
        files
            .into_iter()
            .any(|file| file.metadata().unwrap().len() > 0)
    });
    kill("-INT", child.id());
    let out = child.wait_with_output().unwrap();
    assert_eq!(out.status.code(), Some(5), "{}", text(&out.stderr));
    let report: Value = serde_json::from_slice(&out.stdout).unwrap();
    assert_eq!(report["interrupted"], true);
    assert!(report["batches_sent"].as_u64() < report["batches_stored"].as_u64());
}
