//! What can go wrong with a fault.

use std::path::PathBuf;

/// Why a fault could not be injected or cleared.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FaultError {
    /// Nobody here can inject it.
    #[error("no driver `{driver}` is set up for this target, so `{fault}` can't be injected")]
    NoDriver {
        /// The driver that the plan asks for.
        driver: String,
        /// The fault.
        fault: String,
    },
    /// A driver can't be used as it is told to.
    #[error("the driver `{driver}` can't be used: {reason}")]
    Settings {
        /// Its name.
        driver: String,
        /// What is wrong with what it is told.
        reason: String,
    },
    /// The target could not be reached, or did not answer in time.
    #[error("can't reach {url}: {}", reason(source))]
    Unreachable {
        /// Address that was called.
        url: String,
        /// What the HTTP client said.
        source: reqwest::Error,
    },
    /// The same of a target that another client than reqwest calls.
    #[error("can't reach {url}: {reason}")]
    Unanswered {
        /// Address that was called.
        url: String,
        /// What that client said.
        reason: String,
    },
    /// The target said no.
    #[error("{url} answered {status}: {message}")]
    Refused {
        /// Address that was called.
        url: String,
        /// HTTP status.
        status: u16,
        /// Its own words.
        message: String,
    },
    /// The target's answer can't be understood.
    #[error("{url} answered what can't be understood: {reason}")]
    Unclear {
        /// Address that was called.
        url: String,
        /// What is wrong.
        reason: String,
    },
    /// It can't be done here, and nothing was changed.
    #[error("{0}")]
    Impossible(String),
    /// A change was asked for, and whether it was made is not known.
    #[error("{0}")]
    NotConfirmed(String),
    /// The journal, without which a fault could outlive a crash, can't be written.
    #[error("can't write {}, and no fault is injected without it: {source}", path.display())]
    Journal {
        /// Its file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}

impl FaultError {
    /// Whether it says that nothing was changed, rather than nothing at all.
    pub fn changed_nothing(&self) -> bool {
        match self {
            Self::NoDriver { .. }
            | Self::Settings { .. }
            | Self::Impossible(_)
            | Self::Journal { .. } => true,
            Self::Refused { status, .. } => (400..500).contains(status),
            Self::Unreachable { .. }
            | Self::Unanswered { .. }
            | Self::Unclear { .. }
            | Self::NotConfirmed(_) => false,
        }
    }
}

/// The last cause: the others only say that there is one.
fn reason(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return "no answer in time".to_owned();
    }
    let causes = std::iter::successors(std::error::Error::source(error), |e| e.source());
    causes
        .last()
        .map_or_else(|| error.to_string(), ToString::to_string)
}
