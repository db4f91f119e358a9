//! The forms in which telemetry is stored: files that a real Collector wrote in each of its formats,
//! and these compressed, cut, joined and rotated as it happens in the field. All give the same rows.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use loadgen_extract::{ExtractOptions, ExtractReport, extract};

const SIGNALS: [&str; 3] = ["traces.out", "metrics.out", "logs.out"];

fn fixture(form: &str, signal: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/forms")
        .join(form)
        .join(signal)
}

fn lines() -> Vec<Vec<u8>> {
    SIGNALS
        .map(|signal| fs::read(fixture("json-none", signal)).expect("there"))
        .to_vec()
}

/// Rows of all three signals, sorted.
fn rows_of(inputs: Vec<PathBuf>) -> (Vec<String>, ExtractReport) {
    let folder = tempfile::tempdir().expect("a folder");
    let report = extract(&ExtractOptions {
        inputs,
        output: folder.path().join("dataset"),
        ..ExtractOptions::default()
    })
    .expect("extracted");
    let is_rows = |path: &Path| {
        let name = path.file_name().expect("a name").to_string_lossy();
        name.contains("_labeled_") && name.ends_with(".csv")
    };
    let mut rows = Vec::new();
    for file in report.files.iter().filter(|f| is_rows(&f.path)) {
        let text = fs::read_to_string(&file.path).expect("UTF-8");
        rows.extend(text.lines().skip(1).map(str::to_owned));
    }
    rows.sort();
    (rows, report)
}

fn expected() -> Vec<String> {
    let (rows, report) = rows_of(SIGNALS.map(|s| fixture("json-none", s)).to_vec());
    let figures = &report.figures;
    assert!(figures.spans.read > 0 && figures.points.read > 0 && figures.logs.read > 0);
    rows
}

#[track_caller]
fn assert_same(inputs: Vec<PathBuf>) {
    let (rows, report) = rows_of(inputs);
    assert_eq!(
        report.input.skipped_lines + report.input.torn_last_lines,
        0,
        "{:?}",
        report.skipped
    );
    assert_eq!(rows, expected());
}

#[test]
fn every_format_and_compression_of_the_file_exporter_gives_the_same_rows() {
    for form in ["proto-none", "json-zstd", "proto-zstd"] {
        assert_same(SIGNALS.map(|s| fixture(form, s)).to_vec());
    }
}

#[test]
fn plain_gzip_and_zstd_of_any_of_these_are_read() {
    for form in ["json-none", "proto-none", "json-zstd"] {
        let folder = tempfile::tempdir().expect("a folder");
        let mut inputs = Vec::new();
        for signal in SIGNALS {
            let bytes = fs::read(fixture(form, signal)).expect("there");
            let path = folder.path().join(signal);
            if signal.starts_with("traces") {
                // A stream of whole frames, one a half: the exporter's native compression.
                let (a, b) = bytes.split_at(bytes.len() / 2);
                let frame = |part: &[u8]| zstd::encode_all(part, 3).expect("compressed");
                fs::write(&path, [frame(a), frame(b)].concat()).expect("written");
            } else {
                let out = fs::File::create(&path).expect("made");
                let mut gzip = flate2::write::GzEncoder::new(out, flate2::Compression::fast());
                gzip.write_all(&bytes).expect("compressed");
                gzip.finish().expect("compressed");
            }
            inputs.push(path);
        }
        assert_same(inputs);
    }
}

#[test]
fn signals_may_be_mixed_in_one_file_and_in_one_folder() {
    let folder = tempfile::tempdir().expect("a folder");
    let all = folder.path().join("all.jsonl");
    fs::write(&all, lines().concat()).expect("written");
    assert_same(vec![all.clone()]);
    fs::write(folder.path().join("notes.txt"), "what else lies about").expect("written");
    assert_same(vec![folder.path().to_path_buf()]);
    fs::remove_file(all).expect("removed");
    let framed: Vec<u8> = SIGNALS
        .iter()
        .flat_map(|s| fs::read(fixture("proto-zstd", s)).expect("there"))
        .collect();
    fs::write(folder.path().join("all.bin"), framed).expect("written");
    assert_same(vec![folder.path().to_path_buf()]);
}

#[test]
fn rotated_backups_are_read_before_the_current_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let all = lines().concat();
    let lines: Vec<&[u8]> = all.split_inclusive(|&b| b == b'\n').collect();
    let names = [
        "all-2026-11-24T16-23-38.300.jsonl",
        "all-2026-11-24T16-23-39.390-size.jsonl",
        "all.jsonl",
    ];
    let third = lines.len().div_ceil(3);
    for (name, part) in names.iter().zip(lines.chunks(third)) {
        fs::write(folder.path().join(name), part.concat()).expect("written");
    }
    assert_same(vec![folder.path().to_path_buf()]);
    assert_same(vec![folder.path().join("all*.jsonl")]);
    let (rows, report) = rows_of(vec![folder.path().to_path_buf()]);
    assert_eq!(report.input.files, 3);
    assert_eq!(rows, expected());
}

#[test]
fn a_message_over_many_lines_is_read() {
    let folder = tempfile::tempdir().expect("a folder");
    let all = lines().concat();
    let pretty = |line: &[u8]| {
        let message: serde_json::Value = serde_json::from_slice(line).expect("JSON");
        serde_json::to_string_pretty(&message).expect("JSON")
    };
    let documents: Vec<String> = all
        .split(|&b| b == b'\n')
        .filter(|l| !l.is_empty())
        .map(pretty)
        .collect();
    let path = folder.path().join("documents.json");
    fs::write(&path, documents.join("\n")).expect("written");
    assert_same(vec![path]);
    let list = folder.path().join("list.json");
    fs::write(&list, format!("[{}]", documents.join(",\n"))).expect("written");
    assert_same(vec![list]);
}

#[test]
fn ids_in_base64_are_read() {
    use base64::Engine as _;
    let folder = tempfile::tempdir().expect("a folder");
    let id = [0xab; 16];
    let text = base64::engine::general_purpose::STANDARD.encode(id);
    let span = base64::engine::general_purpose::STANDARD.encode(&id[..8]);
    let path = folder.path().join("t.json");
    let line = format!(
        r#"{{"resourceSpans":[{{"scopeSpans":[{{"spans":[{{"traceId":"{text}","spanId":"{span}"}}]}}]}}]}}"#
    );
    fs::write(&path, line).expect("written");
    let (rows, _) = rows_of(vec![path]);
    assert!(
        rows[0].contains(&"ab".repeat(16)) && rows[0].contains(&format!(",{},", "ab".repeat(8))),
        "{rows:?}"
    );
}

#[test]
fn a_file_that_is_cut_off_in_each_form_costs_what_is_cut_and_no_more() {
    for form in ["json-none", "proto-none", "json-zstd", "proto-zstd"] {
        let folder = tempfile::tempdir().expect("a folder");
        let bytes = fs::read(fixture(form, "metrics.out")).expect("there");
        let path = folder.path().join("metrics.out");
        fs::write(&path, &bytes[..bytes.len() - 5]).expect("written");
        let whole = fixture(form, "traces.out");
        let (rows, report) = rows_of(vec![path, whole]);
        assert_eq!(
            (report.input.torn_last_lines, report.input.skipped_lines),
            (1, 0),
            "{form}"
        );
        assert!(!rows.is_empty());
    }
}
