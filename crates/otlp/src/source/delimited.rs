//! Protobuf messages with their length before them as a varint, as `writeDelimitedTo` of protobuf's
//! libraries and the OTLP file format of some exporters have it.

use std::io::{self, BufRead, Read};

use super::unit::{Cut, Object, Unit};
use super::{MAX_MESSAGE_BYTES, UNIT_BYTES};

/// The most bytes of a varint of 64 bits.
const VARINT: usize = 10;

/// Whether a file begins so: with a length, and a message of OTLP that fits into it.
pub(super) fn begins(head: &[u8]) -> bool {
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

/// Cuts into units of whole messages.
pub(super) struct Delimited<R> {
    source: R,
    /// A length that has been read, with the bytes that it took, and its message hasn't.
    announced: Option<(u64, u64)>,
    ended: bool,
    offset: u64,
    messages: u64,
}

impl<R: BufRead> Delimited<R> {
    pub(super) fn new(source: R) -> Self {
        Self {
            source,
            announced: None,
            ended: false,
            offset: 0,
            messages: 0,
        }
    }

    /// Fills a unit; false at the end.
    pub(super) fn next(&mut self, unit: &mut Unit) -> io::Result<bool> {
        unit.begin(Cut::Delimited(Vec::new()), self.messages, self.offset);
        while !self.ended {
            let announced = match self.announced.take() {
                Some(announced) => announced,
                None => match self.next_length(unit)? {
                    Some(announced) => announced,
                    None => break,
                },
            };
            let (length, header) = announced;
            let before = unit.bytes.len();
            if before > 0 && before + length as usize > UNIT_BYTES {
                self.announced = Some(announced);
                break;
            }
            let message = (&mut self.source).take(length);
            let read = { message }.read_to_end(&mut unit.bytes)? as u64;
            if read < length {
                unit.bytes.truncate(before);
                let reason =
                    format!("the file ends in a message: {read} of {length} bytes are there");
                self.lose(unit, reason, true);
                unit.length += header + read;
                break;
            }
            let object = Object {
                offset: self.offset + unit.length + header,
                end: unit.bytes.len(),
            };
            if let Cut::Delimited(objects) = &mut unit.cut {
                objects.push(object);
            }
            unit.length += header + length;
            unit.messages += 1;
        }
        self.offset += unit.length;
        self.messages += unit.messages;
        Ok(unit.messages > 0)
    }

    /// The next length that can be one, and the bytes that it takes.
    fn next_length(&mut self, unit: &mut Unit) -> io::Result<Option<(u64, u64)>> {
        let mut bytes = Vec::with_capacity(VARINT);
        loop {
            let mut byte = [0];
            if self.source.read(&mut byte)? == 0 {
                self.ended = true;
                if !bytes.is_empty() {
                    let reason = "the file ends in the length of a message".to_owned();
                    self.lose(unit, reason, true);
                }
                return Ok(None);
            }
            bytes.push(byte[0]);
            if byte[0] & 0x80 == 0 || bytes.len() == VARINT {
                break;
            }
        }
        let length = varint(&bytes).map(|(length, _)| length);
        match length.filter(|length| *length <= MAX_MESSAGE_BYTES as u64) {
            Some(length) => Ok(Some((length, bytes.len() as u64))),
            None => {
                // After a length that can't be, nothing that follows can be found.
                let reason = format!(
                    "no length of at most {MAX_MESSAGE_BYTES} bytes; the rest of the file is passed over"
                );
                self.lose(unit, reason, false);
                Ok(None)
            }
        }
    }

    /// Names a message behind which nothing can be found.
    fn lose(&mut self, unit: &mut Unit, reason: String, torn: bool) {
        unit.skip(reason, torn);
        unit.messages += 1;
        self.ended = true;
    }
}
