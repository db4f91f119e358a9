//! The timeline reader, and the ledger reader on the same bytes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use loadgen_timeline::{SentRequests, WindowAt, read};

fuzz_target!(init: {
    // Arrow's reader panics on damaged lengths; the ledger's reader makes errors of that. The hook that
    // would end the fuzzer first is taken out; a panic that gets out of the target still ends it.
    std::panic::set_hook(Box::new(|_| ()));
}, |content: &[u8]| {
    let timeline = read::parse(content);
    for (index, window) in timeline.windows.iter().enumerate() {
        assert!(window.opened_ns <= window.closed_ns);
        // An empty window covers nothing, not even its opening.
        let is_empty = window.opened_ns == window.closed_ns;
        if let WindowAt::One(found) = timeline.window_at(window.opened_ns) {
            assert!(is_empty || found == index);
        }
    }
    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    std::fs::write(file.path(), content).expect("written");
    if let Ok(mut ledger) = SentRequests::open(file.path()) {
        while ledger.next_batch().is_some() {}
    }
});
