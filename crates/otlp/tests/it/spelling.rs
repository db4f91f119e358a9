//! The same message in other words: names in snake_case, keys in any order, nulls, unknown fields,
//! numbers as strings and the other way round, enums by name, ids in upper case or base64.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use opentelemetry_proto::tonic::logs::v1::SeverityNumber;
use opentelemetry_proto::tonic::metrics::v1::AggregationTemporality;
use opentelemetry_proto::tonic::trace::v1::{span, status};
use rand::RngExt as _;
use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;
use serde_json::{Map, Value};

/// Writes a message of OTLP/JSON in other words.
pub(crate) fn respell(message: &Value, rng: &mut StdRng) -> String {
    let mut out = String::new();
    write(message, "", rng, &mut out);
    out
}

fn write(value: &Value, field: &str, rng: &mut StdRng, out: &mut String) {
    match value {
        Value::Object(object) => write_object(object, rng, out),
        Value::Array(list) => {
            let mut parts = Vec::new();
            for element in list {
                // Among values a null is one. Elsewhere it is nothing.
                if element.is_object() && field != "values" && rng.random_bool(0.2) {
                    parts.push("null".to_owned());
                }
                let mut part = String::new();
                write(element, field, rng, &mut part);
                parts.push(part);
            }
            out.push_str(&format!("[ {}]", parts.join(",")));
        }
        scalar => out.push_str(&other_scalar(scalar, field, rng)),
    }
}

fn write_object(object: &Map<String, Value>, rng: &mut StdRng, out: &mut String) {
    let mut pairs: Vec<(&str, Option<&Value>)> =
        object.iter().map(|(k, v)| (k.as_str(), Some(v))).collect();
    // What isn't there may be null.
    for absent in [
        "name",
        "resource",
        "scope",
        "status",
        "attributes",
        "links",
        "sum",
        "unit",
    ] {
        if !object.contains_key(absent) && rng.random_bool(0.1) {
            pairs.push((absent, None));
        }
    }
    pairs.push(("neverHeardOf", None));
    pairs.shuffle(rng);
    out.push('{');
    for (at, (name, value)) in pairs.into_iter().enumerate() {
        if at > 0 {
            out.push(',');
        }
        if rng.random_bool(0.3) {
            out.push('\n');
        }
        let written = if rng.random_bool(0.5) {
            snake_case(name)
        } else {
            name.to_owned()
        };
        out.push_str(&format!("{written:?} :"));
        match value {
            Some(value) => write(value, name, rng, out),
            None if name == "neverHeardOf" => {
                out.push_str(r#"[{"a":[1e3,"x\"]}",null,true]},"b"]"#)
            }
            None => out.push_str("null"),
        }
    }
    out.push('}');
}

fn snake_case(name: &str) -> String {
    let mut snake = String::new();
    for c in name.chars() {
        if c.is_ascii_uppercase() {
            snake.push('_');
        }
        snake.push(c.to_ascii_lowercase());
    }
    snake
}

fn other_scalar(value: &Value, field: &str, rng: &mut StdRng) -> String {
    let text = value.as_str().unwrap_or_default();
    let is_number = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit() || b == b'-');
    let number = value.as_i64().and_then(|number| i32::try_from(number).ok());
    let name = number.and_then(|number| {
        Some(match field {
            "kind" => span::SpanKind::try_from(number).ok()?.as_str_name(),
            "code" => status::StatusCode::try_from(number).ok()?.as_str_name(),
            "severityNumber" => SeverityNumber::try_from(number).ok()?.as_str_name(),
            "aggregationTemporality" => {
                AggregationTemporality::try_from(number).ok()?.as_str_name()
            }
            _ => return None,
        })
    });
    let is_id = ["traceId", "spanId", "parentSpanId"].contains(&field);
    let is_long = field.ends_with("UnixNano")
        || ["intValue", "asInt", "count", "zeroCount", "bucketCounts"].contains(&field);
    match (rng.random_range(0..3), name) {
        (0, Some(name)) => format!("{name:?}"),
        (1, Some(_)) => format!("{value}.0"),
        (0, None) if is_id => format!("{:?}", text.to_uppercase()),
        (1, None) if is_id => {
            let bytes: Vec<u8> = (0..text.len() / 2)
                .map(|at| u8::from_str_radix(&text[2 * at..2 * at + 2], 16).expect("hex"))
                .collect();
            format!("{:?}", BASE64.encode(bytes))
        }
        (0, None) if is_long && is_number => text.to_owned(),
        (1, None) if is_long && is_number => format!("{text}.0"),
        (0, None) if value.is_number() => format!("\"{value}\""),
        _ => value.to_string(),
    }
}
