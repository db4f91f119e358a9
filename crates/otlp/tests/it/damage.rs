//! What is torn, cut, damaged or too long costs itself, and is named.

use loadgen_otlp::Signal;

use crate::kit::{
    SIGNALS, assert_same, document, expected, fixture, framed, gzip, message, read, zstd,
};

#[test]
fn a_torn_document_costs_itself_and_text_between_documents_is_named() {
    let answer = |id: u32| {
        format!(
            r#"{{"data":[{{"traceID":"{id:032x}","spans":[{{"traceID":"{id:032x}","spanID":"{id:016x}","operationName":"x"}}],"processes":{{}}}}]}}"#
        )
    };
    let whole = read(answer(2) + "\n" + &answer(3)).0;
    assert_eq!(whole.len(), 2);
    let pretty = serde_json::to_string_pretty(
        &serde_json::from_str::<serde_json::Value>(&answer(1)).expect("JSON"),
    )
    .expect("JSON");
    for (before, reason) in [
        (answer(1)[..40].to_owned(), "the document breaks off"),
        (answer(1)[..100].to_owned(), "the document breaks off"),
        (pretty[..60].to_owned(), "the document breaks off"),
        (
            r#"502 "Bad Gateway"#.to_owned(),
            "text that is of no document",
        ),
    ] {
        for first in ["", "{\"data\":[]}\n"] {
            let content = format!("{first}{before}\n{}\n{}\n", answer(2), answer(3));
            // A file is told by its first bytes.
            if first.is_empty() && before.starts_with("502") {
                continue;
            }
            let (items, summary) = read(content);
            assert_eq!(items, whole, "{before}");
            let reasons: Vec<&str> = summary.skipped.iter().map(|s| &*s.reason).collect();
            assert!(
                matches!(reasons[..], [one] if one.starts_with(reason)),
                "{before}: {reasons:?}"
            );
        }
    }
}

#[test]
fn a_file_that_is_cut_off_in_each_form_costs_what_is_cut_and_no_more() {
    for form in ["json-none", "proto-none", "json-zstd", "proto-zstd"] {
        let mut bytes = fixture(form, "metrics.out");
        bytes.truncate(bytes.len() - 5);
        let (items, summary) = read(bytes);
        assert!(!items.is_empty(), "{form}");
        let [skipped] = &summary.skipped[..] else {
            panic!("{form}: {summary:?}")
        };
        assert!(skipped.torn, "{form}");
    }
    let bytes = gzip(&fixture("json-none", "metrics.out"));
    let (items, summary) = read(&bytes[..bytes.len() - 100]);
    assert!(!items.is_empty() && summary.skipped.iter().all(|skipped| skipped.torn));
    // All lines are there, the end of the stream with its checksum is not; and hardly its head is.
    for length in [bytes.len() - 4, 20] {
        let (_, summary) = read(&bytes[..length]);
        assert!(
            summary.skipped.last().is_some_and(|skipped| skipped.torn),
            "{length}"
        );
    }
}

#[test]
fn a_compressed_stream_that_is_damaged_gives_what_came_before_and_says_so() {
    let lines = fixture("json-none", "traces.out").repeat(50);
    let (first, second) = (zstd(&lines), zstd(&lines));
    let in_gzip = gzip(&lines).len() * 3 / 4;
    // The head of a frame: zstd has no checksum unless asked for one.
    for (mut bytes, at) in [
        (gzip(&lines), in_gzip),
        ([first.clone(), second].concat(), first.len()),
    ] {
        bytes[at..at + 8].copy_from_slice(b"damaged!");
        let (items, summary) = read(bytes);
        assert!(!items.is_empty());
        let said = summary
            .skipped
            .iter()
            .filter(|s| s.reason.contains("damaged"));
        assert_eq!(said.count(), 1, "{:?}", summary.skipped);
    }
}

#[test]
fn a_bad_line_costs_itself_and_is_located() {
    let good = "{\"resourceSpans\":[]}\n";
    let bad = "{\"resourceSpans\":7}\n";
    let (_, summary) = read([good, "\r\n", bad, good].concat());
    assert_eq!(
        (summary.lines, summary.counts.messages(Signal::Traces)),
        (4, 2)
    );
    let [skipped] = &summary.skipped[..] else {
        panic!("{summary:?}")
    };
    let byte = (good.len() + 2 + "{\"resourceSpans\":".len()) as u64;
    assert_eq!(
        (skipped.message, skipped.byte, skipped.torn),
        (2, byte, false)
    );
    let (_, summary) = read(
        "\n{\"resourceLogs\":[{\"schemaUrl\":7}],\"x\":\"\u{e9}\"}\n{\"resourceLogs\":null}\n{\"x\":1}",
    );
    assert_eq!(
        (summary.lines, summary.counts.messages(Signal::Logs)),
        (4, 1)
    );
    assert_eq!(summary.skipped.len(), 2);
    assert!(summary.skipped[1].reason.contains("resourceSpans"));
    let (_, summary) = read(b"{\"resourceSpans\":[{\"schemaUrl\":\"\xff\xfe\"}]}\n");
    assert_eq!(summary.skipped[0].byte, 32);
}

#[test]
fn a_last_line_without_newline_is_read_if_whole_and_torn_if_not() {
    let (_, summary) = read("{\"resourceSpans\":[]}");
    assert_eq!(
        (
            summary.counts.messages(Signal::Traces),
            summary.skipped.len()
        ),
        (1, 0)
    );
    let (_, summary) = read("{\"resourceSpans\":[]}\n{\"resourceSp");
    assert_eq!(
        (
            summary.counts.messages(Signal::Traces),
            summary.skipped.len()
        ),
        (1, 1)
    );
    assert!(summary.skipped[0].torn);
}

/// A Collector that was killed in the middle of a line and started again goes on right behind it.
#[test]
fn what_was_written_behind_a_torn_line_is_read() {
    for signal in SIGNALS {
        let whole = fixture("json-none", signal);
        let mut lines = whole.split_inclusive(|b| *b == b'\n');
        let first = lines.next().expect("there").trim_ascii_end();
        let rest: Vec<u8> = lines.flatten().copied().collect();
        for end in (1..first.len()).step_by(first.len() / 8) {
            let torn = &first[..end];
            let (items, summary) = read([torn, whole.as_slice(), b"\n"].concat());
            assert_eq!(items, expected(signal), "{signal} torn at {end}");
            let [skipped] = summary.skipped.as_slice() else {
                panic!("{:?}", summary.skipped);
            };
            assert!(skipped.message == 0 && skipped.byte <= end as u64 && !skipped.torn);
        }
        // Killed between a message and its newline: nothing of it is missing.
        assert_same([first, first, b"\n", rest.as_slice()].concat(), &{
            let (mut twice, _) = read([first, b"\n"].concat());
            twice.extend(expected(signal));
            twice
        });
    }
}

#[test]
fn a_bad_frame_costs_itself_and_a_cut_one_is_torn() {
    let json = b"{\"resourceSpans\":\n[]}";
    let magic = [0x28, 0xb5, 0x2f, 0xfd];
    let mut bytes = framed(&[json, b"\x0anonsense", &zstd(json), &magic, b"", json]);
    bytes.truncate(bytes.len() - 3);
    let (_, summary) = read(bytes);
    assert_eq!(
        (summary.lines, summary.counts.messages(Signal::Traces)),
        (6, 3)
    );
    let places: Vec<_> = summary
        .skipped
        .iter()
        .map(|s| (s.message, s.torn))
        .collect();
    // What was found when the file was cut comes first.
    assert_eq!(places, [(5, true), (1, false), (3, false)]);
    assert_eq!(summary.skipped[1].byte, 4 + json.len() as u64);
}

#[test]
fn a_bomb_is_a_bad_message() {
    let zeros = vec![b' '; (64 << 20) + 10];
    let (_, summary) = read(framed(&[&zstd(&zeros)]));
    assert!(
        summary.skipped[0].reason.contains("more than"),
        "{summary:?}"
    );
    let good = framed(&[b"{\"resourceSpans\":[]}"]);
    let (_, summary) = read([&good[..], b"\x7f\xff\xff\xff\x0a"].concat());
    assert_eq!(summary.counts.messages(Signal::Traces), 1);
    assert!(
        summary.skipped[0].reason.contains("announced"),
        "{summary:?}"
    );
}

#[test]
fn a_document_that_is_too_long_costs_itself() {
    let long = format!("{{\"x\": \"{}\"}}", "x".repeat(64 << 20));
    let good = "{\"resourceSpans\":[]}";
    let (_, summary) = read(format!("[{good},{long},{good}]"));
    assert_eq!(
        (summary.lines, summary.counts.messages(Signal::Traces)),
        (3, 2)
    );
    let [skipped] = &summary.skipped[..] else {
        panic!("{summary:?}")
    };
    assert_eq!((skipped.message, skipped.byte), (1, 2 + good.len() as u64));
}

#[test]
fn a_document_that_was_torn_behind_a_comma_costs_itself() {
    let pretty = |name: &str| {
        let tree: serde_json::Value = serde_json::from_str(&message(name)).expect("JSON");
        serde_json::to_string_pretty(&tree).expect("JSON")
    };
    let first = pretty("torn");
    let whole = [pretty("b"), pretty("c")].join("\n");
    let two = read(whole.clone()).0;
    let listed = format!("[\n{}\n]", [pretty("b"), pretty("c")].join(",\n"));
    // Behind every comma, bracket and colon, and within words, too.
    for end in 40..first.trim_end().len() - 1 {
        let torn = &first[..end];
        for behind in [&whole, &listed] {
            let (items, summary) = read(format!("{}\n{torn}\n{behind}\n", pretty("a")));
            assert_eq!(items[1..], two, "torn at {end}:\n{torn}\n{behind}");
            assert_eq!(summary.skipped.len(), 1, "{:?}", summary.skipped);
        }
    }
}

#[test]
fn a_document_that_begins_over_a_border_of_what_is_read_at_once_is_found() {
    let pretty = "{\n  \"resourceSpans\": [\n    {}\n  ]\n}";
    for length in (1 << 16) - 90..(1 << 16) + 10 {
        let torn = format!("{pretty}\n{{\n  \"x\": \"{}\",", "x".repeat(length - 60));
        let (_, summary) = read(format!("{torn}\n{pretty}\n"));
        let messages = summary.counts.messages(Signal::Traces);
        assert_eq!((messages, summary.skipped.len()), (2, 1), "{length}");
    }
}

#[test]
fn a_line_that_another_one_cuts_in_two_is_named_in_all_its_parts() {
    let (a, b) = (message("a"), message("b"));
    for at in 2..a.len() - 1 {
        let content = format!("{b}\n{}\nWARN queue is full\n{}\n", &a[..at], &a[at..]);
        let (items, summary) = read(content);
        // A half may hold something that is whole: never is more read than there was.
        assert!((1..=2).contains(&items.len()), "{at}: {items:?}");
        assert!(summary.skipped.len() >= 2, "{at}: {:?}", summary.skipped);
    }
}

#[test]
fn a_line_of_very_many_messages_is_bounded() {
    let line = "{}".repeat(300_000);
    let (_, summary) = read(format!("{{\"resourceSpans\":[]}}\n{line}\n"));
    let named = summary.skipped.len();
    assert!((1 << 14..1 << 17).contains(&named), "{named}");
    // A look back from each of these to the one bracket would take minutes.
    let names = r#""resourceSpans":"#.repeat(1 << 20);
    let (_, summary) = read(format!("{{\"resourceSpans\":[]}}\n{{{names}\n"));
    assert_eq!(summary.skipped.len(), 1);
}

proptest::proptest! {
    #[test]
    fn whole_documents_are_read_whatever_is_torn_between_them(
        parts in proptest::collection::vec(
            (0u8..4, proptest::bool::ANY, proptest::bool::ANY, 0.0..1.0f64),
            1..12,
        )
    ) {
        let mut content = document("first", false, true) + "\n";
        let (mut names, mut lost) = (vec!["first".to_owned()], 0);
        for (index, (kind, is_jaegers, is_pretty, cut)) in parts.iter().enumerate() {
            let name = format!("span-{index}");
            let whole = document(&name, *is_jaegers, *is_pretty);
            match kind {
                0 => {
                    content += "WARN the queue is full {\"a\": 1}\n";
                    lost += 1;
                }
                1 => {
                    let end = 1 + (cut * (whole.len() - 2) as f64) as usize;
                    content += whole[..end].trim_end();
                    content += "\n";
                    lost += 1;
                }
                _ => {
                    content += &(whole + "\n");
                    names.push(name);
                }
            }
        }
        let (items, summary) = read(content.clone());
        for name in &names {
            let is_it = |item: &&String| item.contains(&format!("\"{name}\""));
            proptest::prop_assert!(items.iter().any(|item| is_it(&item)), "{name} of\n{content}");
        }
        // One that is torn behind its spans gives them. What is lost is named in one place or more.
        proptest::prop_assert!(items.len() <= names.len() + lost);
        proptest::prop_assert_eq!(summary.skipped.is_empty(), lost == 0, "{:?}", summary.skipped);
    }
}
