//! Why a message can't be read, and where.

use std::fmt;

/// Why a message can't be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Offset in the message of the byte at which reading failed.
    pub byte: usize,
    /// What is wrong there.
    pub reason: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at byte {}", self.reason, self.byte)
    }
}

impl std::error::Error for Problem {}

/// What a message holds and nobody reads, while the rest of it is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unread {
    /// How many things it is, such as spans.
    pub(crate) parts: u64,
    /// Where the first is, and why it is not read.
    pub(crate) problem: Problem,
}

/// So many [`Unread`]s of one message are named. Of more only the number is kept.
const UNREAD_NAMED: usize = 100;

/// All that is not read of one message, which is counted, and named as far as it is not too much.
#[derive(Debug, Clone, Default)]
pub(crate) struct UnreadParts {
    named: Vec<Unread>,
    /// Behind those that are named: where the first is, and how many there are.
    more: Option<(usize, u64)>,
}

impl UnreadParts {
    pub(crate) fn add(&mut self, parts: u64, problem: Problem) {
        if self.named.len() < UNREAD_NAMED {
            self.named.push(Unread { parts, problem });
            return;
        }
        let (_, more) = self.more.get_or_insert((problem.byte, 0));
        *more += parts;
    }

    /// All of them; those that are not named are one.
    pub(crate) fn into_vec(self) -> Vec<Unread> {
        let more = self.more.map(|(byte, parts)| {
            let reason = format!("{parts} more things in this message can't be read");
            let problem = Problem { byte, reason };
            Unread { parts, problem }
        });
        self.named.into_iter().chain(more).collect()
    }
}

/// What may be something else than its place says, such as a span among scopes.
pub(crate) struct Stranger {
    byte: usize,
    has_unknown: bool,
    /// Those in its fields that are not known, which have been named.
    things: u64,
}

impl Stranger {
    pub(crate) fn at(byte: usize) -> Self {
        Self {
            byte,
            has_unknown: false,
            things: 0,
        }
    }

    /// Where it is, if it has fields that are not known and nothing of them has been named.
    pub(crate) fn is_unnamed(&self) -> Option<usize> {
        (self.has_unknown && self.things == 0).then_some(self.byte)
    }

    /// A field that is not known, with so many things in it.
    pub(crate) fn add(&mut self, things: u64) {
        self.has_unknown = true;
        self.things += things;
    }
}

/// Boxed, so that what is handed from function to function stays small.
pub(crate) type Result<T> = std::result::Result<T, Box<Problem>>;

pub(crate) fn fail<T>(byte: usize, reason: impl Into<String>) -> Result<T> {
    let reason = reason.into();
    Err(Box::new(Problem { byte, reason }))
}
