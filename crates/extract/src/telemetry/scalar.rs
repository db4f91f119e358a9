//! JSON scalars as OTLP/JSON really comes: 64-bit integers as strings or numbers, enums as numbers
//! or names, doubles as words, and `null` where a field is unset.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, Unexpected, Visitor};

/// Any JSON scalar; text is borrowed from the line unless it holds an escape.
enum Scalar<'a> {
    Null,
    Bool(bool),
    Int(i64),
    BigInt(u64),
    Float(f64),
    Text(Cow<'a, str>),
}

impl Scalar<'_> {
    fn unexpected(&self) -> Unexpected<'_> {
        match self {
            Scalar::Null => Unexpected::Unit,
            Scalar::Bool(v) => Unexpected::Bool(*v),
            Scalar::Int(v) => Unexpected::Signed(*v),
            Scalar::BigInt(v) => Unexpected::Unsigned(*v),
            Scalar::Float(v) => Unexpected::Float(*v),
            Scalar::Text(v) => Unexpected::Str(v),
        }
    }
}

struct ScalarVisitor(&'static str);

impl<'de> Visitor<'de> for ScalarVisitor {
    type Value = Scalar<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(Scalar::Null)
    }

    fn visit_bool<E: Error>(self, v: bool) -> Result<Self::Value, E> {
        Ok(Scalar::Bool(v))
    }

    fn visit_i64<E: Error>(self, v: i64) -> Result<Self::Value, E> {
        Ok(Scalar::Int(v))
    }

    fn visit_u64<E: Error>(self, v: u64) -> Result<Self::Value, E> {
        Ok(i64::try_from(v).map_or(Scalar::BigInt(v), Scalar::Int))
    }

    fn visit_f64<E: Error>(self, v: f64) -> Result<Self::Value, E> {
        Ok(Scalar::Float(v))
    }

    fn visit_borrowed_str<E: Error>(self, v: &'de str) -> Result<Self::Value, E> {
        Ok(Scalar::Text(Cow::Borrowed(v)))
    }

    fn visit_str<E: Error>(self, v: &str) -> Result<Self::Value, E> {
        Ok(Scalar::Text(Cow::Owned(v.to_owned())))
    }

    fn visit_string<E: Error>(self, v: String) -> Result<Self::Value, E> {
        Ok(Scalar::Text(Cow::Owned(v)))
    }
}

/// Reads a scalar and converts it; `expected` completes "expected …" in the error.
fn read<'de, D: Deserializer<'de>, T>(
    deserializer: D,
    expected: &'static str,
    convert: impl FnOnce(&mut Scalar<'de>) -> Option<T>,
) -> Result<T, D::Error> {
    let mut scalar = deserializer.deserialize_any(ScalarVisitor(expected))?;
    match convert(&mut scalar) {
        Some(value) => Ok(value),
        None => Err(D::Error::invalid_value(scalar.unexpected(), &expected)),
    }
}

fn integral(v: f64) -> Option<i64> {
    // 2^63 is exact as a double; -2^63 is the least i64.
    const LIMIT: f64 = 9_223_372_036_854_775_808.0;
    (v.fract() == 0.0 && (-LIMIT..LIMIT).contains(&v)).then_some(v as i64)
}

/// A string. `null` is the empty string.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Text<'a>(pub(crate) Cow<'a, str>);

impl std::ops::Deref for Text<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        read(deserializer, "a string", |scalar| match scalar {
            Scalar::Null => Some(Text::default()),
            Scalar::Text(v) => Some(Text(std::mem::take(v))),
            _ => None,
        })
    }
}

/// A signed 64-bit integer, as a number or as a string. `null` is 0.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Int(pub(crate) i64);

impl<'de> Deserialize<'de> for Int {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        read(deserializer, "a 64-bit integer", |scalar| match scalar {
            Scalar::Null => Some(Int(0)),
            Scalar::Int(v) => Some(Int(*v)),
            Scalar::Float(v) => integral(*v).map(Int),
            Scalar::Text(v) => v.parse().ok().map(Int),
            Scalar::Bool(_) | Scalar::BigInt(_) => None,
        })
    }
}

/// An unsigned 64-bit integer, as a number or as a string. `null` is 0.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Unsigned(pub(crate) u64);

impl<'de> Deserialize<'de> for Unsigned {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        read(
            deserializer,
            "an unsigned 64-bit integer",
            |scalar| match scalar {
                Scalar::Null => Some(Unsigned(0)),
                Scalar::Int(v) => u64::try_from(*v).ok().map(Unsigned),
                Scalar::BigInt(v) => Some(Unsigned(*v)),
                Scalar::Float(v) => integral(*v)
                    .and_then(|v| u64::try_from(v).ok())
                    .map(Unsigned),
                Scalar::Text(v) => v.parse().ok().map(Unsigned),
                Scalar::Bool(_) => None,
            },
        )
    }
}

/// A time in Unix nanoseconds; 0, the default, stands for "not set". Times after the year 2262,
/// which no i64 holds, are nobody's clock and count as not set.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct UnixNanos(i64);

impl UnixNanos {
    /// The time, or none where it is not set.
    pub(crate) fn get(self) -> Option<i64> {
        (self.0 != 0).then_some(self.0)
    }
}

impl<'de> Deserialize<'de> for UnixNanos {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        read(deserializer, "Unix nanoseconds", |scalar| {
            let ns = match scalar {
                Scalar::Null => 0,
                Scalar::Int(v) => u64::try_from(*v).ok()?,
                Scalar::BigInt(v) => *v,
                Scalar::Float(v) => u64::try_from(integral(*v)?).ok()?,
                Scalar::Text(v) => v.parse().ok()?,
                Scalar::Bool(_) => return None,
            };
            Some(UnixNanos(i64::try_from(ns).unwrap_or(0)))
        })
    }
}

/// A double, as a number or as a word (`"NaN"`, `"Infinity"`, `"-Infinity"`). `null` is 0.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Double(pub(crate) f64);

impl<'de> Deserialize<'de> for Double {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        read(deserializer, "a number", |scalar| match scalar {
            Scalar::Null => Some(Double(0.0)),
            Scalar::Int(v) => Some(Double(*v as f64)),
            Scalar::BigInt(v) => Some(Double(*v as f64)),
            Scalar::Float(v) => Some(Double(*v)),
            Scalar::Text(v) => v.parse().ok().map(Double),
            Scalar::Bool(_) => None,
        })
    }
}

/// A boolean. `null` is false.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Flag(pub(crate) bool);

impl<'de> Deserialize<'de> for Flag {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        read(deserializer, "true or false", |scalar| match scalar {
            Scalar::Null => Some(Flag(false)),
            Scalar::Bool(v) => Some(Flag(*v)),
            _ => None,
        })
    }
}

/// A trace id; 0, which OpenTelemetry forbids, stands for "none".
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub(crate) struct TraceId(pub(crate) u128);

impl<'de> Deserialize<'de> for TraceId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        read(
            deserializer,
            "a trace id of 32 hexadecimal digits",
            |scalar| match scalar {
                Scalar::Null => Some(TraceId(0)),
                Scalar::Text(v) => hex::<32>(v).or_else(|| base64(v, 16)).map(TraceId),
                _ => None,
            },
        )
    }
}

/// A span id; 0, which OpenTelemetry forbids, stands for "none".
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub(crate) struct SpanId(pub(crate) u64);

impl<'de> Deserialize<'de> for SpanId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        read(
            deserializer,
            "a span id of 16 hexadecimal digits",
            |scalar| match scalar {
                Scalar::Null => Some(SpanId(0)),
                Scalar::Text(v) => {
                    let id = hex::<16>(v).or_else(|| base64(v, 8));
                    id.map(|id| SpanId(id as u64))
                }
                _ => None,
            },
        )
    }
}

/// Exactly `DIGITS` hexadecimal digits of either case, or nothing at all, which is 0.
fn hex<const DIGITS: usize>(text: &str) -> Option<u128> {
    if text.is_empty() {
        return Some(0);
    }
    let digits: &[u8; DIGITS] = text.as_bytes().try_into().ok()?;
    // One test after the loop rather than one a digit: a bad digit leaves its high bits set.
    let mut bad = 0;
    let mut value = 0;
    for &digit in digits {
        let nibble = HEX_VALUES[usize::from(digit)];
        bad |= nibble;
        value = value << 4 | u128::from(nibble & 15);
    }
    (bad < 16).then_some(value)
}

/// Base64 of so many bytes, as protobuf's own JSON mapping writes ids.
fn base64(text: &str, bytes: usize) -> Option<u128> {
    use base64::Engine as _;
    let mut id = [0; 16];
    // Longer texts, and so longer ids, don't fit into the space that is given.
    let read = base64::engine::general_purpose::STANDARD
        .decode_slice(text, &mut id[16 - bytes..])
        .ok()?;
    (read == bytes).then(|| u128::from_be_bytes(id))
}

const HEX_VALUES: [u8; 256] = {
    let mut table = [0xff; 256];
    let mut value = 0;
    while value < 16 {
        let digit = b"0123456789abcdef"[value];
        table[digit as usize] = value as u8;
        table[digit.to_ascii_uppercase() as usize] = value as u8;
        value += 1;
    }
    table
};

/// An enum of OTLP whose names end in the members of a list, at the position of their number.
pub(crate) trait Named {
    /// Begins every name, such as `SPAN_KIND_`.
    const PREFIX: &'static str;
    /// The rest of each name, by number from 0.
    const NAMES: &'static [&'static str];
    /// Completes "expected …".
    const EXPECTED: &'static str;
}

/// The number of an enum of OTLP, read from a number or a name.
#[derive(Debug)]
pub(crate) struct Enum<N>(pub(crate) i32, std::marker::PhantomData<N>);

impl<N> Default for Enum<N> {
    fn default() -> Self {
        Self(0, std::marker::PhantomData)
    }
}

impl<'de, N: Named> Deserialize<'de> for Enum<N> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = read(deserializer, N::EXPECTED, |scalar| match scalar {
            Scalar::Null => Some(0),
            Scalar::Int(v) => i32::try_from(*v).ok(),
            Scalar::Float(v) => integral(*v).and_then(|v| i32::try_from(v).ok()),
            Scalar::Text(v) => match v.strip_prefix(N::PREFIX) {
                Some(name) => N::NAMES.iter().position(|n| *n == name).map(|n| n as i32),
                None => v.parse().ok(),
            },
            Scalar::Bool(_) | Scalar::BigInt(_) => None,
        })?;
        Ok(Self(number, std::marker::PhantomData))
    }
}

/// A list that may be `null`.
pub(crate) fn list<'de, D, T>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse<'de, T: Deserialize<'de>>(json: &'de str) -> Result<T, String> {
        serde_json::from_str(json).map_err(|e| e.to_string())
    }

    #[test]
    fn integers_come_as_strings_or_numbers() {
        assert_eq!(parse("\"-7\""), Ok(Int(-7)));
        assert_eq!(parse("7"), Ok(Int(7)));
        assert_eq!(parse("7.0"), Ok(Int(7)));
        assert_eq!(parse("null"), Ok(Int(0)));
        assert_eq!(parse("\"18446744073709551615\""), Ok(Unsigned(u64::MAX)));
        assert_eq!(parse("18446744073709551615"), Ok(Unsigned(u64::MAX)));
        assert!(parse::<Int>("18446744073709551615").is_err());
        assert!(parse::<Int>("7.5").is_err());
        assert!(parse::<Int>("\"seven\"").is_err());
        assert!(parse::<Unsigned>("-1").is_err());
    }

    #[test]
    fn times_are_not_negative_and_zero_is_unset() {
        assert_eq!(parse::<UnixNanos>("\"0\"").map(UnixNanos::get), Ok(None));
        assert_eq!(
            parse::<UnixNanos>("\"12\"").map(UnixNanos::get),
            Ok(Some(12))
        );
        assert!(parse::<UnixNanos>("-1").is_err());
        for beyond in ["9223372036854775808", "\"18446744073709551615\""] {
            assert_eq!(parse::<UnixNanos>(beyond).map(UnixNanos::get), Ok(None));
        }
        assert!(parse::<UnixNanos>("\"18446744073709551616\"").is_err());
    }

    #[test]
    fn doubles_may_be_words() {
        assert_eq!(parse("\"-Infinity\""), Ok(Double(f64::NEG_INFINITY)));
        assert!(parse::<Double>("\"NaN\"").is_ok_and(|v| v.0.is_nan()));
        assert_eq!(parse("3"), Ok(Double(3.0)));
    }

    #[test]
    fn ids_are_hexadecimal_of_either_case_and_exact_length() {
        assert_eq!(parse("\"00000000000000FF\""), Ok(SpanId(255)));
        assert_eq!(parse("\"\""), Ok(SpanId(0)));
        assert_eq!(
            parse("\"0123456789abcdef0123456789ABCDEF\""),
            Ok(TraceId(0x0123_4567_89ab_cdef_0123_4567_89ab_cdef))
        );
        assert!(parse::<SpanId>("\"00000000000000fg\"").is_err());
        assert!(parse::<SpanId>("\"ff\"").is_err());
        assert!(parse::<TraceId>("\"00000000000000ff\"").is_err());
    }

    #[test]
    fn text_keeps_its_escapes_resolved() {
        assert_eq!(
            parse::<Text>(r#""a\"b\u00e9""#).map(|t| t.to_string()),
            Ok("a\"bé".into())
        );
        assert!(parse::<Text>("5").is_err());
    }
}
