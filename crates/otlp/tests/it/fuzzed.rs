//! What the fuzzer found makes no reader panic.

use std::path::{Path, PathBuf};

use crate::kit::read;

#[test]
fn nothing_that_the_fuzzer_ever_found_makes_a_reader_panic() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/telemetry");
    let mut files = 0;
    for entry in corpus.read_dir().expect("a folder") {
        let content = std::fs::read(entry.expect("a file").path()).expect("readable");
        let (items, summary) = read(content);
        let counts = summary.counts;
        assert_eq!(items.len() as u64, counts.all_items());
        files += 1;
    }
    assert!(files > 100);
}

proptest::proptest! {
    /// What the fuzzer found, cut, put together and changed.
    #[test]
    fn no_splice_of_files_makes_a_reader_panic(
        picks in proptest::collection::vec((0usize..10_000, 0.0..1.0f64, 0.0..1.0f64), 1..5),
        flips in proptest::collection::vec((0usize..100_000, proptest::sample::select(
            b"{}[],:\"\\\n 0n".to_vec(),
        )), 0..6),
    ) {
        let mut content = Vec::new();
        for (pick, from, to) in picks {
            let seed = &seeds()[pick % seeds().len()];
            let [from, to] = [from, to].map(|at| (at * seed.len() as f64) as usize);
            content.extend_from_slice(&seed[from.min(to)..from.max(to)]);
        }
        for (at, byte) in flips {
            if let Some(place) = at.checked_rem(content.len()) {
                content[place] = byte;
            }
        }
        let (items, summary) = read(content);
        proptest::prop_assert_eq!(items.len() as u64, summary.counts.all_items());
    }
}

/// Files of the fuzzer that are not long.
fn seeds() -> &'static [Vec<u8>] {
    static SEEDS: std::sync::OnceLock<Vec<Vec<u8>>> = std::sync::OnceLock::new();
    SEEDS.get_or_init(|| {
        let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/telemetry");
        let files = corpus.read_dir().expect("a folder");
        let mut paths: Vec<PathBuf> = files.map(|entry| entry.expect("a file").path()).collect();
        paths.sort();
        let read = |path: &PathBuf| std::fs::read(path).expect("readable");
        paths
            .iter()
            .map(read)
            .filter(|seed| seed.len() < 20_000)
            .collect()
    })
}
