//! Messages with their length before them: 4 bytes, big-endian.

use std::io::{self, Read};

use super::unit::{Cut, Unit};
use super::{LENGTH, MAX_MESSAGE_BYTES, UNIT_BYTES};

/// Cuts into units of whole frames, lengths included.
pub(super) struct Frames<R> {
    source: R,
    /// A length that has been read, and its frame hasn't.
    announced: Option<[u8; LENGTH]>,
    ended: bool,
    offset: u64,
    frames: u64,
}

impl<R: Read> Frames<R> {
    pub(super) fn new(source: R) -> Self {
        Self {
            source,
            announced: None,
            ended: false,
            offset: 0,
            frames: 0,
        }
    }

    /// Fills a unit; false at the end.
    pub(super) fn next(&mut self, unit: &mut Unit) -> io::Result<bool> {
        unit.begin(Cut::Frames, self.frames, self.offset);
        while !self.ended {
            let length = match self.announced.take() {
                Some(length) => length,
                None => match self.next_length(unit)? {
                    Some(length) => length,
                    None => break,
                },
            };
            let announced = u32::from_be_bytes(length) as usize;
            let before = unit.bytes.len();
            if before > 0 && before + LENGTH + announced > UNIT_BYTES {
                self.announced = Some(length);
                break;
            }
            unit.bytes.extend_from_slice(&length);
            let frame = (&mut self.source).take(announced as u64);
            let read = { frame }.read_to_end(&mut unit.bytes)?;
            if read < announced {
                unit.bytes.truncate(before);
                let reason =
                    format!("the file ends in a message: {read} of {announced} bytes are there");
                self.lose(unit, reason, true);
                unit.length += (LENGTH + read) as u64;
                break;
            }
            unit.length += (LENGTH + announced) as u64;
            unit.messages += 1;
        }
        self.offset += unit.length;
        self.frames += unit.messages;
        Ok(unit.messages > 0)
    }

    /// The next length that can be one.
    fn next_length(&mut self, unit: &mut Unit) -> io::Result<Option<[u8; LENGTH]>> {
        let mut length = Vec::with_capacity(LENGTH);
        (&mut self.source)
            .take(LENGTH as u64)
            .read_to_end(&mut length)?;
        let Ok(length) = <[u8; LENGTH]>::try_from(&length[..]) else {
            if length.is_empty() {
                self.ended = true;
            } else {
                self.lose(
                    unit,
                    "the file ends in the length of a message".to_owned(),
                    true,
                );
            }
            return Ok(None);
        };
        let announced = u32::from_be_bytes(length);
        if announced as usize > MAX_MESSAGE_BYTES {
            // After a length that can't be, nothing that follows can be found.
            let reason = format!(
                "a message of {announced} bytes is announced; the longest that is read has {MAX_MESSAGE_BYTES}. The rest of the file is passed over"
            );
            self.lose(unit, reason, false);
            return Ok(None);
        }
        Ok(Some(length))
    }

    /// Names a message behind which nothing can be found.
    fn lose(&mut self, unit: &mut Unit, reason: String, torn: bool) {
        unit.skip(reason, torn);
        unit.messages += 1;
        self.ended = true;
    }
}
