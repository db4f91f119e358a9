//! Input that is not what it should be: files of another kind, empty files, and pipes.

use std::fs;
use std::path::{Path, PathBuf};

use loadgen_extract::{ExtractError, ExtractOptions, ExtractReport, extract};

const SPANS: &str = "{\"resourceSpans\":[]}\n";
const METRICS: &str = "{\"resourceMetrics\":[{\"scopeMetrics\":[{\"metrics\":[{\"name\":\"m\",\"gauge\":{\"dataPoints\":[{\"timeUnixNano\":\"1770000000000000001\",\"asInt\":\"1\"}]}}]}]}]}\n";
const LOGS: &str = "{\"resourceLogs\":[{\"scopeLogs\":[{\"logRecords\":[{\"timeUnixNano\":\"1770000000000000001\"}]}]}]}\n";

/// An answer of Jaeger's with nanoseconds where microseconds are expected.
const NANOSECONDS: &str = concat!(
    r#"{"data":[{"traceID":"1","spans":[{"spanID":"1","operationName":"a","#,
    r#""startTime":1770000000000000001}]}]}"#
);

fn options(dir: &Path) -> ExtractOptions {
    ExtractOptions {
        timeline: Some(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/timeline.jsonl")),
        output: dir.join("dataset"),
        ..ExtractOptions::default()
    }
}

fn extract_traces(dir: &Path, contents: &[&[u8]]) -> Result<ExtractReport, ExtractError> {
    let write = |(index, bytes): (usize, &&[u8])| -> PathBuf {
        let path = dir.join(format!("traces-{index}.jsonl"));
        fs::write(&path, bytes).expect("written");
        path
    };
    extract(&ExtractOptions {
        traces: contents.iter().enumerate().map(write).collect(),
        ..options(dir)
    })
}

#[test]
fn files_without_a_single_message_are_an_error_that_says_what_they_look_like() {
    for (bytes, says) in [
        (&b"hello\nworld\n"[..], "line 1, column 1: expected"),
        (b"\n{\"resourceSpans\":[{\"re", "line 2"),
        (b"{\"a\":1}\n", "resourceSpans"),
        (b"{\n  \"a\": 1\n}\n", "line 1, column 1: none of"),
        (b"\0\0\0\x05\x0a\xffabc", "message 1, byte 0"),
        (NANOSECONDS.as_bytes(), "line 1, column 80: a time"),
    ] {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let error = extract_traces(dir.path(), &[b"", bytes]).expect_err("not traces");
        let text = error.to_string();
        assert!(text.contains("traces-1.jsonl"), "{text}");
        assert!(text.contains(says), "{text}");
        assert!(text.contains("looked for OTLP"), "{text}");
        assert!(error.is_bad_input());
        let left = fs::read_dir(dir.path().join("dataset")).expect("a folder");
        assert_eq!(left.count(), 0);
    }
}

#[test]
fn files_of_another_signal_than_they_were_given_for_are_an_error() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let error = extract_traces(dir.path(), &[LOGS.as_bytes()]).expect_err("not traces");
    assert!(error.to_string().contains("no traces in"), "{error}");
    assert!(error.is_bad_input());
}

#[test]
fn strict_allows_no_bad_line() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let path = dir.path().join("traces.jsonl");
    fs::write(&path, format!("{SPANS}hello\n")).expect("written");
    let error = extract(&ExtractOptions {
        inputs: vec![path],
        strict: true,
        ..options(dir.path())
    })
    .expect_err("a bad line");
    assert!(error.to_string().contains("line 2"), "{error}");
    assert!(error.is_bad_input());
}

#[test]
fn parts_that_are_not_read_are_counted_and_named() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let path = dir.path().join("traces.json");
    let content = NANOSECONDS.replace("\"data\":[", "\"data\":[null,7,");
    fs::write(&path, format!("{SPANS}{content}\n")).expect("written");
    let of = |strict: bool| {
        extract(&ExtractOptions {
            inputs: vec![path.clone()],
            strict,
            ..options(dir.path())
        })
    };
    let report = of(false).expect("extracted");
    assert_eq!(
        (report.input.skipped_lines, report.input.unread_parts),
        (0, 3)
    );
    let named: Vec<u64> = report.skipped.iter().map(|problem| problem.line).collect();
    assert_eq!(named, [2, 2, 2]);
    let mut checks = report.audit.checks.iter();
    let lines = checks.find(|check| check.id == "lines").expect("a check");
    assert!(lines.figure.contains("3 parts of other lines"), "{lines:?}");
    let error = of(true).expect_err("parts that are not read").to_string();
    assert!(error.contains("3 lines, or parts of lines"), "{error}");
    assert!(error.contains("line 2, column 10"), "{error}");
}

#[test]
fn a_bad_file_beside_a_good_one_is_counted_and_an_empty_one_is_no_error() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let report = extract_traces(dir.path(), &[b"hello\n", SPANS.as_bytes()]).expect("extracted");
    assert_eq!(report.input.skipped_lines, 1);
    for nothing in [&b""[..], b"\n\n"] {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let report = extract_traces(dir.path(), &[nothing]).expect("extracted");
        assert_eq!(report.figures.spans.read, 0);
    }
}

/// The reading end of a pipe that holds a text, as a path.
#[cfg(target_os = "linux")]
fn pipe(text: &str) -> (std::io::PipeReader, PathBuf) {
    use std::io::Write as _;
    use std::os::fd::AsRawFd as _;
    let (reader, mut writer) = std::io::pipe().expect("a pipe");
    writer.write_all(text.as_bytes()).expect("fits in a pipe");
    let path = PathBuf::from(format!("/proc/self/fd/{}", reader.as_raw_fd()));
    (reader, path)
}

#[cfg(target_os = "linux")]
#[test]
fn metrics_and_logs_may_come_from_pipes() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (_metrics, metrics) = pipe(METRICS);
    let (_logs, logs) = pipe(&LOGS.repeat(3));
    let report = extract(&ExtractOptions {
        metrics: vec![metrics],
        logs: vec![logs],
        ..options(dir.path())
    })
    .expect("extracted");
    assert_eq!(
        (report.figures.points.written, report.figures.logs.written),
        (1, 3)
    );
    assert_eq!(report.input.bytes as usize, METRICS.len() + 3 * LOGS.len());
}

#[cfg(target_os = "linux")]
#[test]
fn traces_may_come_from_a_pipe() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    // Nothing but a time within the run: without one it would be nobody's.
    let span = SPANS.replace(
        "[]",
        "[{\"scopeSpans\":[{\"spans\":[{\"startTimeUnixNano\":\"1770000000000000001\"}]}]}]",
    );
    let (_traces, traces) = pipe(&span);
    let report = extract(&ExtractOptions {
        traces: vec![traces],
        ..options(dir.path())
    })
    .expect("extracted");
    assert_eq!(report.figures.spans.written, 1);
}
