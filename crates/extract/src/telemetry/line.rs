//! Parses the lines of a block, and says where those are that can't be parsed.

use serde::Deserialize;

use super::input::{Block, MAX_LINE_BYTES};

/// A line that could not be read, relative to its block.
#[derive(Debug, PartialEq)]
pub(crate) struct Problem {
    /// Lines before it in the block.
    pub(crate) line: u64,
    /// Offset in the file of the byte at which reading failed.
    pub(crate) byte: u64,
    pub(crate) reason: String,
    /// The line has no newline: it was being written when the file was copied or its writer
    /// stopped.
    pub(crate) torn: bool,
}

/// What there was to see on the way through a block.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct LineTally {
    /// Lines, blank and bad ones included.
    pub(crate) lines: u64,
    pub(crate) problems: Vec<Problem>,
}

/// Calls `each` with every message of a block.
pub(crate) fn for_each_message<'b, M: Deserialize<'b>>(
    block: &'b Block,
    mut each: impl FnMut(M),
) -> LineTally {
    let mut tally = LineTally::default();
    if let Some(length) = block.too_long {
        let reason = format!(
            "the line is {length} bytes long; the longest that is read is {MAX_LINE_BYTES}"
        );
        tally.problems.push(Problem {
            line: 0,
            byte: block.offset,
            reason,
            torn: false,
        });
        tally.lines = 1;
        return tally;
    }
    let mut start = 0;
    while start < block.bytes.len() {
        let rest = &block.bytes[start..];
        let (line, next) = match memchr::memchr(b'\n', rest) {
            Some(newline) => (&rest[..newline], start + newline + 1),
            None => (rest, block.bytes.len()),
        };
        if !line.iter().all(u8::is_ascii_whitespace) {
            match parse(line) {
                Ok(message) => each(message),
                Err((at, reason)) => tally.problems.push(Problem {
                    line: tally.lines,
                    byte: block.offset + (start + at) as u64,
                    reason,
                    torn: next == start + line.len(),
                }),
            }
        }
        tally.lines += 1;
        start = next;
    }
    tally
}

/// The message, or where in the line reading failed, and why.
fn parse<'l, M: Deserialize<'l>>(line: &'l [u8]) -> Result<M, (usize, String)> {
    // One check of the whole line is faster than the parser's check of each string.
    let text = std::str::from_utf8(line)
        .map_err(|error| (error.valid_up_to(), "the line is not UTF-8".to_owned()))?;
    serde_json::from_str(text).map_err(|error| {
        // The parser's own "at line 1 column 5" would contradict the place in the file.
        let message = error.to_string();
        let reason = message
            .split(" at line ")
            .next()
            .unwrap_or(&message)
            .to_owned();
        (error.column().saturating_sub(1).min(line.len()), reason)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::trace::TracesData;

    fn tally(bytes: &[u8]) -> (usize, LineTally) {
        let block = Block {
            offset: 1000,
            bytes: bytes.to_vec(),
            ..Block::default()
        };
        let mut messages = 0;
        let tally = for_each_message(&block, |_: TracesData<'_>| messages += 1);
        (messages, tally)
    }

    #[test]
    fn a_bad_line_costs_itself_and_is_located() {
        let good = "{\"resourceSpans\":[]}\n";
        let bad = "{\"resourceSpans\":7}\n";
        let (messages, tally) = tally([good, "\r\n", bad, good].concat().as_bytes());
        assert_eq!((messages, tally.lines), (2, 4));
        let [problem] = &tally.problems[..] else {
            panic!("{tally:?}")
        };
        assert_eq!(problem.line, 2);
        let line = 1000 + good.len() as u64 + 2;
        assert!(
            (line..line + bad.len() as u64).contains(&problem.byte),
            "{problem:?}"
        );
        assert!(!problem.torn);
        assert!(!problem.reason.contains('\n') && !problem.reason.is_empty());
    }

    #[test]
    fn a_last_line_without_newline_is_read_if_whole_and_torn_if_not() {
        let (messages, whole) = tally(b"{\"resourceSpans\":[]}");
        assert_eq!((messages, whole.problems.len()), (1, 0));
        let (messages, torn) = tally(b"{\"resourceSpans\":[]}\n{\"resourceSp");
        assert_eq!((messages, torn.problems.len()), (1, 1));
        assert!(torn.problems[0].torn);
    }

    #[test]
    fn bytes_that_are_not_utf8_are_a_bad_line() {
        let (messages, tally) = tally(b"{\"resourceSpans\":[{\"schemaUrl\":\"\xff\xfe\"}]}\n");
        assert_eq!((messages, tally.problems.len()), (0, 1));
        assert_eq!(tally.problems[0].byte, 1000 + 32);
    }
}
