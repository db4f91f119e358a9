//! JSON objects over many lines, in lists, in answers of Jaeger's query API, and several of these
//! after each other.
//!
//! Objects are found by counting braces outside of strings; whether they are JSON is seen later,
//! when they are read. An object at the top is a message, unless it has a list under `data`: then
//! the objects in that are the messages. The one around them may be of any length. What it has
//! beside its `data` is a message of its own where objects are in it, and else passed over.
//!
//! A document that was torn costs itself and not those behind it: a newline ends a text, which can't
//! hold one, and a line that begins as documents do ends what is open. Text between documents is
//! named, and so is what is among the elements of `data` and is no object.

use std::io::{self, BufRead};

use super::unit::{Cut, Object, Unit};
use super::{MAX_MESSAGE_BYTES, UNIT_BYTES};
use crate::jaeger::NO_TRACE;

/// Names of fields that documents begin with, and that no object inside of one begins with at the
/// start of a line.
const FIRST_FIELDS: [&[u8]; 14] = [
    b"data",
    b"errors",
    b"limit",
    b"total",
    b"result",
    b"trace",
    b"batches",
    b"resourceSpans",
    b"resourceMetrics",
    b"resourceLogs",
    b"resource_spans",
    b"resource_metrics",
    b"resource_logs",
    b"resourceProfiles",
];

/// Bytes of an object that are looked at for the name of its first field.
const FIRST_FIELD: usize = 64;

/// So many things are named in one unit, and what comes then in the next.
const NAMED: usize = 1000;

/// What stands for the `data` of a document, before what is behind it.
const INSTEAD_OF_DATA: &[u8] = b"{\"data\":[]";

/// Counts braces.
#[derive(Debug, Default)]
pub(super) struct Braces {
    pub(super) depth: usize,
    in_string: bool,
    escaped: bool,
}

impl Braces {
    pub(super) fn take(&mut self, b: u8) {
        match b {
            // JSON has it as `\n`.
            b'\n' => (self.in_string, self.escaped) = (false, false),
            _ if self.escaped => self.escaped = false,
            b'\\' => self.escaped = self.in_string,
            b'"' => self.in_string = !self.in_string,
            _ if self.in_string => {}
            b'{' => self.depth += 1,
            b'}' => self.depth = self.depth.saturating_sub(1),
            _ => {}
        }
    }
}

/// Cuts into units of whole objects.
pub(super) struct Documents<R> {
    source: R,
    scan: Scan,
}

/// What is known at a place in the file.
struct Scan {
    braces: Braces,
    /// The message that is being read.
    message: Option<Message>,
    around: Around,
    /// The start of an object at the start of a line inside of a document that is open: another one
    /// may begin there.
    candidate: Option<Vec<u8>>,
    /// The last byte.
    last: u8,
    /// The last byte that is no white space.
    last_visible: u8,
    /// Inside of text that is of no document; it has been named.
    is_between: bool,
    /// Bytes before.
    offset: u64,
    /// Messages before.
    messages: u64,
}

struct Message {
    /// Objects around it.
    depth: usize,
    /// Its first byte in the file.
    offset: u64,
    /// Its first byte in the unit.
    begin: usize,
    too_long: bool,
    /// It is what a document has beside its `data`.
    is_beside_data: bool,
}

/// What is known of the object at the top.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Around {
    /// It is a message, or there is none.
    Nothing,
    /// Inside of its `data`, in so many lists.
    Data(usize),
}

impl<R: BufRead> Documents<R> {
    pub(super) fn new(source: R) -> Self {
        let scan = Scan {
            braces: Braces::default(),
            message: None,
            around: Around::Nothing,
            candidate: None,
            last: b'\n',
            last_visible: 0,
            is_between: false,
            offset: 0,
            messages: 0,
        };
        Self { source, scan }
    }

    /// Fills a unit; false at the end.
    pub(super) fn next(&mut self, unit: &mut Unit) -> io::Result<bool> {
        let scan = &mut self.scan;
        unit.begin(Cut::Objects(Vec::new()), scan.messages, scan.offset);
        // A unit ends with a message.
        while !is_full(unit) || scan.message.is_some() {
            let chunk = self.source.fill_buf()?;
            if chunk.is_empty() {
                scan.torn(unit);
                break;
            }
            let used = scan.take(chunk, unit);
            self.source.consume(used);
            scan.offset += used as u64;
        }
        unit.length = scan.offset - unit.offset;
        scan.messages += unit.messages;
        Ok(unit.length > 0)
    }
}

/// Whether a unit ends here, if no message is open.
fn is_full(unit: &Unit) -> bool {
    unit.bytes.len() >= UNIT_BYTES || unit.skipped.len() >= NAMED
}

impl Scan {
    /// Takes bytes up to the end of a message that fills the unit; how many.
    fn take(&mut self, chunk: &[u8], unit: &mut Unit) -> usize {
        // Up to here they are in the unit.
        let mut copied = 0;
        let mut at = 0;
        while let Some(&b) = chunk.get(at) {
            let is_text = self.braces.in_string && self.candidate.is_none();
            if is_text && !self.braces.escaped && !b"\"\\\n".contains(&b) {
                let rest = &chunk[at..];
                at += memchr::memchr3(b'"', b'\\', b'\n', rest).unwrap_or(rest.len());
                continue;
            }
            let last = std::mem::replace(&mut self.last, b);
            let last_visible = self.last_visible;
            if !b.is_ascii_whitespace() {
                self.last_visible = b;
            }
            if let Some(begun) = self.another(b, last, last_visible) {
                // What is open has no end; the other one is gone on with.
                let reason = "the document breaks off, and another one begins";
                self.lose(unit, reason, false);
                self.begin_with(&begun, self.offset + at as u64, unit);
                copied = at;
            }
            let structural = !self.braces.in_string;
            let before = self.braces.depth;
            self.braces.take(b);
            let depth = self.braces.depth;
            at += 1;
            if !structural {
                continue;
            }
            self.name_between(b, at - 1, unit);
            let begins = match self.around {
                Around::Nothing => before == 0,
                Around::Data(_) => before == 1,
            };
            match b {
                b'{' if begins && self.message.is_none() => {
                    copied = at - 1;
                    self.message = Some(Message {
                        depth: before,
                        offset: self.offset + copied as u64,
                        begin: unit.bytes.len(),
                        too_long: false,
                        is_beside_data: false,
                    });
                }
                b'}' if self.message.as_ref().is_some_and(|m| m.depth == depth) => {
                    self.copy(&chunk[copied..at], unit);
                    copied = at;
                    self.end(unit);
                }
                b'}' if depth == 0 => self.around = Around::Nothing,
                b'[' if depth == 1 && self.message.as_ref().is_some_and(|m| m.depth == 0) => {
                    self.copy(&chunk[copied..at], unit);
                    copied = at;
                    self.look_around(unit);
                }
                b'[' | b']' if depth == 1 && self.message.is_none() => {
                    self.list_of_data(b, at, unit);
                    copied = at;
                }
                _ => {}
            }
            if self.message.is_none() && is_full(unit) {
                return at;
            }
        }
        self.copy(&chunk[copied..], unit);
        at
    }

    /// Whether another document begins at this byte, or began shortly before it, though one is
    /// open: then the bytes of the other one before this byte.
    ///
    /// Behind a comma, a `[` or a `:` there may be an object of the document that is open; then the
    /// name of its first field tells.
    #[inline]
    fn another(&mut self, b: u8, last: u8, last_visible: u8) -> Option<Vec<u8>> {
        match last == b'\n' || self.candidate.is_some() {
            true => self.another_near(b, last, last_visible),
            false => None,
        }
    }

    fn another_near(&mut self, b: u8, last: u8, last_visible: u8) -> Option<Vec<u8>> {
        if self.braces.depth == 0 {
            self.candidate = None;
            return None;
        }
        if last == b'\n' && b == b'[' && last_visible != b':' {
            return Some(Vec::new());
        }
        if last == b'\n' && b == b'{' {
            self.candidate = Some(vec![b]);
            let may_be_inside = b",[:".contains(&last_visible);
            return match may_be_inside {
                true => None,
                false => self.candidate.take().map(|_| Vec::new()),
            };
        }
        let mut begun = self.candidate.take()?;
        if b == b':' && is_first_field(&begun) {
            return Some(begun);
        }
        begun.push(b);
        let goes_on = begun.len() < FIRST_FIELD && !b"{}[],:".contains(&b);
        self.candidate = goes_on.then_some(begun);
        None
    }

    /// Goes on with a document of which these bytes are before a place.
    fn begin_with(&mut self, begun: &[u8], offset: u64, unit: &mut Unit) {
        if begun.is_empty() {
            return;
        }
        begun.iter().for_each(|b| self.braces.take(*b));
        self.message = Some(Message {
            depth: 0,
            offset: offset.saturating_sub(begun.len() as u64),
            begin: unit.bytes.len(),
            too_long: false,
            is_beside_data: false,
        });
        unit.bytes.extend_from_slice(begun);
    }

    /// At a bracket of `data` or of a list in it, behind which the file is at `at` of the chunk.
    fn list_of_data(&mut self, bracket: u8, at: usize, unit: &mut Unit) {
        let Around::Data(lists) = self.around else {
            return;
        };
        self.around = match (bracket, lists) {
            (b'[', lists) => Around::Data(lists + 1),
            (_, 1) => Around::Nothing,
            (_, lists) => Around::Data(lists - 1),
        };
        if self.around == Around::Nothing {
            let before = INSTEAD_OF_DATA.len() as u64;
            self.message = Some(Message {
                depth: 0,
                offset: (self.offset + at as u64).saturating_sub(before),
                begin: unit.bytes.len(),
                too_long: false,
                is_beside_data: true,
            });
            unit.bytes.extend_from_slice(INSTEAD_OF_DATA);
        }
    }

    /// Adds to the message that is being read.
    fn copy(&mut self, bytes: &[u8], unit: &mut Unit) {
        let Some(message) = &mut self.message else {
            return;
        };
        if unit.bytes.len() - message.begin + bytes.len() > MAX_MESSAGE_BYTES {
            message.too_long = true;
            unit.bytes.truncate(message.begin);
        }
        if !message.too_long {
            unit.bytes.extend_from_slice(bytes);
        }
    }

    /// At the `[` of a field of the object at the top: is it its `data`?
    fn look_around(&mut self, unit: &mut Unit) {
        let Some(mut message) = self.message.take_if(|message| !message.too_long) else {
            return;
        };
        let read = unit.bytes[message.begin..].strip_suffix(b"[");
        let name = read.and_then(|read| read.trim_ascii_end().strip_suffix(b":"));
        if !name.is_some_and(|name| name.trim_ascii_end().ends_with(b"\"data\"")) {
            self.message = Some(message);
            return;
        }
        self.around = Around::Data(1);
        // What is before it, as a message of its own.
        unit.bytes.extend_from_slice(b"]}");
        message.is_beside_data = true;
        self.message = Some(message);
        self.end(unit);
    }

    fn end(&mut self, unit: &mut Unit) {
        let Some(message) = self.message.take() else {
            return;
        };
        let is_short = message.is_beside_data && !message.too_long;
        if is_short && !has_objects(&unit.bytes[message.begin..]) {
            unit.bytes.truncate(message.begin);
            return;
        }
        if message.too_long {
            unit.skip_at(
                message.offset,
                format!(
                    "the message is longer than {MAX_MESSAGE_BYTES} bytes, the most that is read"
                ),
                false,
            );
        }
        if let Cut::Objects(objects) = &mut unit.cut {
            objects.push(Object {
                offset: message.offset,
                end: unit.bytes.len(),
            });
        }
        unit.messages += 1;
    }

    /// At the end of the file.
    fn torn(&mut self, unit: &mut Unit) {
        let begun = self.message.take();
        if begun.is_none() && self.braces.depth == 0 {
            return;
        }
        self.message = begun;
        self.lose(unit, "the file ends in the middle of the document", true);
    }

    /// Names the document that is open, which has no end.
    fn lose(&mut self, unit: &mut Unit, reason: &str, torn: bool) {
        let begun = self.message.take();
        self.braces = Braces::default();
        self.around = Around::Nothing;
        let offset = begun.as_ref().map_or(self.offset, |message| message.offset);
        unit.bytes
            .truncate(begun.map_or(usize::MAX, |message| message.begin));
        unit.skip_at(offset, reason.to_owned(), torn);
        unit.messages += 1;
    }

    /// Names text that is of no document, or an element of `data` that is no object, once.
    fn name_between(&mut self, b: u8, at: usize, unit: &mut Unit) {
        let (depth, reason, parts) = match self.around {
            Around::Nothing => (0, "text that is of no document", 0),
            Around::Data(_) => (1, NO_TRACE, 1),
        };
        let is_between_documents = self.message.is_none()
            && self.braces.depth == depth
            && !b"[]{},\0\xef\xbb\xbf".contains(&b)
            && !b.is_ascii_whitespace();
        if is_between_documents && !self.is_between {
            let byte = self.offset + at as u64;
            unit.skip_at(byte, reason.to_owned(), false);
            if let Some(named) = unit.skipped.last_mut() {
                named.parts = parts;
            }
            unit.messages += 1;
        }
        self.is_between =
            is_between_documents || self.is_between && b.is_ascii_whitespace() && b != b'\n';
    }
}

/// Whether the start of an object is the name of a field that documents begin with.
fn is_first_field(begun: &[u8]) -> bool {
    let name = begun.strip_prefix(b"{").unwrap_or_default().trim_ascii();
    let name = name
        .strip_prefix(b"\"")
        .and_then(|name| name.strip_suffix(b"\""));
    name.is_some_and(|name| FIRST_FIELDS.contains(&name))
}

/// Whether an object has others in it, as far as a look at its bytes tells.
fn has_objects(object: &[u8]) -> bool {
    object.iter().skip(1).any(|b| *b == b'{')
}
