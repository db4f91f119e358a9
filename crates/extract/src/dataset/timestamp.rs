//! Unix nanoseconds as RFC 3339 in UTC with nine decimals: `2026-11-24T03:06:24.000000001Z`.

use chrono::DateTime;

const LENGTH: usize = "2026-11-24T03:06:24.000000001Z".len();

/// Seconds of a day.
const DAY: i64 = 86_400;

/// Writes times; the day that was written last is kept, since a run has few of them.
#[derive(Debug)]
pub(crate) struct Timestamps {
    text: [u8; LENGTH],
    day: Option<i64>,
}

impl Timestamps {
    pub(crate) fn new() -> Self {
        Self {
            text: *b"1970-01-01T00:00:00.000000000Z",
            day: None,
        }
    }

    /// The text of a time in Unix nanoseconds, which is not negative.
    pub(crate) fn format(&mut self, unix_ns: i64) -> &[u8] {
        let second = unix_ns.div_euclid(1_000_000_000);
        let day = second.div_euclid(DAY);
        if self.day != Some(day)
            && let Some(time) = DateTime::from_timestamp(second, 0)
        {
            let text = time.format("%Y-%m-%d").to_string();
            // An i64 of nanoseconds ends in the year 2262: the text has always 10 characters.
            if let Some(prefix) = self.text.get_mut(..text.len()) {
                prefix.copy_from_slice(text.as_bytes());
            }
            self.day = Some(day);
        }
        let of_day = second.rem_euclid(DAY);
        for (at, number) in [
            (11, of_day / 3600),
            (14, of_day / 60 % 60),
            (17, of_day % 60),
        ] {
            self.text[at] = b'0' + (number / 10) as u8;
            self.text[at + 1] = b'0' + (number % 10) as u8;
        }
        let mut fraction = unix_ns.rem_euclid(1_000_000_000) as u32;
        for digit in self.text[20..29].iter_mut().rev() {
            *digit = b'0' + (fraction % 10) as u8;
            fraction /= 10;
        }
        &self.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::SecondsFormat;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn it_is_what_chrono_writes(times in prop::collection::vec(0i64..=i64::MAX, 1..10)) {
            let mut timestamps = Timestamps::new();
            for ns in times.into_iter().flat_map(|ns| [ns, ns.saturating_add(1)]) {
                let expected =
                    DateTime::from_timestamp_nanos(ns).to_rfc3339_opts(SecondsFormat::Nanos, true);
                prop_assert_eq!(timestamps.format(ns), expected.as_bytes());
            }
        }
    }
}
