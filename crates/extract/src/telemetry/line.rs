//! Parses the lines of a block, and says where those are that can't be parsed.

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny};

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
    pub(crate) bytes: u64,
    /// Lines, blank and bad ones included.
    pub(crate) lines: u64,
    /// Messages that could be read: of traces, of metrics, of logs.
    pub(crate) messages: [u64; 3],
    pub(crate) problems: Vec<Problem>,
}

/// A message of any signal. Which it is, its content says: files may hold all of them mixed.
#[derive(Deserialize)]
#[serde(
    rename_all = "camelCase",
    bound = "T: Deserialize<'de>, M: Deserialize<'de>, L: Deserialize<'de>"
)]
struct Message<T, M, L> {
    resource_spans: Option<T>,
    resource_metrics: Option<M>,
    resource_logs: Option<L>,
}

/// A signal that is passed over.
#[derive(Debug)]
pub(crate) struct Skip;

impl<'de> Deserialize<'de> for Skip {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        IgnoredAny::deserialize(deserializer).map(|_| Skip)
    }
}

/// Calls the closure of its signal with every message of a block, with its number in the block, bad
/// messages counted too, and its line.
pub(crate) fn for_each_message<'b, T, M, L>(
    block: &'b Block,
    mut traces: impl FnMut(u32, &'b [u8], T),
    mut metrics: impl FnMut(u32, &'b [u8], M),
    mut logs: impl FnMut(u32, &'b [u8], L),
) -> LineTally
where
    T: Deserialize<'b>,
    M: Deserialize<'b>,
    L: Deserialize<'b>,
{
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
        (tally.lines, tally.bytes) = (1, length);
        return tally;
    }
    tally.bytes = block.bytes.len() as u64;
    let mut start = 0;
    while start < block.bytes.len() {
        let rest = &block.bytes[start..];
        let (line, next) = match memchr::memchr(b'\n', rest) {
            Some(newline) => (&rest[..newline], start + newline + 1),
            None => (rest, block.bytes.len()),
        };
        if !line.iter().all(u8::is_ascii_whitespace) {
            // A block has far fewer lines than that.
            let number = tally.lines as u32;
            match parse::<T, M, L>(line) {
                Ok(message) => {
                    if let Some(message) = message.resource_spans {
                        tally.messages[0] += 1;
                        traces(number, line, message);
                    }
                    if let Some(message) = message.resource_metrics {
                        tally.messages[1] += 1;
                        metrics(number, line, message);
                    }
                    if let Some(message) = message.resource_logs {
                        tally.messages[2] += 1;
                        logs(number, line, message);
                    }
                }
                Err((at, reason)) => {
                    tally.problems.push(Problem {
                        line: tally.lines,
                        byte: block.offset + (start + at) as u64,
                        reason,
                        torn: next == start + line.len(),
                    });
                }
            }
        }
        tally.lines += 1;
        start = next;
    }
    tally
}

/// The traces of a line that [`for_each_message`] could read.
pub(crate) fn parse_traces<'l, T: Deserialize<'l>>(line: &'l [u8]) -> Option<T> {
    parse::<T, Skip, Skip>(line).ok()?.resource_spans
}

/// The message, or where in the line reading failed, and why.
fn parse<'l, T, M, L>(line: &'l [u8]) -> Result<Message<T, M, L>, (usize, String)>
where
    T: Deserialize<'l>,
    M: Deserialize<'l>,
    L: Deserialize<'l>,
{
    // One check of the whole line is faster than the parser's check of each string.
    let text = std::str::from_utf8(line)
        .map_err(|error| (error.valid_up_to(), "the line is not UTF-8".to_owned()))?;
    let message: Message<T, M, L> = serde_json::from_str(text).map_err(|error| {
        // The parser's own "at line 1 column 5" would contradict the place in the file.
        let message = error.to_string();
        let reason = message
            .split(" at line ")
            .next()
            .unwrap_or(&message)
            .to_owned();
        (error.column().saturating_sub(1).min(line.len()), reason)
    })?;
    match message {
        Message {
            resource_spans: None,
            resource_metrics: None,
            resource_logs: None,
        } => {
            let reason = "none of resourceSpans, resourceMetrics and resourceLogs is in it";
            Err((0, reason.to_owned()))
        }
        message => Ok(message),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::trace::ResourceSpans;

    fn spans_of(block: &Block, mut each: impl FnMut()) -> LineTally {
        for_each_message(
            block,
            |_, _, _: Vec<ResourceSpans<'_, IgnoredAny>>| each(),
            |_, _, _: Skip| (),
            |_, _, _: Skip| (),
        )
    }

    fn tally(bytes: &[u8]) -> (usize, LineTally) {
        let block = Block {
            offset: 1000,
            bytes: bytes.to_vec(),
            ..Block::default()
        };
        let mut messages = 0;
        let tally = spans_of(&block, || messages += 1);
        (messages, tally)
    }

    #[test]
    fn a_bad_line_costs_itself_and_is_located() {
        let good = "{\"resourceSpans\":[]}\n";
        let bad = "{\"resourceSpans\":7}\n";
        let (messages, tally) = tally([good, "\r\n", bad, good].concat().as_bytes());
        assert_eq!((messages, tally.lines, tally.messages), (2, 4, [2, 0, 0]));
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
    fn signals_are_told_by_content_and_may_be_mixed() {
        let block = Block {
            bytes: b"{\"resourceLogs\":[]}\n\n{\"resourceMetrics\":[]}\n{\"x\":1}\n{\"resourceSpans\":null}\n"
                .to_vec(),
            ..Block::default()
        };
        let mut seen = Vec::new();
        let tally = for_each_message(
            &block,
            |_, _, _: Skip| (),
            |number, _, _: Skip| seen.push(number),
            |_, _, _: Skip| (),
        );
        assert_eq!((tally.messages, tally.lines), ([0, 1, 1], 5));
        assert_eq!(seen, [2]);
        assert_eq!(tally.problems.len(), 2);
        assert!(tally.problems[0].reason.contains("resourceSpans"));
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
