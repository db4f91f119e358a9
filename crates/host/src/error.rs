//! Why something could not be done.

use std::io;

/// Why a fault could not be prepared, injected, looked at or cleared.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HostError {
    /// This system is not Linux.
    #[error("host faults need Linux")]
    NeedsLinux,
    /// A fault or target that makes no sense.
    #[error("{0}")]
    Parameter(String),
    /// The target is no process.
    #[error("no process is found by {target}: {reason}")]
    NotFound {
        /// The target, as text.
        target: String,
        /// What was looked at.
        reason: String,
    },
    /// The target is more than one service.
    #[error("{target} is not one service but {found}; name one of them by another target")]
    Several {
        /// The target, as text.
        target: String,
        /// What was found.
        found: String,
    },
    /// The fault would hit this program.
    #[error("{target} is process {pid}, which is this program or has started it")]
    Itself {
        /// The target, as text.
        target: String,
        /// The process.
        pid: i32,
    },
    /// A right is missing.
    #[error("can't {action}: needs {needs}")]
    Right {
        /// What was tried.
        action: String,
        /// What would allow it.
        needs: String,
    },
    /// The cgroups of this machine don't allow the fault.
    #[error("{0}")]
    Cgroup(String),
    /// A program that the fault needs is missing.
    #[error("`{program}` is not installed: {how}")]
    NotInstalled {
        /// The program.
        program: String,
        /// How to install it.
        how: String,
    },
    /// The change was made, or tried, and is not in force.
    #[error("not in force: {0}")]
    NotInForce(String),
    /// The fault, or part of it, is still there.
    #[error("not undone: {0}")]
    NotUndone(String),
    /// The system refused something else.
    #[error("can't {action}: {source}")]
    Io {
        /// What was tried.
        action: String,
        /// What the system said.
        source: io::Error,
    },
}
