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

/// Boxed, so that what is handed from function to function stays small.
pub(crate) type Result<T> = std::result::Result<T, Box<Problem>>;

pub(crate) fn fail<T>(byte: usize, reason: impl Into<String>) -> Result<T> {
    let reason = reason.into();
    Err(Box::new(Problem { byte, reason }))
}
