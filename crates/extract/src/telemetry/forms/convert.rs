//! OTLP/JSON as documents over many lines, or as a list of messages.

use std::io::{self, BufRead, Write};

use super::Lost;
use crate::telemetry::input::MAX_LINE_BYTES;

/// Writes each JSON object at the top, or in a list at the top, as a line.
///
/// Objects are found by counting braces outside of strings; whether they are JSON is seen later,
/// when the line is read.
pub(super) fn document(
    mut source: impl BufRead,
    lines: &mut impl Write,
    lost: &mut Vec<Lost>,
) -> io::Result<()> {
    let mut object = Object::default();
    let mut byte = 0;
    loop {
        let read = source.fill_buf()?;
        if read.is_empty() {
            break;
        }
        let length = read.len();
        for &b in read {
            if object.take(b, byte) {
                object.end(lines, lost)?;
            }
            byte += 1;
        }
        source.consume(length);
    }
    if object.depth > 0 {
        lost.push(Lost {
            message: object.number,
            byte: object.begin,
            reason: "the file ends in the middle of the document".to_owned(),
            torn: true,
        });
    }
    Ok(())
}

#[derive(Default)]
struct Object {
    text: Vec<u8>,
    /// Offset of its first byte.
    begin: u64,
    depth: usize,
    in_string: bool,
    escaped: bool,
    too_long: bool,
    /// Objects before it.
    number: u64,
}

impl Object {
    /// Takes a byte; true if the object is whole.
    fn take(&mut self, b: u8, at: u64) -> bool {
        if self.depth == 0 {
            if b != b'{' {
                return false;
            }
            self.begin = at;
        }
        if self.text.len() >= MAX_LINE_BYTES {
            self.too_long = true;
            self.text.clear();
        }
        if !self.too_long {
            self.text
                .push(if b == b'\n' || b == b'\r' { b' ' } else { b });
        }
        match b {
            _ if self.escaped => self.escaped = false,
            b'\\' if self.in_string => self.escaped = true,
            b'"' => self.in_string = !self.in_string,
            b'{' if !self.in_string => self.depth += 1,
            b'}' if !self.in_string => self.depth -= 1,
            _ => {}
        }
        self.depth == 0
    }

    fn end(&mut self, lines: &mut impl Write, lost: &mut Vec<Lost>) -> io::Result<()> {
        if self.too_long {
            lost.push(Lost {
                message: self.number,
                byte: self.begin,
                reason: format!(
                    "the document is longer than {MAX_LINE_BYTES} bytes, the most that is read"
                ),
                torn: false,
            });
        }
        self.text.push(b'\n');
        lines.write_all(if self.too_long { b"\n" } else { &self.text })?;
        let number = self.number + 1;
        *self = Object {
            number,
            ..Object::default()
        };
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_and_lists_become_lines() {
        let text = "[\n {\"a\": \"}\\\"\",\n  \"b\": {}},\n{\"c\":1}]\n{\"torn\": {";
        let (mut lines, mut lost) = (Vec::new(), Vec::new());
        document(text.as_bytes(), &mut lines, &mut lost).expect("memory can be read");
        let lines = String::from_utf8(lines).expect("UTF-8");
        assert_eq!(lines, "{\"a\": \"}\\\"\",   \"b\": {}}\n{\"c\":1}\n");
        assert_eq!((lost[0].message, lost[0].byte, lost[0].torn), (2, 37, true));
    }
}
