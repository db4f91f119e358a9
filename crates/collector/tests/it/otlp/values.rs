//! Attribute values of every kind, and the ids, resources and scopes of the requests.

use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{
    AnyValue, ArrayValue, InstrumentationScope, KeyValue, KeyValueList,
};
use opentelemetry_proto::tonic::resource::v1::Resource;

pub(crate) fn text(value: &str) -> AnyValue {
    any(Value::StringValue(value.to_owned()))
}

pub(crate) fn any(value: Value) -> AnyValue {
    AnyValue { value: Some(value) }
}

pub(crate) fn attribute(key: &str, value: AnyValue) -> KeyValue {
    KeyValue {
        key: key.to_owned(),
        value: Some(value),
        key_strindex: 0,
    }
}

pub(super) fn array(values: Vec<AnyValue>) -> AnyValue {
    any(Value::ArrayValue(ArrayValue { values }))
}

/// Attributes with each kind of value and their extremes.
pub(crate) fn every_value() -> Vec<KeyValue> {
    let list = vec![
        attribute("inner", text("x")),
        attribute(
            "deeper",
            array(vec![any(Value::IntValue(1)), array(vec![])]),
        ),
    ];
    vec![
        attribute("text", text("plain")),
        attribute("text.empty", text("")),
        attribute(
            "text.escapes",
            text("quote \" backslash \\ slash / <html> & \u{0}\u{1}\u{8}\u{c}\n\r\t\u{1f}\u{7f}"),
        ),
        attribute(
            "text.unicode",
            text("Äpfel, 東京, \u{2028}\u{2029}, 🤖, \u{fffd}, \u{10ffff}"),
        ),
        attribute("ключ \"quoted\"", text("key")),
        attribute("", text("no key")),
        attribute("true", any(Value::BoolValue(true))),
        attribute("false", any(Value::BoolValue(false))),
        attribute("int.zero", any(Value::IntValue(0))),
        attribute("int.min", any(Value::IntValue(i64::MIN))),
        attribute("int.max", any(Value::IntValue(i64::MAX))),
        attribute("double.zero", any(Value::DoubleValue(0.0))),
        attribute("double.negative_zero", any(Value::DoubleValue(-0.0))),
        attribute("double.nan", any(Value::DoubleValue(f64::NAN))),
        attribute("double.infinity", any(Value::DoubleValue(f64::INFINITY))),
        attribute(
            "double.negative_infinity",
            any(Value::DoubleValue(f64::NEG_INFINITY)),
        ),
        attribute("bytes", any(Value::BytesValue((0..=255).collect()))),
        attribute("bytes.padded", any(Value::BytesValue(vec![0xfb, 0xff]))),
        attribute("bytes.empty", any(Value::BytesValue(vec![]))),
        attribute(
            "array",
            array(vec![
                text("a"),
                AnyValue { value: None },
                any(Value::BoolValue(false)),
            ]),
        ),
        attribute("array.empty", array(vec![])),
        attribute(
            "list",
            any(Value::KvlistValue(KeyValueList { values: list })),
        ),
        attribute(
            "list.empty",
            any(Value::KvlistValue(KeyValueList { values: vec![] })),
        ),
        attribute("empty", AnyValue { value: None }),
        KeyValue {
            key: "absent".to_owned(),
            value: None,
            key_strindex: 0,
        },
    ]
}

pub(super) fn resource(service: &str) -> Option<Resource> {
    Some(Resource {
        attributes: vec![attribute("service.name", text(service))],
        dropped_attributes_count: 0,
        entity_refs: vec![],
    })
}

pub(super) fn scope() -> Option<InstrumentationScope> {
    Some(InstrumentationScope {
        name: "scope".to_owned(),
        version: "1.2.3".to_owned(),
        attributes: every_value(),
        dropped_attributes_count: 4_000_000_000,
    })
}

pub(crate) fn trace_id(n: u8) -> Vec<u8> {
    (0..16)
        .map(|i| n.wrapping_mul(31).wrapping_add(i))
        .collect()
}

pub(crate) fn span_id(n: u8) -> Vec<u8> {
    (0..8)
        .map(|i| n.wrapping_mul(17).wrapping_add(i) | 0x80)
        .collect()
}
