//! Attributes: OTLP's list of key and value pairs, either kept whole or only the keys of interest.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{
    Deserialize, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor,
};
use serde::ser::{Serialize, SerializeMap, Serializer};

use super::scalar::{Double, Flag, Int, Text, list};

/// OTLP's `AnyValue`.
#[derive(Debug, Default, PartialEq)]
pub(crate) enum AnyValue<'a> {
    /// Nothing set.
    #[default]
    Empty,
    /// `stringValue`.
    Text(Text<'a>),
    /// `boolValue`.
    Bool(bool),
    /// `intValue`.
    Int(i64),
    /// `doubleValue`.
    Double(f64),
    /// `bytesValue`: base64, as it came.
    Bytes(Text<'a>),
    /// `arrayValue`.
    Array(Vec<AnyValue<'a>>),
    /// `kvlistValue`.
    KeyValues(Vec<KeyValue<'a>>),
}

/// One attribute.
#[derive(Debug, Default, PartialEq, serde::Deserialize)]
#[serde(default)]
pub(crate) struct KeyValue<'a> {
    #[serde(borrow)]
    pub(crate) key: Text<'a>,
    #[serde(borrow)]
    pub(crate) value: AnyValue<'a>,
}

impl<'a> AnyValue<'a> {
    /// A string that is not empty, or the only element of an array if it is one.
    pub(crate) fn into_text(self) -> Option<Text<'a>> {
        match self {
            AnyValue::Text(text) if !text.is_empty() => Some(text),
            AnyValue::Array(mut values) if values.len() == 1 => values.pop()?.into_text(),
            _ => None,
        }
    }

    /// An integer, also one that was sent as a string or a double.
    pub(crate) fn as_int(&self) -> Option<i64> {
        match self {
            AnyValue::Int(v) => Some(*v),
            AnyValue::Text(text) => text.parse().ok(),
            AnyValue::Double(v) if v.fract() == 0.0 && v.abs() < 9e15 => Some(*v as i64),
            _ => None,
        }
    }
}

#[derive(serde::Deserialize)]
#[serde(field_identifier, rename_all = "camelCase")]
enum ValueKey {
    StringValue,
    BoolValue,
    IntValue,
    DoubleValue,
    BytesValue,
    ArrayValue,
    KvlistValue,
    #[serde(other)]
    Unknown,
}

#[derive(Default, serde::Deserialize)]
#[serde(default)]
struct ArrayValue<'a> {
    #[serde(borrow, deserialize_with = "list")]
    values: Vec<AnyValue<'a>>,
}

#[derive(Default, serde::Deserialize)]
#[serde(default)]
struct KeyValueList<'a> {
    #[serde(borrow, deserialize_with = "list")]
    values: Vec<KeyValue<'a>>,
}

impl<'de: 'a, 'a> Deserialize<'de> for AnyValue<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ValueVisitor;

        impl<'de> Visitor<'de> for ValueVisitor {
            type Value = AnyValue<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an attribute value such as {\"stringValue\":\"…\"}")
            }

            fn visit_unit<E>(self) -> Result<Self::Value, E> {
                Ok(AnyValue::Empty)
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut value = AnyValue::Empty;
                while let Some(key) = map.next_key()? {
                    value = match key {
                        ValueKey::StringValue => AnyValue::Text(map.next_value()?),
                        ValueKey::BoolValue => AnyValue::Bool(map.next_value::<Flag>()?.0),
                        ValueKey::IntValue => AnyValue::Int(map.next_value::<Int>()?.0),
                        ValueKey::DoubleValue => AnyValue::Double(map.next_value::<Double>()?.0),
                        ValueKey::BytesValue => AnyValue::Bytes(map.next_value()?),
                        ValueKey::ArrayValue => {
                            AnyValue::Array(map.next_value::<ArrayValue<'de>>()?.values)
                        }
                        ValueKey::KvlistValue => {
                            AnyValue::KeyValues(map.next_value::<KeyValueList<'de>>()?.values)
                        }
                        ValueKey::Unknown => {
                            map.next_value::<IgnoredAny>()?;
                            continue;
                        }
                    };
                }
                Ok(value)
            }
        }

        deserializer.deserialize_any(ValueVisitor)
    }
}

/// As plain JSON: `{"http.route":"/","attempt":2}` rather than OTLP's list.
impl Serialize for AnyValue<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            AnyValue::Empty => serializer.serialize_unit(),
            AnyValue::Text(text) | AnyValue::Bytes(text) => serializer.serialize_str(text),
            AnyValue::Bool(v) => serializer.serialize_bool(*v),
            AnyValue::Int(v) => serializer.serialize_i64(*v),
            AnyValue::Double(v) => JsonDouble(*v).serialize(serializer),
            AnyValue::Array(values) => serializer.collect_seq(values),
            AnyValue::KeyValues(pairs) => AsObject(pairs).serialize(serializer),
        }
    }
}

/// A double that is written as OTLP's word where JSON has no number for it.
pub(crate) struct JsonDouble(pub(crate) f64);

impl Serialize for JsonDouble {
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
pub(crate) struct AsObject<'a>(pub(crate) &'a [KeyValue<'a>]);

impl Serialize for AsObject<'_> {
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

/// What a reader wants of a list of attributes.
pub(crate) trait Pick<'a>: Default {
    /// Whether the value of a key is worth parsing; cheap, and may say yes too often.
    fn wants(key: &str) -> bool;

    /// Looks at one attribute; the first of a key that comes twice should win.
    fn take(&mut self, key: &str, value: AnyValue<'a>);
}

/// A list of attributes of which only some are kept, so that nothing is allocated for the rest.
#[derive(Debug, Default)]
pub(crate) struct Picked<P>(pub(crate) P);

impl<'de, P: Pick<'de>> Deserialize<'de> for Picked<P> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct PickVisitor<P>(PhantomData<P>);

        impl<'de, P: Pick<'de>> Visitor<'de> for PickVisitor<P> {
            type Value = Picked<P>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of attributes")
            }

            fn visit_unit<E>(self) -> Result<Self::Value, E> {
                Ok(Picked(P::default()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                let mut picked = P::default();
                while seq
                    .next_element_seed(PickPair(&mut picked, PhantomData))?
                    .is_some()
                {}
                Ok(Picked(picked))
            }
        }

        deserializer.deserialize_any(PickVisitor(PhantomData))
    }
}

#[derive(serde::Deserialize)]
#[serde(field_identifier, rename_all = "camelCase")]
enum PairKey {
    Key,
    Value,
    #[serde(other)]
    Unknown,
}

/// Reads one attribute into a `Pick`, and passes over its value if that is not wanted.
struct PickPair<'p, 'de, P>(&'p mut P, PhantomData<&'de ()>);

impl<'de, P: Pick<'de>> DeserializeSeed<'de> for PickPair<'_, 'de, P> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de, P: Pick<'de>> Visitor<'de> for PickPair<'_, 'de, P> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an attribute such as {\"key\":\"…\",\"value\":{}}")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut key: Option<Text<'de>> = None;
        let mut value = AnyValue::Empty;
        while let Some(name) = map.next_key()? {
            match name {
                PairKey::Key => key = Some(map.next_value()?),
                // A value that comes before its key is kept until the key is known.
                PairKey::Value if key.as_deref().is_none_or(P::wants) => {
                    value = map.next_value()?
                }
                PairKey::Value | PairKey::Unknown => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        if let Some(key) = key {
            self.0.take(&key, value);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(otlp: &str) -> String {
        let pairs: Vec<KeyValue<'_>> = serde_json::from_str(otlp).expect("valid attributes");
        serde_json::to_string(&AsObject(&pairs)).expect("serialisable")
    }

    #[test]
    fn attributes_become_plain_json() {
        assert_eq!(
            object(
                r#"[{"key":"s","value":{"stringValue":"a\"b"}},{"key":"i","value":{"intValue":"5"}},
                    {"value":{"doubleValue":"NaN"},"key":"d"},{"key":"b","value":{"boolValue":true}},
                    {"key":"a","value":{"arrayValue":{"values":[{"intValue":1},{}]}}},
                    {"key":"m","value":{"kvlistValue":{"values":[{"key":"x","value":{"doubleValue":0.5}}]}}},
                    {"key":"e","value":{"arrayValue":{}}},{"key":"new","value":{"futureValue":[1]}},
                    {"key":"n","value":null}]"#
            ),
            r#"{"a":[1,null],"b":true,"d":"NaN","e":[],"i":5,"m":{"x":0.5},"n":null,"new":null,"s":"a\"b"}"#
        );
    }

    #[test]
    fn nesting_without_end_is_an_error_not_a_crash() {
        let deep = r#"{"arrayValue":{"values":["#.repeat(100_000);
        assert!(serde_json::from_str::<AnyValue<'_>>(&deep).is_err());
        let unknown = "[".repeat(1_000_000);
        assert!(serde_json::from_str::<KeyValue<'_>>(&format!("{{\"x\":{unknown}")).is_err());
    }
}
