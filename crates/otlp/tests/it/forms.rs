//! Files of any form: those that a real Collector wrote in each of its formats, and these
//! compressed and joined as it happens in the field.

use std::io::Cursor;

use loadgen_otlp::Signal;
use loadgen_otlp::source::{Source, Unit, decode};

use crate::collect::Collected;
use crate::kit::{
    SIGNALS, assert_same, document, drain, expected, fixture, gzip, message, read, zstd,
};

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
    assert_eq!(source.content_bytes(), Some(line.len() as u64));
    assert!(Source::open(folder.path()).is_err());
    let mut pipe = Source::from_reader(line.as_bytes()).expect("readable");
    assert!(pipe.rewind().is_err() && pipe.content_bytes().is_none());
}

#[test]
fn a_file_counts_by_what_it_would_have_as_json() {
    let folder = tempfile::tempdir().expect("a folder");
    let bytes_of = |name: &str, content: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, content).expect("written");
        let source = Source::open(&path).expect("opened");
        (
            content.len() as u64,
            source.content_bytes().expect("a file"),
        )
    };
    let line = b"{\"resourceSpans\":[]}\n";
    let packed = zstd::bulk::compress(line, 1).expect("compressed");
    let framed = [&(packed.len() as u32).to_be_bytes()[..], &packed].concat();
    let protobuf = b"\0\0\0\x02\x0a\0";
    let json = [&(line.len() as u32).to_be_bytes()[..], line].concat();
    for (name, content, times) in [
        ("whole", &packed[..], 10),
        ("messages", &framed, 10),
        ("protobuf", protobuf, 2),
        ("json", &json, 1),
        ("lines", line, 1),
    ] {
        let (stored, counted) = bytes_of(name, content);
        assert_eq!(counted, times * stored, "{name}");
    }
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
fn lines_with_commas_between_them_are_read() {
    let two = read(format!("{}\n{}\n", message("a"), message("b"))).0;
    let content = format!("{},\n{} , \r\n", message("a"), message("b"));
    assert_same(content.into_bytes(), &two);
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
