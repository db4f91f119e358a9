//! Why there is no dataset.

use std::io;
use std::path::PathBuf;

use loadgen_timeline::TimelineError;

/// Why an extraction ended without a dataset. Nothing is left in the output folder then.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExtractError {
    /// No telemetry was named.
    #[error("nothing to extract: give at least one file of traces, metrics or logs")]
    NoInput,
    /// The timeline can't serve.
    #[error(transparent)]
    Timeline(#[from] TimelineError),
    /// An input file can't be opened or read.
    #[error("can't read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The output folder, or a file in it, can't be made or written.
    #[error("can't write the dataset to {}: {source}", path.display())]
    Write {
        /// The output folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl ExtractError {
    /// Whether an input is at fault, rather than this machine or its disk.
    pub fn is_bad_input(&self) -> bool {
        matches!(self, Self::NoInput | Self::Timeline(_) | Self::Read { .. })
    }
}
