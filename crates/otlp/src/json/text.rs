//! JSON text, byte for byte as the OpenTelemetry Collector's file exporter writes it: which
//! characters are escaped, and how doubles look.

use std::io::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

/// One JSON object that is being written: puts the commas.
pub(crate) struct Object<'a> {
    out: &'a mut Vec<u8>,
    empty: bool,
}

impl<'a> Object<'a> {
    /// Opens an object at the end of `out`.
    pub(crate) fn open(out: &'a mut Vec<u8>) -> Self {
        out.push(b'{');
        Self { out, empty: true }
    }

    /// Closes the object.
    pub(crate) fn close(self) {
        self.out.push(b'}');
    }

    /// Writes a field's name, which comes as `,"name":`, and gives the output for its value.
    pub(crate) fn field(&mut self, member: &'static str) -> &mut Vec<u8> {
        let without_comma = usize::from(std::mem::replace(&mut self.empty, false));
        self.out
            .extend_from_slice(&member.as_bytes()[without_comma..]);
        self.out
    }
}

/// A JSON string. Only quote, backslash and the control characters below U+0020 are escaped.
pub(crate) fn string(out: &mut Vec<u8>, value: &str) {
    out.push(b'"');
    let bytes = value.as_bytes();
    let is_escaped = |byte: u8| byte < 0x20 || byte == b'"' || byte == b'\\';
    // Most strings have nothing to escape, and this looks at many bytes at a time.
    if !bytes
        .iter()
        .fold(false, |found, byte| found | is_escaped(*byte))
    {
        out.extend_from_slice(bytes);
        out.push(b'"');
        return;
    }
    let mut written = 0;
    for (at, &byte) in bytes.iter().enumerate() {
        if !is_escaped(byte) {
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
                // Writing to a Vec can't fail.
                let _ = write!(out, "\\u{byte:04x}");
            }
        }
    }
    out.extend_from_slice(&bytes[written..]);
    out.push(b'"');
}

/// A boolean.
pub(crate) fn flag(out: &mut Vec<u8>, value: &bool) {
    out.extend_from_slice(if *value { b"true" } else { b"false" });
}

/// An integer of at most 32 bits, or an enum.
pub(crate) fn integer(out: &mut Vec<u8>, value: &(impl itoa::Integer + Copy)) {
    out.extend_from_slice(itoa::Buffer::new().format(*value).as_bytes());
}

/// 64-bit integers are strings in protobuf's JSON, because JavaScript's numbers are doubles.
pub(crate) fn quoted_integer(out: &mut Vec<u8>, value: &(impl itoa::Integer + Copy)) {
    out.push(b'"');
    integer(out, value);
    out.push(b'"');
}

/// An id in lower-case hex.
pub(crate) fn hex(out: &mut Vec<u8>, id: &[u8]) {
    out.push(b'"');
    let start = out.len();
    out.resize(start + 2 * id.len(), 0);
    // Fails only when the lengths don't fit, and they were made to.
    let _ = const_hex::encode_to_slice(id, &mut out[start..]);
    out.push(b'"');
}

/// Bytes.
pub(crate) fn base64(out: &mut Vec<u8>, value: &[u8]) {
    out.push(b'"');
    out.extend_from_slice(BASE64.encode(value).as_bytes());
    out.push(b'"');
}

/// The shortest decimal that reads back as the same double, in Go's two notations: plain from
/// 1e-6 up to 1e21, else with an exponent of a sign and at least two digits.
pub(crate) fn double(out: &mut Vec<u8>, value: &f64) {
    let value = *value;
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
            assert_eq!(written(|out| double(out, &value)), text);
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
            let json = written(|out| double(out, &value));
            proptest::prop_assert_eq!(serde_json::from_str::<f64>(&json).unwrap().to_bits(), bits);
        }
    }
}
