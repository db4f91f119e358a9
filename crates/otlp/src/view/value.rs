//! Attributes and their values.

use std::borrow::Cow;

use super::{Keep, Merge};
use crate::input::{Input, ListOf, Unasked, field};
use crate::problem::Result;

/// OTLP's `AnyValue`.
#[derive(Debug, Clone, Default, PartialEq)]
pub enum AnyValue<'a> {
    /// Nothing set.
    #[default]
    Empty,
    /// A string.
    Text(Cow<'a, str>),
    /// A boolean.
    Bool(bool),
    /// An integer.
    Int(i64),
    /// A double.
    Double(f64),
    /// Bytes.
    Bytes(Cow<'a, [u8]>),
    /// Values.
    Array(Vec<AnyValue<'a>>),
    /// Values by key.
    KeyValues(Vec<KeyValue<'a>>),
}

/// One attribute.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct KeyValue<'a> {
    /// Its key, which is not empty.
    pub key: Cow<'a, str>,
    /// Its value.
    pub value: AnyValue<'a>,
}

impl AnyValue<'_> {
    /// A string that is not empty, or the only element of an array if it is one: captured request
    /// headers come as arrays.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            AnyValue::Text(text) if !text.is_empty() => Some(text),
            AnyValue::Array(values) if values.len() == 1 => values[0].as_text(),
            _ => None,
        }
    }

    /// An integer, also one that was sent as a string or a double.
    pub fn as_int(&self) -> Option<i64> {
        match self {
            AnyValue::Int(v) => Some(*v),
            AnyValue::Text(text) => text.parse().ok(),
            AnyValue::Double(v) if v.fract() == 0.0 && v.abs() < 9e15 => Some(*v as i64),
            _ => None,
        }
    }
}

impl<'a> Merge<'a> for AnyValue<'a> {
    const IN_LIST: ListOf = ListOf::Values;

    fn merge<I: Input<'a>>(&mut self, input: &mut I, keep: &Keep<'_>) -> Result<()> {
        input.fields(|input, key| {
            *self = if I::is(key, field!(1, string_value)) {
                AnyValue::Text(input.text()?)
            } else if I::is(key, field!(2, bool_value)) {
                AnyValue::Bool(input.boolean()?)
            } else if I::is(key, field!(3, int_value)) {
                AnyValue::Int(input.signed()?)
            } else if I::is(key, field!(4, double_value)) {
                AnyValue::Double(input.double()?)
            } else if I::is(key, field!(5, array_value)) {
                AnyValue::Array(values(input, keep)?)
            } else if I::is(key, field!(6, kvlist_value)) {
                AnyValue::KeyValues(values(input, &keep.all())?)
            } else if I::is(key, field!(7, bytes_value)) {
                AnyValue::Bytes(input.bytes()?)
            } else {
                let byte = input.byte();
                let things = input.skip_unknown()?.max(1);
                let reason = || "a value of no kind that is known".to_owned();
                keep.odd.add(things, byte, reason);
                return Ok(());
            };
            Ok(())
        })
    }
}

/// The only field of a list of values.
fn values<'a, I: Input<'a>, T: Merge<'a>>(input: &mut I, keep: &Keep<'_>) -> Result<Vec<T>> {
    let mut values = Vec::new();
    input.fields(|input, key| {
        if I::is(key, field!(1, values)) {
            values.merge(input, keep)
        } else {
            keep.odd.unknown(input, key)
        }
    })?;
    Ok(values)
}

impl<'a> KeyValue<'a> {
    /// Reads an attribute that is not written as most are.
    #[inline(never)]
    fn merge_fields<I: Input<'a>>(&mut self, input: &mut I, keep: &Keep<'_>) -> Result<()> {
        // A value that comes before its key is read before it is known whether it is wanted.
        let mut wanted = true;
        let mut first_unknown = None;
        input.fields(|input, key| {
            if I::is(key, field!(1, key)) {
                self.key = input.text()?;
                wanted = (keep.wants)(&self.key);
                Ok(())
            } else if I::is(key, field!(2, value)) {
                match wanted {
                    true => self.value.merge(input, &keep.all()),
                    false => keep.odd.unasked(input, key, Unasked::Messages),
                }
            } else {
                first_unknown = first_unknown.or(Some(input.byte()));
                keep.odd.unknown(input, key)
            }
        })?;
        keep.odd.without_key(&self.key, first_unknown);
        if !wanted {
            self.key = Cow::default();
        }
        Ok(())
    }
}

impl<'a> Merge<'a> for KeyValue<'a> {
    fn merge<I: Input<'a>>(&mut self, input: &mut I, keep: &Keep<'_>) -> Result<()> {
        if let Some((key, value)) = input.attribute() {
            if (keep.wants)(key) {
                (self.key, self.value) = (Cow::Borrowed(key), value);
            }
            return Ok(());
        }
        self.merge_fields(input, keep)
    }

    /// An attribute that is not wanted has lost its key; one that came without is none.
    fn is_kept(&self) -> bool {
        !self.key.is_empty()
    }
}
