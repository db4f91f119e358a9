//! A message a line.

use std::io::{self, Read, Seek, SeekFrom};

use super::unit::{Cut, Unit};
use super::{MAX_MESSAGE_BYTES, UNIT_BYTES};

/// Where the last whole line between two places of a file ends; `from` where there is none.
pub(super) fn last_end(file: &mut (impl Read + Seek), from: u64, to: u64) -> io::Result<u64> {
    let mut end = to;
    let mut block = Vec::new();
    while end > from {
        let begin = end.saturating_sub(UNIT_BYTES as u64).max(from);
        file.seek(SeekFrom::Start(begin))?;
        block.clear();
        file.take(end - begin).read_to_end(&mut block)?;
        if let Some(newline) = memchr::memrchr(b'\n', &block) {
            return Ok(begin + newline as u64 + 1);
        }
        end = begin;
    }
    Ok(from)
}

/// Cuts into units of whole lines. Only the last line can lack its newline.
pub(super) struct Lines<R> {
    source: R,
    unit_bytes: usize,
    max_line_bytes: usize,
    /// What has been read after the last newline.
    rest: Vec<u8>,
    offset: u64,
    lines: u64,
}

impl<R: Read> Lines<R> {
    pub(super) fn new(source: R) -> Self {
        Self {
            source,
            unit_bytes: UNIT_BYTES,
            max_line_bytes: MAX_MESSAGE_BYTES,
            rest: Vec::new(),
            offset: 0,
            lines: 0,
        }
    }

    /// Fills a unit; false at the end.
    pub(super) fn next(&mut self, unit: &mut Unit) -> io::Result<bool> {
        unit.begin(Cut::Lines, self.lines, self.offset);
        unit.bytes.append(&mut self.rest);
        let mut searched = 0;
        let mut wanted = self.unit_bytes;
        loop {
            let missing = wanted.saturating_sub(unit.bytes.len()).max(1) as u64;
            let read = (&mut self.source)
                .take(missing)
                .read_to_end(&mut unit.bytes)?;
            if let Some(newline) = memchr::memrchr(b'\n', &unit.bytes[searched..]) {
                let end = searched + newline + 1;
                self.rest.extend_from_slice(&unit.bytes[end..]);
                unit.bytes.truncate(end);
                let lines = memchr::memchr_iter(b'\n', &unit.bytes).count() as u64;
                self.finish(unit, end as u64, lines);
                return Ok(true);
            }
            // From here on the unit is the beginning of one line.
            if (read as u64) < missing {
                let length = unit.bytes.len() as u64;
                self.finish(unit, length, length.min(1));
                return Ok(length > 0);
            }
            if unit.bytes.len() >= self.max_line_bytes {
                let length = self.skip_line(unit)?;
                let max = self.max_line_bytes;
                unit.skip(
                    format!("the line is {length} bytes long; the longest that is read is {max}"),
                    false,
                );
                self.finish(unit, length, 1);
                return Ok(true);
            }
            searched = unit.bytes.len();
            wanted = (searched * 2).min(self.max_line_bytes);
        }
    }

    fn finish(&mut self, unit: &mut Unit, length: u64, lines: u64) {
        (unit.length, unit.messages) = (length, lines);
        self.offset += length;
        self.lines += lines;
    }

    /// Reads on to the next newline without keeping anything of the line; its length.
    fn skip_line(&mut self, unit: &mut Unit) -> io::Result<u64> {
        let mut length = unit.bytes.len() as u64;
        loop {
            unit.bytes.clear();
            (&mut self.source)
                .take(self.unit_bytes as u64)
                .read_to_end(&mut unit.bytes)?;
            if let Some(newline) = memchr::memchr(b'\n', &unit.bytes) {
                length += newline as u64 + 1;
                self.rest.extend_from_slice(&unit.bytes[newline + 1..]);
                break;
            }
            if unit.bytes.is_empty() {
                break;
            }
            length += unit.bytes.len() as u64;
        }
        // The memory that the line took is given back.
        unit.bytes = Vec::new();
        Ok(length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const UNIT: usize = 64;
    const MAX_LINE: usize = 300;

    proptest! {
        #[test]
        fn units_are_the_file_cut_after_newlines_without_the_lines_that_are_too_long(
            lengths in prop::collection::vec(prop_oneof![0usize..20, 0usize..400, 290usize..900], 0..20),
            newline_at_end: bool,
        ) {
            let mut bytes = Vec::new();
            for length in &lengths {
                bytes.resize(bytes.len() + length, b'x');
                bytes.push(b'\n');
            }
            if !newline_at_end {
                bytes.pop();
            }
            let kept: Vec<u8> = bytes
                .split_inclusive(|&b| b == b'\n')
                .filter(|line| line.strip_suffix(b"\n").unwrap_or(line).len() < MAX_LINE)
                .flatten()
                .copied()
                .collect();
            let mut lines = Lines {
                unit_bytes: UNIT,
                max_line_bytes: MAX_LINE,
                ..Lines::new(&bytes[..])
            };
            let mut unit = Unit::default();
            let (mut read, mut offset, mut before) = (Vec::new(), 0, 0);
            while lines.next(&mut unit).expect("memory can be read") {
                prop_assert_eq!((unit.offset, unit.first_message), (offset, before));
                offset += unit.length;
                before += unit.messages;
                if unit.skipped.is_empty() {
                    prop_assert!(offset == bytes.len() as u64 || unit.bytes.ends_with(b"\n"));
                    prop_assert!(unit.bytes.len() <= MAX_LINE.max(UNIT) + UNIT);
                } else {
                    prop_assert!(unit.bytes.is_empty() && unit.length >= MAX_LINE as u64);
                }
                read.extend_from_slice(&unit.bytes);
            }
            prop_assert_eq!(offset, bytes.len() as u64);
            prop_assert_eq!(before, bytes.split_inclusive(|&b| b == b'\n').count() as u64);
            prop_assert_eq!(read, kept);
        }
    }
}
