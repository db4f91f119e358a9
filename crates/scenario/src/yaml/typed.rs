//! The typed file, read by `serde_yaml`. Its errors are put in words for people, at the place that
//! the tree has for serde's path.

use saphyr_parser::ScalarStyle;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_path_to_error::{Path, Segment};

use super::tree::{COMMENT, Key, Kind, Node, explained, has_comment_of_javascript};
use crate::diagnostic::{Finding, Span};
use crate::k6_block::means;

/// Reads a typed value from a text whose tree is `root`. The error is the first one that serde
/// meets.
pub(crate) fn typed<T: DeserializeOwned>(text: &str, root: &Node) -> Result<T, Finding> {
    // Two parsers read the text. What only this one refuses has no path yet.
    serde_yaml::from_str::<IgnoredAny>(text).map_err(|error| explained(text, refused(error)))?;
    let reader = serde_yaml::Deserializer::from_str(text);
    serde_path_to_error::deserialize(reader).map_err(|error| {
        let words = without_place(error.inner(), error.path());
        Spot::find(root, error.path()).finding(&words)
    })
}

fn refused(error: serde_yaml::Error) -> Finding {
    let span = error.location().map(|location| Span {
        line: location.line(),
        column: location.column(),
        length: 1,
    });
    Finding {
        span,
        ..Finding::whole(format!("not valid YAML: {error}"))
    }
}

/// An error's text without the path before it and the line and column after it.
fn without_place(error: &serde_yaml::Error, path: &Path) -> String {
    let text = error.to_string();
    let after = error.location().map_or_else(String::new, |location| {
        format!(" at line {} column {}", location.line(), location.column())
    });
    let text = text.strip_suffix(&after).unwrap_or(&text);
    // serde_yaml's path may end before serde's: at the map where serde's goes on to the key.
    let mut befores = vec![String::new()];
    for segment in path.iter() {
        let parent = befores.last().map_or("", String::as_str);
        befores.push(match (segment, parent) {
            (Segment::Seq { index }, "") => format!(".[{index}]"),
            (Segment::Seq { index }, _) => format!("{parent}[{index}]"),
            (Segment::Map { key }, "") => key.clone(),
            (Segment::Map { key }, _) => format!("{parent}.{key}"),
            _ => continue,
        });
    }
    let bare = befores
        .iter()
        .rev()
        .find_map(|before| text.strip_prefix(before.as_str())?.strip_prefix(": "));
    bare.unwrap_or(text).to_owned()
}

/// A value in the tree, and its key where it stands in a map.
struct Spot<'t> {
    key: Option<&'t Key>,
    node: &'t Node,
}

impl<'t> Spot<'t> {
    /// Where a path ends, or as far as the tree has it.
    fn find(root: &'t Node, path: &Path) -> Self {
        let mut spot = Self {
            key: None,
            node: root,
        };
        for segment in path.iter() {
            let next = match (segment, &spot.node.kind) {
                (Segment::Seq { index }, Kind::List(items)) => {
                    items.get(*index).map(|node| Self { key: None, node })
                }
                (Segment::Map { key: name }, Kind::Map(entries)) => {
                    let entry = entries.iter().find(|(key, _)| key.text == *name);
                    entry.map(|(key, node)| Self {
                        key: Some(key),
                        node,
                    })
                }
                _ => None,
            };
            spot = next.unwrap_or(spot);
        }
        spot
    }

    /// serde's words in ours, with what to do where a comment of JavaScript's is in the value.
    fn finding(&self, words: &str) -> Finding {
        let finding = self.in_our_words(words);
        let is_of_value = !words.starts_with("unknown field ");
        match is_of_value && self.node.has_comment_of_javascript() {
            true => finding.help(COMMENT),
            false => finding,
        }
    }

    fn in_our_words(&self, words: &str) -> Finding {
        let (what, expected) = words.rsplit_once(", expected ").unwrap_or((words, ""));
        // k6's spellings are understood, but only ours are proposed.
        let names = (expected.split('`').skip(1).step_by(2))
            .filter(|name| !name.contains(|c: char| c.is_ascii_uppercase()));
        let kind = what.split('`').next().unwrap_or_default();
        let name = what.split('`').nth(1).unwrap_or_default();
        let span = self.shown();
        match (kind, self.unknown(name)) {
            ("unknown field ", Some(key)) if has_comment_of_javascript(&key.text) => {
                Finding::at(key.span, "a comment that YAML takes for a key").help(COMMENT)
            }
            ("unknown field ", Some(key)) => {
                Finding::at(key.span, format!("unknown key `{}`", key.text))
                    .suggest(&key.text, names)
            }
            ("unknown variant ", _) => {
                let value = self.node.text().unwrap_or_default();
                let message = match value {
                    "" => "a value is missing".to_owned(),
                    _ => format!("unknown value `{value}`"),
                };
                Finding::at(span, message).suggest(value, names)
            }
            ("missing field ", _) => missing(span, name),
            ("duplicate field ", _) => {
                Finding::at(self.last_spelling(name), format!("`{name}` is given twice"))
                    .help("the snake_case name and k6's spelling mean the same: keep one")
            }
            _ if what.starts_with("invalid ") => {
                let found = match &self.node.kind {
                    Kind::List(items) if what.starts_with("invalid length ") => {
                        format!("a list of {}", items.len())
                    }
                    _ => self.found(),
                };
                let expected = in_words(expected);
                Finding::at(span, format!("expected {expected}, found {found}"))
            }
            // Types of ours that want to say more than a message put a line break before the help.
            _ => match words.split_once('\n') {
                Some((message, help)) => Finding::at(span, message).help(help),
                None => Finding::at(span, words),
            },
        }
    }

    fn shown(&self) -> Span {
        match self.key {
            Some(key) => self.node.shown_under(key),
            None => self.node.span,
        }
    }

    /// The key that serde doesn't know: serde's path ends at it, or at the map that it stands in.
    fn unknown(&self, name: &str) -> Option<&Key> {
        let within = match &self.node.kind {
            Kind::Map(entries) => entries.iter().map(|(key, _)| key).find(|k| k.text == name),
            _ => None,
        };
        let own = self.key.filter(|key| key.text == name);
        own.or(within).or(self.key)
    }

    /// The place of the key that says a second time, in the other spelling, what another said.
    fn last_spelling(&self, name: &str) -> Span {
        match &self.node.kind {
            Kind::Map(entries) => (entries.iter().rev())
                .find(|(key, _)| means(&key.text, name))
                .map_or(self.node.span, |(key, _)| key.span),
            _ => self.node.span,
        }
    }

    fn found(&self) -> String {
        match &self.node.kind {
            Kind::List(_) => "a list".to_owned(),
            Kind::Map(_) => "a map".to_owned(),
            Kind::Scalar { text, .. } if text.chars().count() > 40 => "a text".to_owned(),
            Kind::Scalar { text, style } => match style {
                ScalarStyle::Plain if text.is_empty() => "nothing".to_owned(),
                ScalarStyle::Plain => format!("`{text}`"),
                _ => format!("the text `{text}`"),
            },
        }
    }
}

fn missing(span: Span, name: &str) -> Finding {
    let finding = Finding::at(span, format!("`{name}` is missing"));
    match name {
        "version" => finding.help("add `version: 1`, the version of the format"),
        "executor" => finding.help("add `executor: constant-vus`, or another of k6's"),
        "fault" => finding.help("name the fault; of a sham, the one that it goes without"),
        _ => finding,
    }
}

/// serde's names of what it expected, in words.
fn in_words(expected: &str) -> &str {
    match expected {
        "u32" => "a whole number from 0 to 4294967295",
        "u64" => "a whole number, 0 or more",
        "i64" => "a whole number",
        "f64" => "a number",
        "a boolean" => "`true` or `false`",
        "a string" | "a YAML tag starting with '!'" => "a text",
        "a map" => "a map of names to values",
        "a sequence" => "a list",
        "an array of length 2" | "sequence of 2 elements" => {
            "a list of two whole numbers, [low, high]"
        }
        "any valid JSON value" => "a value that JSON can hold",
        // "struct Name": the types' names are no help to whoever writes a file.
        text if text.starts_with("struct ") => "a map of options",
        text => text,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::{Value, json};

    use super::*;
    use crate::file::ScenarioFile;
    use crate::yaml::parse;

    fn read<T: DeserializeOwned>(text: &str) -> Result<T, Finding> {
        typed(text, &parse(text)?)
    }

    #[test]
    fn plain_scalars_are_yaml_1_2() {
        for (text, value) in [
            ("~", json!(null)),
            ("true", json!(true)),
            ("no", json!("no")),
            ("on", json!("on")),
            ("y", json!("y")),
            ("12", json!(12)),
            ("+12", json!(12)),
            ("-12", json!(-12)),
            ("0x1f", json!(31)),
            ("0o17", json!(15)),
            ("007", json!("007")),
            ("1_000", json!("1_000")),
            ("1:30", json!("1:30")),
            ("1.5", json!(1.5)),
            ("-1e3", json!(-1000.0)),
            ("1e999", json!("1e999")),
            ("inf", json!("inf")),
            ("1m30s", json!("1m30s")),
            ("5%", json!("5%")),
            ("2026-11-24", json!("2026-11-24")),
            ("'12'", json!("12")),
            ("{<<: 1}", json!({"<<": 1})),
        ] {
            assert_eq!(read::<Value>(text), Ok(value), "{text}");
        }
    }

    #[test]
    fn numbers_that_are_none_are_refused() {
        for text in ["1_000", "007", "1:30", "'12'", "1.0", "1e3", "ten", "-1"] {
            assert!(read::<u64>(text).is_err(), "{text}");
        }
        for text in [".inf", "-.INF", "[.nan]", "18446744073709551616"] {
            assert!(read::<Value>(text).is_err(), "{text}");
        }
    }

    #[test]
    fn paths_are_cut_off_whatever_the_keys_are() {
        type Maps = BTreeMap<String, Vec<BTreeMap<String, u64>>>;
        for text in [
            "a: [{b: x}]",
            "\"a: b\": [{\"missing field `\": 1, \"c, expected \\\"d\": x}]",
            "a: [&a {b: 1}, *a, {c: x}]",
        ] {
            let finding = read::<Maps>(text).unwrap_err();
            assert_eq!(
                finding.message,
                "expected a whole number, 0 or more, found `x`"
            );
            let column = text.rfind('x').map(|at| at + 1);
            assert_eq!(finding.span.map(|span| span.column), column, "{text}");
        }
        let finding = read::<Vec<Vec<u64>>>("- [1]\n- [2, x]").unwrap_err();
        assert_eq!(
            finding.message,
            "expected a whole number, 0 or more, found `x`"
        );
    }

    #[test]
    fn what_only_the_second_parser_refuses_has_a_place() {
        let text = format!("a: 1\n{}: 2\n", "k".repeat(2000));
        let finding = read::<Value>(&text).unwrap_err();
        assert!(
            finding.message.starts_with("not valid YAML: "),
            "{finding:?}"
        );
        assert_eq!(finding.span.map(|span| span.line), Some(2));
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in r"[ a-c:\-\[\]{}&*,'\n\t!|>#?0-9%]{0,120}") {
            let _ = read::<Value>(&text);
            let _ = read::<ScenarioFile>(&text);
        }
    }
}
