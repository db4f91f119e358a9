//! The kinds of fields that OTLP's messages have: how each is read from JSON and how it is written.
//!
//! [`messages`](super::messages) says which field has which kind.

use std::marker::PhantomData;

use super::cursor::Json;
use super::text::{Object, base64, double, hex, integer, quoted_integer, string};
use crate::enums::Named;
use crate::problem::Result;

/// How a field is read and written.
pub(crate) trait Kind {
    /// What the protobuf type holds for it.
    type Value;

    /// Reads a value, of which a list takes the elements and everything else the last.
    fn read(value: &mut Self::Value, json: &mut Json<'_>) -> Result<()>;

    /// Reads what a `null` in a list stands for; false where it stands for nothing.
    fn read_null(_: &mut Self::Value) -> bool {
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

impl Kind for Text {
    type Value = String;

    fn read(value: &mut String, json: &mut Json<'_>) -> Result<()> {
        *value = json.text()?.into_owned();
        Ok(())
    }

    fn write(value: &String, out: &mut Vec<u8>) {
        string(out, value);
    }

    fn is_absent(value: &String) -> bool {
        value.is_empty()
    }
}

/// A boolean.
pub(crate) struct Flag;

impl Kind for Flag {
    type Value = bool;

    fn read(value: &mut bool, json: &mut Json<'_>) -> Result<()> {
        *value = json.boolean()?;
        Ok(())
    }

    fn write(value: &bool, out: &mut Vec<u8>) {
        out.extend_from_slice(if *value { b"true" } else { b"false" });
    }

    fn is_absent(value: &bool) -> bool {
        !value
    }
}

/// A number.
pub(crate) struct Number<T>(PhantomData<T>);

macro_rules! integers {
    ($($type:ty: $write:path, $what:literal;)*) => {$(
        impl Kind for Number<$type> {
            type Value = $type;

            fn read(value: &mut $type, json: &mut Json<'_>) -> Result<()> {
                *value = json.integer($what)?;
                Ok(())
            }

            fn write(value: &$type, out: &mut Vec<u8>) {
                $write(out, *value);
            }

            fn is_absent(value: &$type) -> bool {
                *value == 0
            }
        }
    )*};
}

integers!(
    u32: integer, "an unsigned 32-bit integer";
    i32: integer, "a 32-bit integer";
    u64: quoted_integer, "an unsigned 64-bit integer";
    i64: quoted_integer, "a 64-bit integer";
);

impl Kind for Number<f64> {
    type Value = f64;

    fn read(value: &mut f64, json: &mut Json<'_>) -> Result<()> {
        *value = json.double()?;
        Ok(())
    }

    fn write(value: &f64, out: &mut Vec<u8>) {
        double(out, *value);
    }

    fn is_absent(value: &f64) -> bool {
        *value == 0.0
    }
}

/// Bytes, as base64.
pub(crate) struct Bytes;

impl Kind for Bytes {
    type Value = Vec<u8>;

    fn read(value: &mut Vec<u8>, json: &mut Json<'_>) -> Result<()> {
        *value = json.bytes()?;
        Ok(())
    }

    fn write(value: &Vec<u8>, out: &mut Vec<u8>) {
        base64(out, value);
    }

    fn is_absent(value: &Vec<u8>) -> bool {
        value.is_empty()
    }
}

/// An id of so many bytes, as hex; one of zeros is none.
pub(crate) struct Id<const BYTES: usize>;

impl<const BYTES: usize> Kind for Id<BYTES> {
    type Value = Vec<u8>;

    fn read(value: &mut Vec<u8>, json: &mut Json<'_>) -> Result<()> {
        *value = json.id::<BYTES>()?.map(Vec::from).unwrap_or_default();
        Ok(())
    }

    fn write(value: &Vec<u8>, out: &mut Vec<u8>) {
        hex(out, value);
    }

    fn is_absent(value: &Vec<u8>) -> bool {
        value.iter().all(|byte| *byte == 0)
    }
}

/// An enum, as its number.
pub(crate) struct Enum<E>(PhantomData<E>);

impl<E: Named> Kind for Enum<E> {
    type Value = i32;

    fn read(value: &mut i32, json: &mut Json<'_>) -> Result<()> {
        *value = json.enumeration(E::WHAT, E::number)?;
        Ok(())
    }

    fn write(value: &i32, out: &mut Vec<u8>) {
        integer(out, *value);
    }

    fn is_absent(value: &i32) -> bool {
        *value == 0
    }
}

/// A message; on its own, as an element of a list, or as one of several that a field can hold.
pub(crate) struct Message<T>(PhantomData<T>);

impl<T: Fields> Kind for Message<T> {
    type Value = T;

    fn read(value: &mut T, json: &mut Json<'_>) -> Result<()> {
        json.object(|json, name| match value.read_field(name, json)? {
            true => Ok(()),
            false => json.skip(),
        })
    }

    fn read_null(_: &mut T) -> bool {
        false
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

/// An attribute's value, of which a `null` in a list is an empty one.
pub(crate) struct Value<T>(PhantomData<T>);

impl<T: Fields> Kind for Value<T> {
    type Value = T;

    fn read(value: &mut T, json: &mut Json<'_>) -> Result<()> {
        Message::read(value, json)
    }

    fn write(value: &T, out: &mut Vec<u8>) {
        Message::write(value, out);
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
            if null {
                if !K::read_null(&mut value) {
                    return Ok(());
                }
            } else {
                K::read(&mut value, json)?;
            }
            list.push(value);
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

/// A field with presence: what is not there is left out, and a zero is not.
pub(crate) struct Optional<K>(PhantomData<K>);

impl<K: Kind<Value: Default>> Kind for Optional<K> {
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
        value.is_none()
    }
}

/// A message that the Collector writes also where it is absent, as `{}`.
pub(crate) struct Always<T>(PhantomData<T>);

impl<T: Fields> Kind for Always<T> {
    type Value = Option<T>;

    fn read(value: &mut Self::Value, json: &mut Json<'_>) -> Result<()> {
        Optional::<Message<T>>::read(value, json)
    }

    fn write(value: &Self::Value, out: &mut Vec<u8>) {
        Optional::<Message<T>>::write(value, out);
    }

    fn is_absent(_: &Self::Value) -> bool {
        false
    }
}
