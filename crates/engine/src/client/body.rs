//! Where the body of an answer ends (RFC 9112, sections 6 and 7), piece by piece as it comes.

use super::{Enough, SendError};

/// How a body's end is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Framing {
    /// By its length.
    Length(u64),
    /// Chunk after chunk, each with its length.
    Chunked,
    /// By the end of the connection.
    UntilClose,
}

/// Bytes of the line before a chunk, and of the fields after the last one, at most.
const LONGEST_LINE: usize = 16 << 10;

/// A body of which some has come.
#[derive(Debug)]
pub(super) struct Body {
    state: State,
    /// A line that has not come to its end.
    line: Vec<u8>,
    /// Bytes of the fields after the last chunk.
    trailers: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// So many bytes are to come.
    Length(u64),
    /// The line with a chunk's length comes next.
    Size,
    /// So many bytes of a chunk are to come.
    Chunk(u64),
    /// The end of the line after a chunk.
    AfterChunk,
    /// Fields after the last chunk, until an empty line.
    Trailers,
    UntilClose,
    Ended,
}

/// How far a body has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Progress {
    /// More is to come.
    Open,
    /// It has ended, after so many of the bytes that were given.
    Ended(usize),
    /// Whoever reads has had enough.
    Enough,
}

impl Body {
    pub(super) fn new(framing: Framing) -> Self {
        Self {
            state: match framing {
                Framing::Length(0) => State::Ended,
                Framing::Length(length) => State::Length(length),
                Framing::Chunked => State::Size,
                Framing::UntilClose => State::UntilClose,
            },
            line: Vec::new(),
            trailers: 0,
        }
    }

    /// Takes bytes as they came, and gives what of them is content to `take`.
    ///
    /// # Errors
    /// They are no chunks.
    pub(super) fn feed(
        &mut self,
        bytes: &[u8],
        take: &mut impl FnMut(&[u8]) -> Enough,
    ) -> Result<Progress, SendError> {
        let mut rest = bytes;
        loop {
            if self.state == State::Ended {
                return Ok(Progress::Ended(bytes.len() - rest.len()));
            }
            if rest.is_empty() {
                return Ok(Progress::Open);
            }
            match self.state {
                State::Length(left) | State::Chunk(left) => {
                    let here = rest.len().min(usize::try_from(left).unwrap_or(usize::MAX));
                    let (content, after) = rest.split_at(here);
                    rest = after;
                    let left = left - here as u64;
                    self.state = match (self.state, left) {
                        (State::Length(_), 0) => State::Ended,
                        (State::Length(_), left) => State::Length(left),
                        (_, 0) => State::AfterChunk,
                        (_, left) => State::Chunk(left),
                    };
                    if take(content) == Enough::Yes {
                        return Ok(Progress::Enough);
                    }
                }
                State::UntilClose => {
                    let content = std::mem::take(&mut rest);
                    if take(content) == Enough::Yes {
                        return Ok(Progress::Enough);
                    }
                }
                State::Size | State::AfterChunk | State::Trailers => {
                    let Some(line) = self.line(&mut rest)? else {
                        return Ok(Progress::Open);
                    };
                    self.state = self.after_line(&line)?;
                }
                State::Ended => {}
            }
        }
    }

    /// The connection has ended. True: so has the body.
    pub(super) fn close(&mut self) -> bool {
        matches!(self.state, State::UntilClose | State::Ended)
    }

    /// The next line without its end; none: that has not come.
    fn line(&mut self, rest: &mut &[u8]) -> Result<Option<Vec<u8>>, SendError> {
        let end = rest.iter().position(|byte| *byte == b'\n');
        let (here, after) = rest.split_at(end.map_or(rest.len(), |end| end + 1));
        self.line.extend_from_slice(here);
        *rest = after;
        if self.line.len() > LONGEST_LINE {
            return Err(SendError::Malformed("a line between chunks is too long"));
        }
        if end.is_none() {
            return Ok(None);
        }
        let mut line = std::mem::take(&mut self.line);
        line.pop();
        if line.pop() != Some(b'\r') {
            return Err(SendError::Malformed("a line between chunks"));
        }
        Ok(Some(line))
    }

    fn after_line(&mut self, line: &[u8]) -> Result<State, SendError> {
        match self.state {
            State::Size => match chunk_size(line)? {
                0 => Ok(State::Trailers),
                size => Ok(State::Chunk(size)),
            },
            State::AfterChunk if line.is_empty() => Ok(State::Size),
            State::AfterChunk => Err(SendError::Malformed("the end of a chunk")),
            _ if line.is_empty() => Ok(State::Ended),
            _ => {
                self.trailers += line.len();
                match self.trailers > LONGEST_LINE {
                    true => Err(SendError::Malformed("the fields after the last chunk")),
                    false => Ok(State::Trailers),
                }
            }
        }
    }
}

/// A chunk's length in hexadecimal digits; extensions after a semicolon mean nothing here.
fn chunk_size(line: &[u8]) -> Result<u64, SendError> {
    const WRONG: SendError = SendError::Malformed("the length of a chunk");
    let digits = line.split(|byte| *byte == b';').next().unwrap_or_default();
    let digits = digits.trim_ascii_end();
    // More would not fit, and signs are no digits.
    if digits.is_empty() || digits.len() > 15 || !digits.iter().all(u8::is_ascii_hexdigit) {
        return Err(WRONG);
    }
    let digits = std::str::from_utf8(digits).map_err(|_| WRONG)?;
    u64::from_str_radix(digits, 16).map_err(|_| WRONG)
}

#[cfg(test)]
#[path = "body_tests.rs"]
mod tests;
