//! A part of a file, and how it is decoded.

use std::io::{self, Read};

use super::{MAX_MESSAGE_BYTES, MAX_ZSTD_WINDOW_LOG};
use crate::problem::Problem;
use crate::read::{read_json, read_protobuf};
use crate::request::SignalRequest;
use crate::sink::{Counts, Sink};

const ZSTD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// What messages begin with, as the Collector's file exporter, libraries and Tempo write them.
const BEGINNINGS: [&[u8]; 7] = [
    b"{\"resourceSpans\":",
    b"{\"resourceMetrics\":",
    b"{\"resourceLogs\":",
    b"{\"resource_spans\":",
    b"{\"resource_metrics\":",
    b"{\"resource_logs\":",
    b"{\"batches\":",
];

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

/// A message that was passed over because it can't be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skipped {
    /// Messages before it in the file, blank lines included: in a file of lines, its line less one.
    pub message: u64,
    /// Offset in the file, after decompression, of the byte at which reading failed; of the
    /// length's first byte where it has a length before it.
    pub byte: u64,
    /// What is wrong with it.
    pub reason: String,
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
            torn,
        });
    }
}

/// Reads the messages of a unit into a sink. Each bad message costs itself and is named.
pub fn decode(unit: &Unit, sink: &mut impl Sink) -> UnitSummary {
    let mut counts = Counts::default();
    let mut scratch = Vec::new();
    let skipped = unit.each(|number, message| {
        let content = message.content(&mut scratch)?;
        if !matches!(content, Content::Blank) {
            sink.begin(number);
        }
        counts.add(match content {
            Content::Blank => Counts::default(),
            Content::Json(bytes) => read_json(bytes, sink)?,
            Content::Protobuf(bytes) => read_protobuf(bytes, sink)?,
        });
        Ok(())
    });
    UnitSummary {
        bytes: unit.length,
        lines: unit.messages,
        counts,
        skipped,
    }
}

/// Hands on the messages of a unit as the export requests that they are, with every field; a message
/// that has several signals as several requests, and one without items not at all. Those that can't
/// be read are returned. Jaeger's JSON is among them: it is no request of an exporter.
pub fn requests(unit: &Unit, mut each: impl FnMut(SignalRequest)) -> Vec<Skipped> {
    let mut scratch = Vec::new();
    unit.each(|_, message| {
        let requests = match message.content(&mut scratch)? {
            Content::Blank => return Ok(()),
            Content::Json(bytes) => SignalRequest::from_json(bytes)?,
            Content::Protobuf(bytes) => Vec::from_iter(SignalRequest::from_protobuf(bytes)?),
        };
        requests.into_iter().for_each(&mut each);
        Ok(())
    })
}

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
            let Err(problem) = read(number, &message) else {
                continue;
            };
            match message.parts().as_slice() {
                [] => skipped.push(message.skipped(number, problem)),
                parts => {
                    for part in parts {
                        if let Err(problem) = read(number, part) {
                            skipped.push(part.skipped(number, problem));
                        }
                    }
                }
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
    /// The messages of a line that holds several; none where it is one.
    ///
    /// A Collector that is killed in the middle of a line, and started again, goes on behind what
    /// it had written, without a newline. Inside of a text each `"` has a `\\` before it, so that
    /// what a message begins with can't stand there.
    fn parts(&self) -> Vec<Message<'u>> {
        if self.is_framed {
            return Vec::new();
        }
        let mut starts: Vec<usize> = BEGINNINGS
            .iter()
            .flat_map(|beginning| memchr::memmem::find_iter(self.bytes, beginning))
            .filter(|start| *start > 0)
            .collect();
        if starts.is_empty() {
            return Vec::new();
        }
        starts.push(0);
        starts.sort_unstable();
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
        starts.iter().copied().zip(ends).map(part).collect()
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

/// What a message is made of.
enum Content<'a> {
    /// A line with nothing in it.
    Blank,
    Json(&'a [u8]),
    Protobuf(&'a [u8]),
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
