//! Templates of log records: what stays of a body when its values are taken out.
//!
//! Masking by rules, as the pre-processing of log parsers does it (Drain: He et al. 2017, ICWS;
//! what masking alone achieves: Zhu et al. 2019, ICSE-SEIP). It needs no other record, so that it
//! does not depend on the order in which records come.

use std::collections::BTreeMap;
use std::hash::{Hash, Hasher};

use twox_hash::XxHash64;

/// Stands for a value.
const VALUE: &str = "<*>";

/// So many bytes of a body are looked at.
const MOST_BYTES: usize = 2048;

/// A word of letters that are all hexadecimal digits is a value from so many on.
const HEX_LETTERS: usize = 8;

/// So many templates of a service are kept; of more, those with the smallest hashes.
const MOST_TEMPLATES: usize = 10_000;

/// The template of a body: `<*>` for each word that has a digit or is a hexadecimal number, and for
/// each text in quotes that is no key of JSON. Values with nothing but spaces, commas or
/// semicolons between them are one.
pub(crate) fn template(body: &str) -> String {
    let mut end = body.len().min(MOST_BYTES);
    while !body.is_char_boundary(end) {
        end -= 1;
    }
    let body = &body[..end];
    let mut found = String::with_capacity(body.len());
    let mut rest = body;
    let mut before = None;
    while let Some(first) = rest.chars().next() {
        let (piece, is_value) = match first {
            '"' => quoted(rest, '"'),
            '\'' if !before.is_some_and(char::is_alphanumeric) => quoted(rest, '\''),
            c if is_of_word(c) => {
                let end = rest.find(|c| !is_of_word(c)).unwrap_or(rest.len());
                (&rest[..end], is_number(&rest[..end]))
            }
            c => (&rest[..c.len_utf8()], false),
        };
        match is_value {
            true => push_value(&mut found),
            false => found.push_str(piece),
        }
        before = piece.chars().next_back();
        rest = &rest[piece.len()..];
    }
    found
}

/// The text in quotes at the beginning; the quote alone where it does not end.
fn quoted(text: &str, quote: char) -> (&str, bool) {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            c if c == quote => {
                let end = at + c.len_utf8();
                let is_key = text[end..].trim_start().starts_with(':');
                return (&text[..end], !is_key);
            }
            '\n' => break,
            _ => {}
        }
    }
    (&text[..quote.len_utf8()], false)
}

fn is_of_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_' || c == '-'
}

fn is_number(word: &str) -> bool {
    let is_hex = || word.len() >= HEX_LETTERS && word.chars().all(|c| c.is_ascii_hexdigit());
    word.chars().any(|c| c.is_ascii_digit()) || is_hex()
}

fn push_value(found: &mut String) {
    let between = [' ', ',', ';', '\t'];
    let kept = found.trim_end_matches(between).len();
    match found[..kept].ends_with(VALUE) {
        true => found.truncate(kept),
        false => found.push_str(VALUE),
    }
}

/// When each template of a service was first seen.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Templates {
    /// By hash: the earliest time, Unix nanoseconds.
    first_ns: BTreeMap<u64, i64>,
}

impl Templates {
    /// Takes a record into account.
    pub(crate) fn add(&mut self, body: &str, time_ns: i64) {
        let mut hasher = XxHash64::with_seed(0);
        template(body).hash(&mut hasher);
        self.put(hasher.finish(), time_ns);
    }

    fn put(&mut self, hash: u64, time_ns: i64) {
        let first = self.first_ns.entry(hash).or_insert(time_ns);
        *first = time_ns.min(*first);
        if self.first_ns.len() > MOST_TEMPLATES {
            self.first_ns.pop_last();
        }
    }

    /// Adds those of another part of the same run.
    pub(crate) fn merge(&mut self, other: &Self) {
        for (&hash, &first) in &other.first_ns {
            self.put(hash, first);
        }
    }

    /// The times at which templates were first seen, Unix nanoseconds, in no order.
    pub(crate) fn first_seen(&self) -> impl Iterator<Item = i64> {
        self.first_ns.values().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn values_are_masked_and_words_stay() {
        for (body, expected) in [
            ("order 4711 took 12.5 ms", "order <*> took <*>.<*> ms"),
            (
                "user 3f2504e0-4f89-11d3-9a0c-0305e82c3301 gone",
                "user <*> gone",
            ),
            ("trace deadbeef, not faced", "trace <*>, not faced"),
            ("can't open \"a b.txt\" for 'bob'", "can't open <*> for <*>"),
            (
                r#"{"msg":"pool empty","waited":250}"#,
                r#"{"msg":<*>,"waited":<*>}"#,
            ),
            ("ids 1, 2, 3; 4", "ids <*>"),
            ("half a \"quote", "half a \"quote"),
            ("GET /api/v1/cart/7?x=y", "GET /api/<*>/cart/<*>?x=y"),
            ("", ""),
        ] {
            assert_eq!(template(body), expected, "{body}");
        }
    }

    proptest! {
        #[test]
        fn any_body_has_a_template_and_numbers_change_nothing(body: String, n: u32, m: u32) {
            template(&body);
            let with = |n: u32| template(&format!("{body} took {n} ms"));
            if body.len() < 1000 {
                prop_assert_eq!(with(n), with(m));
            }
        }

        #[test]
        fn first_times_do_not_depend_on_order_or_split(
            records in prop::collection::vec((0u8..20, 0i64..100), 0..60), split in 0usize..60,
        ) {
            let all = |records: &[(u8, i64)]| {
                let mut templates = Templates::default();
                for (which, at) in records {
                    templates.add(&"a".repeat(usize::from(*which)), *at);
                }
                templates
            };
            let (a, b) = records.split_at(split.min(records.len()));
            let mut merged = all(b);
            merged.merge(&all(a));
            prop_assert_eq!(merged, all(&records));
        }
    }
}
