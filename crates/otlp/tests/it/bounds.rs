//! What is bounded whatever comes: items to take back, elements held, depth.

use loadgen_otlp::view::Span;
use loadgen_otlp::{Origin, Owner, Sink, UNDO_ITEMS, read_json, read_protobuf};

/// Counts.
#[derive(Default)]
struct Count {
    spans: u64,
    undone: u64,
    attributes: usize,
    unwanted: bool,
}

impl Sink for Count {
    fn wants(&self, _: Owner, _: &str) -> bool {
        !self.unwanted
    }

    fn undo(&mut self) {
        self.undone += 1;
    }

    fn span(&mut self, _: Origin<'_, '_>, span: &Span<'_>) {
        self.spans += 1;
        self.attributes += span.attributes.len();
    }
}

fn spans(inside: &str) -> String {
    format!("{{\"resourceSpans\":[{{\"scopeSpans\":[{{\"spans\":[{inside}]}}]}}]}}")
}

/// A message of protobuf with so many empty spans, and what comes behind them.
fn protobuf(spans: usize, behind: &[u8]) -> Vec<u8> {
    let field = |tag: u8, inside: Vec<u8>| {
        let mut out = vec![tag];
        let mut length = inside.len();
        while length >= 0x80 {
            out.push(length as u8 | 0x80);
            length >>= 7;
        }
        out.push(length as u8);
        out.extend(inside);
        out
    };
    let inside = [b"\x12\0".repeat(spans), behind.to_vec()].concat();
    field(0x0a, field(0x12, inside))
}

#[test]
fn a_message_with_very_many_items_is_checked_before_more_are_handed_on_than_can_be_taken_back() {
    let many = 3 * UNDO_ITEMS as usize;
    // Who speaks comes first, so that items are handed on at once.
    let good = spans(&["{}"].repeat(many).join(","))
        .replace("{\"scopeSpans", "{\"resource\":{},\"scopeSpans")
        .replace("{\"spans", "{\"scope\":{},\"spans");
    let bad = good.replace("{}]", "{},]");
    let mut sink = Count::default();
    assert!(read_json(good.as_bytes(), &mut sink).is_ok());
    assert_eq!((sink.spans, sink.undone), (many as u64, 0));
    let mut sink = Count::default();
    assert!(read_json(bad.as_bytes(), &mut sink).is_err());
    assert_eq!((sink.spans, sink.undone), (UNDO_ITEMS, 1));
    // What is only odd costs itself: what was handed on is taken back, and all else is read anew.
    let odd = good.replace("{}]", "{},7]");
    let mut sink = Count::default();
    assert!(read_json(odd.as_bytes(), &mut sink).is_ok());
    assert_eq!((sink.spans, sink.undone), (UNDO_ITEMS + many as u64, 1));

    let mut sink = Count::default();
    assert!(read_protobuf(&protobuf(many, b""), &mut sink).is_ok());
    assert_eq!((sink.spans, sink.undone), (many as u64, 0));
    let mut sink = Count::default();
    // A span whose trace id is longer than the span.
    assert!(read_protobuf(&protobuf(many, b"\x12\x02\x0a\x05"), &mut sink).is_err());
    assert_eq!((sink.spans, sink.undone), (UNDO_ITEMS, 1));
}

#[test]
fn a_span_with_very_many_attributes_is_refused_unless_nobody_wants_them() {
    let attributes = |n: usize| {
        let list = vec!["{\"key\":\"a\"}"; n].join(",");
        spans(&format!("{{\"attributes\":[{list}]}}"))
    };
    let mut sink = Count::default();
    assert!(read_json(attributes(1 << 16).as_bytes(), &mut sink).is_ok());
    assert_eq!(sink.attributes, 1 << 16);
    let many = attributes((1 << 16) + 1);
    let problem = read_json(many.as_bytes(), &mut sink).expect_err("too many");
    assert!(problem.reason.contains("more than 65536"), "{problem}");
    sink.unwanted = true;
    assert!(read_json(many.as_bytes(), &mut sink).is_ok());
    // Elements of values count, too.
    let values = vec!["[]"; 1 << 17].join(",");
    let nested = spans(&format!(
        "{{\"attributes\":[{{\"key\":\"a\",\"value\":{{\"arrayValue\":{{\"values\":[{}]}}}}}}]}}",
        values.replace("[]", "{}")
    ));
    (sink.unwanted, sink.attributes) = (false, 0);
    assert!(read_json(nested.as_bytes(), &mut sink).is_ok());
    assert_eq!(sink.attributes, 0);
}

#[test]
fn nesting_without_end_is_an_error_not_a_crash() {
    let deep = r#"{"arrayValue":{"values":["#.repeat(100_000);
    let text = spans(&format!(
        "{{\"attributes\":[{{\"key\":\"a\",\"value\":{deep}"
    ));
    for unwanted in [false, true] {
        let mut sink = Count {
            unwanted,
            ..Count::default()
        };
        assert!(read_json(text.as_bytes(), &mut sink).is_err());
    }
    let wrapped = "{\"result\":".repeat(100_000);
    assert!(read_json(wrapped.as_bytes(), &mut Count::default()).is_err());
    // The same in protobuf: each length is longer than what is there.
    let deep = b"\x2a\x7f\x0a\x7e".repeat(1000);
    let behind = [&b"\x12\x7f\x4a\x7e\x0a\x01a\x12\x70"[..], &deep].concat();
    assert!(read_protobuf(&protobuf(1, &behind), &mut Count::default()).is_err());
}
