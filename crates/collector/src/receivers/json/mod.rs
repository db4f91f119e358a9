//! Reading OTLP/JSON into the protobuf types, as leniently as protobuf's JSON mapping asks for.
//!
//! 64-bit integers are accepted as strings and as numbers, doubles also as `"NaN"`, `"Infinity"`
//! and `"-Infinity"`, enums by number and by name, field names in lowerCamelCase and in
//! snake_case, `null` as the default, and unknown fields are skipped. Ids are hex, other bytes
//! base64. The `serde` support of `opentelemetry-proto` refuses several of these.
//!
//! This file has the *kinds* of values; `messages.rs` says which field has which kind.

mod messages;
#[cfg(test)]
mod round_trip;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::fmt;
use std::marker::PhantomData;
use std::str::FromStr;

/// Reads one request from the text of a request body.
///
/// # Errors
/// Says what is wrong at which line and column of the text.
pub(crate) fn from_slice<T: Fields>(text: &[u8]) -> Result<T, serde_json::Error> {
    let mut deserializer = serde_json::Deserializer::from_slice(text);
    let request = Seed::<Message<T>>::new().deserialize(&mut deserializer)?;
    deserializer.end()?;
    Ok(request)
}

/// A protobuf message whose fields can be read by name.
pub(crate) trait Fields: Default {
    /// Reads the value of field `name` from `map` into `self`. `Ok(false)` means that there is no
    /// such field and that the value has not been taken.
    fn read<'de, A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<bool, A::Error>;
}

/// How a JSON value becomes a value of a protobuf field.
trait Kind {
    type Out: Default;
    fn visitor<'de>() -> impl Visitor<'de, Value = Self::Out>;
}

/// Lets a [`Kind`] take its place in a serde reader.
struct Seed<K>(PhantomData<K>);

impl<K> Seed<K> {
    fn new() -> Self {
        Self(PhantomData)
    }
}

impl<'de, K: Kind> DeserializeSeed<'de> for Seed<K> {
    type Value = K::Out;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<K::Out, D::Error> {
        deserializer.deserialize_any(K::visitor())
    }
}

/// A string.
struct Text;

impl Kind for Text {
    type Out = String;

    fn visitor<'de>() -> impl Visitor<'de, Value = String> {
        Text
    }
}

impl Visitor<'_> for Text {
    type Value = String;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<String, E> {
        Ok(text.to_owned())
    }

    fn visit_string<E: serde::de::Error>(self, text: String) -> Result<String, E> {
        Ok(text)
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<String, E> {
        Ok(String::new())
    }
}

/// A boolean.
struct Flag;

impl Kind for Flag {
    type Out = bool;

    fn visitor<'de>() -> impl Visitor<'de, Value = bool> {
        Flag
    }
}

impl Visitor<'_> for Flag {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("true or false")
    }

    fn visit_bool<E: serde::de::Error>(self, flag: bool) -> Result<bool, E> {
        Ok(flag)
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<bool, E> {
        Ok(false)
    }
}

/// A number, or a string with a number in it.
struct Number<T>(PhantomData<T>);

/// What a [`Number`] can be.
trait Numeric: FromStr + Default {
    const WHAT: &str;
    fn from_unsigned(value: u64) -> Option<Self>;
    fn from_signed(value: i64) -> Option<Self>;
    fn from_double(value: f64) -> Option<Self>;
}

macro_rules! integers {
    ($($type:ty: $what:literal),*) => {$(
        impl Numeric for $type {
            const WHAT: &str = $what;
            fn from_unsigned(value: u64) -> Option<Self> {
                Self::try_from(value).ok()
            }
            fn from_signed(value: i64) -> Option<Self> {
                Self::try_from(value).ok()
            }
            /// 1.0 and 1e3 are integers too. Beyond 2^53 a double isn't exact, so it isn't taken.
            fn from_double(value: f64) -> Option<Self> {
                let exact = value.fract() == 0.0 && value.abs() <= 9_007_199_254_740_992.0;
                if exact { Self::try_from(value as i64).ok() } else { None }
            }
        }
    )*};
}

integers!(
    u32: "an unsigned 32-bit integer or a string with one",
    i32: "a 32-bit integer or a string with one",
    u64: "an unsigned 64-bit integer or a string with one",
    i64: "a 64-bit integer or a string with one"
);

impl Numeric for f64 {
    const WHAT: &str = "a number, \"NaN\", \"Infinity\" or \"-Infinity\"";
    fn from_unsigned(value: u64) -> Option<Self> {
        Some(value as f64)
    }
    fn from_signed(value: i64) -> Option<Self> {
        Some(value as f64)
    }
    fn from_double(value: f64) -> Option<Self> {
        Some(value)
    }
}

impl<T: Numeric> Kind for Number<T> {
    type Out = T;

    fn visitor<'de>() -> impl Visitor<'de, Value = T> {
        Number(PhantomData)
    }
}

impl<T: Numeric> Visitor<'_> for Number<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(T::WHAT)
    }

    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<T, E> {
        T::from_unsigned(value).ok_or_else(|| E::custom(format!("{value} is not {}", T::WHAT)))
    }

    fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<T, E> {
        T::from_signed(value).ok_or_else(|| E::custom(format!("{value} is not {}", T::WHAT)))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<T, E> {
        T::from_double(value).ok_or_else(|| E::custom(format!("{value} is not {}", T::WHAT)))
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<T, E> {
        text.parse()
            .map_err(|_| E::custom(format!("{text:?} is not {}", T::WHAT)))
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<T, E> {
        Ok(T::default())
    }
}

/// Bytes as base64.
struct Base64;

impl Kind for Base64 {
    type Out = Vec<u8>;

    fn visitor<'de>() -> impl Visitor<'de, Value = Vec<u8>> {
        Base64
    }
}

impl Visitor<'_> for Base64 {
    type Value = Vec<u8>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string in base64")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Vec<u8>, E> {
        BASE64
            .decode(text)
            .map_err(|error| E::custom(format!("not base64: {error}")))
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<Vec<u8>, E> {
        Ok(Vec::new())
    }
}

/// An id of `BYTES` bytes as hex in either case; an empty string is no id.
struct Id<const BYTES: usize>;

impl<const BYTES: usize> Kind for Id<BYTES> {
    type Out = Vec<u8>;

    fn visitor<'de>() -> impl Visitor<'de, Value = Vec<u8>> {
        Self
    }
}

impl<const BYTES: usize> Visitor<'_> for Id<BYTES> {
    type Value = Vec<u8>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an id of {} hex digits", 2 * BYTES)
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Vec<u8>, E> {
        // const_hex would also take a leading 0x, which isn't OTLP.
        if text.is_empty() {
            return Ok(Vec::new());
        }
        if text.len() != 2 * BYTES {
            return Err(E::custom(format!(
                "{text:?} is not an id of {} hex digits",
                2 * BYTES
            )));
        }
        let mut id = vec![0; BYTES];
        match const_hex::decode_to_slice(text, &mut id) {
            Ok(()) if !text.starts_with("0x") => Ok(id),
            _ => Err(E::custom(format!(
                "{text:?} is not an id of {} hex digits",
                2 * BYTES
            ))),
        }
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<Vec<u8>, E> {
        Ok(Vec::new())
    }
}

/// An enum by number or by its protobuf name.
struct Enum<T>(PhantomData<T>);

/// What an [`Enum`] can be.
trait Named {
    fn number(name: &str) -> Option<i32>;
}

impl<T: Named> Kind for Enum<T> {
    type Out = i32;

    fn visitor<'de>() -> impl Visitor<'de, Value = i32> {
        Enum::<T>(PhantomData)
    }
}

impl<T: Named> Visitor<'_> for Enum<T> {
    type Value = i32;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an enum's number or name")
    }

    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<i32, E> {
        Number(PhantomData).visit_u64(value)
    }

    fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<i32, E> {
        Number(PhantomData).visit_i64(value)
    }

    fn visit_str<E: serde::de::Error>(self, name: &str) -> Result<i32, E> {
        T::number(name).ok_or_else(|| E::custom(format!("{name:?} is not a value of this enum")))
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<i32, E> {
        Ok(0)
    }
}

/// A message as an object.
struct Message<T>(PhantomData<T>);

impl<T: Fields> Kind for Message<T> {
    type Out = T;

    fn visitor<'de>() -> impl Visitor<'de, Value = T> {
        Message(PhantomData)
    }
}

impl<'de, T: Fields> Visitor<'de> for Message<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<T, A::Error> {
        let mut message = T::default();
        while let Some(name) = map.next_key_seed(Name)? {
            if !message.read(&name, &mut map)? {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(message)
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<T, E> {
        Ok(T::default())
    }
}

/// A field's name, borrowed from the text where it has no escapes.
struct Name;

impl<'de> DeserializeSeed<'de> for Name {
    type Value = std::borrow::Cow<'de, str>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Name {
    type Value = std::borrow::Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a field name")
    }

    fn visit_borrowed_str<E: serde::de::Error>(self, name: &'de str) -> Result<Self::Value, E> {
        Ok(name.into())
    }

    fn visit_str<E: serde::de::Error>(self, name: &str) -> Result<Self::Value, E> {
        Ok(name.to_owned().into())
    }
}

/// A list; `null` is the empty one.
struct List<K>(PhantomData<K>);

impl<K: Kind> Kind for List<K> {
    type Out = Vec<K::Out>;

    fn visitor<'de>() -> impl Visitor<'de, Value = Self::Out> {
        List::<K>(PhantomData)
    }
}

impl<'de, K: Kind> Visitor<'de> for List<K> {
    type Value = Vec<K::Out>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(Seed::<K>::new())? {
            list.push(item);
        }
        Ok(list)
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<Self::Value, E> {
        Ok(Vec::new())
    }
}

/// A field with presence; `null` is absence.
struct Optional<K>(PhantomData<K>);

impl<K: Kind> Kind for Optional<K> {
    type Out = Option<K::Out>;

    fn visitor<'de>() -> impl Visitor<'de, Value = Self::Out> {
        Optional::<K>(PhantomData)
    }
}

impl<'de, K: Kind> Visitor<'de> for Optional<K> {
    type Value = Option<K::Out>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        K::visitor().expecting(f)
    }

    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<Self::Value, E> {
        K::visitor().visit_u64(value).map(Some)
    }

    fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<Self::Value, E> {
        K::visitor().visit_i64(value).map(Some)
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Self::Value, E> {
        K::visitor().visit_f64(value).map(Some)
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Self::Value, E> {
        K::visitor().visit_str(text).map(Some)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        K::visitor().visit_map(map).map(Some)
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<Self::Value, E> {
        Ok(None)
    }
}
