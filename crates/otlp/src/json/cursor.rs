//! A place in a JSON text, and the kinds of values that OTLP/JSON has there.
//!
//! Whatever is lenient about OTLP/JSON is here, once for all readers: a field that is `null` is
//! passed over as if it were absent, 64-bit integers come as numbers or
//! strings, enums as numbers or names, ids as hex or base64. A cursor can be cloned, which is how
//! a reader goes back to a list whose meaning stands behind it.

use std::borrow::Cow;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use crate::input::{Field, Input, ListOf, Named};
use crate::problem::{Result, fail};
use crate::view::AnyValue;

/// Objects and lists in each other. A message that a protobuf library takes (100 messages in each
/// other) has at most half as many more as JSON.
const MAX_DEPTH: u32 = 256;

const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

const ANY_PADDING: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);

/// Protobuf's JSON mapping accepts both alphabets, with and without padding.
const BASE64: [GeneralPurpose; 2] = [
    GeneralPurpose::new(&alphabet::STANDARD, ANY_PADDING),
    GeneralPurpose::new(&alphabet::URL_SAFE, ANY_PADDING),
];

/// A place in a JSON text.
#[derive(Debug, Clone)]
pub(crate) struct Json<'a> {
    text: &'a str,
    at: usize,
    depth: u32,
}

impl<'a> Json<'a> {
    /// The start of a text, behind a byte order mark if there is one.
    pub(crate) fn new(text: &'a [u8]) -> Result<Self> {
        // One check of the whole text is faster than one of each string.
        match std::str::from_utf8(text) {
            Ok(whole) => Ok(Self {
                text: whole,
                at: if text.starts_with(BYTE_ORDER_MARK) {
                    BYTE_ORDER_MARK.len()
                } else {
                    0
                },
                depth: 0,
            }),
            Err(error) => fail(error.valid_up_to(), "the text is not UTF-8"),
        }
    }

    /// An error at this place.
    pub(crate) fn fail<T>(&self, reason: impl Into<String>) -> Result<T> {
        fail(self.at, reason)
    }

    fn expected<T>(&self, what: &str) -> Result<T> {
        let found = self.text[self.at..].chars().take(24);
        let found: String = found
            .map(|c| if c.is_control() { ' ' } else { c })
            .collect();
        match found.trim_end() {
            "" => self.fail(format!("expected {what}, but the text ends")),
            found => self.fail(format!("expected {what}, found `{found}`")),
        }
    }

    /// Calls `each` at each element of a list, with true where it was a `null`; otherwise `each`
    /// has to read or skip it.
    pub(crate) fn array(
        &mut self,
        mut each: impl FnMut(&mut Self, bool) -> Result<()>,
    ) -> Result<()> {
        self.open(b'[', "a list")?;
        if self.peek() == b']' {
            return self.close();
        }
        loop {
            let null = self.null()?;
            each(self, null)?;
            match self.peek() {
                b',' => self.at += 1,
                b']' => return self.close(),
                _ => return self.expected("`,` or `]`"),
            }
        }
    }

    /// The text of a value of any kind.
    pub(crate) fn raw(&mut self) -> Result<&'a str> {
        self.peek();
        let start = self.at;
        self.skip()?;
        Ok(&self.text[start..self.at])
    }

    /// An error unless the text ends here.
    pub(crate) fn end(&mut self) -> Result<()> {
        match self.peek() {
            0 if self.at == self.text.len() => Ok(()),
            _ => self.expected("the end of the message"),
        }
    }

    /// An integer as a number or a string; `what` it should be completes "expected …".
    pub(crate) fn integer<T: TryFrom<i128>>(&mut self, what: &str) -> Result<T> {
        let start = self.clone();
        let number = whole(&self.digits(what)?).and_then(|whole| T::try_from(whole).ok());
        number.map_or_else(|| start.expected(what), Ok)
    }

    /// The next byte behind white space, 0 at the end.
    #[inline]
    pub(crate) fn peek(&mut self) -> u8 {
        let bytes = self.text.as_bytes();
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = bytes.get(self.at) {
            self.at += 1;
        }
        bytes.get(self.at).copied().unwrap_or(0)
    }

    #[inline]
    fn open(&mut self, bracket: u8, what: &str) -> Result<()> {
        if self.peek() != bracket {
            return self.expected(what);
        }
        if self.depth == MAX_DEPTH {
            return self.fail(format!(
                "more than {MAX_DEPTH} objects and lists in each other"
            ));
        }
        self.depth += 1;
        self.at += 1;
        Ok(())
    }

    #[inline]
    fn close(&mut self) -> Result<()> {
        self.depth -= 1;
        self.at += 1;
        Ok(())
    }

    fn word(&mut self, word: &str) -> Result<()> {
        if !self.text[self.at..].starts_with(word) {
            return self.expected("a value");
        }
        self.at += word.len();
        Ok(())
    }

    /// Whether a `null` is here, which is passed over.
    #[inline]
    fn null(&mut self) -> Result<bool> {
        let null = self.peek() == b'n';
        if null {
            self.word("null")?;
        }
        Ok(null)
    }

    /// The text of a number, whether it comes as one or as a string.
    #[inline]
    fn digits(&mut self, what: &str) -> Result<Cow<'a, str>> {
        match self.peek() {
            b'"' => self.string(),
            b'-' | b'0'..=b'9' => self.number().map(Cow::Borrowed),
            _ => self.expected(what),
        }
    }

    #[inline]
    fn number(&mut self) -> Result<&'a str> {
        let start = self.at;
        let bytes = &self.text.as_bytes()[start..];
        let byte = |at: usize| bytes.get(at).copied().unwrap_or(0);
        let digits = |at: usize| {
            let rest = bytes[at..].iter();
            at + rest.take_while(|b| b.is_ascii_digit()).count()
        };
        let mut good = true;
        let mut at = usize::from(byte(0) == b'-');
        let integer = at;
        at = digits(at);
        // No number begins with a 0 that it could do without.
        good &= at == integer + 1 || (at > integer && byte(integer) != b'0');
        if byte(at) == b'.' {
            let fraction = at + 1;
            at = digits(fraction);
            good &= at > fraction;
        }
        if let b'e' | b'E' = byte(at) {
            let exponent = at + 1 + usize::from(matches!(byte(at + 1), b'+' | b'-'));
            at = digits(exponent);
            good &= at > exponent;
        }
        if !good {
            return self.expected("a number");
        }
        self.at += at;
        Ok(&self.text[start..self.at])
    }

    #[inline]
    fn string(&mut self) -> Result<Cow<'a, str>> {
        let start = self.at;
        if self.string_end()? {
            return Ok(Cow::Borrowed(&self.text[start + 1..self.at - 1]));
        }
        match serde_json::from_str(&self.text[start..self.at]) {
            Ok(text) => Ok(Cow::Owned(text)),
            Err(_) => fail(start, "a string with an escape that stands for nothing"),
        }
    }

    /// An attribute without white space and escapes, whose value is a text or an integer. What it
    /// gives is what any other way of reading gives; that way is also left to say what is wrong.
    #[inline]
    fn usual_attribute(&mut self) -> Option<(&'a str, AnyValue<'a>)> {
        if self.depth + 2 > MAX_DEPTH {
            return None;
        }
        let key = self.string_behind(br#"{"key":""#)?;
        let value = match self.string_behind(br#","value":{"stringValue":""#) {
            Some(text) => AnyValue::Text(Cow::Borrowed(text)),
            None => {
                let digits = self.string_behind(br#","value":{"intValue":""#)?;
                AnyValue::Int(i64::try_from(whole(digits)?).ok()?)
            }
        };
        let rest = &self.text.as_bytes()[self.at..];
        self.at += 2;
        rest.starts_with(b"}}").then_some((key, value))
    }

    /// The rest of a string without escapes behind what ends with its first quote. None, and
    /// nothing is read, where something else is here.
    #[inline]
    fn string_behind(&mut self, before: &[u8]) -> Option<&'a str> {
        let bytes = self.text.as_bytes();
        if !bytes[self.at..].starts_with(before) {
            return None;
        }
        let start = self.at + before.len();
        let end = next_special(bytes, start);
        if bytes.get(end) != Some(&b'"') {
            return None;
        }
        self.at = end + 1;
        Some(&self.text[start..end])
    }

    /// Goes from a string's first quote behind its last; true if it has no escapes.
    #[inline]
    fn string_end(&mut self) -> Result<bool> {
        let bytes = self.text.as_bytes();
        let at = next_special(bytes, self.at + 1);
        if bytes.get(at) == Some(&b'"') {
            self.at = at + 1;
            return Ok(true);
        }
        self.string_end_from(at)
    }

    /// The same where the first special byte is no quote.
    fn string_end_from(&mut self, mut at: usize) -> Result<bool> {
        let bytes = self.text.as_bytes();
        let mut plain = true;
        loop {
            at = next_special(bytes, at);
            match bytes.get(at) {
                Some(b'"') => {
                    self.at = at + 1;
                    return Ok(plain);
                }
                Some(b'\\') => {
                    let escaped = bytes.get(at + 1).copied().unwrap_or(0);
                    if !b"\"\\/bfnrtu".contains(&escaped) {
                        return fail(at, "an escape that stands for nothing");
                    }
                    plain = false;
                    at += 2;
                }
                Some(0..0x20) => return fail(at, "a control character in a string"),
                // One of the last bytes of the text.
                Some(_) => at += 1,
                None => return fail(at, "the text ends in a string"),
            }
        }
    }
}

impl<'a> Input<'a> for Json<'a> {
    type Key = str;

    #[inline]
    fn is(key: &str, field: Field) -> bool {
        key == field.json || key == field.proto
    }

    fn fields(&mut self, mut each: impl FnMut(&mut Self, &str) -> Result<()>) -> Result<()> {
        self.open(b'{', "an object")?;
        if self.peek() == b'}' {
            return self.close();
        }
        loop {
            if self.peek() != b'"' {
                return self.expected("the name of a field");
            }
            let name = self.string()?;
            if self.peek() != b':' {
                return self.expected("`:`");
            }
            self.at += 1;
            if !self.null()? {
                each(self, &name)?;
            }
            match self.peek() {
                b',' => self.at += 1,
                b'}' => return self.close(),
                _ => return self.expected("`,` or `}`"),
            }
        }
    }

    fn elements(
        &mut self,
        of: ListOf,
        mut each: impl FnMut(&mut Self, bool) -> Result<()>,
    ) -> Result<()> {
        self.array(|json, null| match of {
            ListOf::Messages if null => Ok(()),
            _ => each(json, null),
        })
    }

    fn skip(&mut self) -> Result<()> {
        match self.peek() {
            b'{' => self.fields(|json, _| json.skip()),
            b'[' => self.array(|json, null| if null { Ok(()) } else { json.skip() }),
            b'"' => self.string_end().map(drop),
            b'-' | b'0'..=b'9' => self.number().map(drop),
            b't' => self.word("true"),
            b'f' => self.word("false"),
            b'n' => self.word("null"),
            _ => self.expected("a value"),
        }
    }

    #[inline]
    fn attribute(&mut self) -> Option<(&'a str, AnyValue<'a>)> {
        let start = self.at;
        let attribute = self.usual_attribute();
        if attribute.is_none() {
            self.at = start;
        }
        attribute
    }

    #[inline]
    fn text(&mut self) -> Result<Cow<'a, str>> {
        match self.peek() {
            b'"' => self.string(),
            _ => self.expected("a string"),
        }
    }

    fn boolean(&mut self) -> Result<bool> {
        match self.peek() {
            b't' => self.word("true").map(|()| true),
            b'f' => self.word("false").map(|()| false),
            _ => self.expected("true or false"),
        }
    }

    fn unsigned(&mut self) -> Result<u64> {
        self.integer("an unsigned 64-bit integer")
    }

    fn signed(&mut self) -> Result<i64> {
        self.integer("a 64-bit integer")
    }

    fn zigzag(&mut self) -> Result<i32> {
        self.integer("a 32-bit integer")
    }

    fn double(&mut self) -> Result<f64> {
        const WHAT: &str = "a number, \"NaN\", \"Infinity\" or \"-Infinity\"";
        let is_number = self.peek() != b'"';
        let start = self.clone();
        match self.digits(WHAT)?.parse::<f64>() {
            Ok(number) if number.is_finite() || !is_number => Ok(number),
            _ => start.expected(WHAT),
        }
    }

    fn enumeration<E: Named>(&mut self) -> Result<i32> {
        let start = self.clone();
        let text = self.digits(E::WHAT)?;
        let number = || whole(&text).and_then(|whole| i32::try_from(whole).ok());
        E::number(&text)
            .or_else(number)
            .map_or_else(|| start.expected(E::WHAT), Ok)
    }

    fn id<const BYTES: usize>(&mut self) -> Result<[u8; BYTES]> {
        let start = self.clone();
        let text = self.text()?;
        let mut id = [0; BYTES];
        if text.is_empty() {
            return Ok(id);
        }
        let is_id = if text.len() == 2 * BYTES {
            const_hex::decode_to_slice(&*text, &mut id).is_ok()
        } else {
            let mut decoders = BASE64.iter();
            // What is longer doesn't fit into the space.
            decoders.any(|base64| base64.decode_slice(&*text, &mut id) == Ok(BYTES))
        };
        if is_id {
            Ok(id)
        } else {
            start.expected(&format!("an id of {} hex digits", 2 * BYTES))
        }
    }

    fn bytes(&mut self) -> Result<Cow<'a, [u8]>> {
        let start = self.clone();
        let text = self.text()?;
        let bytes = BASE64.iter().find_map(|base64| base64.decode(&*text).ok());
        bytes.map_or_else(
            || start.expected("bytes in base64"),
            |bytes| Ok(bytes.into()),
        )
    }
}

/// The next byte that a string can't have as it is, or one of the last seven.
#[inline]
fn next_special(bytes: &[u8], mut at: usize) -> usize {
    while let Some(eight) = bytes.get(at..).and_then(|rest| rest.first_chunk()) {
        let marks = specials(u64::from_le_bytes(*eight));
        if marks != 0 {
            return at + (marks.trailing_zeros() / 8) as usize;
        }
        at += 8;
    }
    at
}

/// The high bit of the first byte among eight that a string can't have as it is (a quote, a
/// backslash, a control character); bits above it may be set, too. The trick is that of
/// "determine if a word has a byte less than n" in Sean Anderson's Bit Twiddling Hacks.
fn specials(word: u64) -> u64 {
    const ONES: u64 = u64::MAX / 255;
    let below = |word: u64, n: u8| word.wrapping_sub(ONES * u64::from(n)) & !word;
    let equal = |byte: u8| below(word ^ (ONES * u64::from(byte)), 1);
    (below(word, 0x20) | equal(b'"') | equal(b'\\')) & (ONES << 7)
}

/// The whole number that up to 19 digits stand for: so many always fit.
fn short_whole(digits: &[u8]) -> Option<u64> {
    if !(1..=19).contains(&digits.len()) {
        return None;
    }
    let (eights, rest) = digits.as_chunks();
    let mut value = 0;
    for eight in eights {
        value = 100_000_000 * value + eight_digits(u64::from_le_bytes(*eight))?;
    }
    for digit in rest {
        let digit = digit.is_ascii_digit().then(|| digit - b'0')?;
        value = 10 * value + u64::from(digit);
    }
    Some(value)
}

/// The number that eight digits stand for: pairs of them are put together, then pairs of these,
/// then the two that are left.
fn eight_digits(word: u64) -> Option<u64> {
    const ONES: u64 = u64::MAX / 255;
    let digits = word.wrapping_sub(ONES * u64::from(b'0'));
    // A byte below `0` borrows and has its high bit set; one above `9` gets it by what is added.
    if (digits | digits.wrapping_add(ONES * 0x76)) & (ONES << 7) != 0 {
        return None;
    }
    let pairs = (10 * digits + (digits >> 8)) & 0x00ff_00ff_00ff_00ff;
    let fours = (100 * pairs + (pairs >> 16)) & 0x0000_ffff_0000_ffff;
    Some((10_000 * fours + (fours >> 32)) & 0xffff_ffff)
}

/// The whole number that a decimal stands for: also `7.0` and `1.5e3`, and exactly.
fn whole(text: &str) -> Option<i128> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let sign = if digits.len() < text.len() { -1 } else { 1 };
    if let Some(value) = short_whole(digits.as_bytes()) {
        return Some(sign * i128::from(value));
    }
    let (mantissa, exponent) = match digits.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
        None => (digits, 0),
    };
    let (before, behind) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    if before.is_empty() {
        return None;
    }
    let mut value = 0i128;
    for digit in before.bytes().chain(behind.bytes()) {
        let digit = digit.is_ascii_digit().then(|| digit - b'0')?;
        value = value.checked_mul(10)?.checked_add(i128::from(digit))?;
    }
    let mut exponent = i64::from(exponent) - behind.len() as i64;
    while exponent < 0 && value != 0 {
        if value % 10 != 0 {
            return None;
        }
        value /= 10;
        exponent += 1;
    }
    while exponent > 0 && value != 0 {
        value = value.checked_mul(10)?;
        exponent -= 1;
    }
    Some(sign * value)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;
    use crate::view::{Keep, KeyValue, Merge};
    use proptest::prelude::*;
    use serde::de::IgnoredAny;

    fn at(text: &str) -> Json<'_> {
        Json::new(text.as_bytes()).expect("UTF-8")
    }

    fn integer<T: TryFrom<i128>>(text: &str) -> Option<T> {
        at(text).integer("").ok()
    }

    #[test]
    fn integers_come_as_numbers_or_strings_and_exactly() {
        assert_eq!(integer("\"-7\""), Some(-7i64));
        assert_eq!(integer("7"), Some(7i64));
        assert_eq!(integer("7.0"), Some(7i64));
        assert_eq!(integer("\"7.50e1\""), Some(75i64));
        assert_eq!(integer("-0"), Some(0u64));
        assert_eq!(integer("\"18446744073709551615\""), Some(u64::MAX));
        assert_eq!(integer("1.8446744073709551615e19"), Some(u64::MAX));
        assert_eq!(integer("-9223372036854775808"), Some(i64::MIN));
        for bad in [
            "18446744073709551616",
            "7.5",
            "\"seven\"",
            "\"\"",
            "\"+7\"",
            "-1",
            "1e999999999",
            "\".5\"",
            "true",
        ] {
            assert_eq!(integer::<u64>(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn whole_numbers_are_what_the_standard_library_reads(
            text in "[0-9]{1,20}|[0-9]{0,9}[/:x\u{e9}][0-9]{0,9}",
        ) {
            let expected = text.parse::<u64>().ok().filter(|_| text.len() < 20);
            prop_assert_eq!(short_whole(text.as_bytes()), expected);
        }

        #[test]
        fn attributes_are_the_same_however_they_are_written(
            key: String,
            text in "\\PC*|[a-z\"\\\\\n]*",
            number: i64,
            behind in "[\\]} ,]{0,9}",
        ) {
            let read = |text: String| {
                let mut pair = KeyValue::default();
                let keep = Keep { wants: &|key| key != "no", left: &Cell::new(9) };
                let read = pair.merge(&mut at(&text), &keep).map_err(|problem| problem.reason);
                read.map(|()| format!("{pair:?}"))
            };
            let [key, text] = [key, text].map(|text| serde_json::to_string(&text).expect("JSON"));
            for key in [&key, "\"no\"", "\"\""] {
                for value in [
                    format!("{{\"stringValue\":{text}}}"),
                    format!("{{\"intValue\":\"{number}\"}}"),
                    "{\"intValue\":\"x\"}".to_owned(),
                    "{\"stringValue\":\"\",\"intValue\":7}".to_owned(),
                ] {
                    let close = read(format!("{{\"key\":{key},\"value\":{value}}}{behind}"));
                    let wide = read(format!("{{ \"key\":{key},\"value\":{value}}}{behind}"));
                    prop_assert_eq!(close, wide);
                }
            }
        }
    }

    #[test]
    fn doubles_may_be_words() {
        assert_eq!(at("\"-Infinity\"").double(), Ok(f64::NEG_INFINITY));
        assert!(at("\"NaN\"").double().is_ok_and(f64::is_nan));
        assert_eq!(at("3").double(), Ok(3.0));
        assert!(at("1e400").double().is_err());
    }

    #[test]
    fn ids_are_hex_of_either_case_or_base64_and_of_exact_length() {
        assert_eq!(
            at("\"00000000000000Ff\"").id(),
            Ok([0, 0, 0, 0, 0, 0, 0, 255])
        );
        assert_eq!(at("\"\"").id::<8>(), Ok([0; 8]));
        for base64 in ["\"q+8AAAAAAAA=\"", "\"q-8AAAAAAAA\""] {
            assert_eq!(
                at(base64).id(),
                Ok([0xab, 0xef, 0, 0, 0, 0, 0, 0]),
                "{base64}"
            );
        }
        for bad in [
            "\"00000000000000fg\"",
            "\"0x000000000000ff\"",
            "\"ff\"",
            "\"q+8AAAAAAAAA\"",
            "7",
        ] {
            assert!(at(bad).id::<8>().is_err(), "{bad}");
        }
        // Half a trace id is none: which half it is, nobody knows.
        assert!(at("\"00000000000000ff\"").id::<16>().is_err());
    }

    #[test]
    fn text_is_borrowed_unless_it_has_escapes() {
        assert!(matches!(
            at("\"a\u{e9}\"").text(),
            Ok(Cow::Borrowed("a\u{e9}"))
        ));
        assert_eq!(
            at(r#""a\"b\u00e9\ud83e\udd16""#).text().as_deref(),
            Ok("a\"b\u{e9}\u{1f916}")
        );
        assert!(at(r#""\ud83e""#).text().is_err());
        assert!(at("5").text().is_err());
    }

    #[test]
    fn nesting_without_end_is_an_error_not_a_crash() {
        for open in ["[", "{\"a\":"] {
            assert!(at(&open.repeat(1_000_000)).skip().is_err());
        }
    }

    fn is_json(text: &str) -> bool {
        let mut json = at(text);
        json.skip().and_then(|()| json.end()).is_ok()
    }

    proptest! {
        #[test]
        fn what_is_json_is_what_serde_json_takes_for_it(
            parts in prop::collection::vec(prop::sample::select(vec![
                "{", "}", "[", "]", ",", ":", "\"", "\"a\"", "\"long enough for a word\"", "\\", "\\n", "0", "1", "-", "+", ".", "e", "E3", "true",
                "false", "null", "nul", " ", "\n", "\u{1}", "\u{e9}",
            ]), 0..12)
        ) {
            let text = parts.concat();
            prop_assert_eq!(is_json(&text), serde_json::from_str::<IgnoredAny>(&text).is_ok(), "{}", text);
        }

        #[test]
        fn a_text_that_is_cut_off_is_an_error(value in "\\PC{0,20}", number: f64, cut in 0.0..1.0) {
            let value = serde_json::json!({"a": [value, null, {"b": number}], "c": {}});
            for text in [value.to_string(), serde_json::to_string_pretty(&value).expect("JSON")] {
                prop_assert!(is_json(&text));
                let mut end = (text.len() as f64 * cut) as usize;
                while !text.is_char_boundary(end) {
                    end -= 1;
                }
                prop_assert!(!is_json(&text[..end]));
            }
        }
    }
}
