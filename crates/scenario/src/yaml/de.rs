//! serde over the tree. Every error carries the place of the innermost value or key that it is
//! about.

use std::fmt;

use serde::de::{
    self, DeserializeSeed, Expected, IntoDeserializer, MapAccess, SeqAccess, Unexpected, Visitor,
};
use serde::forward_to_deserialize_any;

use super::Scalar;
use super::tree::{Key, Kind, Node};
use crate::diagnostic::Finding;

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Finding {}

impl de::Error for Finding {
    fn custom<T: fmt::Display>(message: T) -> Self {
        // Types of ours that want to say more than a message put a line break before the help.
        let message = message.to_string();
        match message.split_once('\n') {
            Some((message, help)) => Finding::whole(message).help(help),
            None => Finding::whole(message),
        }
    }

    fn invalid_type(unexpected: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Finding::whole(format!(
            "expected {}, found {}",
            in_words(expected),
            found(unexpected)
        ))
    }

    fn invalid_value(unexpected: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::invalid_type(unexpected, expected)
    }

    fn invalid_length(length: usize, expected: &dyn Expected) -> Self {
        Finding::whole(format!(
            "expected {}, found {length} items",
            in_words(expected)
        ))
    }

    fn unknown_variant(variant: &str, expected: &'static [&'static str]) -> Self {
        Finding::whole(format!("unknown value `{variant}`")).suggest(variant, own_names(expected))
    }

    fn unknown_field(field: &str, expected: &'static [&'static str]) -> Self {
        // k6's spellings are understood, but only ours are proposed.
        Finding::whole(format!("unknown key `{field}`")).suggest(field, own_names(expected))
    }

    fn missing_field(field: &'static str) -> Self {
        let finding = Finding::whole(format!("`{field}` is missing"));
        match field {
            "version" => finding.help("add `version: 1`, the version of the format"),
            "executor" => finding.help("add `executor: constant-vus`, or another of k6's"),
            _ => finding,
        }
    }

    fn duplicate_field(field: &'static str) -> Self {
        Finding::whole(format!("`{field}` is given twice"))
            .help("the snake_case name and k6's spelling mean the same: keep one")
    }
}

fn own_names(names: &'static [&'static str]) -> impl Iterator<Item = &'static str> {
    names
        .iter()
        .copied()
        .filter(|name| !name.contains(|c: char| c.is_ascii_uppercase()))
}

/// serde's names of Rust types, in words.
fn in_words(expected: &dyn Expected) -> String {
    let text = expected.to_string();
    match text.as_str() {
        "u16" | "u32" | "u64" | "usize" => "a whole number, 0 or more".to_owned(),
        "i64" => "a whole number".to_owned(),
        "f64" => "a number".to_owned(),
        "a string" => "a text".to_owned(),
        "a map" => "a map of names to values".to_owned(),
        "a sequence" => "a list".to_owned(),
        "an array of length 2" => "a list of two whole numbers, [low, high]".to_owned(),
        // "struct Name": the types' names are no help to whoever writes a file.
        text if text.starts_with("struct ") => "a map of options".to_owned(),
        text => text.to_owned(),
    }
}

fn found(unexpected: Unexpected<'_>) -> String {
    match unexpected {
        Unexpected::Unit | Unexpected::Option => "nothing".to_owned(),
        Unexpected::Seq => "a list".to_owned(),
        Unexpected::Map => "a map".to_owned(),
        Unexpected::Bool(value) => format!("`{value}`"),
        Unexpected::Unsigned(value) => format!("the number {value}"),
        Unexpected::Signed(value) => format!("the number {value}"),
        Unexpected::Float(value) => format!("the number {value}"),
        Unexpected::Str(text) if text.chars().count() > 40 => "a text".to_owned(),
        Unexpected::Str(text) => format!("the text `{text}`"),
        other => other.to_string(),
    }
}

impl<'de> de::Deserializer<'de> for &'de Node {
    type Error = Finding;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Finding> {
        match &self.kind {
            Kind::List(items) => visitor.visit_seq(Items(items.iter())),
            Kind::Map(entries) => visitor.visit_map(Entries {
                entries: entries.iter(),
                value: None,
            }),
            Kind::Scalar { .. } => match self.scalar().unwrap_or(Scalar::Null) {
                Scalar::Null => visitor.visit_unit(),
                Scalar::Bool(value) => visitor.visit_bool(value),
                Scalar::Unsigned(value) => visitor.visit_u64(value),
                Scalar::Signed(value) => visitor.visit_i64(value),
                Scalar::Float(value) => visitor.visit_f64(value),
                Scalar::Text(text) => visitor.visit_borrowed_str(text),
            },
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Finding> {
        match self.scalar() {
            Some(Scalar::Null) => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Finding> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Finding> {
        // serde would take a list for a struct's fields in their order.
        match &self.kind {
            Kind::List(_) => Err(de::Error::invalid_type(Unexpected::Seq, &visitor)),
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Finding> {
        match self.scalar() {
            Some(Scalar::Text(text)) => visitor.visit_enum(text.into_deserializer()),
            _ => Err(Finding::at(self.span, "expected a text here")),
        }
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit
        unit_struct seq tuple tuple_struct map identifier ignored_any
    }
}

struct Items<'de>(std::slice::Iter<'de, Node>);

impl<'de> SeqAccess<'de> for Items<'de> {
    type Error = Finding;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Finding> {
        let Some(item) = self.0.next() else {
            return Ok(None);
        };
        seed.deserialize(item)
            .map(Some)
            .map_err(|finding| finding.or_at(item.span))
    }
}

struct Entries<'de> {
    entries: std::slice::Iter<'de, (Key, Node)>,
    value: Option<&'de (Key, Node)>,
}

impl<'de> MapAccess<'de> for Entries<'de> {
    type Error = Finding;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Finding> {
        let Some(entry) = self.entries.next() else {
            return Ok(None);
        };
        self.value = Some(entry);
        let key = entry.0.text.as_str().into_deserializer();
        seed.deserialize(key)
            .map(Some)
            .map_err(|finding: Finding| finding.or_at(entry.0.span))
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Finding> {
        let Some((key, value)) = self.value.take() else {
            return Err(Finding::whole("a value is missing"));
        };
        // A wrong scalar is shown itself; what a map or list lacks is shown at its key.
        let span = match value.scalar() {
            None | Some(Scalar::Null) => key.span,
            Some(_) => value.span,
        };
        seed.deserialize(value)
            .map_err(|finding| finding.or_at(span))
    }
}
