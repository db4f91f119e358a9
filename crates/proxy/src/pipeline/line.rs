//! A waiting line: pieces in order, each with the moment from which on it may go.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

/// No wait is longer than this, so that no sum of waits overflows.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 3600);

/// What goes one way through a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Piece {
    /// Some bytes, never none.
    Data(Bytes),
    /// The sender will send no more.
    End,
    /// The whole connection ends, both ways.
    Cut(Cut),
}

impl Piece {
    fn len(&self) -> usize {
        match self {
            Piece::Data(bytes) => bytes.len(),
            Piece::End | Piece::Cut(_) => 0,
        }
    }
}

/// How a connection ends before both sides have ended it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cut {
    /// Closed as usual.
    Close,
    /// By a TCP reset.
    Reset,
}

/// A moment after another one.
pub(crate) fn later(from: Instant, by: Duration) -> Instant {
    from + by.min(LONGEST)
}

#[derive(Debug)]
struct Waiting {
    piece: Piece,
    arrived: Instant,
    due: Instant,
}

/// Pieces that wait. None overtakes another.
#[derive(Debug, Default)]
pub(crate) struct Line {
    waiting: VecDeque<Waiting>,
    bytes: usize,
    /// When the last one that left was due.
    left: Option<Instant>,
}

impl Line {
    /// Puts a piece at the end of the line. It goes no sooner than the one before it.
    pub(crate) fn add(&mut self, piece: Piece, arrived: Instant, due: Instant) {
        self.bytes += piece.len();
        let due = self.last_due().map_or(due, |last| due.max(last));
        self.waiting.push_back(Waiting {
            piece,
            arrived,
            due,
        });
    }

    /// When the piece goes, or went, after which the next one will be put.
    pub(crate) fn last_due(&self) -> Option<Instant> {
        self.waiting.back().map(|last| last.due).or(self.left)
    }

    /// When the first piece may go.
    pub(crate) fn next_due(&self) -> Option<Instant> {
        self.waiting.front().map(|first| first.due)
    }

    /// Bytes that wait.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The first piece, if its time has come.
    pub(crate) fn take(&mut self, now: Instant) -> Option<Piece> {
        let first = self.waiting.pop_front_if(|first| first.due <= now)?;
        self.bytes -= first.piece.len();
        self.left = Some(first.due);
        Some(first.piece)
    }

    /// All pieces, with the moments at which they came, whether their time has come or not.
    pub(crate) fn empty(&mut self) -> Vec<(Piece, Instant)> {
        self.bytes = 0;
        let all = self.waiting.drain(..);
        all.map(|one| (one.piece, one.arrived)).collect()
    }
}
