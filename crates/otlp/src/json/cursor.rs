//! A place in a JSON text, and what JSON has there.
//!
//! A field that is `null` is passed over as if it were absent. A cursor can be cloned, which is how
//! a reader goes back to a list whose meaning stands behind it.

use std::borrow::Cow;

use crate::problem::{Result, fail};

/// Objects and lists in each other. A message that a protobuf library takes (100 messages in each
/// other) has at most half as many more as JSON.
const MAX_DEPTH: u32 = 256;

const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

/// A place in a JSON text.
#[derive(Debug, Clone)]
pub(crate) struct Json<'a> {
    text: &'a str,
    at: usize,
    depth: u32,
    /// Something was passed over that a reader has no place for.
    has_unread: bool,
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
                has_unread: false,
            }),
            Err(error) => fail(error.valid_up_to(), "the text is not UTF-8"),
        }
    }

    /// An error at this place.
    pub(crate) fn fail<T>(&self, reason: impl Into<String>) -> Result<T> {
        fail(self.at, reason)
    }

    pub(crate) fn expected<T>(&self, what: &str) -> Result<T> {
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

    /// Calls `each` at the value of each field of an object that is not `null`, with its name; it has
    /// to read the value or pass over it.
    pub(super) fn object(
        &mut self,
        mut each: impl FnMut(&mut Self, &str) -> Result<()>,
    ) -> Result<()> {
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

    /// Passes over a value of any kind.
    pub(super) fn pass(&mut self) -> Result<()> {
        match self.peek() {
            b'{' => self.object(|json, _| json.pass()),
            b'[' => self.array(|json, null| if null { Ok(()) } else { json.pass() }),
            b'"' => self.string_end().map(drop),
            b'-' | b'0'..=b'9' => self.number().map(drop),
            b't' => self.word("true"),
            b'f' => self.word("false"),
            b'n' => self.word("null"),
            _ => self.expected("a value"),
        }
    }

    /// Remembers, if it is so, that there is something that a reader has no place for.
    pub(super) fn note_unread(&mut self, is_unread: bool) {
        self.has_unread |= is_unread;
    }

    /// Whether there was something that a reader has no place for.
    pub(super) fn has_unread(&self) -> bool {
        self.has_unread
    }

    /// The offset in the text of this place.
    pub(crate) fn place(&self) -> usize {
        self.at
    }

    /// The text of a value of any kind.
    pub(crate) fn raw(&mut self) -> Result<&'a str> {
        self.peek();
        let start = self.at;
        self.pass()?;
        Ok(&self.text[start..self.at])
    }

    /// An error unless the text ends here.
    pub(crate) fn end(&mut self) -> Result<()> {
        match self.peek() {
            0 if self.at == self.text.len() => Ok(()),
            _ => self.expected("the end of the message"),
        }
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

    pub(super) fn word(&mut self, word: &str) -> Result<()> {
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

    #[inline]
    pub(super) fn number(&mut self) -> Result<&'a str> {
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
    pub(super) fn string(&mut self) -> Result<Cow<'a, str>> {
        let start = self.at;
        if self.string_end()? {
            return Ok(Cow::Borrowed(&self.text[start + 1..self.at - 1]));
        }
        match serde_json::from_str(&self.text[start..self.at]) {
            Ok(text) => Ok(Cow::Owned(text)),
            Err(_) => fail(start, "a string with an escape that stands for nothing"),
        }
    }

    /// Whether so many more objects and lists may be in each other here.
    #[inline]
    pub(super) fn may_nest(&self, levels: u32) -> bool {
        self.depth + levels <= MAX_DEPTH
    }

    /// Whether these bytes of ASCII follow, which are passed over.
    #[inline]
    pub(crate) fn follows(&mut self, bytes: &[u8]) -> bool {
        let follows = self.text.as_bytes()[self.at..].starts_with(bytes);
        self.at += if follows { bytes.len() } else { 0 };
        follows
    }

    /// The rest of a string without escapes behind what ends with its first quote. None, and
    /// nothing is read, where something else is here.
    #[inline]
    pub(super) fn string_behind(&mut self, before: &[u8]) -> Option<&'a str> {
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde::de::IgnoredAny;

    fn at(text: &str) -> Json<'_> {
        Json::new(text.as_bytes()).expect("UTF-8")
    }

    #[test]
    fn nesting_without_end_is_an_error_not_a_crash() {
        for open in ["[", "{\"a\":"] {
            assert!(at(&open.repeat(1_000_000)).pass().is_err());
        }
    }

    fn is_json(text: &str) -> bool {
        let mut json = at(text);
        json.pass().and_then(|()| json.end()).is_ok()
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
