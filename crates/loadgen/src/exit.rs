//! Exit codes, and errors that carry one. The codes are part of the interface: `loadgen --help`
//! and the README list them.

use std::fmt;
use std::process::ExitCode;

/// What the process says at its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// All done.
    Success = 0,
    /// The run failed; what was written so far is kept.
    Failed = 1,
    // 2 is clap's: the command line is wrong.
    /// An input file is wrong or can't be read.
    BadInput = 3,
    /// The target or a service that loadgen starts is not there.
    NotReachable = 4,
    /// A signal ended the run early, in good order.
    Interrupted = 5,
    /// The run is complete, but a fault could not be injected or cleared.
    FaultFailed = 6,
    /// The dataset is usable, but the audit has warnings.
    Warnings = 7,
    /// The dataset is not usable.
    NotUsable = 8,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        ExitCode::from(exit as u8)
    }
}

/// An error with its exit code; shows as a message for people.
#[derive(Debug)]
pub(crate) struct Failure {
    code: Exit,
    message: String,
}

impl Failure {
    pub(crate) fn new(code: Exit, error: impl fmt::Display) -> Self {
        Self {
            code,
            message: error.to_string(),
        }
    }

    pub(crate) fn code(&self) -> Exit {
        self.code
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Diagnostics of several lines begin with `error:` themselves.
        if self.message.starts_with("error") {
            f.write_str(&self.message)
        } else {
            write!(f, "error: {}", self.message)
        }
    }
}
