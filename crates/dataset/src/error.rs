//! Why there is no dataset.

use std::io;
use std::path::PathBuf;

use loadgen_timeline::audit::AuditError;
use loadgen_timeline::{LedgerError, TimelineError};

/// Why a build ended without a dataset. Nothing is left where it was to be.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// No run was named.
    #[error("nothing to build from: give at least one run folder, or the folder of a dataset")]
    NoInput,
    /// A path is neither a run nor a dataset.
    #[error(
        "{} has no dataset: give a run folder with `dataset` in it, the folder that `loadgen extract` \
         wrote to, or one of its audit_<stamp>.json",
        path.display()
    )]
    NoDataset {
        /// As it was given.
        path: PathBuf,
    },
    /// An audit file can't be read.
    #[error(transparent)]
    Audit(#[from] AuditError),
    /// A timeline can't be read.
    #[error(transparent)]
    Timeline(#[from] TimelineError),
    /// A ledger of requests can't be read.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// No set of files in a folder is whole.
    #[error("no dataset in {} is whole: {reason}; extract again", path.display())]
    Incomplete {
        /// The folder.
        path: PathBuf,
        /// What is missing in the newest.
        reason: String,
    },
    /// The dataset says nothing of a run.
    #[error(
        "the dataset in {} is of no run that is known by name: it was extracted without a timeline, \
         or its id {run_id:?} can't be the name of a folder; extract again with --timeline",
        path.display()
    )]
    NoRun {
        /// The folder.
        path: PathBuf,
        /// What stands for its id.
        run_id: String,
    },
    /// Two inputs are of the same run.
    #[error(
        "{} and {} are both of run {run_id}: its rows would be doubled; give one of them (parts of one \
         run by several generators are made one by `loadgen merge`)",
        first.display(),
        second.display()
    )]
    SameRun {
        /// The run.
        run_id: String,
        /// One input.
        first: PathBuf,
        /// The other.
        second: PathBuf,
    },
    /// The audit of an input says that it can't be used.
    #[error(
        "the dataset in {} is not usable by its audit ({checks}); leave it out with --unusable skip, \
         take it as it is with --unusable keep, or see `loadgen audit {}`",
        path.display(),
        path.display()
    )]
    Unusable {
        /// The folder.
        path: PathBuf,
        /// The checks with an error, with what they found.
        checks: String,
    },
    /// All inputs were left out.
    #[error("none of the {runs} runs is usable by its audit, and --unusable skip leaves them out")]
    NoneLeft {
        /// How many there were.
        runs: usize,
    },
    /// A column has different types in two inputs.
    #[error(
        "column {column} is {one} in {} and {other} in {}: different versions of \
         loadgen made them; extract the older one again",
        first.display(),
        second.display()
    )]
    Types {
        /// The column, after its table and a dot.
        column: String,
        /// Its type in `first`.
        one: String,
        /// Its type in `second`.
        other: String,
        /// One file.
        first: PathBuf,
        /// The other file.
        second: PathBuf,
    },
    /// A file is not as an extraction writes it.
    #[error("{}: {reason}; extract again", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// An input file can't be read.
    #[error("can't read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// There is something in the place of the dataset.
    #[error(
        "{} is there already, and nothing is written over; give a folder that is not there yet",
        path.display()
    )]
    Taken {
        /// The folder.
        path: PathBuf,
    },
    /// The dataset can't be written.
    #[error("can't write the dataset to {}: {source}", path.display())]
    Write {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It was asked to stop.
    #[error("stopped before the dataset was whole; nothing is left of it")]
    Stopped,
}

impl BuildError {
    /// Whether an input is at fault, rather than this machine or its disk.
    pub fn is_bad_input(&self) -> bool {
        !matches!(self, Self::Write { .. } | Self::Stopped)
    }
}
