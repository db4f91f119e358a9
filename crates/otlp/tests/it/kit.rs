//! Files as tests make and read them.

use std::io::{Cursor, Write as _};
use std::path::{Path, PathBuf};

use loadgen_otlp::source::{Source, Unit, UnitSummary, decode};

use crate::collect::Collected;

pub(crate) const SIGNALS: [&str; 3] = ["traces.out", "metrics.out", "logs.out"];

pub(crate) fn fixture(form: &str, signal: &str) -> Vec<u8> {
    let path: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../extract/tests/forms")
        .join(form)
        .join(signal);
    std::fs::read(path).expect("there")
}

pub(crate) fn drain(source: &mut Source) -> (Vec<String>, UnitSummary) {
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

pub(crate) fn framed(messages: &[&[u8]]) -> Vec<u8> {
    let frame = |m: &&[u8]| [&(m.len() as u32).to_be_bytes(), *m].concat();
    messages.iter().flat_map(frame).collect()
}

pub(crate) fn gzip(content: &[u8]) -> Vec<u8> {
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(content).expect("compressed");
    gzip.finish().expect("compressed")
}

pub(crate) fn zstd(content: &[u8]) -> Vec<u8> {
    zstd::encode_all(content, 3).expect("compressed")
}

pub(crate) fn expected(signal: &str) -> Vec<String> {
    let (items, summary) = read(fixture("json-none", signal));
    assert!(!items.is_empty() && summary.skipped.is_empty());
    items
}

#[track_caller]
pub(crate) fn assert_same(content: Vec<u8>, expected: &[String]) {
    let (items, summary) = read(content);
    assert_eq!(summary.skipped, []);
    assert_eq!(items, expected);
}

/// One message of traces, as a line.
pub(crate) fn message(name: &str) -> String {
    format!(
        r#"{{"resourceSpans":[{{"resource":{{}},"scopeSpans":[{{"spans":[{{"name":"{name}"}}]}}]}}]}}"#
    )
}

/// A document that can be told by its name: on one line or over many, of OTLP or of Jaeger.
pub(crate) fn document(name: &str, is_jaegers: bool, is_pretty: bool) -> String {
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

/// A field of protobuf that holds bytes.
pub(crate) fn field(number: u32, content: &[u8]) -> Vec<u8> {
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
