//! What a receiver says to a request.

use std::time::Duration;

/// It took the request, or a part of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Answer {
    /// Items that it did not take.
    pub(crate) rejected: u64,
    /// Why not; empty where there is nothing to say.
    pub(crate) message: String,
}

impl Answer {
    /// Of a `partial_success`.
    pub(crate) fn partial(rejected: i64, message: String) -> Self {
        Self {
            rejected: u64::try_from(rejected).unwrap_or(0),
            message,
        }
    }
}

/// It took nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) reason: String,
    pub(crate) retry: Retry,
    pub(crate) is_unreachable: bool,
}

impl Refusal {
    /// Sending it again is no use.
    pub(crate) fn never(reason: String) -> Self {
        Self {
            reason,
            retry: Retry::Never,
            is_unreachable: false,
        }
    }
}

/// Whether a request may be sent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Retry {
    Never,
    Soon,
    After(Duration),
}
