//! Small runs with telemetry that is made here, and real extractions of them.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int32Type, Int64Type, TimestampNanosecondType, UInt64Type};
use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_schema::{DataType, TimeUnit};
use chrono::DateTime;
use loadgen_extract::{ExtractOptions, extract};
use loadgen_scenario::{PlanOptions, plan_str};
use loadgen_timeline::ledger::LedgerWriter;
use loadgen_timeline::{Event, Failure, RequestRecord, TimelineWriter};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::{Value, json};
use tempfile::TempDir;

const SECOND: i64 = 1_000_000_000;

/// When runs begin.
const ZERO: i64 = 1_770_000_000 * SECOND;

/// Requests in a second.
const RATE: i64 = 20;

/// What a run is like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Its window's fault shows.
    Supported,
    /// It does not.
    NotSupported,
    /// Two windows with faults that show.
    TwoWindows,
    /// Normal time only.
    NoAnomaly,
}

/// A folder of runs.
pub(crate) struct World {
    folder: TempDir,
}

/// Scenario, anomaly type, begin and end in seconds.
type Window = (&'static str, &'static str, i64, i64);

impl World {
    pub(crate) fn new() -> Self {
        Self {
            folder: tempfile::tempdir().expect("a folder"),
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// How many hidden folders there are.
    pub(crate) fn hidden(&self) -> usize {
        let entries = fs::read_dir(self.folder.path()).expect("a folder");
        let names = entries.map(|entry| entry.expect("an entry").file_name());
        names
            .filter(|name| name.to_string_lossy().starts_with('.'))
            .count()
    }

    /// A run with its dataset. Gives its folder.
    pub(crate) fn run(&self, name: &str, number: u128, kind: Kind) -> PathBuf {
        let folder = self.path(name);
        fs::create_dir(&folder).expect("made");
        let windows: &[Window] = match kind {
            Kind::NoAnomaly => &[("base", "none", 0, 20)],
            Kind::TwoWindows => &[
                ("base", "none", 0, 16),
                ("slow", "latency_spike", 16, 28),
                ("calm", "none", 28, 44),
                ("late", "timeout", 44, 56),
            ],
            _ => &[
                ("base", "none", 0, 20),
                ("slow", "latency_spike", 20, 34),
                ("calm", "none", 34, 46),
            ],
        };
        timeline(&folder, number, windows);
        telemetry(&folder, number, windows, kind != Kind::NotSupported);
        ledger(&folder, number, windows);
        fs::write(folder.join("scenario.yaml"), "version: 1\n").expect("written");
        self.extracted(name, 0);
        folder
    }

    /// Extracts a run once more, two hours later. Gives the stamp.
    pub(crate) fn extract_again(&self, name: &str) -> String {
        self.extracted(name, 7200)
    }

    fn extracted(&self, name: &str, later_s: i64) -> String {
        let folder = self.path(name);
        let options = ExtractOptions {
            inputs: vec![folder.join("telemetry.jsonl")],
            timeline: Some(folder.join("timeline.jsonl")),
            output: folder.join("dataset"),
            stamp: DateTime::from_timestamp(ZERO / SECOND + 3600 + later_s, 0),
            ..ExtractOptions::default()
        };
        extract(&options).expect("extracted").stamp
    }
}

fn timeline(folder: &Path, number: u128, windows: &[Window]) {
    let mut timeline = TimelineWriter::create(&folder.join("timeline.jsonl")).expect("made");
    let at = |seconds: i64| ZERO + seconds * SECOND;
    let mut events = vec![
        json!({"event": "run_started", "schema_version": 2, "run_id": format!("{number:032x}"),
            "at_ns": ZERO, "scenario_file": "scenarios/made.yaml", "scenario_sha256": "00", "seed": number as u64,
            "time_scale": 1.0, "engine": "rust", "target": "http://127.0.0.1:1", "loadgen_version": "0.1.0"}),
    ];
    let mut last = 0;
    for (scenario, kind, from, to) in windows {
        let is_fault = *kind != "none";
        let label = if is_fault { "anomalous" } else { "normal" };
        events.push(
            json!({"event": "window_opened", "scenario": scenario, "at_ns": at(*from),
            "planned_start_ns": at(*from), "planned_end_ns": at(*to), "guard_ns": SECOND / 2,
            "anomaly": {"type": kind, "label": label, "root_cause": if is_fault { "cart" } else { "none" },
                        "msg": "m", "root_cause_service": is_fault.then_some("cart")}}),
        );
        let fault = |event: &str, from: i64, to: i64| {
            json!({"event": event, "scenario": scenario, "driver": "shop", "fault": kind,
            "service": "cart", "intensity": 0.8, "requested_ns": from, "at_ns": to})
        };
        if is_fault {
            let asked = at(*from) + SECOND / 100;
            events.push(fault("fault_injected", asked, asked + SECOND / 10));
            events.push(fault("fault_cleared", at(*to), at(*to) + SECOND / 10));
        }
        last = at(*to);
        let sent = (to - from) * RATE;
        let totals = json!({"scenario": scenario, "at_ns": last, "last_completed_ns": null,
            "sent": sent, "completed": sent, "failed": 0, "dropped": 0, "iterations": sent,
            "interrupted_iterations": 0, "unsent_steps": 0});
        for event in ["window_closed", "window_drained"] {
            let mut line = totals.clone();
            line["event"] = event.into();
            events.push(line);
        }
    }
    events.push(json!({"event": "run_finished", "at_ns": last + SECOND, "status": "completed"}));
    events.sort_by_key(|event| event["at_ns"].as_i64());
    for event in events {
        let event: Event = serde_json::from_value(event).expect("an event");
        timeline.append(&event).expect("written");
    }
}

/// Of each request its place in the run, its scenario, and when it was sent.
fn requests(windows: &[Window]) -> impl Iterator<Item = (i64, &str, i64)> {
    let end = windows.last().expect("a window").3;
    (0..end * RATE).map(|request| {
        let second = request / RATE;
        let open = windows
            .iter()
            .find(|(_, _, from, to)| (*from..*to).contains(&second));
        let sent_ns = ZERO + request * SECOND / RATE + 1;
        (request, open.expect("no gap").0, sent_ns)
    })
}

fn trace(run: u128, request: i64) -> u128 {
    (run << 64) + request as u128 + 1
}

/// Of such a request no span arrived, only its log record.
fn is_lost(request: i64) -> bool {
    request % 50 == 7
}

/// The requests in the order in which they ended. Some take seconds.
fn ledger(folder: &Path, number: u128, windows: &[Window]) {
    let list = windows
        .iter()
        .map(|(name, ..)| format!("  {name}: {{executor: constant-vus, vus: 1, duration: 1s}}\n"));
    let file = format!(
        "version: 1\nflows: {{default: {{steps: [{{path: /cart}}]}}}}\nscenarios:\n{}",
        list.collect::<String>()
    );
    let plan = plan_str("world.yaml", &file, &PlanOptions::default()).expect("a plan");
    let record = |(request, scenario, sent_ns): (i64, &str, i64)| RequestRecord {
        trace_id: trace(number, request).to_be_bytes(),
        span_id: 1u64.to_be_bytes(),
        scenario: plan
            .scenarios
            .iter()
            .position(|planned| planned.name == scenario)
            .expect("planned") as u16,
        flow: 0,
        step: 0,
        iteration: request as u64,
        intended_ns: sent_ns - 1,
        sent_ns,
        finished_ns: sent_ns
            + if request % 40 == 11 {
                3 * SECOND
            } else {
                SECOND / 100
            },
        status: (request % 40 != 11).then_some(200),
        failure: (request % 40 == 11).then_some(Failure::Timeout),
        path: "/cart".into(),
    };
    let mut records: Vec<RequestRecord> = requests(windows).map(record).collect();
    records.sort_by_key(|record| record.finished_ns);
    let path = folder.join("ledger.arrows");
    let mut ledger = LedgerWriter::create(&path, &plan, &format!("{number:032x}")).expect("made");
    for batch in records.chunks(20) {
        ledger.append(batch).expect("written");
    }
    ledger.finish().expect("written");
}

/// Two services, a log record for each request, a gauge each second.
fn telemetry(folder: &Path, number: u128, windows: &[Window], shows: bool) {
    let mut text = String::new();
    for (request, _, start) in requests(windows) {
        let second = request / RATE;
        let is_slow = windows
            .iter()
            .any(|(_, kind, from, to)| *kind != "none" && (*from..*to).contains(&second));
        let jitter = (request * 7919 % 1000) * 2_000;
        let took = if is_slow && shows {
            60_000_000
        } else {
            5_000_000
        } + jitter;
        let trace = format!("{:032x}", trace(number, request));
        let span = |id: u8, parent: &str, kind: u8, from: i64, to: i64| {
            json!({"traceId": trace, "spanId": format!("{id:016x}"), "parentSpanId": parent, "name": "GET /cart",
                "kind": kind, "startTimeUnixNano": from.to_string(), "endTimeUnixNano": to.to_string(),
                "status": {}, "attributes": []})
        };
        let of = |service: &str, spans: Value| {
            json!({"resource": {"attributes": [{"key": "service.name", "value": {"stringValue": service}}]},
                "scopeSpans": [{"scope": {"name": "t"}, "spans": spans}]})
        };
        let parent = format!("{:016x}", 1);
        let line = json!({"resourceSpans": [
            of("web", json!([span(1, "", 2, start, start + took + 1_000_000)])),
            of("cart", json!([span(2, &parent, 2, start + 500_000, start + 500_000 + took)])),
        ]});
        if !is_lost(request) {
            text += &format!("{line}\n");
        }
        // Of some traces only a log record arrives, and they are of no request of this run.
        let trace = match request % 60 {
            13 => format!("{:032x}", self::trace(number | 0xfeed_0000, request)),
            _ => trace,
        };
        let log = json!({"resourceLogs": [{"resource": {"attributes": [
            {"key": "service.name", "value": {"stringValue": "cart"}}]},
            "scopeLogs": [{"scope": {"name": "t"}, "logRecords": [{
                // Long after the request, so that its own time is in another episode's.
                "timeUnixNano": (start + 3 * SECOND).to_string(), "severityNumber": 9, "traceId": trace,
                "spanId": parent, "body": {"stringValue": "done"}}]}]}]});
        text += &format!("{log}\n");
        if request % RATE == 0 {
            let points =
                json!([{"timeUnixNano": start.to_string(), "asDouble": 0.5, "attributes": []}]);
            let metric = json!({"resourceMetrics": [{"resource": {"attributes": [
                {"key": "service.name", "value": {"stringValue": "cart"}}]},
                "scopeMetrics": [{"scope": {"name": "t"}, "metrics": [
                    {"name": "load", "unit": "1", "gauge": {"dataPoints": points}}]}]}]});
            text += &format!("{metric}\n");
        }
    }
    fs::write(folder.join("telemetry.jsonl"), text).expect("written");
}

/// The stamp of a run's only dataset.
pub(crate) fn stamp(run: &Path) -> String {
    let audit = loadgen_timeline::audit::latest_audit(&run.join("dataset")).expect("an audit");
    loadgen_timeline::audit::read_audit(&audit)
        .expect("readable")
        .stamp
}

/// The Parquet file of a run's table.
pub(crate) fn table(run: &Path, table: &str) -> PathBuf {
    run.join(format!("dataset/{table}_{}.parquet", stamp(run)))
}

/// Rows in the file of a class.
pub(crate) fn class_rows(run: &Path, class: &str) -> u64 {
    let path = run.join(format!("dataset/traces_{class}_{}.csv", stamp(run)));
    let mut csv = csv::Reader::from_path(path).expect("a file");
    csv.records().count() as u64
}

/// Changes a run's audit file.
pub(crate) fn edit_audit(run: &Path, edit: impl FnOnce(&mut Value)) {
    let path = loadgen_timeline::audit::latest_audit(&run.join("dataset")).expect("an audit");
    let mut audit: Value = serde_json::from_slice(&fs::read(&path).expect("there")).expect("JSON");
    edit(&mut audit);
    fs::write(path, serde_json::to_vec(&audit).expect("JSON")).expect("written");
}

/// Writes a table anew without a column, as an older version would have.
pub(crate) fn drop_column(run: &Path, name: &str, column: &str) {
    let path = table(run, name);
    let batches = read(&path);
    let schema = batches[0].schema();
    let kept: Vec<usize> = (0..schema.fields().len())
        .filter(|&at| schema.field(at).name() != column)
        .collect();
    let schema = Arc::new(schema.project(&kept).expect("columns"));
    let mut writer =
        ArrowWriter::try_new(File::create(&path).expect("made"), schema, None).expect("a writer");
    for batch in batches {
        writer
            .write(&batch.project(&kept).expect("columns"))
            .expect("written");
    }
    writer.close().expect("written");
    // Older audits do not say how large the files are.
    edit_audit(run, |audit| audit["files"] = json!([]));
}

fn read(path: &Path) -> Vec<RecordBatch> {
    let file = File::open(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let reader = ParquetRecordBatchReaderBuilder::try_new(file)
        .expect("Parquet")
        .build();
    reader
        .expect("Parquet")
        .map(|batch| batch.expect("a batch"))
        .collect()
}

/// The rows of a table, by column.
pub(crate) fn rows(path: &Path) -> Vec<HashMap<String, Value>> {
    let mut rows = Vec::new();
    for batch in read(path) {
        let schema = batch.schema();
        for row in 0..batch.num_rows() {
            let cells = schema.fields().iter().zip(batch.columns());
            let cells = cells.map(|(field, column)| (field.name().clone(), cell(column, row)));
            rows.push(cells.collect());
        }
    }
    rows
}

fn cell(column: &ArrayRef, row: usize) -> Value {
    if column.is_null(row) {
        return Value::Null;
    }
    match column.data_type() {
        DataType::Boolean => json!(column.as_boolean().value(row)),
        DataType::Int32 => json!(column.as_primitive::<Int32Type>().value(row)),
        DataType::Int64 => json!(column.as_primitive::<Int64Type>().value(row)),
        DataType::UInt64 => json!(column.as_primitive::<UInt64Type>().value(row)),
        DataType::Float64 => json!(column.as_primitive::<Float64Type>().value(row)),
        DataType::Utf8 => json!(column.as_string::<i32>().value(row)),
        DataType::Timestamp(TimeUnit::Nanosecond, _) => {
            json!(column.as_primitive::<TimestampNanosecondType>().value(row))
        }
        DataType::Dictionary(..) => {
            let names = column.as_dictionary::<Int32Type>();
            cell(names.values(), names.key(row).expect("a key"))
        }
        DataType::List(_) => {
            let list = column.as_list::<i32>().value(row);
            json!(list.as_string::<i32>().iter().collect::<Vec<_>>())
        }
        other => panic!("{other}"),
    }
}

/// Contents of all files below a folder, by path.
pub(crate) fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).expect("a folder") {
            let path = entry.expect("an entry").path();
            match path.is_dir() {
                true => folders.push(path),
                false => {
                    let name = path
                        .strip_prefix(folder)
                        .expect("below it")
                        .to_string_lossy();
                    found.insert(name.into_owned(), fs::read(&path).expect("a file"));
                }
            }
        }
    }
    found
}

/// The parts of a table or a class, by their folder.
fn parts(dataset: &Path, of: &str) -> Vec<PathBuf> {
    let found = files(dataset).into_keys();
    let parts = found.filter(|name| name.starts_with(&format!("{of}/run_id=")));
    parts.map(|name| dataset.join(name)).collect()
}

/// Rows of all parts, each by column.
pub(crate) fn all_rows(dataset: &Path, of: &str) -> Vec<HashMap<String, Value>> {
    parts(dataset, of)
        .iter()
        .flat_map(|path| rows(path))
        .collect()
}
