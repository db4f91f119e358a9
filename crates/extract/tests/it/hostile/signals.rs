//! Log records and data points: whose label they have, which time a point speaks of, and that no row
//! of any table depends on the order of the input.

use std::collections::{BTreeMap, HashMap};

use loadgen_extract::{ExtractOptions, ExtractReport};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::skewed;
use super::world::{SECOND, START, World, at, join, rows};

/// A message of one metric; `point` has its numbers and times.
fn metric(resource: Value, metric: Value) -> Value {
    let attributes: Vec<Value> = resource
        .as_object()
        .expect("attributes")
        .iter()
        .map(|(key, value)| json!({"key": key, "value": {"stringValue": value}}))
        .collect();
    json!({"resourceMetrics": [{"resource": {"attributes": attributes}, "scopeMetrics": [{"metrics": [metric]}]}]})
}

fn counter(name: &str, points: Value) -> Value {
    json!({"name": name, "sum": {"aggregationTemporality": 2, "isMonotonic": true, "dataPoints": points}})
}

/// A point of a counter that began with the run.
fn counted(seconds: f64, value: i64) -> Value {
    json!({"startTimeUnixNano": START.to_string(), "timeUnixNano": at(seconds).to_string(), "asInt": value})
}

fn log(seconds: f64, trace: Option<u128>) -> Value {
    let trace = trace.map(|id| format!("{id:032x}"));
    let record = json!({"timeUnixNano": at(seconds).to_string(), "traceId": trace, "body": {"stringValue": "said"}});
    json!({"resourceLogs": [{"scopeLogs": [{"logRecords": [record]}]}]})
}

/// Extracts the world with more lines beside its spans.
fn extract_with(
    world: &World,
    lines: &[Value],
    change: impl Fn(&mut ExtractOptions),
) -> ExtractReport {
    let folder = tempfile::tempdir().expect("a folder").keep();
    let order: Vec<usize> = (0..world.spans.len()).collect();
    let mut inputs = world.write(&folder, 3, 1, &order);
    let path = folder.join("others.jsonl");
    let text: String = lines.iter().map(|line| line.to_string() + "\n").collect();
    std::fs::write(&path, text).expect("written");
    inputs.push(path);
    let report = world.extract(&folder, inputs, change).0;
    join(&folder);
    report
}

fn forget(report: &ExtractReport) {
    let folder = report.output.parent().expect("a folder");
    std::fs::remove_dir_all(folder).expect("removed");
}

/// Cells of rows, in the order of time.
fn cells(rows: Vec<HashMap<String, String>>, columns: &[&str]) -> Vec<Vec<String>> {
    let mut rows = rows;
    rows.sort_by_key(|row| {
        (
            row["time_ns"].parse::<i64>().unwrap_or(0),
            row["value"].clone(),
        )
    });
    let of = |row: &HashMap<String, String>| columns.iter().map(|c| row[*c].clone()).collect();
    rows.iter().map(of).collect()
}

#[test]
fn a_data_point_has_the_condition_with_the_longest_share_of_its_interval() {
    let world = World::new();
    // latency_spike holds from 60.5 to 120, timeout from 125.5 to 185, and the run ends at 190.
    let points: Vec<Value> = [
        (55.0, 1),
        (65.0, 4),
        (119.0, 5),
        (121.0, 6),
        (122.0, 7),
        (188.0, 20),
    ]
    .map(|(seconds, value)| counted(seconds, value))
    .to_vec();
    let lines = [
        metric(
            json!({"service.name": "web"}),
            counter("requests", json!(points)),
        ),
        // An interval within which none of three conditions has half.
        metric(
            json!({"service.name": "long"}),
            json!({"name": "long", "sum": {"aggregationTemporality": 1, "dataPoints": [
                {"startTimeUnixNano": at(0.0).to_string(), "timeUnixNano": at(189.0).to_string(), "asInt": 3}]}}),
        ),
        // Most of it before the run.
        metric(
            json!({"service.name": "early"}),
            json!({"name": "early", "sum": {"aggregationTemporality": 1, "dataPoints": [
                {"startTimeUnixNano": at(-20.0).to_string(), "timeUnixNano": at(9.0).to_string(), "asInt": 3}]}}),
        ),
    ];
    let report = extract_with(&world, &lines, |_| ());
    let rows = rows(&report, "metrics_labeled");
    let of = |service: &str| -> Vec<HashMap<String, String>> {
        rows.iter()
            .filter(|row| row["service_name"] == service)
            .cloned()
            .collect()
    };
    let columns = [
        "anomaly_type",
        "phase",
        "fault_state",
        "increase",
        "scenario",
    ];
    let expected = [
        // The first of a cumulative series is a moment in which nothing grew.
        ["none", "steady", "none", "", "calm"],
        // 5.5 s of normal and 4.5 s of the fault.
        ["none", "transition", "none", "3.0", "calm"],
        ["latency_spike", "steady", "confirmed", "1.0", "slow"],
        // A tie: the earlier one.
        ["latency_spike", "transition", "confirmed", "1.0", "slow"],
        ["none", "transition", "none", "1.0", ""],
        ["timeout", "transition", "confirmed", "13.0", "hung"],
    ];
    assert_eq!(
        cells(of("web"), &columns),
        expected.map(|row| row.map(str::to_owned).to_vec())
    );
    assert_eq!(
        cells(of("long"), &columns[..2]),
        [["unknown", "transition"]]
    );
    assert!(of("early").is_empty());
    assert_eq!(report.figures.points.foreign, 1);
    forget(&report);
}

#[test]
fn series_of_two_instances_are_kept_apart_by_whatever_tells_them_apart() {
    let world = World::new();
    // Only an attribute that has no column of its own tells one from the other.
    let instance = |port: &str, name: &str, values: [i64; 2]| {
        metric(
            json!({"service.name": "mysql", "mysql.instance.endpoint": format!("mysql:{port}")}),
            counter(
                name,
                json!([counted(10.0, values[0]), counted(20.0, values[1])]),
            ),
        )
    };
    let scope = |version: &str, values: [i64; 2]| {
        let mut made = metric(
            json!({"service.name": "versions"}),
            counter(
                "commands",
                json!([counted(10.0, values[0]), counted(20.0, values[1])]),
            ),
        );
        made["resourceMetrics"][0]["scopeMetrics"][0]["scope"] =
            json!({"name": "m", "version": version});
        made
    };
    let lines = [
        instance("3306", "commands", [100, 110]),
        instance("3307", "commands", [5_000, 15_000]),
        scope("1", [1, 3]),
        scope("2", [10, 17]),
    ];
    let report = extract_with(&world, &lines, |_| ());
    let mut grown: BTreeMap<(String, String), Vec<f64>> = BTreeMap::new();
    for row in rows(&report, "metrics_labeled") {
        let of = grown
            .entry((row["service_name"].clone(), row["metric_name"].clone()))
            .or_default();
        of.extend(row["increase"].parse::<f64>());
        of.sort_by(f64::total_cmp);
    }
    assert_eq!(
        grown[&("mysql".into(), "commands".into())],
        [10.0, 10_000.0]
    );
    assert_eq!(grown[&("versions".into(), "commands".into())], [2.0, 7.0]);
    forget(&report);
}

#[test]
fn a_counter_that_fell_was_reset() {
    let world = World::new();
    let points = json!([
        counted(10.0, 100),
        counted(20.0, 130),
        counted(30.0, 7),
        counted(40.0, 9)
    ]);
    let lines = [metric(
        json!({"service.name": "web"}),
        counter("requests", points),
    )];
    let report = extract_with(&world, &lines, |_| ());
    let grown = cells(rows(&report, "metrics_labeled"), &["increase"]).concat();
    assert_eq!(grown, ["", "30.0", "7.0", "2.0"]);
    forget(&report);
}

#[test]
fn a_log_record_goes_with_its_trace_and_else_by_its_own_time() {
    let world = World::new();
    let requests = world.ledger.clone().expect("a ledger");
    let sent = |seconds: f64| {
        requests
            .iter()
            .find(|r| r.sent == at(seconds))
            .expect("sent")
            .trace
    };
    let lines = [
        // Written long after its request was sent.
        log(62.0, Some(sent(40.007))),
        log(100.0, None),
        // Of a trace of which nothing arrived.
        log(130.0, Some(7)),
        log(-3.0, None),
        log(400.0, Some(sent(100.007))),
    ];
    let report = extract_with(&world, &lines, |_| ());
    let columns = ["anomaly_type", "label_source", "sent_by", "phase"];
    let mut found = rows(&report, "logs_labeled");
    found.sort_by_key(|row| row["time_ns"].parse::<i64>().expect("a time"));
    let found: Vec<[&str; 4]> = found.iter().map(|row| columns.map(|c| &*row[c])).collect();
    let expected = [
        ["none", "ledger", "calm", "steady"],
        ["latency_spike", "window", "", "steady"],
        ["timeout", "window", "", "steady"],
        ["latency_spike", "ledger", "slow", "steady"],
    ];
    assert_eq!(found, expected);
    assert_eq!(report.figures.logs.foreign, 1);
    forget(&report);
}

#[test]
fn spans_of_two_services_that_share_an_id_keep_their_own_children() {
    let world = World::new();
    let trace = 7u128;
    let span = |service: &str, id: u64, parent: &str, kind: u8, (begin, end): (f64, f64)| {
        json!({"resourceSpans": [{
            "resource": {"attributes": [
                {"key": "service.name", "value": {"stringValue": service}}]},
            "scopeSpans": [{"spans": [{
                "traceId": format!("{trace:032x}"), "spanId": format!("{id:016x}"),
                "parentSpanId": parent, "name": "work", "kind": kind,
                "startTimeUnixNano": at(begin).to_string(),
                "endTimeUnixNano": at(end).to_string()}]}]}]})
    };
    let lines = [
        span("web", 1, "", 3, (40.010, 40.030)),
        span("cart", 1, "", 2, (40.012, 40.028)),
        span("cart", 2, "0000000000000001", 1, (40.015, 40.020)),
    ];
    let report = extract_with(&world, &lines, |_| ());
    let id = format!("{trace:032x}");
    let rows = rows(&report, "trace_features");
    let row = rows.iter().find(|row| row["trace_id"] == id).expect("it");
    let times: BTreeMap<String, f64> = serde_json::from_str(&row["self_time_ms"]).expect("JSON");
    assert!((times["web"] - 20.0).abs() < 0.01, "{times:?}");
    assert!((times["cart"] - 16.0).abs() < 0.01, "{times:?}");
    forget(&report);
}

/// Data points of a counter that is reset, and log records of the traces, a line each.
fn points_and_logs(world: &World) -> Vec<String> {
    let mut lines = Vec::new();
    for second in 0..190i64 {
        let time = START + second * SECOND;
        let start = if second < 100 {
            START
        } else {
            START + 100 * SECOND
        };
        let point = json!({"startTimeUnixNano": start.to_string(), "timeUnixNano": time.to_string(), "asInt": (time - start) / SECOND});
        lines.push(metric(json!({}), counter("requests", json!([point]))).to_string());
    }
    for span in world.spans.iter().step_by(5) {
        let seconds = (span.end - START) as f64 / 1e9;
        lines.push(log(seconds, Some(span.trace)).to_string());
    }
    lines
}

/// All tables of a dataset, as their bytes, by name.
fn tables(
    world: &World,
    spans_a_line: usize,
    files: usize,
    order: &[usize],
) -> BTreeMap<String, String> {
    let folder = tempfile::tempdir().expect("a folder");
    let mut inputs = world.write(folder.path(), spans_a_line, files, order);
    // The others in the order that the spans have, dealt to the same number of files.
    let others = points_and_logs(world);
    let mut texts = vec![String::new(); files];
    for (n, at) in order.iter().filter(|&&at| at < others.len()).enumerate() {
        texts[n % files] += &(others[*at].clone() + "\n");
    }
    for (n, text) in texts.iter().enumerate() {
        let path = folder.path().join(format!("others-{n}.jsonl"));
        std::fs::write(&path, text).expect("written");
        inputs.push(path);
    }
    let stamp = chrono::DateTime::from_timestamp(1_770_000_000, 0);
    let (report, _) = world.extract(folder.path(), inputs, |options| {
        options.correct_skew = true;
        options.stamp = stamp;
    });
    let is_table =
        |f: &&loadgen_extract::WrittenFile| f.path.extension().is_some_and(|e| e == "csv");
    let mut tables: BTreeMap<String, String> = report
        .files
        .iter()
        .filter(is_table)
        .map(|file| {
            let name = file
                .path
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
            (name, std::fs::read_to_string(&file.path).expect("UTF-8"))
        })
        .collect();
    let figures = &report.figures;
    for (name, of) in [
        ("clocks", json!(figures.clocks)),
        ("leaks", json!(figures.leaks)),
    ] {
        tables.insert(name.to_owned(), of.to_string());
    }
    tables
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(6))]

    #[test]
    fn the_tables_are_the_same_bytes_in_whatever_order_the_input_comes_and_however_it_is_split(
        seed: u64,
        spans_a_line in 1usize..40,
        files in 1usize..6,
    ) {
        let world = skewed(-2 * SECOND);
        let order: Vec<usize> = (0..world.spans.len()).collect();
        let mut shuffled = order.clone();
        shuffled.sort_by_cached_key(|&i| (i as u64 ^ seed).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(17));
        let expected = tables(&world, 7, 1, &order);
        let found = tables(&world, spans_a_line, files, &shuffled);
        prop_assert_eq!(found.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>());
        for (name, text) in &expected {
            prop_assert_eq!(&found[name], text, "{}", name);
        }
    }
}
