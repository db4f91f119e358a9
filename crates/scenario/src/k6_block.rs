//! A scenario as k6 has it in `options.scenarios`: a block that is pasted from a script, or printed
//! by `k6 inspect`, is read as k6 reads it. Keys are in k6's spelling and, as Go's JSON takes them,
//! in any case; numbers may be texts; what is not set may be null.

use std::fmt;
use std::marker::PhantomData;
use std::str::FromStr;

use indexmap::IndexMap;
use schemars::Schema;
use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{
    self, DeserializeOwned, DeserializeSeed, Deserializer, IntoDeserializer, MapAccess, Visitor,
};
use serde_json::{Map, Value, json};

use crate::values::Text;

/// k6's options of a scenario and of a stage: ours and k6's.
const OPTIONS: [(&str, &str); 20] = [
    ("executor", "executor"),
    ("start_time", "startTime"),
    ("graceful_stop", "gracefulStop"),
    ("exec", "exec"),
    ("env", "env"),
    ("tags", "tags"),
    ("options", "options"),
    ("vus", "vus"),
    ("duration", "duration"),
    ("iterations", "iterations"),
    ("max_duration", "maxDuration"),
    ("start_vus", "startVUs"),
    ("stages", "stages"),
    ("target", "target"),
    ("graceful_ramp_down", "gracefulRampDown"),
    ("rate", "rate"),
    ("time_unit", "timeUnit"),
    ("start_rate", "startRate"),
    ("pre_allocated_vus", "preAllocatedVUs"),
    ("max_vus", "maxVUs"),
];

/// Whether a key of a file means one of our options: it is its name, or k6's in any case.
pub(crate) fn means(key: &str, option: &str) -> bool {
    key == option || ours(key) == Some(option)
}

/// Our name of an option that k6 has, from k6's in any case.
fn ours(key: &str) -> Option<&'static str> {
    OPTIONS
        .iter()
        .find(|(_, k6)| k6.eq_ignore_ascii_case(key))
        .map(|(ours, _)| *ours)
}

/// Reads scenarios by their names.
pub(crate) fn scenarios<'de, D, T>(deserializer: D) -> Result<IndexMap<String, T>, D::Error>
where
    D: Deserializer<'de>,
    T: DeserializeOwned,
{
    let blocks = IndexMap::<String, Block<T>>::deserialize(deserializer)?;
    Ok(blocks
        .into_iter()
        .map(|(name, Block(block))| (name, block))
        .collect())
}

/// Reads stages; null is none.
pub(crate) fn stages<'de, D, T>(deserializer: D) -> Result<Option<Vec<T>>, D::Error>
where
    D: Deserializer<'de>,
    T: DeserializeOwned,
{
    let blocks = Option::<Vec<Block<T>>>::deserialize(deserializer)?;
    Ok(blocks.map(|blocks| blocks.into_iter().map(|Block(block)| block).collect()))
}

/// Reads a whole number, which may be a text; null is none.
pub(crate) fn count<'de, D, N>(deserializer: D) -> Result<Option<N>, D::Error>
where
    D: Deserializer<'de>,
    Count<N>: Deserialize<'de>,
{
    Ok(Option::<Count<N>>::deserialize(deserializer)?.map(|Count(count)| count))
}

/// Reads a whole number, which may be a text.
pub(crate) fn target<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    Count::<u32>::deserialize(deserializer).map(|Count(count)| count)
}

/// Reads a map of texts as k6 does: null is an empty one, and as a value an empty text.
pub(crate) fn texts<'de, D>(deserializer: D) -> Result<IndexMap<String, Text>, D::Error>
where
    D: Deserializer<'de>,
{
    let map: Option<IndexMap<String, Option<Text>>> = Option::deserialize(deserializer)?;
    let entries = map.unwrap_or_default().into_iter();
    Ok(entries
        .map(|(name, text)| (name, text.unwrap_or_default()))
        .collect())
}

/// A map of options with keys in k6's spelling or in ours.
struct Block<T>(T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Block<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Reader<T> {
            type Value = Block<T>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map of options")
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Block<T>, A::Error> {
                T::deserialize(MapAccessDeserializer::new(OurKeys(map))).map(Block)
            }
        }
        deserializer.deserialize_map(Reader(PhantomData))
    }
}

/// The entries of a map, with k6's keys replaced by ours.
struct OurKeys<A>(A);

impl<'de, A: MapAccess<'de>> MapAccess<'de> for OurKeys<A> {
    type Error = A::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, A::Error> {
        let Some(key) = self.0.next_key::<String>()? else {
            return Ok(None);
        };
        let key = ours(&key).map_or(key, str::to_owned);
        seed.deserialize(key.into_deserializer()).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, A::Error> {
        self.0.next_value_seed(seed)
    }
}

/// A whole number, or a text of its digits.
pub(crate) struct Count<N>(N);

impl<'de, N> Deserialize<'de> for Count<N>
where
    N: TryFrom<u64> + FromStr + ToString,
{
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader<N>(PhantomData<N>);
        impl<N: TryFrom<u64> + FromStr + ToString> Visitor<'_> for Reader<N> {
            type Value = Count<N>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(std::any::type_name::<N>())
            }
            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Count<N>, E> {
                let wrong = || E::invalid_value(de::Unexpected::Unsigned(number), &self);
                N::try_from(number).map(Count).map_err(|_| wrong())
            }
            fn visit_f64<E: de::Error>(self, number: f64) -> Result<Count<N>, E> {
                // JavaScript has one kind of numbers: 3.0 and 30e-1 are 3.
                let is_whole = number.trunc() == number && (0.0..=MAX_EXACT).contains(&number);
                let whole = is_whole.then_some(number as u64);
                let read = whole.and_then(|whole| N::try_from(whole).ok());
                let wrong = || E::invalid_value(de::Unexpected::Float(number), &self);
                read.map(Count).ok_or_else(wrong)
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Count<N>, E> {
                // k6 takes a sign, too.
                let digits = text.strip_prefix('+').unwrap_or(text);
                let number = digits.parse::<N>().ok();
                match number.filter(|number| number.to_string() == digits) {
                    Some(number) => Ok(Count(number)),
                    None => Err(wrong_text(text, &self)),
                }
            }
        }
        deserializer.deserialize_any(Reader(PhantomData))
    }
}

/// Up to here a double is one whole number.
const MAX_EXACT: f64 = 9_007_199_254_740_992.0;

/// Why a text is no number.
fn wrong_text<E: de::Error>(text: &str, expected: &dyn de::Expected) -> E {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    let is = |allowed: fn(char) -> bool| !digits.is_empty() && digits.chars().all(allowed);
    let (why, help) = if is(|c| c.is_ascii_digit()) && digits.starts_with('0') {
        (
            "begins with 0, which makes it octal for some readers and not for others",
            "write it without the 0",
        )
    } else if is(|c| c.is_ascii_digit() || c == '_') && digits.contains('_') {
        (
            "has `_` in it, as only JavaScript writes numbers",
            "write it without `_`",
        )
    } else if digits.parse::<f64>().is_ok() && !is(|c| c.is_ascii_digit()) {
        (
            "is a text, and k6 takes only digits in it",
            "write it as a number, without quotes",
        )
    } else {
        return E::invalid_type(de::Unexpected::Str(text), expected);
    };
    E::custom(format!("`{text}` {why}\n{help}"))
}

/// Adds k6's spelling of each option to a scenario's schema.
pub(crate) fn add_k6_spellings(schema: &mut Schema) {
    let Some(Value::Object(properties)) = schema.get_mut("properties") else {
        return;
    };
    let aliases: Map<String, Value> = OPTIONS
        .iter()
        .filter(|(ours, k6)| ours != k6)
        .filter_map(|(ours, k6)| {
            let mut property = properties.get(*ours)?.clone();
            property.as_object_mut()?.insert(
                "description".to_owned(),
                json!(format!("k6's spelling of `{ours}`.")),
            );
            Some(((*k6).to_owned(), property))
        })
        .collect();
    properties.extend(aliases);
}
