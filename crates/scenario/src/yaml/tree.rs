//! The tree of a YAML document. Limits on nesting, nodes and text keep a small file from growing
//! large through aliases; duplicate keys, tags and further documents are errors.

use std::collections::HashMap;

use saphyr_parser::{Event, Parser, ScalarStyle};

use crate::diagnostic::{Finding, Span};
use crate::k6_block::means;

const MAX_DEPTH: usize = 48;
const MAX_NODES: usize = 100_000;
const MAX_TEXT: usize = 8 << 20;

/// A value with its place.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub(crate) span: Span,
    pub(crate) kind: Kind,
}

#[derive(Debug, Clone)]
pub(crate) enum Kind {
    /// The text and how it is written.
    Scalar {
        text: String,
        style: ScalarStyle,
    },
    List(Vec<Node>),
    Map(Vec<(Key, Node)>),
}

#[derive(Debug, Clone)]
pub(crate) struct Key {
    pub(crate) span: Span,
    pub(crate) text: String,
}

impl Node {
    /// The text of a scalar; none for lists and maps.
    pub(crate) fn text(&self) -> Option<&str> {
        match &self.kind {
            Kind::Scalar { text, .. } => Some(text),
            _ => None,
        }
    }

    /// The entry of a map under a name, or else under k6's spelling of it.
    fn entry(&self, name: &str) -> Option<&(Key, Node)> {
        let Kind::Map(entries) = &self.kind else {
            return None;
        };
        let named = |(key, _): &&(Key, Node)| key.text == name;
        let meant = |(key, _): &&(Key, Node)| means(&key.text, name);
        (entries.iter().find(named)).or_else(|| entries.iter().find(meant))
    }

    /// The value under a name (or k6's spelling of it); this node where there is none, so that an
    /// error about it has at least this place.
    pub(crate) fn child(&self, name: &str) -> &Node {
        self.entry(name).map_or(self, |(_, value)| value)
    }

    /// Whether it is a text without quotes that has a comment of JavaScript's in it: YAML takes it
    /// for a part of the text.
    pub(crate) fn has_comment_of_javascript(&self) -> bool {
        match &self.kind {
            Kind::Scalar {
                text,
                style: ScalarStyle::Plain,
            } => has_comment_of_javascript(text),
            _ => false,
        }
    }

    /// An item of a list; this node where there is none.
    pub(crate) fn item(&self, index: usize) -> &Node {
        match &self.kind {
            Kind::List(items) => items.get(index).unwrap_or(self),
            _ => self,
        }
    }

    /// The place of a key; this node's where there is none.
    pub(crate) fn key(&self, name: &str) -> Span {
        self.entry(name).map_or(self.span, |(key, _)| key.span)
    }

    /// The place to show for what stands under a name; this node's place where there is none.
    pub(crate) fn value(&self, name: &str) -> Span {
        self.entry(name)
            .map_or(self.span, |(key, value)| value.shown_under(key))
    }

    /// The place to show for this node under its key: its own, or the key's where it goes over
    /// lines or is not written at all.
    pub(super) fn shown_under(&self, key: &Key) -> Span {
        match self.kind {
            Kind::Scalar { .. } if self.span.length > 0 => self.span,
            _ => key.span,
        }
    }
}

/// Reads one YAML document.
pub(crate) fn parse(text: &str) -> Result<Node, Finding> {
    let mut builder = Builder {
        events: Parser::new_from_str(text),
        anchors: HashMap::new(),
        nodes: 0,
        text: 0,
    };
    builder
        .document()
        .map_err(|finding| explained(text, finding))
}

/// An error, with what to do where a comment of JavaScript's is near it.
pub(super) fn explained(text: &str, finding: Finding) -> Finding {
    let line = finding.span.map_or(0, |span| span.line);
    // A parser stops on the comment's line or on the next one.
    let mut near = text.lines().skip(line.saturating_sub(2)).take(2);
    if near.any(has_comment_of_javascript) {
        finding.help(COMMENT)
    } else {
        finding
    }
}

/// What to do about a comment that came with a block from a script.
pub(crate) const COMMENT: &str =
    "`//` and `/*` begin comments in JavaScript: YAML's begin with `#`";

/// Whether a line has a comment as JavaScript has it. An address has no blank before its `//`.
pub(super) fn has_comment_of_javascript(line: &str) -> bool {
    let line = line.trim_start();
    ["//", "/*"]
        .iter()
        .any(|mark| line.starts_with(mark) || line.contains(&format!(" {mark}")))
}

struct Builder<'t> {
    events: Parser<'t, saphyr_parser::StrInput<'t>>,
    /// Copies of the nodes that aliases may ask for.
    anchors: HashMap<usize, Node>,
    nodes: usize,
    text: usize,
}

impl<'t> Builder<'t> {
    fn next(&mut self) -> Result<(Event<'t>, Span), Finding> {
        match self.events.next_event() {
            Some(Ok((event, span))) => Ok((event, place(span))),
            Some(Err(error)) => {
                let mark = error.marker();
                let span = Span {
                    line: mark.line(),
                    column: mark.col() + 1,
                    length: 1,
                };
                Err(syntax(span, error.info()))
            }
            None => Ok((
                Event::StreamEnd,
                Span {
                    line: 1,
                    column: 1,
                    length: 1,
                },
            )),
        }
    }

    fn document(&mut self) -> Result<Node, Finding> {
        let root = loop {
            match self.next()? {
                (Event::StreamStart | Event::DocumentStart(_) | Event::Nothing, _) => {}
                (Event::StreamEnd, _) => {
                    return Err(Finding::whole("the file is empty")
                        .help("begin with `version: 1`; scenarios/default.yaml is an example"));
                }
                (event, span) => break self.node(event, span, 0)?,
            }
        };
        loop {
            match self.next()? {
                (Event::StreamEnd, _) => return Ok(root),
                (Event::DocumentStart(_), span) => {
                    return Err(Finding::at(span, "a second YAML document")
                        .help("a scenario file is one document: remove the `---`"));
                }
                _ => {}
            }
        }
    }

    fn node(&mut self, event: Event<'t>, span: Span, depth: usize) -> Result<Node, Finding> {
        if depth > MAX_DEPTH {
            return Err(Finding::at(
                span,
                format!("nested more than {MAX_DEPTH} levels deep"),
            ));
        }
        let (anchor, tag) = match &event {
            Event::Scalar(_, _, anchor, tag)
            | Event::SequenceStart(anchor, tag)
            | Event::MappingStart(anchor, tag) => (*anchor, tag.as_ref()),
            _ => (0, None),
        };
        if let Some(tag) = tag {
            let name = match tag.is_yaml_core_schema() {
                true => format!("!!{}", tag.suffix),
                false => tag.to_string(),
            };
            return Err(
                Finding::at(span, format!("the YAML tag `{name}` is not understood"))
                    .help("remove the tag; quote a value to make it a text"),
            );
        }
        let node = match event {
            Event::Alias(id) => self.alias(id, span, depth)?,
            Event::Scalar(text, style, ..) => {
                self.count(1, text.len(), span)?;
                refuse_non_finite(&text, style, span)?;
                Node {
                    span,
                    kind: Kind::Scalar {
                        text: text.into_owned(),
                        style,
                    },
                }
            }
            Event::SequenceStart(..) => self.list(span, depth)?,
            Event::MappingStart(..) => self.map(span, depth)?,
            // The parser gives no other event where a node begins.
            _ => return Err(Finding::at(span, "a value is missing here")),
        };
        if anchor > 0 {
            let (nodes, text, _) = weigh(&node);
            self.count(nodes, text, span)?;
            self.anchors.insert(anchor, node.clone());
        }
        Ok(node)
    }

    fn list(&mut self, span: Span, depth: usize) -> Result<Node, Finding> {
        self.count(1, 0, span)?;
        let mut items = Vec::new();
        loop {
            match self.next()? {
                (Event::SequenceEnd, _) => break,
                (event, span) => items.push(self.node(event, span, depth + 1)?),
            }
        }
        Ok(Node {
            span,
            kind: Kind::List(items),
        })
    }

    fn map(&mut self, span: Span, depth: usize) -> Result<Node, Finding> {
        self.count(1, 0, span)?;
        let mut entries: Vec<(Key, Node)> = Vec::new();
        let mut lines: HashMap<String, usize> = HashMap::new();
        loop {
            let (event, key_span) = self.next()?;
            if matches!(event, Event::MappingEnd) {
                break;
            }
            let node = self.node(event, key_span, depth + 1)?;
            let Kind::Scalar { text, .. } = node.kind else {
                return Err(Finding::at(key_span, "a key must be a plain name"));
            };
            let key = Key {
                span: key_span,
                text,
            };
            if let Some(first) = lines.insert(key.text.clone(), key_span.line) {
                return Err(
                    Finding::at(key_span, format!("duplicate key `{}`", key.text))
                        .label(format!("first on line {first}")),
                );
            }
            let (event, value_span) = self.next()?;
            let value = self.node(event, value_span, depth + 1)?;
            entries.push((key, value));
        }
        // A block map has no mark of its own: its place is its first key.
        let span = match entries.first() {
            Some((key, _)) if span.length == 0 => key.span,
            _ => span,
        };
        Ok(Node {
            span,
            kind: Kind::Map(entries),
        })
    }

    fn alias(&mut self, id: usize, span: Span, depth: usize) -> Result<Node, Finding> {
        let Some(node) = self.anchors.get(&id).cloned() else {
            return Err(Finding::at(span, "an alias inside of what it stands for"));
        };
        let (nodes, text, levels) = weigh(&node);
        self.count(nodes, text, span)?;
        if depth + levels > MAX_DEPTH {
            return Err(Finding::at(
                span,
                format!("nested more than {MAX_DEPTH} levels deep"),
            ));
        }
        Ok(node)
    }

    fn count(&mut self, nodes: usize, text: usize, span: Span) -> Result<(), Finding> {
        self.nodes += nodes;
        self.text += text;
        if self.nodes > MAX_NODES || self.text > MAX_TEXT {
            return Err(
                Finding::at(span, "the file grows too large here").label(format!(
                    "more than {MAX_NODES} values, or {} MiB",
                    MAX_TEXT >> 20
                )),
            );
        }
        Ok(())
    }
}

/// Nodes, bytes of text, and levels of a tree.
fn weigh(node: &Node) -> (usize, usize, usize) {
    let add = |sum: (usize, usize, usize), (nodes, text, levels): (usize, usize, usize)| {
        (sum.0 + nodes, sum.1 + text, sum.2.max(levels + 1))
    };
    match &node.kind {
        Kind::Scalar { text, .. } => (1, text.len(), 0),
        Kind::List(items) => items.iter().map(weigh).fold((1, 0, 0), add),
        Kind::Map(entries) => entries
            .iter()
            .map(|(key, value)| {
                let (nodes, text, levels) = weigh(value);
                (nodes + 1, text + key.text.len(), levels)
            })
            .fold((1, 0, 0), add),
    }
}

/// `.inf` and `.nan` would become null on their way into JSON.
fn refuse_non_finite(text: &str, style: ScalarStyle, span: Span) -> Result<(), Finding> {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let non_finite = [".inf", ".nan"].contains(&unsigned.to_ascii_lowercase().as_str());
    if non_finite && style == ScalarStyle::Plain {
        return Err(
            Finding::at(span, format!("`{text}` is not a number that JSON can hold"))
                .help("quote it to make it a text"),
        );
    }
    Ok(())
}

fn place(span: saphyr_parser::Span) -> Span {
    Span {
        line: span.start.line(),
        column: span.start.col() + 1,
        length: span.len(),
    }
}

/// A syntax error in words that say what to do, where the parser's are about the parser.
fn syntax(span: Span, info: &str) -> Finding {
    let finding = Finding::at(span, format!("not valid YAML: {info}"));
    if info.contains("tab") {
        finding.help("YAML is indented with spaces, not tabs")
    } else if info.contains("mapping values are not allowed") {
        finding.help("quote a text that holds `: `, and indent keys of one map alike")
    } else if info.contains("did not find expected ','") {
        finding.help("inside of [ ] or { }, quote a text with a hole: '${name}'")
    } else if info.contains("flow construct") {
        finding.help("close the `[` or `{` above")
    } else {
        finding
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_from_one() {
        let root = parse("a:\n  bé: [1, \"x\"]\n  c: y\n").unwrap();
        let inner = root.child("a");
        assert_eq!(
            inner.key("bé"),
            Span {
                line: 2,
                column: 3,
                length: 2
            }
        );
        assert_eq!(
            inner.child("bé").item(1).span,
            Span {
                line: 2,
                column: 11,
                length: 3
            }
        );
        assert_eq!(
            inner.value("c"),
            Span {
                line: 3,
                column: 6,
                length: 1
            }
        );
        assert_eq!(
            inner.span,
            Span {
                line: 2,
                column: 3,
                length: 2
            }
        );
    }

    #[test]
    fn aliases_cannot_explode() {
        let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
        for level in 1..12 {
            let alias = format!("*a{}", level - 1);
            let list = [alias.as_str(); 10].join(", ");
            bomb.push_str(&format!("a{level}: &a{level} [{list}]\n"));
        }
        let finding = parse(&bomb).unwrap_err();
        assert_eq!(finding.message, "the file grows too large here");
    }

    #[test]
    fn nesting_is_limited() {
        for text in [
            "[".repeat(10_000),
            "{a: ".repeat(10_000),
            "- ".repeat(10_000),
        ] {
            assert!(parse(&text).is_err());
        }
        let mut deep = String::from("a0: &a0 [x]\n");
        for level in 1..60 {
            deep.push_str(&format!("a{level}: &a{level} [*a{}]\n", level - 1));
        }
        assert!(
            parse(&deep)
                .unwrap_err()
                .message
                .starts_with("nested more than")
        );
    }
}
