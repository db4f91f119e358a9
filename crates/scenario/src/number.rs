//! Numbers as JavaScript writes them, so that an engine that runs there sends the same bytes:
//! every number is a double, and is written as ECMAScript's `Number::toString` does.

use std::io;

use serde::Serialize;
use serde_json::ser::{CompactFormatter, Formatter, Serializer};

use crate::prng::MAX_SAFE_INTEGER;

/// Compact JSON, with numbers as `JSON.stringify` writes them after `JSON.parse`.
pub(crate) fn to_json(value: &impl Serialize) -> serde_json::Result<Vec<u8>> {
    let mut json = Vec::with_capacity(128);
    value.serialize(&mut Serializer::with_formatter(&mut json, EcmaScript))?;
    Ok(json)
}

struct EcmaScript;

impl Formatter for EcmaScript {
    fn write_f64<W: ?Sized + io::Write>(&mut self, writer: &mut W, value: f64) -> io::Result<()> {
        let mut buffer = ryu_js::Buffer::new();
        writer.write_all(buffer.format_finite(value).as_bytes())
    }

    // Integers are written as they are where a double holds them; beyond that the nearest double
    // is all that JavaScript has.
    fn write_u64<W: ?Sized + io::Write>(&mut self, writer: &mut W, value: u64) -> io::Result<()> {
        if value <= MAX_SAFE_INTEGER {
            CompactFormatter.write_u64(writer, value)
        } else {
            self.write_f64(writer, value as f64)
        }
    }

    fn write_i64<W: ?Sized + io::Write>(&mut self, writer: &mut W, value: i64) -> io::Result<()> {
        if value.unsigned_abs() <= MAX_SAFE_INTEGER {
            CompactFormatter.write_i64(writer, value)
        } else {
            self.write_f64(writer, value as f64)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::Value;

    proptest! {
        /// Whatever the spelling, the double behind it is the same.
        #[test]
        fn doubles_survive(value: f64) {
            prop_assume!(value.is_finite());
            let json = to_json(&value).unwrap();
            let read: Value = serde_json::from_slice(&json).unwrap();
            prop_assert_eq!(read.as_f64(), Some(value));
        }

        #[test]
        fn exact_integers_are_written_as_they_are(value in -(MAX_SAFE_INTEGER as i64)..=MAX_SAFE_INTEGER as i64) {
            prop_assert_eq!(to_json(&value).unwrap(), value.to_string().into_bytes());
            prop_assert_eq!(to_json(&(value as f64)).unwrap(), value.to_string().into_bytes());
        }
    }
}
