//! A small input with all that is odd in the field, and the exact files that come of it.
//!
//! After a change that is meant: `UPDATE_GOLDEN=1 cargo test -p loadgen-extract golden::`,
//! and read the difference.

use std::fs;
use std::path::{Path, PathBuf};

use chrono::DateTime;
use loadgen_extract::{ExtractOptions, ExtractReport, extract};

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden")
        .join(name)
}

fn extract_golden(output: &Path) -> ExtractReport {
    // What lies outside of the run has rows, too.
    extract_with(output, true)
}

fn extract_with(output: &Path, include_foreign: bool) -> ExtractReport {
    let options = ExtractOptions {
        traces: vec![golden("traces-1.jsonl"), golden("traces-2.jsonl")],
        metrics: vec![golden("metrics.jsonl")],
        logs: vec![golden("logs.jsonl")],
        timeline: Some(golden("timeline.jsonl")),
        output: output.to_path_buf(),
        stamp: DateTime::from_timestamp(1_770_000_000, 0),
        include_foreign,
        ..ExtractOptions::default()
    };
    extract(&options).expect("the input is readable")
}

fn file_names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("a folder");
    let mut names: Vec<String> = entries
        .map(|e| {
            e.expect("an entry")
                .file_name()
                .to_string_lossy()
                .into_owned()
        })
        .collect();
    names.sort();
    names
}

#[test]
fn the_files_are_exactly_these() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    extract_golden(dir.path());
    let expected = golden("expected");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::create_dir_all(&expected).expect("made");
        for name in file_names(dir.path())
            .iter()
            .filter(|name| name.ends_with(".csv"))
        {
            fs::copy(dir.path().join(name), expected.join(name)).expect("copied");
        }
    }
    let csvs: Vec<String> = file_names(dir.path())
        .into_iter()
        .filter(|name| name.ends_with(".csv"))
        .collect();
    assert_eq!(csvs, file_names(&expected));
    for name in csvs {
        let read = |folder: &Path| fs::read_to_string(folder.join(&name)).expect("UTF-8");
        assert_eq!(read(dir.path()), read(&expected), "{name}");
    }
}

#[test]
fn the_report_counts_what_was_read_skipped_and_written() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let report = extract_golden(dir.path());
    assert!(report.reconciles());
    let figures = &report.figures;
    assert_eq!((figures.spans.read, report.input.lines), (13, 10));
    assert_eq!((figures.points.read, figures.logs.read), (9, 5));
    // One of nine has no time, so that nobody knows whose it is.
    assert_eq!(figures.traces, 8);
    assert_eq!(figures.spans_by_type["unknown"], 1);
    assert!(!figures.timeline.as_ref().is_some_and(|t| t.finished));

    let [unknown, bad_id] = &report.skipped[..] else {
        panic!("{:?}", report.skipped)
    };
    assert_eq!((unknown.line, report.input.unread_parts), (1, 1));
    assert!(unknown.reason.contains("`futureField`"), "{unknown:?}");
    assert!(
        bad_id.file.ends_with("traces-1.jsonl") && bad_id.line == 4,
        "{bad_id:?}"
    );
    assert!(
        bad_id.reason.contains("expected an id of 16 hex digits"),
        "{bad_id:?}"
    );
    let text = fs::read_to_string(golden("traces-1.jsonl")).expect("UTF-8");
    let quoted = text.find("\"not hex\"").expect("in the file") as u64;
    assert!(
        (quoted..=quoted + 9).contains(&bad_id.byte),
        "{bad_id:?} {quoted}"
    );
    let [torn] = &report.torn[..] else {
        panic!("{:?}", report.torn)
    };
    assert!(
        torn.file.ends_with("traces-2.jsonl") && torn.line == 3,
        "{torn:?}"
    );
    assert_eq!(report.input.torn_last_lines, 1);

    let spans = |kind: &str| {
        report
            .labels
            .iter()
            .find(|l| l.anomaly_type == kind)
            .map(|l| l.spans)
    };
    assert_eq!(spans("none"), Some(7));
    assert_eq!(spans("latency_spike"), Some(0));
    assert_eq!(spans("Error/Spike"), Some(2));
    assert_eq!(spans("timeout"), Some(2));
    assert_eq!(spans("Error/Spike+timeout"), Some(1));
    for file in &report.files {
        assert_eq!(
            fs::metadata(&file.path).expect("there").len(),
            file.bytes,
            "{file:?}"
        );
    }
}

#[test]
fn what_is_of_no_time_is_left_out_and_counted() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let report = extract_with(dir.path(), false);
    assert!(report.reconciles());
    let of = |rows: loadgen_timeline::audit::Rows| (rows.read, rows.written, rows.foreign);
    let figures = &report.figures;
    assert_eq!(of(figures.spans), (13, 12, 1));
    assert_eq!(of(figures.logs), (5, 4, 1));
    assert_eq!(of(figures.points), (9, 9, 0));
}

#[test]
fn an_error_leaves_nothing_behind() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let output = dir.path().join("out");
    let options = ExtractOptions {
        traces: vec![golden("traces-1.jsonl")],
        logs: vec![dir.path().join("not-there.jsonl")],
        timeline: Some(golden("timeline.jsonl")),
        output: output.clone(),
        ..ExtractOptions::default()
    };
    let error = extract(&options)
        .expect_err("a file is missing")
        .to_string();
    assert!(error.contains("not-there.jsonl"), "{error}");
    assert!(!output.exists());

    extract_golden(&output);
    let before = file_names(&output);
    let again = ExtractOptions {
        logs: Vec::new(),
        stamp: DateTime::from_timestamp(1_770_000_000, 0),
        ..options
    };
    let error = extract(&again).expect_err("the stamp is taken").to_string();
    assert!(error.contains("already"), "{error}");
    assert_eq!(file_names(&output), before);
}

#[test]
fn the_example_of_the_docs_runs() {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/dataset-format.md");
    let docs = fs::read_to_string(docs).expect("the docs");
    let example = docs
        .split("```python\n")
        .nth(1)
        .and_then(|rest| rest.split("```").next());
    let dir = tempfile::tempdir().expect("a temporary directory");
    extract_golden(dir.path());
    let ran = std::process::Command::new("python3")
        .args(["-c", example.expect("an example")])
        .current_dir(dir.path())
        .output()
        .expect("python3");
    assert!(
        ran.status.success(),
        "{}",
        String::from_utf8_lossy(&ran.stderr)
    );
}
