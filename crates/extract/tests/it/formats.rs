//! What is written of one form, or without the tables that put a run together, is the same as with
//! all of it.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use chrono::DateTime;
use loadgen_extract::audit::again::audit_again;
use loadgen_extract::{ExtractOptions, TableFormats, extract};

/// The files that are written, by name, without the audit, which lists them.
fn written(output: &Path, formats: TableFormats, labels_only: bool) -> BTreeMap<String, Vec<u8>> {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let report = extract(&ExtractOptions {
        traces: vec![golden.join("traces-1.jsonl"), golden.join("traces-2.jsonl")],
        metrics: vec![golden.join("metrics.jsonl")],
        logs: vec![golden.join("logs.jsonl")],
        timeline: Some(golden.join("timeline.jsonl")),
        output: output.to_path_buf(),
        stamp: DateTime::from_timestamp(1_770_000_000, 0),
        include_foreign: true,
        formats,
        labels_only,
        ..ExtractOptions::default()
    });
    assert!(report.expect("the input is readable").reconciles());
    let again = audit_again(output, None).expect("an audit");
    let files = again.audit.checks.iter().find(|check| check.id == "files");
    let files = files.expect("the check of files");
    assert!(files.details.is_empty(), "{:?}", files.details);
    assert!(!files.figure.starts_with("0 rows"), "{}", files.figure);
    let entries = fs::read_dir(output).expect("a folder").map(|entry| {
        let path = entry.expect("an entry").path();
        let name = path.file_name().expect("a name").to_string_lossy();
        (name.into_owned(), fs::read(&path).expect("readable"))
    });
    entries
        .filter(|(name, _)| !name.starts_with("audit"))
        .collect()
}

/// Of the tables that put a run together.
fn is_of_the_run(name: &str) -> bool {
    let tables = [
        "windows_features",
        "trace_features",
        "graph_",
        "metrics_wide",
        "causal_graph",
    ];
    tables.iter().any(|table| name.starts_with(table))
}

#[test]
fn each_form_alone_has_the_same_files() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let all = written(&dir.path().join("both"), TableFormats::Both, false);
    assert!(all.keys().any(|name| is_of_the_run(name)));
    for (formats, other) in [
        (TableFormats::Csv, ".parquet"),
        (TableFormats::Parquet, ".csv"),
    ] {
        let mut expected = all.clone();
        expected.retain(|name, _| !name.ends_with(other));
        let files = written(&dir.path().join(other), formats, false);
        assert!(files == expected, "{:?}", files.keys());
    }
}

#[test]
fn labels_alone_are_the_same_labels() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let mut expected = written(&dir.path().join("all"), TableFormats::Both, false);
    let mut files = written(&dir.path().join("labels"), TableFormats::Both, true);
    // The dictionary has the columns of what is there.
    let columns = |files: &mut BTreeMap<String, Vec<u8>>| {
        let name = files
            .keys()
            .find(|name| name.starts_with("columns"))
            .cloned();
        files
            .remove(&name.expect("the dictionary"))
            .expect("a file")
    };
    assert!(columns(&mut files).len() < columns(&mut expected).len());
    expected.retain(|name, _| !is_of_the_run(name));
    assert!(files == expected, "{:?}", files.keys());
}
