//! Files of any form: those that a real Collector wrote in each of its formats, and these
//! compressed, cut and joined as it happens in the field.

use std::io::{Cursor, Write as _};
use std::path::{Path, PathBuf};

use loadgen_otlp::source::{Skipped, Source, Unit, UnitSummary, decode, requests};
use loadgen_otlp::{Signal, SignalRequest, json};

use crate::collect::Collected;

const SIGNALS: [&str; 3] = ["traces.out", "metrics.out", "logs.out"];

pub(crate) fn fixture(form: &str, signal: &str) -> Vec<u8> {
    let path: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../extract/tests/forms")
        .join(form)
        .join(signal);
    std::fs::read(path).expect("there")
}

fn drain(source: &mut Source) -> (Vec<String>, UnitSummary) {
    let mut sink = Collected::default();
    let mut unit = Unit::default();
    let mut all = UnitSummary::default();
    while source.next_unit(&mut unit).expect("readable") {
        assert_eq!(
            (unit.first_message(), unit.offset()),
            (all.lines, all.bytes)
        );
        let summary = decode(&unit, &mut sink);
        all.bytes += summary.bytes;
        all.lines += summary.lines;
        all.counts.add(summary.counts);
        all.skipped.extend(summary.skipped);
    }
    (sink.items, all)
}

/// Everything in a file with this content.
pub(crate) fn read(content: impl Into<Vec<u8>>) -> (Vec<String>, UnitSummary) {
    drain(&mut Source::from_reader(Cursor::new(content.into())).expect("readable"))
}

fn framed(messages: &[&[u8]]) -> Vec<u8> {
    let frame = |m: &&[u8]| [&(m.len() as u32).to_be_bytes(), *m].concat();
    messages.iter().flat_map(frame).collect()
}

fn gzip(content: &[u8]) -> Vec<u8> {
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(content).expect("compressed");
    gzip.finish().expect("compressed")
}

fn zstd(content: &[u8]) -> Vec<u8> {
    zstd::encode_all(content, 3).expect("compressed")
}

fn expected(signal: &str) -> Vec<String> {
    let (items, summary) = read(fixture("json-none", signal));
    assert!(!items.is_empty() && summary.skipped.is_empty());
    items
}

#[track_caller]
fn assert_same(content: Vec<u8>, expected: &[String]) {
    let (items, summary) = read(content);
    assert_eq!(summary.skipped, []);
    assert_eq!(items, expected);
}

#[test]
fn every_format_and_compression_of_the_file_exporter_gives_the_same() {
    for signal in SIGNALS {
        let expected = expected(signal);
        for form in ["proto-none", "json-zstd", "proto-zstd"] {
            assert_same(fixture(form, signal), &expected);
        }
        for form in ["json-none", "proto-none", "json-zstd", "proto-zstd"] {
            let bytes = fixture(form, signal);
            assert_same(gzip(&bytes), &expected);
            // A stream of whole frames, one a half: the exporter's native compression.
            let (a, b) = bytes.split_at(bytes.len() / 2);
            assert_same([zstd(a), zstd(b)].concat(), &expected);
            assert_same(gzip(&zstd(&bytes)), &expected);
        }
    }
}

#[test]
fn signals_may_be_mixed_in_one_file() {
    let expected = SIGNALS.map(expected).concat();
    for form in ["json-none", "proto-none", "json-zstd", "proto-zstd"] {
        assert_same(SIGNALS.map(|s| fixture(form, s)).concat(), &expected);
    }
}

#[test]
fn messages_over_many_lines_and_lists_of_messages_are_read() {
    for signal in SIGNALS {
        let expected = expected(signal);
        let lines = String::from_utf8(fixture("json-none", signal)).expect("UTF-8");
        let trees: Vec<serde_json::Value> = lines
            .lines()
            .map(|line| serde_json::from_str(line).expect("JSON"))
            .collect();
        let pretty: Vec<String> = trees
            .iter()
            .map(|tree| serde_json::to_string_pretty(tree).expect("JSON"))
            .collect();
        let list = serde_json::to_string(&trees).expect("JSON");
        for content in [
            pretty.join("\n"),
            pretty.concat(),
            format!("[{}]", pretty.join(",\n")),
            list.clone(),
            format!("\u{feff}{list}\n{list}")
                .split_at(list.len() + 4)
                .0
                .to_owned(),
            format!("\u{feff}{lines}"),
        ] {
            assert_same(content.into_bytes(), &expected);
        }
    }
}

/// One message of traces, as a line.
fn message(name: &str) -> String {
    format!(
        r#"{{"resourceSpans":[{{"resource":{{}},"scopeSpans":[{{"spans":[{{"name":"{name}"}}]}}]}}]}}"#
    )
}

#[test]
fn what_tempo_answers_is_read() {
    let expected = read(message("a")).0;
    let within = message("a").replace("resourceSpans", "batches");
    assert_same(within.clone().into_bytes(), &expected);
    for inner in [within, message("a")] {
        assert_same(format!(r#"{{"trace":{inner}}}"#).into_bytes(), &expected);
    }
}

#[test]
fn what_the_logging_exporters_of_java_write_is_read() {
    let expected = [read(message("a")).0, read(message("b")).0].concat();
    let of = |name: &str| {
        let whole = message(name);
        let resource = whole
            .strip_prefix(r#"{"resourceSpans":["#)
            .expect("it begins so");
        resource.strip_suffix("]}").expect("it ends so").to_owned()
    };
    let speaker = "io.opentelemetry.exporter.logging.otlp.OtlpJsonLoggingSpanExporter";
    let log = format!(
        "Nov 26, 2026 9:15:01 AM {speaker} export\nINFO: {}\n\
         Nov 26, 2026 9:15:06 AM {speaker} export\nINFO: {}\n",
        of("a"),
        of("b")
    );
    assert_same(log.into_bytes(), &expected);
    assert_same(
        format!("{}\n{}\n", of("a"), message("b")).into_bytes(),
        &expected,
    );
}

#[test]
fn messages_of_protobuf_may_have_a_varint_before_them() {
    for signal in SIGNALS {
        let frames = fixture("proto-none", signal);
        let (mut rest, mut delimited) = (&frames[..], Vec::new());
        while let Some((length, message)) = rest.split_first_chunk::<4>() {
            let (message, next) = message.split_at(u32::from_be_bytes(*length) as usize);
            prost::encoding::encode_varint(message.len() as u64, &mut delimited);
            delimited.extend_from_slice(message);
            rest = next;
        }
        assert_same(delimited.clone(), &expected(signal));
        assert_same(gzip(&delimited), &expected(signal));
        let (_, summary) = read(&delimited[..delimited.len() - 3]);
        assert!(summary.skipped.iter().all(|skipped| skipped.torn));
        assert_eq!(summary.skipped.len(), 1);
        let whole = read(delimited).1;
        assert_eq!(
            (summary.bytes + 3, summary.lines),
            (whole.bytes, whole.lines)
        );
    }
}

#[test]
fn text_of_two_bytes_for_a_letter_is_read() {
    let text = message("å") + "\n" + &message("b") + "\n";
    let expected = read(text.clone()).0;
    for mark in ["", "\u{feff}"] {
        let units: Vec<u16> = format!("{mark}{text}").encode_utf16().collect();
        let little: Vec<u8> = units.iter().flat_map(|unit| unit.to_le_bytes()).collect();
        let big: Vec<u8> = units.iter().flat_map(|unit| unit.to_be_bytes()).collect();
        assert_same(little, &expected);
        assert_same(big, &expected);
    }
}

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
fn a_file_is_read_up_to_the_length_that_it_had_and_as_often_as_one_likes() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("traces.jsonl");
    let line = "{\"resourceSpans\":[]}\n";
    std::fs::write(&path, line).expect("written");
    let mut source = Source::open(&path).expect("opened");
    std::fs::write(&path, line.repeat(3)).expect("written");
    assert_eq!(drain(&mut source).1.lines, 1);
    source.rewind().expect("a file");
    assert_eq!(drain(&mut source).1.lines, 1);
    assert_eq!(source.stored_bytes(), Some(line.len() as u64));
    assert!(Source::open(folder.path()).is_err());
    let mut pipe = Source::from_reader(line.as_bytes()).expect("readable");
    assert!(pipe.rewind().is_err() && pipe.stored_bytes().is_none());
}

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

#[test]
fn units_go_from_thread_to_thread() {
    fn assert_sends<T: Send>() {}
    assert_sends::<Source>();
    assert_sends::<Unit>();
    let mut source = Source::from_reader(Cursor::new(fixture("proto-zstd", "traces.out")));
    let mut unit = Unit::default();
    let source = source.as_mut().expect("readable");
    assert!(source.next_unit(&mut unit).expect("readable"));
    let summaries = std::thread::scope(|scope| {
        let threads = [0; 2].map(|_| scope.spawn(|| decode(&unit, &mut Collected::default())));
        threads.map(|thread| thread.join().expect("no panic"))
    });
    assert!(summaries[0].counts.items(Signal::Traces) > 0);
    assert_eq!(summaries[0], summaries[1]);
}

/// The requests of a file with this content, and what couldn't be read.
fn sent_again(content: impl Into<Vec<u8>>) -> (Vec<SignalRequest>, Vec<Skipped>) {
    let mut source = Source::from_reader(Cursor::new(content.into())).expect("readable");
    let (mut unit, mut all, mut skipped) = (Unit::default(), Vec::new(), Vec::new());
    while source.next_unit(&mut unit).expect("readable") {
        skipped.extend(requests(&unit, |request| all.push(request)));
    }
    (all, skipped)
}

/// As the file exporter writes them, so that NaN equals NaN.
fn lines(requests: &[SignalRequest]) -> Vec<String> {
    let line = |request: &SignalRequest| {
        let mut line = Vec::new();
        match request {
            SignalRequest::Traces(request) => json::write(request, &mut line),
            SignalRequest::Metrics(request) => json::write(request, &mut line),
            SignalRequest::Logs(request) => json::write(request, &mut line),
        }
        String::from_utf8(line).expect("text")
    };
    requests.iter().map(line).collect()
}

#[test]
fn each_form_holds_the_same_requests() {
    for signal in SIGNALS {
        let (of_json, skipped) = sent_again(fixture("json-none", signal));
        assert!(of_json.len() > 1 && skipped.is_empty());
        let items = of_json.iter().map(SignalRequest::items).sum::<u64>();
        assert_eq!(
            items,
            read(fixture("json-none", signal)).1.counts.all_items()
        );
        for form in ["json-zstd", "proto-none", "proto-zstd"] {
            let (requests, skipped) = sent_again(fixture(form, signal));
            assert!(skipped.is_empty(), "{form} {signal}: {skipped:?}");
            assert_eq!(lines(&requests), lines(&of_json), "{form} {signal}");
        }
    }
}

#[test]
fn a_message_of_several_signals_is_several_requests_and_an_empty_one_none() {
    let mixed = r#"{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"timeUnixNano":"7"}]}]}],
        "resourceSpans":[{"scopeSpans":[{"spans":[{"name":"a"}]}]}]}"#;
    let content = mixed.replace('\n', " ") + "\n{\"resourceSpans\":[]}\n\n";
    let (requests, skipped) = sent_again(content);
    let signals: Vec<Signal> = requests.iter().map(SignalRequest::signal).collect();
    assert_eq!(signals, [Signal::Traces, Signal::Logs]);
    assert_eq!(skipped, []);
}

#[test]
fn what_is_no_request_is_named() {
    let span = r#"{"traceID":"1","spanID":"1","operationName":"a","startTime":1,"duration":1}"#;
    let jaegers = format!(r#"{{"data":[{{"traceID":"1","spans":[{span}]}}]}}"#);
    for (content, reason) in [(jaegers.as_str(), "Jaeger"), ("{\"a\":1}\n", "none of")] {
        let (requests, skipped) = sent_again(content);
        assert!(requests.is_empty());
        assert!(skipped[0].reason.contains(reason), "{skipped:?}");
    }
    let (_, skipped) = sent_again("{\"resourceSpans\":[{\"scopeSp");
    assert!(skipped[0].torn);
}

/// Items, and how many things of how many skipped messages are named.
fn counted(content: &str) -> (usize, Vec<(u64, String)>) {
    let (items, summary) = read(content);
    let named = summary.skipped.into_iter().map(|it| (it.parts, it.reason));
    (items.len(), named.collect())
}

#[test]
fn fields_that_are_not_known_and_may_hold_items_are_named() {
    let of = |before: &str, within: &str, metric: &str| {
        format!(
            r#"{{"resourceMetrics":[{{{within}"scopeMetrics":[{{"metrics":[{{"name":"m","gauge":{{"dataPoints":[{{"asInt":"1"}}]}}{metric}}}]}}]}}]{before}}}"#
        )
    };
    for (content, parts, name) in [
        (
            of(r#","resourceProfiles":[{},{}]"#, "", ""),
            2,
            "`resourceProfiles`",
        ),
        (of(r#","ResourceSpans":[{}]"#, "", ""), 1, "`ResourceSpans`"),
        (of("", r#""spans":[{},{},{}],"#, ""), 3, "`spans`"),
        (of("", r#""scopeSpans":[{}],"#, ""), 1, "`scopeSpans`"),
        (
            of("", "", r#","intGauge":{"dataPoints":[{},{}]}"#),
            2,
            "`intGauge`",
        ),
        (
            of("", "", r#","gauge":{"DataPoints":[{"asInt":"1"}]}"#),
            1,
            "`DataPoints`",
        ),
        (
            of("", "", r#","sum":{"dataPoints":[{"asInt":"1"},{}]}"#),
            1,
            "`gauge`",
        ),
    ] {
        let (_, named) = counted(&content);
        let [(found, reason)] = &named[..] else {
            panic!("{content}: {named:?}");
        };
        assert!(
            *found == parts && reason.contains(name),
            "{name}: {named:?}"
        );
    }
    // What can't hold items is no loss.
    let fine = of(
        r#","x":1,"y":"{","z":[1,"a"],"w":{"v":{"u":1}}"#,
        r#""schemaUrl":"s","deprecated":{},"#,
        r#","description":"d","unit":"u","metadata":[{"key":"k"}]"#,
    );
    assert_eq!(counted(&fine), (1, vec![]));
    let (_, named) = counted(r#"{"resourceProfiles":[{}],"dictionary":{}}"#);
    assert!(matches!(&named[..], [(0, why)] if why.contains("`resourceProfiles`, `dictionary`")));
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
fn several_messages_on_a_line_are_read_however_they_begin() {
    let (a, b) = (message("a"), message("b"));
    let two = read(format!("{a}\n{b}\n")).0;
    let other = a.replacen('{', r#"{"x":1,"#, 1);
    let wrapped = |message: &str| format!(r#"{{"result":{message}}}"#);
    for line in [
        format!("{other}{b}"),
        format!("{other} , {b}"),
        format!("{}{}", wrapped(&a), wrapped(&b)),
        format!(r#"{{"trace":{a}}}{b}"#),
        format!("{}{b}", a.replacen('{', "{ ", 1)),
    ] {
        assert_same(format!("{line}\n").into_bytes(), &two);
    }
    // One of them torn, or followed by something else: it costs itself.
    for (line, lost) in [
        (format!("{other}{b}{}", &other[..20]), 1),
        (format!("{}{other}{b}", &other[..20]), 1),
        (format!("{a}502 Bad Gateway {b}"), 1),
        (format!("{a}}}{b}"), 1),
        (format!("{a}{{\"resourceSpans\":7}}{b}"), 1),
    ] {
        let (items, summary) = read(format!("{line}\n"));
        assert_eq!(items, two, "{line}");
        assert_eq!(summary.skipped.len(), lost, "{line}: {:?}", summary.skipped);
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
}

#[test]
fn lines_with_commas_between_them_are_read() {
    let two = read(format!("{}\n{}\n", message("a"), message("b"))).0;
    let content = format!("{},\n{} , \r\n", message("a"), message("b"));
    assert_same(content.into_bytes(), &two);
}

#[test]
fn labels_of_older_points_are_attributes() {
    let of = |pair: &str| {
        read(format!(
            r#"{{"resourceMetrics":[{{"scopeMetrics":[{{"metrics":[{{"name":"m","sum":{{"dataPoints":[{{{pair},"asInt":"1"}}]}}}}]}}]}}]}}"#
        ))
    };
    let (old, summary) = of(r#""labels":[{"key":"a","value":"b"}]"#);
    assert_eq!(summary.skipped, []);
    assert_eq!(
        old,
        of(r#""attributes":[{"key":"a","value":{"stringValue":"b"}}]"#).0
    );
}

/// A field of protobuf that holds bytes.
fn field(number: u32, content: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    prost::encoding::encode_key(
        number,
        prost::encoding::WireType::LengthDelimited,
        &mut bytes,
    );
    prost::encoding::encode_varint(content.len() as u64, &mut bytes);
    bytes.extend_from_slice(content);
    bytes
}

#[test]
fn fields_of_protobuf_that_are_not_known_are_named() {
    let point = field(1, &[field(1, b"a"), field(2, b"b")].concat());
    let gauge = field(5, &field(1, &[&point[..], &[0x21; 9]].concat()));
    let of = |message: &[u8], resource: &[u8], scope: &[u8], metric: &[u8]| {
        let metric = field(2, &[&field(1, b"m"), &gauge[..], metric].concat());
        let scope = field(2, &[&metric[..], &field(3, b"url"), scope].concat());
        let resource = field(1, &[&scope[..], &field(3, b"url"), resource].concat());
        framed(&[&[&resource[..], message].concat()])
    };
    let odd = field(7, b"x");
    let old = field(4, &field(1, b""));
    for (content, place) in [
        (of(&odd, b"", b"", b""), "field 7 is not known in a message"),
        (of(b"", &odd, b"", b""), "in a resource's part"),
        (of(b"", b"", &odd, b""), "in a scope's part"),
        (of(b"", b"", b"", &old), "field 4 is not known in a metric"),
    ] {
        let (items, summary) = read(content);
        // What was a label is an attribute.
        assert!(items.len() == 1 && items[0].contains("key: \"a\", value: Text(\"b\")"));
        let [skipped] = &summary.skipped[..] else {
            panic!("{place}: {summary:?}");
        };
        assert!(skipped.reason.contains(place), "{skipped:?}");
        assert_eq!((skipped.message, skipped.parts), (0, 1));
    }
    let (items, summary) = read(of(b"", b"", b"", b""));
    assert_eq!((items.len(), &summary.skipped[..]), (1, &[][..]));
}

#[test]
fn what_requests_have_no_place_for_is_named() {
    let content = message("a").replacen("\"scopeSpans\"", r#""Spans":[{},{}],"scopeSpans""#, 1);
    let mut source = Source::from_reader(Cursor::new(content + "\n")).expect("readable");
    let mut unit = Unit::default();
    assert!(source.next_unit(&mut unit).expect("readable"));
    let mut sent = 0;
    let skipped = requests(&unit, |request| sent += request.items());
    let parts: Vec<u64> = skipped.iter().map(|it| it.parts).collect();
    assert_eq!((sent, &parts[..]), (1, &[2][..]));
}

#[test]
fn values_of_no_kind_that_is_known_and_ids_by_another_name_are_named() {
    let of = |value: &str| {
        let attributes = format!(r#"{{"attributes":[{{"key":"a","value":{value}}}]}}"#);
        message("a").replacen("\"resource\":{}", &format!("\"resource\":{attributes}"), 1)
    };
    let ids = r#""traceID":"00000000000000000000000000000001","spanID":"0000000000000001""#;
    let content = message("a").replacen("\"name\"", &format!("{ids},\"name\""), 1);
    let (items, named) = counted(&content);
    assert!(
        items == 1 && matches!(&named[..], [(2, why)] if why.contains("an id")),
        "{named:?}"
    );
    for (value, odd) in [
        (r#"{"Value":{"StringValue":"web"}}"#, 1),
        (
            r#"{"arrayValue":{"values":[{"x":1},{"intValue":1},{"y":2}]}}"#,
            2,
        ),
        (r#"{"stringValue":"web"}"#, 0),
        ("{}", 0),
        ("null", 0),
    ] {
        let (items, named) = counted(&of(value));
        let parts: u64 = named.iter().map(|(parts, _)| parts).sum();
        assert_eq!((items, parts), (1, odd), "{value}: {named:?}");
    }
}

/// A document that can be told by its name: on one line or over many, of OTLP or of Jaeger.
fn document(name: &str, is_jaegers: bool, is_pretty: bool) -> String {
    let line = match is_jaegers {
        true => format!(
            r#"{{"data":[{{"traceID":"1","spans":[{{"spanID":"1","operationName":"{name}"}}],"processes":{{}}}}],"total":1,"errors":null}}"#
        ),
        false => message(name),
    };
    let tree: serde_json::Value = serde_json::from_str(&line).expect("JSON");
    match is_pretty {
        true => serde_json::to_string_pretty(&tree).expect("JSON"),
        false => line,
    }
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

#[test]
fn documents_over_many_lines_behind_lines_or_words_are_read() {
    let two = read(format!("{}\n{}\n", message("a"), message("b"))).0;
    let pretty = document("b", false, true);
    assert_same(format!("{}\n{pretty}\n", message("a")).into_bytes(), &two);
    let (items, summary) = read(format!("HTTP/1.1 200 OK\r\n\r\n{pretty}\n"));
    assert_eq!(items, two[1..]);
    assert_eq!(summary.skipped.len(), 1);
}
