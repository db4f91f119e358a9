//! Items at every place where they do not belong, in JSON and in protobuf: none is lost in silence.

use std::io::Cursor;

use loadgen_otlp::source::{Source, Unit, decode, requests};
use loadgen_otlp::{Owner, SignalRequest, Sink};
use serde_json::{Value, json};

use crate::kit::{field, framed, read};

/// What a dataset has no place for, with all that belongs there.
const UNASKED: [&str; 6] = [
    "events",
    "links",
    "exemplars",
    "entityRefs",
    "metadata",
    "logs",
];
/// Lists whose elements are read as what they should be.
const READ: [&str; 4] = ["quantileValues", "references", "processes", "links"];

fn span() -> Value {
    json!({"traceId": "0000000000000000000000000000000b", "spanId": "000000000000000b",
        "name": "lost", "startTimeUnixNano": "1"})
}

fn attributes(name: &str) -> Value {
    json!([{"key": name, "value": {"kvlistValue": {"values": [
        {"key": "a", "value": {"arrayValue": {"values": [{"boolValue": true}, {"intValue": "1"}]}}}
    ]}}}])
}

fn of(signal: &str, item: &Value) -> Value {
    let (resources, scopes, items) = match signal {
        "traces" => ("resourceSpans", "scopeSpans", "spans"),
        "metrics" => ("resourceMetrics", "scopeMetrics", "metrics"),
        _ => ("resourceLogs", "scopeLogs", "logRecords"),
    };
    let scope = json!({"name": "s", "version": "1", "attributes": attributes("wanted")});
    json!({resources: [{
        "resource": {"attributes": attributes("wanted"), "droppedAttributesCount": 1,
            "entityRefs": [{"type": "t", "idKeys": ["a"]}]},
        scopes: [{"scope": scope, items: [item], "schemaUrl": "s"}],
        "schemaUrl": "s",
    }]})
}

/// A message of each signal and kind, with all that OTLP has, and one of Jaeger.
fn messages() -> Vec<Value> {
    let exemplar =
        json!({"filteredAttributes": attributes("a"), "asInt": "1", "timeUnixNano": "1"});
    let point = |special: Value| {
        let mut point = json!({"attributes": attributes("no"), "timeUnixNano": "1", "flags": 0,
            "exemplars": [exemplar], "count": "1", "sum": 1.0});
        let fields = point.as_object_mut().expect("an object");
        fields.extend(special.as_object().expect("an object").clone());
        if fields.contains_key("quantileValues") {
            fields.remove("exemplars");
        }
        point
    };
    let metric = |kind: &str, point: Value| {
        let metadata = attributes("m");
        let item = json!({"name": "n", "description": "d", "unit": "u", "metadata": metadata,
            kind: {"dataPoints": [point]}});
        of("metrics", &item)
    };
    let buckets = json!({"offset": 1, "bucketCounts": ["1"]});
    let span = json!({"traceId": "0000000000000000000000000000000a", "spanId": "000000000000000a",
        "traceState": "t", "name": "n", "kind": 2, "flags": 1, "startTimeUnixNano": "1",
        "attributes": attributes("no"), "droppedAttributesCount": 1, "droppedEventsCount": 1,
        "events": [{"timeUnixNano": "1", "name": "e", "attributes": attributes("e")}],
        "links": [{"traceId": "0000000000000000000000000000000c", "attributes": attributes("l")}],
        "status": {"code": 2, "message": "m"}});
    let log = json!({"timeUnixNano": "1", "body": {"stringValue": "b"}, "severityText": "s",
        "attributes": attributes("wanted"), "droppedAttributesCount": 1, "flags": 1});
    let tags = json!([{"key": "k", "type": "bool", "value": true}]);
    let jaegers = json!({"traceID": "a", "operationName": "o", "spanID": "a", "startTime": 1,
        "duration": 1, "flags": 1, "processID": "p", "process": null, "tags": tags,
        "warnings": ["w"], "logs": [{"timestamp": 1, "fields": tags}],
        "references": [{"refType": "CHILD_OF", "traceID": "a", "spanID": "b"}]});
    let processes = json!({"p": {"serviceName": "s", "tags": tags}});
    let trace = json!({"traceID": "a", "spans": [jaegers], "processes": processes});
    vec![
        of("traces", &span),
        json!({"result": of("traces", &span)}),
        of("logs", &log),
        metric("gauge", point(json!({"asInt": "1"}))),
        metric(
            "histogram",
            point(json!({"bucketCounts": ["1"], "explicitBounds": []})),
        ),
        metric(
            "exponentialHistogram",
            point(json!({"positive": buckets, "negative": buckets})),
        ),
        metric(
            "summary",
            point(json!({"quantileValues": [{"quantile": 0.5, "value": 1.0}]})),
        ),
        json!({"data": [trace], "total": 0, "errors": null}),
        trace,
    ]
}

/// Ways to objects and lists in a value, as JSON pointers.
fn places(value: &Value, at: &str, found: &mut Vec<String>) {
    let mut inner = |name: &str, value: &Value| places(value, &format!("{at}/{name}"), found);
    match value {
        Value::Object(fields) => fields.iter().for_each(|(name, value)| inner(name, value)),
        Value::Array(values) => {
            let values = values.iter().enumerate();
            values.for_each(|(index, value)| inner(&index.to_string(), value));
        }
        _ => {}
    }
    found.push(at.to_owned());
}

/// Whether something that was not there before is read or named, as a line and as a document.
#[track_caller]
fn assert_not_silent(before: usize, message: &Value, what: &str) {
    let pretty = serde_json::to_string_pretty(message).expect("JSON");
    for content in [format!("{{\"resourceLogs\":[]}}\n{message}\n"), pretty] {
        let (items, summary) = read(content);
        assert!(
            items.len() > before || !summary.skipped.is_empty(),
            "{what} is lost in silence: {message}"
        );
    }
    // And so where messages are sent again.
    let mut source = Source::from_reader(Cursor::new(message.to_string())).expect("readable");
    let mut unit = Unit::default();
    let (mut sent, mut named) = (0, 0);
    while source.next_unit(&mut unit).expect("readable") {
        let mut count = |request: SignalRequest| sent += request.items();
        named += requests(&unit, &mut count).len();
    }
    assert!(
        sent > before as u64 || named > 0,
        "{what} is not sent again, in silence: {message}"
    );
}

#[test]
fn a_list_of_items_in_any_object_is_read_or_named() {
    const NAMES: [&str; 14] = [
        "spans",
        "scopeSpans",
        "resourceSpans",
        "instrumentationLibrarySpans",
        "resource_spans",
        "logRecords",
        "log_records",
        "logs",
        "scopeLogs",
        "resourceLogs",
        "metrics",
        "dataPoints",
        "scopeMetrics",
        "resourceMetrics",
    ];
    let mut tried = 0;
    for message in messages() {
        let before = read(message.to_string());
        assert_eq!(
            (before.0.len(), &before.1.skipped[..]),
            (1, &[][..]),
            "{message}"
        );
        let mut found = Vec::new();
        places(&message, "", &mut found);
        for place in &found {
            for name in NAMES {
                let mut changed = message.clone();
                let Some(Value::Object(fields)) = changed.pointer_mut(place) else {
                    continue;
                };
                if fields.contains_key(name) || place.ends_with("/processes") {
                    continue;
                }
                fields.insert(name.to_owned(), json!([span()]));
                // Jaeger's spans have logs of their own.
                if name == "logs" && fields.contains_key("operationName") {
                    continue;
                }
                tried += 1;
                assert_not_silent(1, &changed, &format!("`{name}` at {place}"));
            }
        }
    }
    assert!(tried > 1000, "{tried}");
}

#[test]
fn a_span_in_place_of_any_value_is_read_or_named() {
    let mut tried = 0;
    for message in messages() {
        let mut found = Vec::new();
        places(&message, "", &mut found);
        for place in found.iter().filter(|place| !place.is_empty()) {
            let names: Vec<&str> = place.split('/').collect();
            let last = names[names.len() - 1];
            let is_read = names[names.len() - 2..]
                .iter()
                .any(|name| READ.contains(name));
            // Values of Jaeger's tags are read as what they are, which is a text where they are lists.
            let is_tags_value = last == "value" && names.contains(&"tags");
            if names.iter().any(|name| UNASKED.contains(name)) || is_read || is_tags_value {
                continue;
            }
            let mut changed = message.clone();
            *changed.pointer_mut(place).expect("there") = json!([span(), span()]);
            tried += 1;
            assert_not_silent(1, &changed, &format!("a list at {place}"));
        }
    }
    assert!(tried > 150, "{tried}");
}

/// Wants no attribute.
struct Nothing;

impl Sink for Nothing {
    fn wants(&self, _: Owner, _: &str) -> bool {
        false
    }
}

#[test]
fn a_list_of_items_in_an_attribute_that_is_not_wanted_is_named() {
    for value in [
        json!({"spans": [span()]}),
        json!({"kvlistValue": {"values": [{"key": "a", "value": {"logRecords": [span()]}}]}}),
    ] {
        let span = json!({"name": "n", "attributes": [{"key": "no", "value": value}]});
        let content = of("traces", &span).to_string();
        let mut source = Source::from_reader(Cursor::new(content)).expect("readable");
        let mut unit = Unit::default();
        assert!(source.next_unit(&mut unit).expect("readable"));
        let summary = decode(&unit, &mut Nothing);
        let parts: Vec<u64> = summary.skipped.iter().map(|it| it.parts).collect();
        assert_eq!((summary.counts.all_items(), parts), (1, vec![1]), "{value}");
    }
}

/// A message of protobuf with all that OTLP has, and a field that is not known in one place of it.
struct Protobuf<'p> {
    unknown_in: &'p str,
    tried: std::cell::Cell<bool>,
}

impl Protobuf<'_> {
    /// A field that holds a message with these fields.
    fn field(&self, number: u32, place: &str, fields: &[Vec<u8>]) -> Vec<u8> {
        field(number, &self.fields(place, fields))
    }

    fn fields(&self, place: &str, fields: &[Vec<u8>]) -> Vec<u8> {
        let mut fields = fields.concat();
        if place == self.unknown_in {
            self.tried.set(true);
            fields.extend(field(99, b"lost"));
        }
        fields
    }

    fn attribute(&self, number: u32) -> Vec<u8> {
        let inner = self.field(1, "inner value", &[field(1, b"a")]);
        let list = self.field(5, "array", &[inner]);
        let pair = [field(1, b"k"), self.field(2, "value in a pair", &[list])];
        let pairs = self.field(6, "pairs", &[self.field(1, "pair", &pair)]);
        let value = self.field(2, "value", &[pairs]);
        self.field(number, "attribute", &[field(1, b"k"), value])
    }

    fn message(&self, items: &[Vec<u8>]) -> Vec<u8> {
        let scope = self.field(
            1,
            "scope",
            &[field(1, b"s"), field(2, b"v"), self.attribute(3)],
        );
        let of_scope = [&[scope][..], items, &[field(3, b"u")]].concat();
        let resource = self.field(1, "resource", &[self.attribute(1), field(3, b"")]);
        let scopes = self.field(2, "scope's part", &of_scope);
        let resources = self.field(1, "resource's part", &[resource, scopes, field(3, b"u")]);
        self.fields("message", &[resources])
    }

    fn spans(&self) -> Vec<u8> {
        let link = [
            field(1, &[7; 16]),
            field(2, &[7; 8]),
            field(3, b"t"),
            field(4, b""),
        ];
        let span = [
            vec![
                field(1, &[9; 16]),
                field(2, &[9; 8]),
                field(3, b"t"),
                field(5, b"n"),
            ],
            vec![self.attribute(9), field(11, &field(2, b"event"))],
            vec![self.field(13, "link", &link)],
            vec![self.field(15, "status", &[field(2, b"m")])],
        ];
        self.message(&[self.field(2, "span", &span.concat())])
    }

    fn log_records(&self) -> Vec<u8> {
        let body = self.field(5, "body", &[field(1, b"text")]);
        let record = [
            field(3, b"INFO"),
            field(4, b"old name"),
            body,
            self.attribute(6),
        ];
        self.message(&[self.field(2, "log record", &record)])
    }

    fn metrics(&self) -> Vec<u8> {
        let metric = |kind: u32, place: &str, point: &[Vec<u8>]| {
            let points = self.field(1, place, point);
            let points = self.field(kind, "points", &[points]);
            let texts = [
                field(1, b"m"),
                field(2, b"d"),
                field(3, b"u"),
                field(12, b""),
            ];
            self.field(2, "metric", &[&texts[..], &[points]].concat())
        };
        let label = self.field(1, "label", &[field(1, b"a"), field(2, b"b")]);
        let buckets = self.field(8, "buckets", &[field(2, &[1, 2])]);
        self.message(&[
            metric(
                5,
                "number",
                &[self.attribute(7), label, field(5, b"exemplar")],
            ),
            metric(9, "histogram", &[self.attribute(9), field(8, b"exemplar")]),
            metric(
                10,
                "exponential histogram",
                &[self.attribute(1), buckets, field(11, b"e")],
            ),
            metric(
                11,
                "summary",
                &[self.field(6, "quantile", &[vec![0x11; 9]])],
            ),
        ])
    }
}

#[test]
fn a_field_that_is_not_known_in_any_message_of_protobuf_is_named() {
    let everywhere = "message/resource's part/scope's part/resource/scope/attribute/value/pairs/pair/\
        value in a pair/array/inner value";
    type Make<'p> = fn(&Protobuf<'p>) -> Vec<u8>;
    let signals: [(Make<'_>, &str); 3] = [
        (Protobuf::spans, "span/link/status"),
        (Protobuf::log_records, "log record/body"),
        (
            Protobuf::metrics,
            "metric/points/number/label/histogram/exponential histogram/buckets/summary/quantile",
        ),
    ];
    for (make, places) in signals {
        let of = |unknown_in: &'static str| {
            let message = Protobuf {
                unknown_in,
                tried: false.into(),
            };
            let (items, summary) = read(framed(&[&make(&message)]));
            (items.len(), summary.skipped, message.tried.get())
        };
        let (whole, skipped, _) = of("nowhere");
        assert!(whole > 0 && skipped.is_empty(), "{skipped:?}");
        for place in everywhere.split('/').chain(places.split('/')) {
            let (items, skipped, tried) = of(place);
            assert!(tried, "{place}");
            assert_eq!(items, whole, "{place}: {skipped:?}");
            assert!(!skipped.is_empty(), "{place}");
            assert!(skipped.iter().all(|it| it.parts > 0), "{skipped:?}");
        }
    }
}
