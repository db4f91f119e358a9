//! A part of a file, and how it is decoded.

use std::io::{self, Read};

use super::{MAX_MESSAGE_BYTES, MAX_ZSTD_WINDOW_LOG, ZSTD_MAGIC};
use crate::input::Input as _;
use crate::json::cursor::Json;
use crate::problem::{Problem, Unread};
use crate::read::{self, ReadMessage};
use crate::request::SignalRequest;
use crate::sink::{Counts, Sink};

/// Fields that messages mostly begin with, as the Collector's file exporter, libraries and Tempo
/// write them. Inside of a text each `"` has a `\\` before it, so that these can't stand there.
const FIRST_FIELDS: [&[u8]; 7] = [
    b"\"resourceSpans\":",
    b"\"resourceMetrics\":",
    b"\"resourceLogs\":",
    b"\"resource_spans\":",
    b"\"resource_metrics\":",
    b"\"resource_logs\":",
    b"\"batches\":",
];

/// So many bytes of other fields a message may have before the first of these.
const FIELDS_BEFORE: usize = 1 << 10;

/// A line that holds several messages is cut into so many parts, of which the last may hold more.
const MAX_PARTS: usize = 1 << 14;

/// How often in a row what could not be read is cut: a line, its torn messages, what is behind one.
const MAX_CUTS: usize = 4;

/// In lines of a Java logger that say who speaks; the message is on the next one.
const OF_JAVAS_LOGGER: &[u8] = b" io.opentelemetry.exporter.logging.";

/// Whole messages of a file, about 1 MiB or one that is longer.
#[derive(Debug, Default)]
pub struct Unit {
    pub(super) cut: Cut,
    pub(super) bytes: Vec<u8>,
    pub(super) first_message: u64,
    pub(super) offset: u64,
    /// Bytes of the file, those included that are passed over.
    pub(super) length: u64,
    /// Messages, blank lines and those included that are passed over.
    pub(super) messages: u64,
    /// What couldn't even be cut.
    pub(super) skipped: Vec<Skipped>,
}

/// How messages lie in the bytes of a unit.
#[derive(Debug, Default)]
pub(super) enum Cut {
    /// Each ends with a newline.
    #[default]
    Lines,
    /// Each had its length before it, which is not among the bytes.
    Frames(Vec<Object>),
    /// One after the other.
    Objects(Vec<Object>),
}

#[derive(Debug)]
pub(super) struct Object {
    /// Of its first byte in the file, or that of the length before it.
    pub(super) offset: u64,
    /// Of the byte behind its last in the unit.
    pub(super) end: usize,
}

/// A message that was passed over because it can't be read, or parts of one that was read
/// otherwise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skipped {
    /// Messages before it in the file, blank lines included: in a file of lines, its line less one.
    pub message: u64,
    /// Offset in the file, after decompression, of the byte at which reading failed; of the
    /// length's first byte where it has a length before it.
    pub byte: u64,
    /// What is wrong with it.
    pub reason: String,
    /// How many parts of a message were passed over, such as spans; 0 of a message as a whole.
    pub parts: u64,
    /// The file ends in the middle of it: it was being written when the file was copied or its
    /// writer stopped.
    pub torn: bool,
}

/// What there was in a unit.
#[derive(Debug, Default, PartialEq)]
pub struct UnitSummary {
    /// Bytes of the file, after decompression.
    pub bytes: u64,
    /// Lines or messages, blank and bad ones included.
    pub lines: u64,
    /// What was read.
    pub counts: Counts,
    /// What couldn't be read.
    pub skipped: Vec<Skipped>,
}

impl Unit {
    /// Messages before it in the file, blank lines included.
    pub fn first_message(&self) -> u64 {
        self.first_message
    }

    /// Offset of its first byte in the file, after decompression.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    pub(super) fn begin(&mut self, cut: Cut, first_message: u64, offset: u64) {
        self.bytes.clear();
        *self = Self {
            cut,
            bytes: std::mem::take(&mut self.bytes),
            first_message,
            offset,
            ..Self::default()
        };
    }

    /// Names the message that would come next.
    pub(super) fn skip(&mut self, reason: String, torn: bool) {
        self.skip_at(self.offset + self.length, reason, torn);
    }

    pub(super) fn skip_at(&mut self, byte: u64, reason: String, torn: bool) {
        self.skipped.push(Skipped {
            message: self.first_message + self.messages,
            byte,
            reason,
            parts: 0,
            torn,
        });
    }
}

/// Reads the messages of a unit into a sink. Each bad message costs itself and is named, and so are
/// the parts of a good one that are not read.
pub fn decode(unit: &Unit, sink: &mut impl Sink) -> UnitSummary {
    let mut counts = Counts::default();
    let mut scratch = Vec::new();
    let mut unread = Vec::new();
    let mut skipped = unit.each(|number, message| {
        let content = message.content(&mut scratch)?;
        if !matches!(content, Content::Blank) {
            sink.begin(number);
        }
        let read = content.read(sink)?;
        counts.add(read.counts);
        unread.extend(message.unread(number, read.unread));
        Ok(())
    });
    skipped.append(&mut unread);
    UnitSummary {
        bytes: unit.length,
        lines: unit.messages,
        counts,
        skipped,
    }
}

/// Hands on the messages of a unit as the export requests that they are, with every field; a message
/// that has several signals as several requests, and one without items not at all. Those that can't
/// be read are returned, and what is not read of the others. Jaeger's JSON is among them: it is no
/// request of an exporter.
pub fn requests(unit: &Unit, mut each: impl FnMut(SignalRequest)) -> Vec<Skipped> {
    let mut scratch = Vec::new();
    let mut unread = Vec::new();
    let mut skipped = unit.each(|number, message| {
        let (requests, not_read) = match message.content(&mut scratch)? {
            Content::Blank => return Ok(()),
            Content::Json(bytes) => {
                let (requests, has_unread) = SignalRequest::from_json(bytes)?;
                // The types for requests have no names for what they have no place for.
                let not_read = match has_unread {
                    true => read::json(bytes, &mut Nobody)?.unread,
                    false => Vec::new(),
                };
                (requests, not_read)
            }
            Content::Protobuf(bytes) => {
                let read = read::protobuf(bytes, &mut Nobody)?;
                let request = SignalRequest::from_protobuf(bytes, read.counts)?;
                (Vec::from_iter(request), read.unread)
            }
        };
        unread.extend(message.unread(number, not_read));
        requests.into_iter().for_each(&mut each);
        Ok(())
    });
    skipped.append(&mut unread);
    skipped
}

/// Takes nothing; what is not read is only named.
struct Nobody;

impl Sink for Nobody {}

/// One message of a unit.
struct Message<'u> {
    bytes: &'u [u8],
    /// Its offset in the file.
    byte: u64,
    /// It had its length before it; then it can be JSON or protobuf, or a zstd frame with either.
    is_framed: bool,
    /// A line without a newline.
    is_cut_off: bool,
}

impl Unit {
    /// Calls `read` at each message, with the number of messages before it in the file; those that it
    /// can't read.
    fn each(&self, mut read: impl FnMut(u64, &Message<'_>) -> Result<(), Problem>) -> Vec<Skipped> {
        let mut skipped = self.skipped.clone();
        for (number, message) in (self.first_message..).zip(self.messages()) {
            if let Err(problem) = read(number, &message) {
                let mut read = |message: &Message<'_>| read(number, message);
                message.each_part(number, problem, 0, &mut read, &mut skipped);
            }
        }
        skipped
    }

    fn messages(&self) -> impl Iterator<Item = Message<'_>> {
        let mut start = 0;
        let mut index = 0;
        std::iter::from_fn(move || {
            let rest = &self.bytes[start..];
            let mut message = Message {
                bytes: rest,
                byte: self.offset + start as u64,
                is_framed: false,
                is_cut_off: false,
            };
            match &self.cut {
                Cut::Lines if rest.is_empty() => return None,
                Cut::Lines => {
                    let newline = memchr::memchr(b'\n', rest);
                    let end = newline.unwrap_or(rest.len());
                    let line = &rest[..end];
                    let prefix = prefix_of_logger(line);
                    message.bytes = &line[prefix..];
                    message.byte += prefix as u64;
                    message.is_cut_off = newline.is_none();
                    start += (end + 1).min(rest.len());
                }
                Cut::Frames(objects) | Cut::Objects(objects) => {
                    let object = objects.get(index)?;
                    message.bytes = &self.bytes[start..object.end];
                    message.byte = object.offset;
                    message.is_framed = matches!(self.cut, Cut::Frames(_));
                    index += 1;
                    start = object.end;
                }
            }
            Some(message)
        })
    }
}

impl<'u> Message<'u> {
    /// Reads the messages of a line that holds several, of which one that can't be read may hold
    /// several, too; names those that can't be read.
    fn each_part(
        &self,
        number: u64,
        problem: Problem,
        depth: usize,
        read: &mut dyn FnMut(&Message<'_>) -> Result<(), Problem>,
        skipped: &mut Vec<Skipped>,
    ) {
        let parts = match depth < MAX_CUTS {
            true => self.parts(),
            false => Vec::new(),
        };
        if parts.is_empty() {
            skipped.push(self.skipped(number, problem));
        }
        for part in parts {
            if let Err(problem) = read(&part) {
                part.each_part(number, problem, depth + 1, read, skipped);
            }
        }
    }

    /// The messages of a line that holds several, each of them shorter; none where it is one.
    fn parts(&self) -> Vec<Message<'u>> {
        if self.is_framed {
            return Vec::new();
        }
        let mut starts = match objects_behind(self.bytes) {
            Some(starts) => starts,
            None => begun_messages(self.bytes),
        };
        starts.insert(0, 0);
        let ends = starts[1..].iter().copied().chain([self.bytes.len()]);
        let separated = |start: usize, end: usize| {
            let bytes = self.bytes[start..end].trim_ascii_end();
            bytes.strip_suffix(b",").unwrap_or(bytes)
        };
        let part = |(start, end): (usize, usize)| Message {
            bytes: separated(start, end),
            byte: self.byte + start as u64,
            is_framed: false,
            is_cut_off: self.is_cut_off && end == self.bytes.len(),
        };
        let parts = starts.iter().copied().zip(ends).map(part);
        let length = self.bytes.trim_ascii_end().len();
        parts.filter(|part| part.bytes.len() < length).collect()
    }

    /// Parts of it that were not read.
    fn unread(&self, number: u64, unread: Vec<Unread>) -> impl Iterator<Item = Skipped> {
        unread.into_iter().map(move |unread| Skipped {
            parts: unread.parts,
            torn: false,
            ..self.skipped(number, unread.problem)
        })
    }

    fn skipped(&self, number: u64, problem: Problem) -> Skipped {
        let within = match self.is_framed {
            true => 0,
            false => problem.byte as u64,
        };
        Skipped {
            message: number,
            byte: self.byte + within,
            reason: problem.reason,
            parts: 0,
            torn: self.is_cut_off,
        }
    }

    /// Its bytes, and their form.
    fn content<'a>(&'a self, scratch: &'a mut Vec<u8>) -> Result<Content<'a>, Problem> {
        if !self.is_framed {
            let is_blank = self.bytes.trim_ascii_start().is_empty()
                || memchr::memchr(b'{', self.bytes).is_none()
                    && memchr::memmem::find(self.bytes, OF_JAVAS_LOGGER).is_some();
            return Ok(match is_blank {
                true => Content::Blank,
                false => Content::Json(self.bytes),
            });
        }
        let bytes = if self.bytes.starts_with(&ZSTD_MAGIC) {
            decompress(self.bytes, scratch).map_err(|reason| Problem { byte: 0, reason })?;
            scratch
        } else {
            self.bytes
        };
        // No message of protobuf begins so.
        let is_json = bytes.starts_with(b"{") || bytes.starts_with("\u{feff}".as_bytes());
        Ok(match is_json {
            true => Content::Json(bytes),
            false => Content::Protobuf(bytes),
        })
    }
}

/// The length of what a logger wrote before a message on its line, such as `INFO: `. The rest of a
/// line that was torn ends otherwise.
fn prefix_of_logger(line: &[u8]) -> usize {
    let is_message = |at: &usize| line[*at..].starts_with(b"{\"resource");
    match memchr::memchr(b'{', line).filter(is_message) {
        Some(at) if line[..at].ends_with(b" ") && !line[..at].contains(&b'"') => at,
        _ => 0,
    }
}

/// Where objects behind the first begin, on a line of objects one after the other. Behind them
/// there may be something else, such as one that was torn, which begins there, too. None where the
/// line does not begin with a whole object.
fn objects_behind(line: &[u8]) -> Option<Vec<usize>> {
    let mut starts = Vec::new();
    let mut json = Json::new(line).ok()?;
    while starts.len() < MAX_PARTS && json.peek() == b'{' && json.skip().is_ok() {
        while json.peek() == b',' && json.follows(b",") {}
        if json.byte() == line.len() {
            return Some(starts);
        }
        starts.push(json.byte());
    }
    (!starts.is_empty()).then_some(starts)
}

/// Where messages begin behind what is before them on a line.
///
/// A Collector that is killed in the middle of a line, and started again, goes on behind what it
/// had written, without a newline.
fn begun_messages(line: &[u8]) -> Vec<usize> {
    let fields = FIRST_FIELDS.iter();
    let found = fields.flat_map(|field| memchr::memmem::find_iter(line, field));
    let begin = |field: usize| {
        // Not further: a line of such names alone would be looked through for each of them.
        let near = field.saturating_sub(FIELDS_BEFORE);
        let begin = near + memchr::memrchr(b'{', &line[near..field])?;
        let is_first = !line[begin + 1..field].iter().any(|b| b"}[]".contains(b));
        is_first.then_some(begin)
    };
    let mut starts: Vec<usize> = found.filter_map(begin).filter(|at| *at > 0).collect();
    starts.sort_unstable();
    starts.dedup();
    starts.truncate(MAX_PARTS);
    starts
}

/// What a message is made of.
#[derive(Clone, Copy)]
enum Content<'a> {
    /// A line with nothing in it.
    Blank,
    Json(&'a [u8]),
    Protobuf(&'a [u8]),
}

impl Content<'_> {
    fn read(self, sink: &mut impl Sink) -> Result<ReadMessage, Problem> {
        match self {
            Content::Blank => Ok(ReadMessage::default()),
            Content::Json(bytes) => read::json(bytes, sink),
            Content::Protobuf(bytes) => read::protobuf(bytes, sink),
        }
    }
}

fn decompress(frame: &[u8], out: &mut Vec<u8>) -> Result<(), String> {
    let cannot = |error: io::Error| format!("the zstd frame can't be decompressed: {error}");
    let mut decoder = zstd::stream::read::Decoder::with_buffer(frame).map_err(cannot)?;
    decoder
        .window_log_max(MAX_ZSTD_WINDOW_LOG)
        .map_err(cannot)?;
    out.clear();
    let limit = MAX_MESSAGE_BYTES;
    decoder
        .take(limit as u64 + 1)
        .read_to_end(out)
        .map_err(cannot)?;
    if out.len() > limit {
        return Err(format!(
            "the message decompresses to more than {limit} bytes"
        ));
    }
    Ok(())
}
