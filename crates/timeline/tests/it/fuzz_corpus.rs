//! Inputs that fuzzing found worth keeping, as timelines and as ledgers.

use std::fs;
use std::path::Path;

use loadgen_timeline::{LedgerReader, read};

#[test]
fn every_input_is_read_without_an_end_of_the_program() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/timeline");
    let mut events = 0;
    for entry in fs::read_dir(corpus).expect("a corpus") {
        let path = entry.expect("an entry").path();
        let timeline = read::parse(&fs::read(&path).expect("readable"));
        events += timeline.windows.len() + timeline.skipped.len();
        assert!(timeline.windows.iter().all(|w| w.opened_ns <= w.closed_ns));
        if let Ok(ledger) = LedgerReader::open(&path, None) {
            ledger.finish().expect("readable");
        }
    }
    assert!(events > 0);
}
