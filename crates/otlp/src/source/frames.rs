//! Messages with their length before them.

use std::io::{self, Read};

use super::unit::{Cut, Object, Unit};
use super::{MAX_MESSAGE_BYTES, UNIT_BYTES};

/// The most bytes of a varint of 64 bits.
const VARINT: usize = 10;

/// How lengths are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Prefix {
    /// 4 bytes, big-endian: the Collector's file exporter.
    Fixed,
    /// A varint: `writeDelimitedTo` of protobuf's libraries.
    Varint,
}

impl Prefix {
    /// Whether a length goes on behind these bytes.
    fn goes_on(self, bytes: &[u8]) -> bool {
        match self {
            Prefix::Fixed => bytes.len() < 4,
            Prefix::Varint => {
                bytes.len() < VARINT && bytes.last().is_none_or(|last| last & 0x80 != 0)
            }
        }
    }

    /// The length that these bytes say; none where they say none.
    fn length(self, bytes: &[u8]) -> Option<u64> {
        match self {
            Prefix::Fixed => bytes.try_into().ok().map(|b| u32::from_be_bytes(b).into()),
            Prefix::Varint => varint(bytes).map(|(length, _)| length),
        }
    }
}

/// The varint at the start, and what follows it.
fn varint(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut value = 0u64;
    for (at, byte) in bytes.iter().enumerate().take(VARINT) {
        value |= u64::from(byte & 0x7f).checked_shl(7 * at as u32)?;
        if byte & 0x80 == 0 {
            return Some((value, &bytes[at + 1..]));
        }
    }
    None
}

/// Whether a file begins with a varint and a message of OTLP that fits into it.
pub(super) fn begins_with_varint(head: &[u8]) -> bool {
    let Some((length, message)) = varint(head) else {
        return false;
    };
    // All that these messages have is field 1: a resource with what is of it, in which fields 1, 2
    // and 3 may come first.
    let Some((within, resource)) = message.strip_prefix(&[0x0a]).and_then(varint) else {
        return false;
    };
    let header = (message.len() - resource.len()) as u64;
    let is_field = |tag: &u8| [0x0a, 0x12, 0x1a].contains(tag);
    length <= MAX_MESSAGE_BYTES as u64
        && header.saturating_add(within) <= length
        && (within == 0 || resource.first().is_some_and(is_field))
}

/// Cuts into units of whole messages.
pub(super) struct Frames<R> {
    source: R,
    prefix: Prefix,
    /// A length that has been read, and its message hasn't.
    announced: Option<Announced>,
    ended: bool,
    offset: u64,
    frames: u64,
}

#[derive(Clone, Copy)]
struct Announced {
    length: usize,
    /// Bytes in which it is said.
    prefix: usize,
}

impl<R: Read> Frames<R> {
    pub(super) fn new(source: R, prefix: Prefix) -> Self {
        Self {
            source,
            prefix,
            announced: None,
            ended: false,
            offset: 0,
            frames: 0,
        }
    }

    /// Fills a unit; false at the end.
    pub(super) fn next(&mut self, unit: &mut Unit) -> io::Result<bool> {
        let mut objects = Vec::new();
        unit.begin(Cut::default(), self.frames, self.offset);
        while !self.ended {
            let announced = match self.announced.take() {
                Some(announced) => announced,
                None => match self.next_length(unit)? {
                    Some(announced) => announced,
                    None => break,
                },
            };
            let Announced { length, prefix } = announced;
            let before = unit.bytes.len();
            if before > 0 && before + length > UNIT_BYTES {
                self.announced = Some(announced);
                break;
            }
            let message = (&mut self.source).take(length as u64);
            let read = { message }.read_to_end(&mut unit.bytes)?;
            if read < length {
                unit.bytes.truncate(before);
                let reason =
                    format!("the file ends in a message: {read} of {length} bytes are there");
                self.lose(unit, reason, true);
                unit.length += (prefix + read) as u64;
                break;
            }
            objects.push(Object {
                offset: self.offset + unit.length,
                end: unit.bytes.len(),
            });
            unit.length += (prefix + length) as u64;
            unit.messages += 1;
        }
        unit.cut = Cut::Frames(objects);
        self.offset += unit.length;
        self.frames += unit.messages;
        Ok(unit.messages > 0)
    }

    /// The next length that can be one.
    fn next_length(&mut self, unit: &mut Unit) -> io::Result<Option<Announced>> {
        let mut bytes = Vec::with_capacity(VARINT);
        while self.prefix.goes_on(&bytes) {
            if (&mut self.source).take(1).read_to_end(&mut bytes)? == 0 {
                match bytes.is_empty() {
                    true => self.ended = true,
                    false => {
                        let reason = "the file ends in the length of a message".to_owned();
                        self.lose(unit, reason, true);
                    }
                }
                return Ok(None);
            }
        }
        let announced = self.prefix.length(&bytes).unwrap_or(u64::MAX);
        if announced > MAX_MESSAGE_BYTES as u64 {
            // After a length that can't be, nothing that follows can be found.
            let reason = format!(
                "a message of {announced} bytes is announced; the longest that is read has {MAX_MESSAGE_BYTES}. The rest of the file is passed over"
            );
            self.lose(unit, reason, false);
            return Ok(None);
        }
        Ok(Some(Announced {
            length: announced as usize,
            prefix: bytes.len(),
        }))
    }

    /// Names a message behind which nothing can be found.
    fn lose(&mut self, unit: &mut Unit, reason: String, torn: bool) {
        unit.skip(reason, torn);
        unit.messages += 1;
        self.ended = true;
    }
}
