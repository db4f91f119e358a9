//! The kinds of fields that OTLP's messages have: how each is read from JSON and how it is written.
//!
//! [`messages`](super::messages) says which field has which kind.

use std::marker::PhantomData;

use super::cursor::Json;
use super::text::{self, Object};
use crate::input::{Input as _, Named};
use crate::problem::Result;

/// How a field is read and written.
pub(crate) trait Kind {
    /// What the protobuf type holds for it.
    type Value;

    /// Reads a value, of which a list takes the elements and everything else the last.
    fn read(value: &mut Self::Value, json: &mut Json<'_>) -> Result<()>;

    /// Whether a `null` in a list keeps its place, as the default.
    fn read_null() -> bool {
        true
    }

    /// Writes a value.
    fn write(value: &Self::Value, out: &mut Vec<u8>);

    /// Whether a field with this value is left out.
    fn is_absent(value: &Self::Value) -> bool;
}

/// A message with a table of fields.
pub(crate) trait Fields: Default {
    /// Reads a field; false, and nothing read, where there is no such field.
    fn read_field(&mut self, name: &str, json: &mut Json<'_>) -> Result<bool>;

    /// Writes all fields.
    fn write_fields(&self, object: &mut Object<'_>);
}

/// A string.
pub(crate) struct Text;
/// A boolean.
pub(crate) struct Flag;
/// A number.
pub(crate) struct Number<T>(PhantomData<T>);
/// Bytes, as base64.
pub(crate) struct Bytes;
/// An id of so many bytes, as hex; one of zeros is none.
pub(crate) struct Id<const BYTES: usize>;
/// An enum, as its number.
pub(crate) struct Enum<E>(PhantomData<E>);

/// Kinds of scalars: how each is read, how it is written, and which value is left out.
macro_rules! scalars {
    ($($kind:ty $([$($generic:tt)*])? = $value:ty: $read:expr, $write:path, $absent:expr;)*) => {$(
        impl $(<$($generic)*>)? Kind for $kind {
            type Value = $value;

            fn read(value: &mut $value, json: &mut Json<'_>) -> Result<()> {
                let read: fn(&mut Json<'_>) -> Result<$value> = $read;
                *value = read(json)?;
                Ok(())
            }

            fn write(value: &$value, out: &mut Vec<u8>) {
                $write(out, value);
            }

            fn is_absent(value: &$value) -> bool {
                let absent: fn(&$value) -> bool = $absent;
                absent(value)
            }
        }
    )*};
}

scalars! {
    Text = String: |json| Ok(json.text()?.into_owned()), text::string, |v| v.is_empty();
    Flag = bool: |json| json.boolean(), text::flag, |v| !v;
    Number<u32> = u32: |json| json.integer("an unsigned 32-bit integer"), text::integer, |v| *v == 0;
    Number<i32> = i32: |json| json.integer("a 32-bit integer"), text::integer, |v| *v == 0;
    Number<u64> = u64: |json| json.unsigned(), text::quoted_integer, |v| *v == 0;
    Number<i64> = i64: |json| json.signed(), text::quoted_integer, |v| *v == 0;
    Number<f64> = f64: |json| json.double(), text::double, |v| *v == 0.0;
    Bytes = Vec<u8>: |json| Ok(json.bytes()?.into_owned()), text::base64, |v| v.is_empty();
    Id<BYTES> [const BYTES: usize] = Vec<u8>: |json| id(json.id::<BYTES>()?), text::hex, is_zero;
    Enum<E> [E: Named] = i32: |json| json.enumeration::<E>(), text::integer, |v| *v == 0;
}

fn id<const BYTES: usize>(id: [u8; BYTES]) -> Result<Vec<u8>> {
    Ok(if is_zero(&id) { Vec::new() } else { id.into() })
}

fn is_zero(id: &(impl AsRef<[u8]> + ?Sized)) -> bool {
    id.as_ref().iter().all(|byte| *byte == 0)
}

/// A message; on its own, as an element of a list, or as one of several that a field can hold.
///
/// Where it can be `NULL`, one in a list is an empty message that keeps its place.
pub(crate) struct Message<T, const NULL: bool = false>(PhantomData<T>);

impl<T: Fields, const NULL: bool> Kind for Message<T, NULL> {
    type Value = T;

    fn read(value: &mut T, json: &mut Json<'_>) -> Result<()> {
        json.fields(|json, name| match value.read_field(name, json)? {
            true => Ok(()),
            false => {
                json.note_unread(true);
                json.skip()
            }
        })
    }

    fn read_null() -> bool {
        NULL
    }

    fn write(value: &T, out: &mut Vec<u8>) {
        let mut object = Object::open(out);
        value.write_fields(&mut object);
        object.close();
    }

    fn is_absent(_: &T) -> bool {
        false
    }
}

/// A list.
pub(crate) struct List<K>(PhantomData<K>);

impl<K: Kind<Value: Default>> Kind for List<K> {
    type Value = Vec<K::Value>;

    fn read(list: &mut Self::Value, json: &mut Json<'_>) -> Result<()> {
        json.array(|json, null| {
            let mut value = K::Value::default();
            if !null {
                K::read(&mut value, json)?;
            }
            if !null || K::read_null() {
                list.push(value);
            }
            Ok(())
        })
    }

    fn write(list: &Self::Value, out: &mut Vec<u8>) {
        out.push(b'[');
        for (at, value) in list.iter().enumerate() {
            if at > 0 {
                out.push(b',');
            }
            K::write(value, out);
        }
        out.push(b']');
    }

    fn is_absent(list: &Self::Value) -> bool {
        list.is_empty()
    }
}

/// A field with presence: a zero is written. What is absent is left out, unless it is a message that
/// the Collector writes `ALWAYS`, then as `{}`.
pub(crate) struct Optional<K, const ALWAYS: bool = false>(PhantomData<K>);

/// A message that is always written.
pub(crate) type Always<T> = Optional<Message<T>, true>;

impl<K: Kind<Value: Default>, const ALWAYS: bool> Kind for Optional<K, ALWAYS> {
    type Value = Option<K::Value>;

    fn read(value: &mut Self::Value, json: &mut Json<'_>) -> Result<()> {
        K::read(value.get_or_insert_default(), json)
    }

    fn write(value: &Self::Value, out: &mut Vec<u8>) {
        match value {
            Some(value) => K::write(value, out),
            None => out.extend_from_slice(b"{}"),
        }
    }

    fn is_absent(value: &Self::Value) -> bool {
        value.is_none() && !ALWAYS
    }
}
