//! Values of a scenario file that may be written in more than one way: `exec: browse` or
//! `exec: {browse: 7, checkout: 3}`, `think_time: 1s` or `think_time: [1s, 2s]`. Each is read by a
//! visitor of its own rather than by an untagged enum, which would lose the place of an error.

use std::borrow::Cow;
use std::fmt;

use indexmap::IndexMap;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{self, Deserializer, MapAccess, SeqAccess, Visitor};

use crate::duration::Duration;

/// A text that may look like a number or truth value: `env: {N: 1.10}` is the text `1.10`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Text(pub String);

/// The flow or flows of a scenario.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Exec {
    /// Every iteration runs this flow.
    One(String),
    /// Each iteration chooses one, as often as the weights say.
    Mix(IndexMap<String, u32>),
}

/// A guard time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Guard {
    /// That many percent of the window.
    Percent(f64),
    /// A duration.
    Time(Duration),
}

/// A share such as `10%`, from 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Share(pub f64);

/// A number: its least and its greatest value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Bounds {
    /// The least.
    pub low: f64,
    /// The greatest.
    pub high: f64,
}

/// A pause: its shortest and longest length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Pause {
    /// Shortest.
    pub min: Duration,
    /// Longest.
    pub max: Duration,
}

/// Inclusive ranges of HTTP status codes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StatusSpec(pub Vec<(u16, u16)>);

/// How many rounds a repeat has: `3`, or `{var: n, max: 4}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum RepeatSpec {
    /// That many.
    Fixed(u32),
    /// As many as a variable says, at most `max`.
    Variable {
        /// Its name.
        var: String,
        /// The most rounds.
        max: u32,
    },
}

impl RepeatSpec {
    /// The most rounds that it may have.
    pub(crate) fn most(&self) -> u32 {
        match self {
            Self::Fixed(rounds) => *rounds,
            Self::Variable { max, .. } => *max,
        }
    }
}

/// Where a captured value is: `/uuid`, or `{pointer: "", random_element: true}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CaptureSpec {
    /// JSON Pointer into the answer; empty for the whole of it.
    pub pointer: String,
    /// Whether the pointer names an array of which one element is taken.
    pub random_element: bool,
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        text(deserializer).map(Text)
    }
}

/// A text as it is written, also where it looks like a number; nothing, or `null`, is none.
pub(crate) fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    Option::deserialize(deserializer)?
        .ok_or_else(|| de::Error::invalid_type(de::Unexpected::Unit, &"a string"))
}

impl<'de> Deserialize<'de> for Exec {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Exec;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the name of a flow, or a map of flows to weights")
            }
            fn visit_str<E: de::Error>(self, name: &str) -> Result<Exec, E> {
                Ok(Exec::One(name.to_owned()))
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Exec, A::Error> {
                IndexMap::deserialize(MapAccessDeserializer::new(map)).map(Exec::Mix)
            }
        }
        deserializer.deserialize_any(Reader)
    }
}

impl<'de> Deserialize<'de> for Guard {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl Visitor<'_> for Reader {
            type Value = Guard;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a share such as 5% or a duration such as 3s")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Guard, E> {
                let Some(percent) = text.strip_suffix('%') else {
                    return Duration::parse(text).map(Guard::Time).map_err(E::custom);
                };
                match percent.trim_end().parse::<f64>() {
                    Ok(percent) if percent.is_finite() => Ok(Guard::Percent(percent)),
                    _ => Err(E::custom(format!(
                        "`{text}` is not a share\nwrite it like 5%"
                    ))),
                }
            }
            fn visit_u64<E: de::Error>(self, ms: u64) -> Result<Guard, E> {
                self.visit_str(&ms.to_string())
            }
        }
        deserializer.deserialize_any(Reader)
    }
}

impl<'de> Deserialize<'de> for Share {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl Visitor<'_> for Reader {
            type Value = Share;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a share such as 10%")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Share, E> {
                let percent = text
                    .strip_suffix('%')
                    .map(|number| number.trim_end().parse());
                match percent {
                    Some(Ok(percent)) if (0.0..=100.0).contains(&percent) => {
                        Ok(Share(percent / 100.0))
                    }
                    _ => Err(E::custom(format!(
                        "`{text}` is not a share\nwrite it like 10%, from 0% to 100%"
                    ))),
                }
            }
        }
        deserializer.deserialize_any(Reader)
    }
}

impl<'de> Deserialize<'de> for Bounds {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Bounds;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number, or [least, most]")
            }
            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Bounds, E> {
                self.visit_f64(number as f64)
            }
            fn visit_f64<E: de::Error>(self, number: f64) -> Result<Bounds, E> {
                let (low, high) = (number, number);
                Ok(Bounds { low, high })
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Bounds, A::Error> {
                let short = |length| de::Error::invalid_length(length, &self);
                let low = seq.next_element()?.ok_or_else(|| short(0))?;
                let high = seq.next_element()?.ok_or_else(|| short(1))?;
                match seq.next_element::<de::IgnoredAny>()? {
                    None => Ok(Bounds { low, high }),
                    Some(_) => Err(short(3)),
                }
            }
        }
        deserializer.deserialize_any(Reader)
    }
}

impl<'de> Deserialize<'de> for Pause {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Pause;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a duration such as 500ms, or [shortest, longest]")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Pause, E> {
                let length = Duration::parse(text).map_err(E::custom)?;
                Ok(Pause {
                    min: length,
                    max: length,
                })
            }
            fn visit_u64<E: de::Error>(self, ms: u64) -> Result<Pause, E> {
                self.visit_str(&ms.to_string())
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Pause, A::Error> {
                let short = |length| de::Error::invalid_length(length, &self);
                let min = seq.next_element()?.ok_or_else(|| short(0))?;
                let max = seq.next_element()?.ok_or_else(|| short(1))?;
                match seq.next_element::<de::IgnoredAny>()? {
                    None => Ok(Pause { min, max }),
                    Some(_) => Err(short(3)),
                }
            }
        }
        deserializer.deserialize_any(Reader)
    }
}

impl<'de> Deserialize<'de> for StatusSpec {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = StatusSpec;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a status such as 200, 2xx or 200-299, or a list of these")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<StatusSpec, E> {
                status_range(text)
                    .map(|range| StatusSpec(vec![range]))
                    .map_err(E::custom)
            }
            fn visit_u64<E: de::Error>(self, status: u64) -> Result<StatusSpec, E> {
                self.visit_str(&status.to_string())
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<StatusSpec, A::Error> {
                let mut ranges = Vec::new();
                while let Some(StatusSpec(range)) = seq.next_element()? {
                    ranges.extend(range);
                }
                match ranges.is_empty() {
                    true => Err(de::Error::invalid_length(0, &self)),
                    false => Ok(StatusSpec(ranges)),
                }
            }
        }
        deserializer.deserialize_any(Reader)
    }
}

impl<'de> Deserialize<'de> for RepeatSpec {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Fields {
            var: String,
            max: u32,
        }
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = RepeatSpec;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number of rounds, or {var: n, max: 4}")
            }
            fn visit_u64<E: de::Error>(self, rounds: u64) -> Result<RepeatSpec, E> {
                // More is out of range in any case.
                Ok(RepeatSpec::Fixed(u32::try_from(rounds).unwrap_or(u32::MAX)))
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<RepeatSpec, A::Error> {
                let Fields { var, max } = Fields::deserialize(MapAccessDeserializer::new(map))?;
                Ok(RepeatSpec::Variable { var, max })
            }
        }
        deserializer.deserialize_any(Reader)
    }
}

fn status_range(text: &str) -> Result<(u16, u16), String> {
    let wrong = || {
        format!(
            "`{text}` is not an HTTP status\nwrite 200, 2xx, 200-299 or a list; statuses go from 100 to 599"
        )
    };
    let code = |text: &str| {
        text.trim()
            .parse::<u16>()
            .ok()
            .filter(|code| (100..=599).contains(code))
            .ok_or_else(wrong)
    };
    if let Some(class) = text.strip_suffix("xx") {
        let first = code(&format!("{class}00"))?;
        return Ok((first, first + 99));
    }
    let (low, high) = text.split_once('-').unwrap_or((text, text));
    let (low, high) = (code(low)?, code(high)?);
    if low > high {
        Err(wrong())
    } else {
        Ok((low, high))
    }
}

impl<'de> Deserialize<'de> for CaptureSpec {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Fields {
            pointer: String,
            #[serde(default)]
            random_element: bool,
        }
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = CaptureSpec;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(
                    "a JSON Pointer such as /uuid, or {pointer: /items, random_element: true}",
                )
            }
            fn visit_str<E: de::Error>(self, pointer: &str) -> Result<CaptureSpec, E> {
                Ok(CaptureSpec {
                    pointer: pointer.to_owned(),
                    random_element: false,
                })
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<CaptureSpec, A::Error> {
                let Fields {
                    pointer,
                    random_element,
                } = Fields::deserialize(MapAccessDeserializer::new(map))?;
                Ok(CaptureSpec {
                    pointer,
                    random_element,
                })
            }
        }
        deserializer.deserialize_any(Reader)
    }
}

/// A `JsonSchema` by hand: name of the type and its schema.
macro_rules! schema {
    ($type:ty, $name:literal, $generator:ident => $schema:expr) => {
        impl JsonSchema for $type {
            fn schema_name() -> Cow<'static, str> {
                $name.into()
            }
            fn json_schema($generator: &mut SchemaGenerator) -> Schema {
                $schema
            }
        }
    };
}

schema!(Text, "Text", _generator => json_schema!({ "type": ["string", "number", "boolean"] }));
schema!(Exec, "Exec", _generator => json_schema!({
    "description": "The name of a flow, or a map of flows to weights.",
    "anyOf": [
        { "type": "string" },
        {
            "type": "object",
            "minProperties": 1,
            "additionalProperties": { "type": "integer", "minimum": 1 }
        }
    ]
}));
schema!(Guard, "Guard", generator => json_schema!({
    "description": "A share of the window (up to 50%) or a duration.",
    "anyOf": [
        { "type": "string", "pattern": "^\\d+(\\.\\d+)? *%$" },
        generator.subschema_for::<Duration>()
    ]
}));
schema!(Share, "Share", _generator => json_schema!({
    "description": "A share such as 10%, from 0% to 100%.",
    "type": "string",
    "pattern": "^\\d+(\\.\\d+)? *%$"
}));
schema!(Bounds, "Bounds", _generator => json_schema!({
    "description": "A number, or [least, most].",
    "anyOf": [
        { "type": "number" },
        { "type": "array", "items": { "type": "number" }, "minItems": 2, "maxItems": 2 }
    ]
}));
schema!(Pause, "Pause", generator => {
    let duration = generator.subschema_for::<Duration>();
    json_schema!({
        "description": "A duration, or [shortest, longest].",
        "anyOf": [duration, { "type": "array", "items": duration, "minItems": 2, "maxItems": 2 }]
    })
});
schema!(StatusSpec, "Status", generator => {
    let own = generator.subschema_for::<StatusSpec>();
    json_schema!({
        "description": "200, 2xx, 200-299, or a list of these.",
        "anyOf": [
            { "type": "integer", "minimum": 100, "maximum": 599 },
            { "type": "string", "pattern": "^([1-5]xx|[1-5]\\d\\d(-[1-5]\\d\\d)?)$" },
            { "type": "array", "items": own, "minItems": 1 }
        ]
    })
});
schema!(RepeatSpec, "Repeat", _generator => json_schema!({
    "description": "A number of rounds, or as many as a variable says.",
    "anyOf": [
        { "type": "integer", "minimum": 1, "maximum": 1000 },
        {
            "type": "object",
            "properties": {
                "var": { "description": "The variable.", "type": "string" },
                "max": {
                    "description": "The most rounds.",
                    "type": "integer",
                    "minimum": 1,
                    "maximum": 1000
                }
            },
            "required": ["var", "max"],
            "additionalProperties": false
        }
    ]
}));
schema!(CaptureSpec, "Capture", _generator => json_schema!({
    "description": "A JSON Pointer into the answer, or one with random_element.",
    "anyOf": [
        { "type": "string", "pattern": "^(/.*)?$" },
        {
            "type": "object",
            "properties": {
                "pointer": {
                    "description": "JSON Pointer into the answer; empty for the whole of it.",
                    "type": "string",
                    "pattern": "^(/.*)?$"
                },
                "random_element": {
                    "description": "The pointer names an array; one element of it is taken.",
                    "type": "boolean"
                }
            },
            "required": ["pointer"],
            "additionalProperties": false
        }
    ]
}));
