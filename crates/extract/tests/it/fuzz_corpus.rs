//! Inputs that fuzzing found worth keeping: each is extracted or refused, and none ends the program.

use std::fs;
use std::path::Path;

use loadgen_extract::{ExtractOptions, extract};

#[test]
fn every_input_is_extracted_or_refused() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut seen = 0;
    for entry in fs::read_dir(root.join("../../fuzz/corpus/telemetry")).expect("a corpus") {
        let input = entry.expect("an entry").path();
        let folder = tempfile::tempdir().expect("a folder");
        let outcome = extract(&ExtractOptions {
            inputs: vec![input.clone()],
            timeline: Some(root.join("tests/golden/timeline.jsonl")),
            output: folder.path().join("dataset"),
            correct_skew: true,
            drop_leaks: true,
            ..ExtractOptions::default()
        });
        match outcome {
            Ok(report) => assert!(report.reconciles(), "{}", input.display()),
            Err(error) => assert!(error.is_bad_input(), "{}: {error}", input.display()),
        }
        seen += 1;
    }
    assert!(seen > 10);
}
