//! Templates filled in with values: into a path (percent-encoded), a header (without control
//! characters) or a JSON body (types kept). What has no holes is borrowed.

use std::borrow::Cow;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::ser::{Error as _, Serialize, SerializeMap, SerializeSeq, Serializer};
use serde_json::Value;

use crate::number;
use crate::plan::{JsonTemplate, Part, Template, VarRef};

/// Everything but RFC 3986's unreserved characters, so a value stays one segment of a path or one
/// value of a query.
const PATH_VALUE: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// A variable's value: one of the plan's, or one that came up in the iteration.
#[derive(Debug, Clone)]
pub(crate) enum Held<'p> {
    Ref(&'p Value),
    Own(Value),
}

impl Held<'_> {
    pub(crate) fn value(&self) -> &Value {
        match self {
            Held::Ref(value) => value,
            Held::Own(value) => value,
        }
    }
}

type Values<'p> = [Option<Held<'p>>];

/// A template as a path. The error is the slot of a variable without a value.
pub(crate) fn path<'p>(template: &'p Template, values: &Values<'p>) -> Result<Cow<'p, str>, usize> {
    fill(template, values, |text, value| {
        text.extend(utf8_percent_encode(value, PATH_VALUE))
    })
}

/// A template as a header's value.
pub(crate) fn header<'p>(
    template: &'p Template,
    values: &Values<'p>,
) -> Result<Cow<'p, str>, usize> {
    fill(template, values, |text, value| {
        text.extend(value.chars().filter(|character| !character.is_control()));
    })
}

/// A JSON template as the bytes of a body.
pub(crate) fn json(template: &JsonTemplate, values: &Values<'_>) -> Result<Vec<u8>, usize> {
    check(template, values)?;
    // Writing JSON values into memory fails for missing variables only, which were ruled out.
    number::to_json(&Filled { template, values }).map_err(|_| usize::MAX)
}

fn look_up<'v>(reference: &VarRef, values: &'v Values<'_>) -> Result<&'v Value, usize> {
    values
        .get(reference.slot)
        .and_then(Option::as_ref)
        .and_then(|held| held.value().pointer(&reference.pointer))
        .ok_or(reference.slot)
}

fn fill<'p>(
    template: &'p Template,
    values: &Values<'p>,
    put: impl Fn(&mut String, &str),
) -> Result<Cow<'p, str>, usize> {
    match template.0.as_slice() {
        [] => return Ok(Cow::Borrowed("")),
        [Part::Text(text)] => return Ok(Cow::Borrowed(text)),
        _ => {}
    }
    let mut filled = String::with_capacity(64);
    for part in &template.0 {
        match part {
            Part::Text(text) => filled.push_str(text),
            Part::Var(reference) => put(&mut filled, &as_text(look_up(reference, values)?)),
            // Nothing is sent without what it stands for: `secrets::filled`.
            Part::Secret(_) => return Err(usize::MAX),
        }
    }
    Ok(Cow::Owned(filled))
}

/// A value as text: a string as it is, everything else as compact JSON, numbers as JavaScript
/// writes them.
pub(crate) fn as_text(value: &Value) -> Cow<'_, str> {
    match value {
        Value::String(text) => Cow::Borrowed(text),
        // Values in memory can all be written, and as UTF-8.
        other => String::from_utf8(number::to_json(other).unwrap_or_default())
            .unwrap_or_default()
            .into(),
    }
}

/// Whether every variable of a JSON template has a value.
fn check(template: &JsonTemplate, values: &Values<'_>) -> Result<(), usize> {
    match template {
        JsonTemplate::Value(_) => Ok(()),
        JsonTemplate::Var(reference) => look_up(reference, values).map(drop),
        JsonTemplate::Text(text) => text.0.iter().try_for_each(|part| match part {
            Part::Text(_) => Ok(()),
            Part::Var(reference) => look_up(reference, values).map(drop),
            Part::Secret(_) => Err(usize::MAX),
        }),
        JsonTemplate::Array(list) => list.iter().try_for_each(|item| check(item, values)),
        JsonTemplate::Object(map) => map.iter().try_for_each(|(_, item)| check(item, values)),
    }
}

/// A JSON template that serialises with its holes filled, without a tree in between.
struct Filled<'a, 'p> {
    template: &'a JsonTemplate,
    values: &'a Values<'p>,
}

impl Serialize for Filled<'_, '_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let values = self.values;
        let missing = |_| S::Error::custom("a variable has no value");
        match self.template {
            JsonTemplate::Value(value) => value.serialize(serializer),
            JsonTemplate::Var(reference) => look_up(reference, values)
                .map_err(missing)?
                .serialize(serializer),
            JsonTemplate::Text(text) => {
                let text = fill(text, values, |text, value| text.push_str(value));
                serializer.serialize_str(&text.map_err(missing)?)
            }
            JsonTemplate::Array(list) => {
                let mut array = serializer.serialize_seq(Some(list.len()))?;
                for template in list {
                    array.serialize_element(&Filled { template, values })?;
                }
                array.end()
            }
            JsonTemplate::Object(map) => {
                let mut object = serializer.serialize_map(Some(map.len()))?;
                for (key, template) in map {
                    object.serialize_entry(key, &Filled { template, values })?;
                }
                object.end()
            }
        }
    }
}
