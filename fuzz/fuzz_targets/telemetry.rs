//! A whole extraction of a file of any content: every form, the join, the rows, the audit.
#![no_main]

use std::path::PathBuf;
use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use loadgen_extract::{ExtractOptions, extract};

/// Windows for times that the fuzzer finds in the corpus.
const TIMELINE: &str = include_str!("../../crates/extract/tests/golden/timeline.jsonl");

fn timeline() -> PathBuf {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    PATH.get_or_init(|| {
        let path = std::env::temp_dir().join(format!("fuzz-timeline-{}.jsonl", std::process::id()));
        std::fs::write(&path, TIMELINE).expect("a writable temporary folder");
        path
    })
    .clone()
}

fuzz_target!(|content: &[u8]| {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let input = folder.path().join("input");
    std::fs::write(&input, content).expect("written");
    let outcome = extract(&ExtractOptions {
        inputs: vec![input],
        timeline: Some(timeline()),
        output: folder.path().join("dataset"),
        correct_skew: content.len() % 2 == 0,
        steady_only: content.len() % 3 == 0,
        drop_leaks: content.len() % 5 == 0,
        ..ExtractOptions::default()
    });
    match outcome {
        Ok(report) => assert!(report.reconciles()),
        Err(error) => assert!(error.is_bad_input(), "{error}"),
    }
});
