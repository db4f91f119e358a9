//! Why a folder can't be compared.

use std::path::PathBuf;

use loadgen_timeline::{LedgerError, TimelineError};

/// Why a folder can't be compared.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// A file that every run leaves behind is not there.
    #[error(
        "{} is not the folder of a finished run: it has no {missing}; give folders that \
         `loadgen run` wrote, or one scenario file",
        folder.display()
    )]
    NotARun {
        /// The folder.
        folder: PathBuf,
        /// Name of the file.
        missing: &'static str,
    },
    /// A file can't be read.
    #[error("can't read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file is not what its name says.
    #[error("{} can't be understood: {reason}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The timeline can't be used.
    #[error(transparent)]
    Timeline(#[from] TimelineError),
    /// The ledger can't be used.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// Neither the timeline nor the summary says which run it is.
    #[error("the timeline in {} lacks its first line, and summary.json does not say which run it is", folder.display())]
    NoRunStarted {
        /// The folder.
        folder: PathBuf,
    },
}
