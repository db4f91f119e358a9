//! The tables that put a run together are the same bytes whatever the order of lines, however items
//! are batched into lines, and however lines are split into files.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use chrono::DateTime;
use loadgen_extract::{ExtractOptions, extract};
use proptest::prelude::*;
use serde_json::{Value, json};

const START_NS: i64 = 1_770_000_003_000_000_000;
const MS: i64 = 1_000_000;
const SERVICES: [&str; 4] = ["web", "cart", "my_db", "loadgen"];

/// Windows in milliseconds: normal, anomalous, normal.
const WINDOWS: [(&str, i64, i64); 3] = [
    ("none", 0, 8_000),
    ("latency_spike", 8_000, 14_000),
    ("none", 14_000, 20_000),
];

/// An item and its kind: a signal's name in OTLP, with what it lies in.
#[derive(Debug, Clone)]
enum Item {
    Span(Value, &'static str),
    Log(Value, &'static str),
    Point(Value, &'static str),
}

fn service() -> impl Strategy<Value = &'static str> {
    prop::sample::select(SERVICES.to_vec())
}

fn span() -> impl Strategy<Value = Item> {
    let ids = (0u8..8, 1u8..30, 0u8..30);
    let what = (0u8..6, 0u8..3, service(), 0i64..20_000, 0i64..4_000);
    (ids, what).prop_map(
        |((trace, id, parent), (kind, how, service, start, length))| {
            let start_ns = START_NS + start * MS;
            let mut span = json!({
                "traceId": format!("{:032x}", u32::from(trace) + 1),
                // An id is of one place in one service, so that copies are copies.
                "spanId": format!("{:016x}", start * 64 + i64::from(id)),
                "parentSpanId": format!("{:016x}", parent),
                "name": format!("op {id}"),
                "kind": kind,
                "startTimeUnixNano": start_ns.to_string(),
                "endTimeUnixNano": (start_ns + length * MS).to_string(),
                "status": {"code": if how == 2 { 2 } else { 0 }},
            });
            let peer =
                |key: &str, value: &str| json!([{"key": key, "value": {"stringValue": value}}]);
            match how {
                0 => span["attributes"] = peer("db.system", "mysql"),
                1 => span["attributes"] = peer("server.address", "cart"),
                _ => {}
            }
            Item::Span(span, service)
        },
    )
}

fn log() -> impl Strategy<Value = Item> {
    (0i64..20_000, 0u8..25, 0u8..5, service()).prop_map(|(at, severity, body, service)| {
        let bodies = ["took 5 ms", "took 7 ms", "no \"item\" left", "done", "up"];
        let record = json!({
            "timeUnixNano": (START_NS + at * MS).to_string(),
            "severityNumber": severity,
            "body": {"stringValue": bodies[usize::from(body)]},
        });
        Item::Log(record, service)
    })
}

fn point() -> impl Strategy<Value = Item> {
    (0i64..40, 0u8..5, 1u64..9, service()).prop_map(|(at, which, value, service)| {
        // Each series has a point at the most each half second.
        let time = (START_NS + at * 500 * MS).to_string();
        let start = START_NS.to_string();
        let metric = match which {
            0 => json!({"name": "process.cpu.time", "unit": "s", "sum": {
                "isMonotonic": true, "aggregationTemporality": 2, "dataPoints": [{
                    "startTimeUnixNano": start, "timeUnixNano": time, "asDouble": at as f64 / 3.0}]}}),
            1 => json!({"name": "messaging.queue.depth", "gauge": {"dataPoints": [{
                "timeUnixNano": time, "asInt": at.to_string(),
                "attributes": [{"key": "queue", "value": {"intValue": (at % 2).to_string()}}]}]}}),
            2 => json!({"name": "nodejs.eventloop.utilization", "unit": "1", "gauge": {
                "dataPoints": [{"timeUnixNano": time, "asDouble": at as f64 / 40.0}]}}),
            _ => json!({"name": "http.server.request.duration", "unit": "s", "histogram": {
                "aggregationTemporality": 2, "dataPoints": [{
                    "startTimeUnixNano": start, "timeUnixNano": time,
                    "count": (2 * at).to_string(), "sum": at as f64,
                    "explicitBounds": [0.1, 1.0],
                    "bucketCounts": [at.to_string(), at.to_string(), "0"]}]}}),
        };
        let _ = value;
        Item::Point(metric, service)
    })
}

/// A line of these items, each in a resource of its own.
fn line(items: &[Item]) -> String {
    let resource = |service: &str| json!({"attributes": [{"key": "service.name", "value": {"stringValue": service}}]});
    let mut message = json!({});
    for item in items {
        let (signal, part) = match item {
            Item::Span(span, service) => (
                "resourceSpans",
                json!({"resource": resource(service), "scopeSpans": [{"spans": [span]}]}),
            ),
            Item::Log(record, service) => (
                "resourceLogs",
                json!({"resource": resource(service), "scopeLogs": [{"logRecords": [record]}]}),
            ),
            Item::Point(metric, service) => (
                "resourceMetrics",
                json!({"resource": resource(service), "scopeMetrics": [{"metrics": [metric]}]}),
            ),
        };
        match message[signal].as_array_mut() {
            Some(parts) => parts.push(part),
            None => message[signal] = json!([part]),
        }
    }
    message.to_string() + "\n"
}

/// Lines of one signal each, as files hold them.
fn lines(items: &[Item], batch: usize) -> Vec<String> {
    let signal = |item: &Item| match item {
        Item::Span(..) => 0,
        Item::Log(..) => 1,
        Item::Point(..) => 2,
    };
    let of = |which: usize| {
        items
            .iter()
            .filter(move |item| signal(item) == which)
            .cloned()
    };
    let mut lines = Vec::new();
    for which in 0..3 {
        let items: Vec<Item> = of(which).collect();
        lines.extend(items.chunks(batch).map(line));
    }
    lines
}

fn timeline() -> String {
    let mut text = String::new();
    for (index, (kind, opened, closed)) in WINDOWS.into_iter().enumerate() {
        let (opened, closed) = (START_NS + opened * MS, START_NS + closed * MS);
        let service = match kind {
            "none" => "null",
            _ => "\"cart\"",
        };
        let _ = writeln!(
            text,
            r#"{{"event":"window_opened","scenario":"w{index}","anomaly":{{"type":"{kind}","label":"x","root_cause":"r","msg":"m","root_cause_service":{service}}},"planned_start_ns":{opened},"planned_end_ns":{closed},"at_ns":{opened}}}"#
        );
        let _ = writeln!(
            text,
            r#"{{"event":"window_closed","scenario":"w{index}","at_ns":{closed},"last_completed_ns":null,"sent":0,"completed":0,"failed":0,"dropped":0}}"#
        );
    }
    text
}

/// The files of a dataset that put the run together, by their names.
fn extracted(folder: &Path, files: &[String]) -> BTreeMap<String, Vec<u8>> {
    fs::create_dir(folder).expect("made");
    let timeline_path = folder.join("timeline.jsonl");
    fs::write(&timeline_path, timeline()).expect("written");
    let write = |(index, text): (usize, &String)| {
        let path = folder.join(format!("input-{index}.jsonl"));
        fs::write(&path, text).expect("written");
        path
    };
    let report = extract(&ExtractOptions {
        inputs: files.iter().enumerate().map(write).collect(),
        timeline: Some(timeline_path),
        output: folder.join("dataset"),
        stamp: DateTime::from_timestamp(1_770_000_000, 0),
        ..ExtractOptions::default()
    })
    .expect("extracted");
    assert!(report.reconciles());
    let tables = [
        "windows_features",
        "trace_features",
        "graph",
        "metrics_wide",
        "causal",
        "columns",
    ];
    let name = |path: &Path| {
        path.file_name()
            .expect("a name")
            .to_string_lossy()
            .into_owned()
    };
    let files = report
        .files
        .iter()
        .map(|file| (name(&file.path), &file.path));
    let wanted = files.filter(|(name, _)| tables.iter().any(|table| name.starts_with(table)));
    wanted
        .map(|(name, path)| (name, fs::read(path).expect("there")))
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn tables_are_the_same_in_any_order_and_any_split(
        spans in prop::collection::vec(span(), 1..60),
        logs in prop::collection::vec(log(), 0..20),
        points in prop::collection::vec(point(), 0..40),
        order: u64,
        batch in 1usize..8,
        files in 1usize..5,
    ) {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let items: Vec<Item> = spans.into_iter().chain(logs).chain(points).collect();
        let one = extracted(&dir.path().join("one"), &[lines(&items, items.len()).concat()]);
        prop_assert_eq!(one.len(), 14, "{:?}", one.keys());

        let mut shuffled: Vec<(u64, Item)> = (1u64..)
            .map(|place| place.wrapping_mul(order | 1))
            .zip(items)
            .collect();
        shuffled.sort_by_key(|(place, _)| *place);
        let shuffled: Vec<Item> = shuffled.into_iter().map(|(_, item)| item).collect();
        let mut texts = vec![String::new(); files];
        for (index, line) in lines(&shuffled, batch).into_iter().enumerate() {
            texts[index % files] += &line;
        }
        let texts: Vec<String> = texts.into_iter().filter(|text| !text.is_empty()).collect();
        let many = extracted(&dir.path().join("many"), &texts);
        for (name, bytes) in &one {
            prop_assert!(many.get(name) == Some(bytes), "{} differs", name);
        }
    }
}
