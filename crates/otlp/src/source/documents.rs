//! JSON objects over many lines, in lists, in answers of Jaeger's query API, and several of these
//! after each other.
//!
//! Objects are found by counting braces outside of strings; whether they are JSON is seen later,
//! when they are read. An object at the top is a message, unless it has a list under `data`: then
//! the objects in that are the messages, and the one around them, which may be of any length, is
//! passed over.
//!
//! A document that was torn costs itself and not those behind it: a newline ends a text, which can't
//! hold one, and a line that begins as documents do ends what is open. Text between documents is
//! named.

use std::io::{self, BufRead};

use super::unit::{Cut, Object, Unit};
use super::{MAX_MESSAGE_BYTES, UNIT_BYTES};

/// What documents begin with behind their `{`, and nothing inside of one does at the start of a line.
const BEGINNINGS: [&[u8]; 6] = [
    b"\"data\":",
    b"\"result\":",
    b"\"batches\":",
    b"\"resourceSpans\":",
    b"\"resourceMetrics\":",
    b"\"resourceLogs\":",
];

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
}

/// What is known of the object at the top.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Around {
    /// It is a message, or there is none.
    Nothing,
    /// Inside of its `data`, in so many lists.
    Data(usize),
    /// Behind its `data`.
    Rest,
}

impl<R: BufRead> Documents<R> {
    pub(super) fn new(source: R) -> Self {
        let scan = Scan {
            braces: Braces::default(),
            message: None,
            around: Around::Nothing,
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
        while unit.bytes.len() < UNIT_BYTES || scan.message.is_some() {
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

impl Scan {
    /// Takes bytes up to the end of a message that fills the unit; how many.
    fn take(&mut self, chunk: &[u8], unit: &mut Unit) -> usize {
        // Up to here they are in the unit.
        let mut copied = 0;
        let mut at = 0;
        while let Some(&b) = chunk.get(at) {
            if self.braces.in_string && !self.braces.escaped && !b"\"\\\n".contains(&b) {
                let rest = &chunk[at..];
                at += memchr::memchr3(b'"', b'\\', b'\n', rest).unwrap_or(rest.len());
                continue;
            }
            let last = std::mem::replace(&mut self.last, b);
            let last_visible = self.last_visible;
            if !b.is_ascii_whitespace() {
                self.last_visible = b;
            }
            if b == b'{' && last == b'\n' && last_visible != b':' && self.braces.depth > 0 {
                let rest = &chunk[at + 1..];
                let can_be_inside = b",[".contains(&last_visible);
                if !can_be_inside || BEGINNINGS.iter().any(|of| rest.starts_with(of)) {
                    let reason = "the document breaks off, and another one begins";
                    self.lose(unit, reason, false);
                }
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
                Around::Rest => false,
            };
            match b {
                b'{' if begins && self.message.is_none() => {
                    copied = at - 1;
                    self.message = Some(Message {
                        depth: before,
                        offset: self.offset + copied as u64,
                        begin: unit.bytes.len(),
                        too_long: false,
                    });
                }
                b'}' if self.message.as_ref().is_some_and(|m| m.depth == depth) => {
                    self.copy(&chunk[copied..at], unit);
                    copied = at;
                    self.end(unit);
                    if unit.bytes.len() >= UNIT_BYTES {
                        return at;
                    }
                }
                b'}' if depth == 0 => self.around = Around::Nothing,
                b'[' if depth == 1 && self.message.as_ref().is_some_and(|m| m.depth == 0) => {
                    self.copy(&chunk[copied..at], unit);
                    copied = at;
                    self.look_around(unit);
                }
                b'[' | b']' if depth == 1 && self.message.is_none() => {
                    if let Around::Data(lists) = self.around {
                        self.around = match (b, lists) {
                            (b'[', lists) => Around::Data(lists + 1),
                            (_, 1) => Around::Rest,
                            (_, lists) => Around::Data(lists - 1),
                        };
                    }
                }
                _ => {}
            }
        }
        self.copy(&chunk[copied..], unit);
        at
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
        let Some(message) = self.message.take_if(|message| !message.too_long) else {
            return;
        };
        let read = unit.bytes[message.begin..].strip_suffix(b"[");
        let name = read.and_then(|read| read.trim_ascii_end().strip_suffix(b":"));
        if name.is_some_and(|name| name.trim_ascii_end().ends_with(b"\"data\"")) {
            unit.bytes.truncate(message.begin);
            self.around = Around::Data(1);
        } else {
            self.message = Some(message);
        }
    }

    fn end(&mut self, unit: &mut Unit) {
        let Some(message) = self.message.take() else {
            return;
        };
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

    /// Names text that is of no document, once.
    fn name_between(&mut self, b: u8, at: usize, unit: &mut Unit) {
        let is_between_documents = self.message.is_none()
            && self.around == Around::Nothing
            && self.braces.depth == 0
            && !b"[]{},\0\xef\xbb\xbf".contains(&b)
            && !b.is_ascii_whitespace();
        if is_between_documents && !self.is_between {
            let byte = self.offset + at as u64;
            unit.skip_at(byte, "text that is of no document".to_owned(), false);
            unit.messages += 1;
        }
        self.is_between =
            is_between_documents || self.is_between && b.is_ascii_whitespace() && b != b'\n';
    }
}
