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
    /// The command line is wrong, in a way that clap does not see: whoever mends it changes what is
    /// typed.
    Usage = 2,
    /// An input is wrong or can't be read: whoever mends it changes a file or an environment variable.
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

impl Exit {
    /// Why a run of this program did not begin, by the code that it ended with; none: it did.
    pub(crate) fn of_a_run_not_begun(code: Option<i32>) -> Option<Self> {
        let codes = [Self::Usage, Self::BadInput];
        codes.into_iter().find(|exit| code == Some(*exit as i32))
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        ExitCode::from(exit as u8)
    }
}

/// What a run came to, as far as a script can ask.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Outcome {
    /// An error ended it.
    pub(crate) failed: bool,
    /// Whether its dataset is usable; none: it made none.
    pub(crate) usable: Option<bool>,
    /// Requests were sent, and none went as the flows expect.
    pub(crate) nothing_succeeded: bool,
    /// A fault could not be injected or cleared.
    pub(crate) fault_failed: bool,
    /// A signal ended it.
    pub(crate) interrupted: bool,
}

impl Outcome {
    /// The first that holds of 1, 8, 6 and 5: what spoils most comes first. Warnings are shown; a run that
    /// made a usable dataset has done its job.
    pub(crate) fn exit(self) -> Exit {
        if self.failed {
            Exit::Failed
        } else if self.usable == Some(false) || self.nothing_succeeded {
            Exit::NotUsable
        } else if self.fault_failed {
            Exit::FaultFailed
        } else if self.interrupted {
            Exit::Interrupted
        } else {
            Exit::Success
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_spoils_most_decides_how_a_run_ends() {
        let mut outcome = Outcome {
            failed: true,
            usable: Some(false),
            nothing_succeeded: true,
            fault_failed: true,
            interrupted: true,
        };
        let mut codes = vec![outcome.exit() as u8];
        outcome.failed = false;
        codes.push(outcome.exit() as u8);
        outcome.usable = Some(true);
        codes.push(outcome.exit() as u8);
        outcome.nothing_succeeded = false;
        codes.push(outcome.exit() as u8);
        outcome.fault_failed = false;
        codes.push(outcome.exit() as u8);
        outcome.interrupted = false;
        codes.push(outcome.exit() as u8);
        assert_eq!(codes, [1, 8, 8, 6, 5, 0]);
        outcome.usable = None;
        assert_eq!(outcome.exit(), Exit::Success);
    }
}
