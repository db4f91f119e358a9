//! The file of all spans is the same bytes whatever the order of lines, however spans are batched into
//! lines, and however lines are split into files; and there is a row for each span of the run.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use loadgen_extract::order::trace_order;
use loadgen_extract::{ExtractOptions, ExtractReport, extract};
use proptest::prelude::*;

const START_NS: i64 = 1_770_000_000_000_000_000;

/// Windows of 100 ns with gaps of 20 ns between them, then one that overlaps with another type, and
/// two that overlap and are normal. The run begins with the first and ends with the last.
const WINDOWS: [(&str, i64, i64); 6] = [
    ("none", 0, 100),
    ("latency_spike", 120, 220),
    ("timeout", 240, 340),
    ("cache_miss", 300, 400),
    ("none", 420, 470),
    ("none", 440, 490),
];

#[derive(Debug, Clone)]
struct Span {
    trace: u8,
    is_root: bool,
    start: i64,
}

fn span() -> impl Strategy<Value = Span> {
    (0u8..12, prop::bool::weighted(0.2), 0i64..500).prop_map(|(trace, is_root, start)| Span {
        trace,
        is_root,
        start,
    })
}

/// A line of the spans at these positions; a span's position is its id.
fn line(spans: &[Span], positions: &[usize]) -> String {
    let mut line = r#"{"resourceSpans":[{"scopeSpans":[{"spans":["#.to_owned();
    for (index, &position) in positions.iter().enumerate() {
        let span = &spans[position];
        let start = START_NS + span.start;
        let comma = if index > 0 { "," } else { "" };
        let parent = if span.is_root {
            ""
        } else {
            r#""parentSpanId":"00000000000fffff","#
        };
        let _ = write!(
            line,
            r#"{comma}{{"traceId":"{:032x}","spanId":"{:016x}",{parent}"name":"s","startTimeUnixNano":"{start}","endTimeUnixNano":"{start}"}}"#,
            u32::from(span.trace) + 1,
            position + 1,
        );
    }
    line + "]}]}]}\n"
}

fn timeline() -> String {
    let mut text = String::new();
    for (kind, opened, closed) in WINDOWS {
        let (opened, closed) = (START_NS + opened, START_NS + closed);
        let _ = writeln!(
            text,
            r#"{{"event":"window_opened","scenario":"{kind}","anomaly":{{"type":"{kind}","label":"{kind}","root_cause":"r","msg":"","root_cause_service":null}},"planned_start_ns":{opened},"planned_end_ns":{closed},"at_ns":{opened}}}"#
        );
        let _ = writeln!(
            text,
            r#"{{"event":"window_closed","scenario":"{kind}","at_ns":{closed},"last_completed_ns":null,"sent":0,"completed":0,"failed":0,"dropped":0}}"#
        );
    }
    text
}

/// The type of a trace, worked out the slow and plain way; none: it lies outside of the run.
fn expected_type(spans: &[Span], trace: u8) -> Option<String> {
    let of_trace = || spans.iter().filter(|span| span.trace == trace);
    let root = of_trace()
        .filter(|span| span.is_root)
        .map(|span| span.start)
        .min();
    let start = root
        .or_else(|| of_trace().map(|span| span.start).min())
        .expect("has spans");
    let ends = WINDOWS.iter().map(|w| w.2).max().expect("windows");
    let open = WINDOWS.iter().filter(|(_, o, c)| *o <= start && start < *c);
    let mut kinds: Vec<&str> = open.map(|w| w.0).filter(|kind| *kind != "none").collect();
    kinds.sort_unstable();
    let kind = match kinds[..] {
        [] => "none".to_owned(),
        _ => kinds.join("+"),
    };
    (start <= ends).then_some(kind)
}

fn run(dir: &Path, name: &str, files: &[String]) -> (Vec<String>, ExtractReport) {
    let folder = dir.join(name);
    fs::create_dir(&folder).expect("made");
    let write = |(index, text): (usize, &String)| {
        let path: PathBuf = folder.join(format!("traces-{index}.jsonl"));
        fs::write(&path, text).expect("written");
        path
    };
    fs::write(folder.join("timeline.jsonl"), timeline()).expect("written");
    let report = extract(&ExtractOptions {
        traces: files.iter().enumerate().map(write).collect(),
        timeline: Some(folder.join("timeline.jsonl")),
        output: folder.join("dataset"),
        ..ExtractOptions::default()
    })
    .expect("extracted");
    let text = fs::read_to_string(&report.files[0].path).expect("UTF-8");
    let rows: Vec<String> = text.lines().skip(1).map(str::to_owned).collect();
    (rows, report)
}

/// A span of the second test: trace, id, parent, service, name, kind, from and to in milliseconds,
/// status.
type Timed = (u32, u64, u64, &'static str, &'static str, u8, i64, i64, u8);

const SERVER: u8 = 2;
const CLIENT: u8 = 3;

/// A request of a second: the shop calls the store, which asks its database. `slow` adds to what the
/// database takes, in milliseconds; `more` repeats the question.
fn request(second: u32, slow: i64, failed: bool, more: bool) -> Vec<Timed> {
    let (at, status) = (i64::from(second) * 1000, if failed { 2 } else { 0 });
    let mut spans = vec![
        (
            second,
            1,
            0,
            "shop",
            "GET /",
            SERVER,
            at,
            at + 20 + slow,
            status,
        ),
        (
            second,
            2,
            1,
            "shop",
            "GET",
            CLIENT,
            at + 2,
            at + 18 + slow,
            status,
        ),
        (
            second,
            3,
            2,
            "store",
            "GET /item",
            SERVER,
            at + 4,
            at + 16 + slow,
            status,
        ),
        (
            second,
            4,
            3,
            "store",
            "SELECT item",
            CLIENT,
            at + 6,
            at + 14 + slow,
            status,
        ),
    ];
    if more {
        spans.push((
            second,
            5,
            3,
            "store",
            "SELECT item",
            CLIENT,
            at + 14,
            at + 15,
            0,
        ));
    }
    spans
}

fn timed_line(spans: &[Timed]) -> String {
    let mut line = r#"{"resourceSpans":["#.to_owned();
    for (index, &(trace, id, parent, service, name, kind, from, to, status)) in
        spans.iter().enumerate()
    {
        let comma = if index > 0 { "," } else { "" };
        let (from, to) = (START_NS + from * 1_000_000, START_NS + to * 1_000_000);
        let parent = match parent {
            0 => String::new(),
            parent => format!(r#""parentSpanId":"{parent:016x}","#),
        };
        let _ = write!(
            line,
            r#"{comma}{{"resource":{{"attributes":[{{"key":"service.name","value":{{"stringValue":"{service}"}}}}]}},"scopeSpans":[{{"spans":[{{"traceId":"{:032x}","spanId":"{id:016x}",{parent}"name":"{name}","kind":{kind},"startTimeUnixNano":"{from}","endTimeUnixNano":"{to}","status":{{"code":{status}}}}}]}}]}}"#,
            trace + 1,
        );
    }
    line + "]}\n"
}

/// A minute that is normal, and a minute in which something is wrong with the store.
fn two_minutes() -> String {
    let mut text = String::new();
    for (kind, service, from, to) in [("none", "null", 0, 60), ("slow", r#""store""#, 60, 120)] {
        let (opened, closed) = (
            START_NS + from * 1_000_000_000,
            START_NS + to * 1_000_000_000,
        );
        let _ = writeln!(
            text,
            r#"{{"event":"window_opened","scenario":"{kind}","anomaly":{{"type":"{kind}","label":"{kind}","root_cause":"r","msg":"","root_cause_service":{service}}},"planned_start_ns":{opened},"planned_end_ns":{closed},"at_ns":{opened}}}"#
        );
        let _ = writeln!(
            text,
            r#"{{"event":"window_closed","scenario":"{kind}","at_ns":{closed},"last_completed_ns":null,"sent":0,"completed":0,"failed":0,"dropped":0}}"#
        );
    }
    text
}

#[test]
fn what_is_unusual_is_the_same_in_any_order_and_begins_where_it_does() {
    let normal = (0..60).flat_map(|second| request(second, i64::from(second % 3), false, false));
    let wrong = [
        request(70, 500, false, false),
        request(80, 0, true, false),
        request(90, 0, false, true),
        request(100, 1, false, false),
    ];
    let mut spans: Vec<Timed> = normal.chain(wrong.into_iter().flatten()).collect();
    let dir = tempfile::tempdir().expect("a temporary directory");
    let extracted = |name: &str, files: &[String]| {
        let folder = dir.path().join(name);
        fs::create_dir(&folder).expect("made");
        let write = |(index, text): (usize, &String)| {
            let path: PathBuf = folder.join(format!("traces-{index}.jsonl"));
            fs::write(&path, text).expect("written");
            path
        };
        fs::write(folder.join("timeline.jsonl"), two_minutes()).expect("written");
        let report = extract(&ExtractOptions {
            traces: files.iter().enumerate().map(write).collect(),
            timeline: Some(folder.join("timeline.jsonl")),
            output: folder.join("dataset"),
            ..ExtractOptions::default()
        });
        fs::read_to_string(&report.expect("extracted").files[0].path).expect("UTF-8")
    };
    let text = extracted("one", &[timed_line(&spans)]);
    spans.sort_by_key(|span| (u64::from(span.0) * 7919 + span.1 * 31) % 101);
    let files: Vec<String> = spans.chunks(40).map(timed_line).collect();
    assert_eq!(text, extracted("many", &files));

    let mut rows = csv::Reader::from_reader(text.as_bytes());
    let columns = rows.headers().expect("a header").clone();
    let at = |name: &str| {
        columns
            .iter()
            .position(|column| column == name)
            .expect(name)
    };
    let mut said: HashMap<(u32, u64), (String, String)> = HashMap::new();
    for row in rows.records().map(|row| row.expect("a row")) {
        let number = |name: &str| u64::from_str_radix(&row[at(name)], 16).expect("hexadecimal");
        let key = (number("trace_id") as u32 - 1, number("span_id"));
        let cells = (&row[at("span_anomaly")], &row[at("is_root_cause_span")]);
        said.insert(key, (cells.0.to_owned(), cells.1.to_owned()));
    }
    let of = |second: u32, id: u64| {
        let (anomaly, root) = &said[&(second, id)];
        (anomaly.as_str(), root.as_str())
    };
    assert!((0..60).all(|second| (1..=4).all(|id| of(second, id) == ("none", "false"))));
    // All are slow, and it is the statement that makes them so.
    assert_eq!([1, 2, 3].map(|id| of(70, id)), [("latency", "false"); 3]);
    assert_eq!(of(70, 4), ("latency", "true"));
    assert_eq!([1, 2, 3].map(|id| of(80, id)), [("error", "false"); 3]);
    assert_eq!(of(80, 4), ("error", "true"));
    assert_eq!(of(90, 3), ("structure", "true"));
    assert_eq!([1, 2, 4, 5].map(|id| of(90, id)), [("none", "false"); 4]);
    assert!((1..=4).all(|id| of(100, id) == ("none", "false")));
}

/// A queue hands a message of a request of long ago to a service that still logs it: no span of its
/// trace is of the run. Tables are joined by this order while they are read.
#[test]
fn log_records_are_in_the_order_of_their_traces_also_where_no_span_arrived() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let with_spans: Vec<Timed> = (0..40)
        .flat_map(|at| request(at, 0, false, false))
        .collect();
    let mut records = String::new();
    for trace in (0..80).rev() {
        let at = START_NS + 1_000_000_000 + i64::from(trace);
        let _ = writeln!(
            records,
            r#"{{"resourceLogs":[{{"scopeLogs":[{{"logRecords":[{{"traceId":"{:032x}","timeUnixNano":"{at}","body":{{"stringValue":"sent"}}}}]}}]}}]}}"#,
            trace + 1,
        );
    }
    let file = |name: &str, text: &str| {
        fs::write(dir.path().join(name), text).expect("written");
        dir.path().join(name)
    };
    let report = extract(&ExtractOptions {
        traces: vec![file("traces.jsonl", &timed_line(&with_spans))],
        logs: vec![file("logs.jsonl", &records)],
        timeline: Some(file("timeline.jsonl", &two_minutes())),
        output: dir.path().join("dataset"),
        ..ExtractOptions::default()
    })
    .expect("extracted");
    let is_table = |path: &&Path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with("logs_labeled") && name.ends_with("csv")
    };
    let mut paths = report.files.iter().map(|file| file.path.as_path());
    let table = paths.find(is_table).expect("a table of log records");
    let mut rows = csv::Reader::from_path(table).expect("a table");
    let columns = rows.headers().expect("a header").clone();
    let id = columns
        .iter()
        .position(|name| name == "trace_id")
        .expect("ids");
    let ids: Vec<u128> = rows
        .records()
        .map(|row| u128::from_str_radix(&row.expect("a row")[id], 16).expect("hexadecimal"))
        .collect();
    assert_eq!(ids.len(), 80);
    assert!(ids.is_sorted_by_key(|&id| trace_order(id)));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn rows_are_the_same_in_any_order_and_any_split(
        spans in prop::collection::vec(span(), 1..60),
        order: u64,
        batch in 1usize..8,
        files in 1usize..4,
    ) {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let in_order: Vec<usize> = (0..spans.len()).collect();
        let (rows, report) = run(dir.path(), "one", &[line(&spans, &in_order)]);
        let own = spans.iter().filter(|span| expected_type(&spans, span.trace).is_some()).count();
        prop_assert_eq!(rows.len(), own);
        prop_assert_eq!(report.figures.spans.foreign as usize, spans.len() - own);
        prop_assert!(report.reconciles());

        let mut shuffled = in_order;
        shuffled.sort_by_key(|&position| (position as u64 + 1).wrapping_mul(order | 1));
        let mut texts = vec![String::new(); files];
        for (index, positions) in shuffled.chunks(batch).enumerate() {
            texts[index % files] += &line(&spans, positions);
        }
        let (other_rows, _) = run(dir.path(), "many", &texts);
        prop_assert_eq!(&rows, &other_rows);

        let mut counted: HashMap<String, u64> = HashMap::new();
        for kind in spans.iter().filter_map(|span| expected_type(&spans, span.trace)) {
            *counted.entry(kind).or_default() += 1;
        }
        for label in &report.labels {
            let expected = counted.get(&label.anomaly_type).copied().unwrap_or(0);
            prop_assert_eq!(label.spans, expected, "{}", label.anomaly_type);
        }
        let by_type: u64 = report.labels.iter().map(|label| label.spans).sum();
        prop_assert_eq!(by_type, own as u64);
    }
}
