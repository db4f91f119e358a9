//! Attributes as plain JSON: `{"http.route":"/","attempt":2}` rather than OTLP's list.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::ser::{Serialize, SerializeMap, Serializer};

use super::value::{AnyValue, KeyValue};

impl Serialize for AnyValue<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            AnyValue::Empty => serializer.serialize_unit(),
            AnyValue::Text(text) => serializer.serialize_str(text),
            AnyValue::Bool(v) => serializer.serialize_bool(*v),
            AnyValue::Int(v) => serializer.serialize_i64(*v),
            AnyValue::Double(v) => PlainDouble(*v).serialize(serializer),
            AnyValue::Bytes(bytes) => serializer.serialize_str(&BASE64.encode(bytes)),
            AnyValue::Array(values) => serializer.collect_seq(values),
            AnyValue::KeyValues(pairs) => PlainObject(pairs).serialize(serializer),
        }
    }
}

/// A double that is written as OTLP's word where JSON has no number for it.
#[derive(Debug, Clone, Copy)]
pub struct PlainDouble(pub f64);

impl Serialize for PlainDouble {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            v if v.is_finite() => serializer.serialize_f64(v),
            v if v.is_nan() => serializer.serialize_str("NaN"),
            v if v > 0.0 => serializer.serialize_str("Infinity"),
            _ => serializer.serialize_str("-Infinity"),
        }
    }
}

/// Attributes as one JSON object, by key: SDKs send the same set in any order, and the text of a
/// series must be the same each time.
#[derive(Debug, Clone, Copy)]
pub struct PlainObject<'p, 'a>(pub &'p [KeyValue<'a>]);

impl Serialize for PlainObject<'_, '_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut pairs: Vec<&KeyValue<'_>> = self.0.iter().collect();
        pairs.sort_by(|a, b| a.key.cmp(&b.key));
        let mut map = serializer.serialize_map(Some(pairs.len()))?;
        for pair in pairs {
            map.serialize_entry(&*pair.key, &pair.value)?;
        }
        map.end()
    }
}
