//! Durations as k6 and Go write them: `10s`, `1m30s`, `1.5h`, `500ms`; a bare number is
//! milliseconds.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserialize, Deserializer, Visitor};

/// The longest duration, 100 days: below it every nanosecond is exact in a double.
pub(crate) const MAX_DURATION_NS: u64 = 100 * 86_400 * 1_000_000_000;

/// A duration of a scenario file, in nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) struct Duration {
    /// Nanoseconds, at most [`MAX_DURATION_NS`].
    pub ns: u64,
}

const HOW: &str = "write it like 10s, 1m30s or 500ms; a bare number is milliseconds";

impl Duration {
    /// Reads a duration such as `1m30s`. Fractions of a nanosecond are cut off.
    ///
    /// # Errors
    /// A sentence for the person who wrote it, a line break, and how to write it.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{}` is not a duration\n{HOW}", shorten(text));
        let too_long = || format!("`{}` is longer than 100 days", shorten(text));
        if text.starts_with('-') {
            return Err(format!(
                "the duration `{}` is negative\nit must be 0 or more",
                shorten(text)
            ));
        }
        let bare = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit() || b == b'.');
        let mut rest = text;
        let mut total: u128 = 0;
        let mut parts = 0;
        while !rest.is_empty() {
            let (number, after) = split_while(rest, |c| c.is_ascii_digit() || c == '.');
            let (unit, after) = split_while(after, |c| !c.is_ascii_digit() && c != '.');
            let unit = if bare { "ms" } else { unit };
            let unit_ns = unit_ns(unit).ok_or_else(wrong)?;
            total += decimal(number, unit_ns).ok_or_else(wrong)?;
            rest = after;
            parts += 1;
            if total > u128::from(MAX_DURATION_NS) {
                return Err(too_long());
            }
        }
        if parts == 0 {
            return Err(wrong());
        }
        // Checked against the maximum above.
        Ok(Self { ns: total as u64 })
    }

    fn from_ms(ms: f64) -> Result<Self, String> {
        if ms < 0.0 {
            return Err(format!(
                "the duration {ms} is negative\nit must be 0 or more"
            ));
        }
        let ns = (ms * 1e6).round();
        if !ns.is_finite() || ns > MAX_DURATION_NS as f64 {
            return Err(format!("{ms} ms is longer than 100 days"));
        }
        Ok(Self { ns: ns as u64 })
    }
}

/// Reads a duration as scenario files have it (`10s`, `1m30s`; a bare number is milliseconds), for
/// command lines.
///
/// # Errors
/// A sentence for the person who wrote it, a line break, and how to write it.
pub fn parse_duration(text: &str) -> Result<std::time::Duration, String> {
    Duration::parse(text).map(|duration| std::time::Duration::from_nanos(duration.ns))
}

/// Writes a duration as [`parse_duration`] reads it.
pub fn format_duration(duration: std::time::Duration) -> String {
    let ns = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
    Duration { ns }.to_string()
}

fn shorten(text: &str) -> Cow<'_, str> {
    match text.char_indices().nth(40) {
        Some((end, _)) => Cow::Owned(format!("{}…", &text[..end])),
        None => Cow::Borrowed(text),
    }
}

fn split_while(text: &str, keep: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(|c| !keep(c)).unwrap_or(text.len()))
}

fn unit_ns(unit: &str) -> Option<u64> {
    Some(match unit {
        "ns" => 1,
        "us" | "\u{b5}s" | "\u{3bc}s" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60 * 1_000_000_000,
        "h" => 3_600 * 1_000_000_000,
        "d" => 86_400 * 1_000_000_000,
        _ => return None,
    })
}

/// `number` × `unit_ns`, cut off to whole nanoseconds; none where it is not a decimal number of a
/// sensible size.
fn decimal(number: &str, unit_ns: u64) -> Option<u128> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.len() + fraction.len() == 0 || whole.len() > 18 || fraction.len() > 18 {
        return None;
    }
    let parse = |digits: &str| {
        if digits.is_empty() {
            Some(0)
        } else {
            digits.parse::<u128>().ok()
        }
    };
    let fraction_ns = parse(fraction)? * u128::from(unit_ns) / 10u128.pow(fraction.len() as u32);
    Some(parse(whole)? * u128::from(unit_ns) + fraction_ns)
}

/// The largest unit that leaves a short number: `90s`, `1m30s`, `250ms`.
impl fmt::Display for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seconds, rest) = (self.ns / 1_000_000_000, self.ns % 1_000_000_000);
        let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
        if hours > 0 {
            write!(f, "{hours}h")?;
        }
        if minutes > 0 {
            write!(f, "{minutes}m")?;
        }
        if seconds > 0 || self.ns == 0 {
            write!(f, "{seconds}s")?;
        }
        match rest {
            0 => Ok(()),
            rest if rest % 1_000_000 == 0 => write!(f, "{}ms", rest / 1_000_000),
            rest if rest % 1_000 == 0 => write!(f, "{}us", rest / 1_000),
            rest => write!(f, "{rest}ns"),
        }
    }
}

impl<'de> Deserialize<'de> for Duration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl Visitor<'_> for Reader {
            type Value = Duration;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a duration such as 10s, 1m30s or 500ms")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Duration, E> {
                Duration::parse(text).map_err(E::custom)
            }
            fn visit_u64<E: de::Error>(self, ms: u64) -> Result<Duration, E> {
                self.visit_f64(ms as f64)
            }
            fn visit_i64<E: de::Error>(self, ms: i64) -> Result<Duration, E> {
                self.visit_f64(ms as f64)
            }
            fn visit_f64<E: de::Error>(self, ms: f64) -> Result<Duration, E> {
                Duration::from_ms(ms).map_err(E::custom)
            }
        }
        deserializer.deserialize_any(Reader)
    }
}

impl JsonSchema for Duration {
    fn schema_name() -> Cow<'static, str> {
        "Duration".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A duration such as 10s, 1m30s, 1.5h or 500ms (units d h m s ms us ns). \
                            A bare number is milliseconds.",
            "anyOf": [
                { "type": "string", "pattern": "^(\\d+(\\.\\d*)?(d|h|m|s|ms|us|\u{b5}s|ns))+$" },
                { "type": "string", "pattern": "^\\d+(\\.\\d+)?$" },
                { "type": "number", "minimum": 0 }
            ]
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn as_k6_reads_them() {
        for (text, ns) in [
            ("0", 0),
            ("0s", 0),
            ("10s", 10_000_000_000),
            ("1m30s", 90_000_000_000),
            ("1.5h", 5_400_000_000_000),
            ("1d5h31m20.34s9ms", 106_280_349_000_000),
            ("500ms", 500_000_000),
            ("500", 500_000_000),
            ("1.5", 1_500_000),
            (".5s", 500_000_000),
            ("3us", 3_000),
            ("3\u{b5}s", 3_000),
            ("0.0000000019s", 1),
            ("100d", MAX_DURATION_NS),
        ] {
            assert_eq!(Duration::parse(text), Ok(Duration { ns }), "{text}");
        }
    }

    #[test]
    fn what_is_none() {
        for text in [
            "",
            "s",
            "10 s",
            "10sec",
            "1m30",
            "-5s",
            "101d",
            "1..5s",
            "ten",
            "1e3s",
            ".",
            "9999999999999999999999s",
            "\u{661}s",
        ] {
            assert!(Duration::parse(text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn shown_durations_are_read_back(ns in 0..=MAX_DURATION_NS) {
            let duration = Duration { ns };
            // Shown without the units below the largest fraction, so they come back whole.
            prop_assert_eq!(Duration::parse(&duration.to_string()), Ok(duration));
        }

        #[test]
        fn any_text_is_read_or_refused(text: String) {
            let _ = Duration::parse(&text);
        }
    }
}
