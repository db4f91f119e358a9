//! The OTLP/JSON text of a message, byte for byte as the OpenTelemetry Collector's file exporter
//! writes it.
//!
//! The form: 64-bit integers are strings, ids are lower-case hex, enums are numbers, zero values
//! and empty lists are left out, bytes are base64, NaN and the infinities are strings. Some
//! sub-messages are written even when they are empty (`resource`, `scope`, a span's `status`, a
//! log's `body`, an attribute's `value`, the buckets of an exponential histogram). The `serde`
//! support of `opentelemetry-proto` differs in field order, in empty fields and in doubles, hence
//! this writer; it goes straight from the decoded message to bytes, without a tree between.

mod attributes;
mod logs;
mod metrics;
mod traces;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use std::io::Write as _;

pub use logs::logs_request;
pub use metrics::metrics_request;
pub use traces::traces_request;

/// One JSON object that is being written: puts the commas and knows which values are left out.
struct Object<'a> {
    out: &'a mut Vec<u8>,
    empty: bool,
}

impl<'a> Object<'a> {
    /// Opens an object at the end of `out`.
    fn open(out: &'a mut Vec<u8>) -> Self {
        out.push(b'{');
        Self { out, empty: true }
    }

    /// Closes the object.
    fn close(self) {
        self.out.push(b'}');
    }

    /// Writes a field's name and gives the output for its value.
    fn field(&mut self, name: &str) -> &mut Vec<u8> {
        if !std::mem::replace(&mut self.empty, false) {
            self.out.push(b',');
        }
        self.out.push(b'"');
        self.out.extend_from_slice(name.as_bytes());
        self.out.extend_from_slice(b"\":");
        self.out
    }

    /// A string; nothing when empty.
    fn text(&mut self, name: &str, value: &str) {
        if !value.is_empty() {
            string(self.field(name), value);
        }
    }

    /// A trace or span id in hex; nothing when all bytes are zero (or there are none).
    fn id(&mut self, name: &str, value: &[u8]) {
        if value.iter().any(|byte| *byte != 0) {
            let out = self.field(name);
            out.push(b'"');
            let start = out.len();
            out.resize(start + 2 * value.len(), 0);
            // Fails only when the lengths don't fit, and they were made to.
            let _ = const_hex::encode_to_slice(value, &mut out[start..]);
            out.push(b'"');
        }
    }

    /// A 32-bit integer or an enum: a number; nothing when zero.
    fn int32(&mut self, name: &str, value: impl itoa::Integer + Default + PartialEq) {
        if value != Default::default() {
            integer(self.field(name), value);
        }
    }

    /// A 64-bit unsigned integer: a string; nothing when zero.
    fn uint64(&mut self, name: &str, value: u64) {
        if value != 0 {
            quoted_integer(self.field(name), value);
        }
    }

    /// A boolean; nothing when false.
    fn flag(&mut self, name: &str, value: bool) {
        if value {
            self.field(name).extend_from_slice(b"true");
        }
    }

    /// A double; nothing when zero.
    fn double(&mut self, name: &str, value: f64) {
        if value != 0.0 {
            double(self.field(name), value);
        }
    }

    /// A double with presence; zero is written, nothing when absent.
    fn optional_double(&mut self, name: &str, value: Option<f64>) {
        if let Some(value) = value {
            double(self.field(name), value);
        }
    }

    /// A list; nothing when empty.
    fn list<T>(&mut self, name: &str, items: &[T], write: impl Fn(&mut Vec<u8>, &T)) {
        if let Some((first, rest)) = items.split_first() {
            let out = self.field(name);
            out.push(b'[');
            write(out, first);
            for item in rest {
                out.push(b',');
                write(out, item);
            }
            out.push(b']');
        }
    }

    /// A sub-message that is written also when it is absent, then as `{}`.
    fn always<T>(&mut self, name: &str, value: Option<&T>, write: impl Fn(&mut Vec<u8>, &T)) {
        let out = self.field(name);
        match value {
            Some(value) => write(out, value),
            None => out.extend_from_slice(b"{}"),
        }
    }
}

/// A JSON string. Only quote, backslash and the control characters below U+0020 are escaped.
fn string(out: &mut Vec<u8>, value: &str) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    out.push(b'"');
    let bytes = value.as_bytes();
    let mut written = 0;
    for (at, &byte) in bytes.iter().enumerate() {
        if byte >= 0x20 && byte != b'"' && byte != b'\\' {
            continue;
        }
        out.extend_from_slice(&bytes[written..at]);
        written = at + 1;
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            _ => {
                let [high, low] = [HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]];
                out.extend_from_slice(&[b'\\', b'u', b'0', b'0', high, low]);
            }
        }
    }
    out.extend_from_slice(&bytes[written..]);
    out.push(b'"');
}

fn integer(out: &mut Vec<u8>, value: impl itoa::Integer) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// 64-bit integers are strings in protobuf's JSON, because JavaScript's numbers are doubles.
fn quoted_integer(out: &mut Vec<u8>, value: impl itoa::Integer) {
    out.push(b'"');
    integer(out, value);
    out.push(b'"');
}

fn base64(out: &mut Vec<u8>, value: &[u8]) {
    out.push(b'"');
    out.extend_from_slice(BASE64.encode(value).as_bytes());
    out.push(b'"');
}

/// The shortest decimal that reads back as the same double, in Go's two notations: plain from
/// 1e-6 up to 1e21, else with an exponent of a sign and at least two digits.
fn double(out: &mut Vec<u8>, value: f64) {
    if value.is_nan() {
        out.extend_from_slice(b"\"NaN\"");
        return;
    }
    if value.is_infinite() {
        let text: &[u8] = if value > 0.0 {
            b"\"Infinity\""
        } else {
            b"\"-Infinity\""
        };
        out.extend_from_slice(text);
        return;
    }
    let magnitude = value.abs();
    if magnitude == 0.0 || (1e-6..1e21).contains(&magnitude) {
        // Writing to a Vec can't fail.
        let _ = write!(out, "{value}");
        return;
    }
    let start = out.len();
    let _ = write!(out, "{value:e}");
    // Rust writes 1e21 and 1e-7, Go 1e+21 and 1e-07.
    if let Some(e) = out[start..].iter().position(|byte| *byte == b'e') {
        let exponent = out.split_off(start + e + 1);
        let (sign, digits) = match exponent.strip_prefix(b"-") {
            Some(digits) => (b'-', digits),
            None => (b'+', exponent.as_slice()),
        };
        out.push(sign);
        if digits.len() < 2 {
            out.push(b'0');
        }
        out.extend_from_slice(digits);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(write: impl Fn(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn doubles_have_gos_notation() {
        for (value, text) in [
            (0.0, "0"),
            (-0.0, "-0"),
            (1.0, "1"),
            (0.1, "0.1"),
            (-2.5, "-2.5"),
            (1e-6, "0.000001"),
            (9.99e-7, "9.99e-07"),
            (1e20, "100000000000000000000"),
            (1e21, "1e+21"),
            (1.5e300, "1.5e+300"),
            (5e-324, "5e-324"),
            (f64::MAX, "1.7976931348623157e+308"),
            (f64::NAN, "\"NaN\""),
            (f64::INFINITY, "\"Infinity\""),
            (f64::NEG_INFINITY, "\"-Infinity\""),
        ] {
            assert_eq!(written(|out| double(out, value)), text);
        }
    }

    #[test]
    fn strings_escape_what_json_demands_and_nothing_else() {
        assert_eq!(
            written(|out| string(out, "a\"b\\c\n\r\t\u{1}\u{1f}\u{7f}</é🤖>")),
            "\"a\\\"b\\\\c\\n\\r\\t\\u0001\\u001f\u{7f}</é🤖>\""
        );
    }

    proptest::proptest! {
        #[test]
        fn any_string_reads_back(text in "\\PC*|[\\x00-\\x7f]*") {
            let json = written(|out| string(out, &text));
            proptest::prop_assert_eq!(serde_json::from_str::<String>(&json).unwrap(), text);
        }

        #[test]
        fn any_finite_double_reads_back(bits: u64) {
            let value = f64::from_bits(bits);
            proptest::prop_assume!(value.is_finite());
            let json = written(|out| double(out, value));
            proptest::prop_assert_eq!(serde_json::from_str::<f64>(&json).unwrap().to_bits(), bits);
        }
    }
}
