//! What a plain YAML scalar means: YAML 1.2's core schema, so `no` and `on` are texts.

/// A scalar's value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Scalar<'a> {
    Null,
    Bool(bool),
    Unsigned(u64),
    Signed(i64),
    Float(f64),
    Text(&'a str),
}

impl<'a> Scalar<'a> {
    /// The value of a scalar that is written without quotes. Numbers that JSON can't hold
    /// (`.inf`, `.nan`) are texts.
    pub(crate) fn of_plain(text: &'a str) -> Self {
        match text {
            "" | "~" | "null" | "Null" | "NULL" => return Self::Null,
            "true" | "True" | "TRUE" => return Self::Bool(true),
            "false" | "False" | "FALSE" => return Self::Bool(false),
            _ => {}
        }
        integer(text)
            .or_else(|| float(text))
            .unwrap_or(Self::Text(text))
    }
}

fn integer(text: &str) -> Option<Scalar<'static>> {
    let radix = |digits: &str, radix| {
        let digits_only = digits.chars().all(|c| c.is_digit(radix));
        (digits_only)
            .then(|| u64::from_str_radix(digits, radix).ok())
            .flatten()
    };
    if let Some(hex) = text.strip_prefix("0x") {
        return radix(hex, 16).map(Scalar::Unsigned);
    }
    if let Some(octal) = text.strip_prefix("0o") {
        return radix(octal, 8).map(Scalar::Unsigned);
    }
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    if let Ok(value) = text.parse::<u64>() {
        return Some(Scalar::Unsigned(value));
    }
    text.parse::<i64>().ok().map(Scalar::Signed)
}

fn float(text: &str) -> Option<Scalar<'static>> {
    let numeric = |b: u8| b.is_ascii_digit() || matches!(b, b'+' | b'-' | b'.' | b'e' | b'E');
    if !text.bytes().all(numeric) || !text.bytes().any(|b| b.is_ascii_digit()) {
        return None;
    }
    text.parse::<f64>()
        .ok()
        .filter(|value| value.is_finite())
        .map(Scalar::Float)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn core_schema() {
        for (text, value) in [
            ("~", Scalar::Null),
            ("true", Scalar::Bool(true)),
            ("yes", Scalar::Text("yes")),
            ("12", Scalar::Unsigned(12)),
            ("+12", Scalar::Unsigned(12)),
            ("-12", Scalar::Signed(-12)),
            ("0x1f", Scalar::Unsigned(31)),
            ("0o17", Scalar::Unsigned(15)),
            ("0x-1", Scalar::Text("0x-1")),
            ("1.5", Scalar::Float(1.5)),
            ("-1e3", Scalar::Float(-1000.0)),
            (
                "18446744073709551616",
                Scalar::Float(18446744073709551616.0),
            ),
            ("1e999", Scalar::Text("1e999")),
            (".inf", Scalar::Text(".inf")),
            ("1m30s", Scalar::Text("1m30s")),
            ("e", Scalar::Text("e")),
            ("5%", Scalar::Text("5%")),
            ("2026-11-24", Scalar::Text("2026-11-24")),
        ] {
            assert_eq!(Scalar::of_plain(text), value, "{text}");
        }
    }
}
