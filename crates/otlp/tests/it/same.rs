//! Whichever way a message comes, a sink gets the same of it, and the collector's reader, too.

use loadgen_otlp::json::{self, Message};
use loadgen_otlp::{Counts, Signal, read_json, read_protobuf};
use proptest::prelude::*;
use rand::SeedableRng as _;
use rand::rngs::StdRng;

use crate::collect::{Collected, Expected};
use crate::messages;
use crate::spelling::respell;

fn by_json(text: &[u8]) -> (Vec<String>, Counts) {
    let mut sink = Collected::default();
    let counts = read_json(text, &mut sink).unwrap_or_else(|problem| {
        panic!("{problem}: {}", String::from_utf8_lossy(text));
    });
    (sink.items, counts)
}

/// Reads a message in each way there is.
fn check<T: Message + Expected + prost::Message>(
    request: &T,
    seed: u64,
) -> Result<(), TestCaseError> {
    let expected = request.expected();
    let mut text = Vec::new();
    json::write(request, &mut text);
    let tree: serde_json::Value = serde_json::from_slice(&text).expect("JSON");
    // Without anything in it a message has no signal.
    if tree.as_object().is_some_and(|object| !object.is_empty()) {
        let (items, counts) = by_json(&text);
        prop_assert_eq!(&items, &expected);
        prop_assert_eq!(counts.all_items(), expected.len() as u64);
        let other = respell(&tree, &mut StdRng::seed_from_u64(seed));
        prop_assert_eq!(by_json(other.as_bytes()).0, expected.clone(), "{}", other);
        let read: T = json::read(other.as_bytes()).expect("readable");
        let mut again = Vec::new();
        json::write(&read, &mut again);
        prop_assert_eq!(
            String::from_utf8(again),
            String::from_utf8(text.clone()),
            "{}",
            other
        );
    }
    let mut sink = Collected::default();
    let counts = read_protobuf(&request.encode_to_vec(), &mut sink).expect("readable");
    prop_assert_eq!(&sink.items, &expected);
    prop_assert_eq!(
        Signal::ALL
            .map(|signal| counts.messages(signal))
            .iter()
            .sum::<u64>(),
        1
    );
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn traces(request in messages::traces(), seed: u64) {
        check(&request, seed)?;
    }

    #[test]
    fn metrics(request in messages::metrics(), seed: u64) {
        check(&request, seed)?;
    }

    #[test]
    fn logs(request in messages::logs(), seed: u64) {
        check(&request, seed)?;
    }

    #[test]
    fn no_bytes_make_a_reader_panic_and_what_is_bad_leaves_nothing(
        request in messages::traces(),
        at: prop::sample::Index,
        byte: u8,
        cut: bool,
    ) {
        let mut text = Vec::new();
        json::write(&request, &mut text);
        for (is_json, mut bytes) in [(true, text), (false, prost::Message::encode_to_vec(&request))] {
            if bytes.is_empty() {
                continue;
            }
            let at = at.index(bytes.len());
            if cut {
                bytes.truncate(at);
            } else {
                bytes[at] ^= byte;
            }
            let mut sink = Collected::default();
            let read = match is_json {
                true => read_json(&bytes, &mut sink),
                false => read_protobuf(&bytes, &mut sink),
            };
            match read {
                Ok(counts) => prop_assert_eq!(
                    sink.items.len() as u64,
                    counts.all_items()
                ),
                Err(problem) => {
                    prop_assert!(sink.items.is_empty());
                    prop_assert!(problem.byte <= bytes.len() && !problem.reason.contains('\n'));
                }
            }
        }
    }
}
