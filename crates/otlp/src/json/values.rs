//! The kinds of values that OTLP/JSON has.
//!
//! Whatever is lenient about OTLP/JSON is here, once for all readers: 64-bit integers come as numbers
//! or strings, enums as numbers or names, ids as hex or base64.

use std::borrow::Cow;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use super::cursor::Json;
use super::whole::whole;
use crate::fields::holds_items;
use crate::input::{Field, Input, ListOf, Named, Unasked};
use crate::problem::Result;
use crate::view::AnyValue;

const ANY_PADDING: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);

/// Protobuf's JSON mapping accepts both alphabets, with and without padding.
const BASE64: [GeneralPurpose; 2] = [
    GeneralPurpose::new(&alphabet::STANDARD, ANY_PADDING),
    GeneralPurpose::new(&alphabet::URL_SAFE, ANY_PADDING),
];

impl<'a> Json<'a> {
    /// An integer as a number or a string; `what` it should be completes "expected …".
    pub(crate) fn integer<T: TryFrom<i128>>(&mut self, what: &str) -> Result<T> {
        let start = self.clone();
        let number = whole(&self.digits(what)?).and_then(|whole| T::try_from(whole).ok());
        number.map_or_else(|| start.expected(what), Ok)
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

    /// Passes over a value that has objects in it. Adds how many objects there are in lists whose
    /// field has the name of one for items.
    fn pass_messages(&mut self, objects: &mut u64) -> Result<()> {
        match self.peek() {
            b'{' => self.object(|json, name| {
                if holds_items(name) {
                    *objects += json.skip_unknown()?;
                    return Ok(());
                }
                json.pass_messages(objects)
            }),
            b'[' => self.array(|json, null| match null {
                true => Ok(()),
                false => json.pass_messages(objects),
            }),
            _ => self.pass(),
        }
    }

    /// An attribute without white space and escapes, whose value is a text or an integer. What it
    /// gives is what any other way of reading gives; that way is also left to say what is wrong.
    #[inline]
    fn usual_attribute(&mut self) -> Option<(&'a str, AnyValue<'a>)> {
        if !self.may_nest(2) {
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
        self.follows(b"}}").then_some((key, value))
    }
}

impl<'a> Input<'a> for Json<'a> {
    type Key = str;

    #[inline]
    fn is(key: &str, field: Field) -> bool {
        key == field.json || key == field.proto
    }

    fn fields(&mut self, each: impl FnMut(&mut Self, &str) -> Result<()>) -> Result<()> {
        self.object(each)
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
        self.pass()
    }

    fn skip_unknown(&mut self) -> Result<u64> {
        let mut objects = 0;
        match self.peek() {
            b'{' => self.object(|json, _| {
                objects += json.skip_unknown()?;
                Ok(())
            })?,
            b'[' => self.array(|json, null| {
                if null {
                    return Ok(());
                }
                let is_object = json.peek() == b'{';
                objects += u64::from(is_object);
                match is_object {
                    true => json.pass()?,
                    false => objects += json.skip_unknown()?,
                }
                Ok(())
            })?,
            _ => self.pass()?,
        }
        Ok(objects)
    }

    #[inline]
    fn skip_unasked(&mut self, holds: Unasked) -> Result<u64> {
        let mut objects = 0;
        if !matches!(self.peek(), b'{' | b'[') {
            return self.pass().map(|()| 0);
        }
        match holds {
            Unasked::Scalar => objects = self.skip_unknown()?,
            Unasked::Messages => self.pass_messages(&mut objects)?,
        }
        Ok(objects)
    }

    fn byte(&self) -> usize {
        self.place()
    }

    fn is_id(key: &str) -> bool {
        key.ends_with("ID")
    }

    fn name(key: &str) -> String {
        let short: String = key.chars().take(40).collect();
        format!("`{}`", short.escape_debug())
    }

    #[inline]
    fn attribute(&mut self) -> Option<(&'a str, AnyValue<'a>)> {
        let start = self.clone();
        let attribute = self.usual_attribute();
        if attribute.is_none() {
            *self = start;
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

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;
    use crate::view::{Keep, KeyValue, Merge, Odd};
    use proptest::prelude::*;

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
        fn attributes_are_the_same_however_they_are_written(
            key: String,
            text in "\\PC*|[a-z\"\\\\\n]*",
            number: i64,
            behind in "[\\]} ,]{0,9}",
        ) {
            let read = |text: String| {
                let mut pair = KeyValue::default();
                let keep = Keep {
                    wants: &|key| key != "no",
                    left: &Cell::new(9),
                    odd: &Odd::default(),
                    is_lenient: false,
                };
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
}
