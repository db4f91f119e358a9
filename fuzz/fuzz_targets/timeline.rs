//! The timeline reader, and the ledger reader on the same bytes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use loadgen_timeline::{LedgerReader, WindowAt, read};

fuzz_target!(|content: &[u8]| {
    let timeline = read::parse(content);
    for (index, window) in timeline.windows.iter().enumerate() {
        assert!(window.opened_ns <= window.closed_ns);
        // An empty window covers nothing, not even its opening.
        let is_empty = window.opened_ns == window.closed_ns;
        if let WindowAt::One(found) = timeline.window_at(window.opened_ns) {
            assert!(is_empty || found == index);
        }
    }
    let path = std::path::Path::new("ledger.arrows");
    if let Ok(ledger) = LedgerReader::new(std::io::Cursor::new(content), None, path) {
        ledger.finish().expect("bytes in memory can be read");
    }
});
