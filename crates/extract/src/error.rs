//! Why there is no dataset.

use std::io;
use std::path::PathBuf;

use loadgen_timeline::TimelineError;

use loadgen_timeline::audit::LineProblem;

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
    /// The file of faults that were made by hand can't serve.
    #[error(
        "{} is not a file of faults: {reason}; give lines of fault_injected and fault_cleared, as on a \
         timeline",
        path.display()
    )]
    NotFaults {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// An input file can't be opened or read.
    #[error("can't read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// There is something in the files, but nothing of it can be read.
    #[error(
        "no telemetry that can be read in {}{}: {}: {}\nlooked for OTLP as JSON (lines, lists, or \
         over many lines) or protobuf, and for the JSON of Jaeger and of Tempo",
        first.file.display(),
        others(*files),
        place(first, *at),
        first.reason
    )]
    Unreadable {
        /// Files of the input.
        files: u64,
        /// The first line that could not be read.
        first: LineProblem,
        /// Line and column where reading failed; none of a file that is no text or can't be read
        /// again.
        at: Option<(u64, u64)>,
    },
    /// A file was named more than once.
    #[error("{} is given twice: its rows would be doubled", path.display())]
    GivenTwice {
        /// The file.
        path: PathBuf,
    },
    /// A line can't be read, and none may be skipped.
    #[error(
        "{lines} lines, or parts of lines, can't be read, and --strict allows none: {}, {}: {}",
        first.file.display(),
        place(first, *at),
        first.reason
    )]
    Strict {
        /// Such lines and parts.
        lines: u64,
        /// The first of them.
        first: LineProblem,
        /// Line and column where reading failed; none of a file that is no text or can't be read
        /// again.
        at: Option<(u64, u64)>,
    },
    /// Files were given for a signal that none of them holds.
    #[error("no {signal} in {}: what is in it is another signal", path.display())]
    OtherSignal {
        /// `traces`, `metrics` or `logs`.
        signal: &'static str,
        /// The first file that was given for it.
        path: PathBuf,
    },
    /// It was told to end early.
    #[error("stopped before the dataset was made")]
    Stopped,
    /// Another call of continuous extraction is under way.
    #[error("{} is in use by another extraction; wait until it has ended", path.display())]
    Busy {
        /// The folder of datasets.
        path: PathBuf,
    },
    /// The state of continuous extraction can't serve.
    #[error(
        "can't read the state {}: {source}; put a copy back, or remove it: runs that have a dataset \
         are still known by it, and all telemetry is read again",
        path.display()
    )]
    State {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: io::Error,
    },
    /// A run folder was given for a folder of runs.
    #[error(
        "{} is the folder of one run; give the folder in which each run has a folder, or this run's \
         timeline with --timeline",
        path.display()
    )]
    IsARun {
        /// The folder.
        path: PathBuf,
    },
    /// A bug of the extractor: not every span, data point or log record became one row.
    #[error(
        "{records_read} records were read but {rows_written} rows written; this is a bug of \
         loadgen, please report it"
    )]
    RowsMissing {
        /// Spans, data points and log records read.
        records_read: u64,
        /// Rows written.
        rows_written: u64,
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
        matches!(
            self,
            Self::NoInput
                | Self::Timeline(_)
                | Self::NotFaults { .. }
                | Self::Read { .. }
                | Self::Unreadable { .. }
                | Self::GivenTwice { .. }
                | Self::Strict { .. }
                | Self::OtherSignal { .. }
                | Self::State { .. }
                | Self::IsARun { .. }
        )
    }
}

/// Where reading failed.
fn place(problem: &LineProblem, at: Option<(u64, u64)>) -> String {
    match at {
        Some((line, column)) => format!("line {line}, column {column}"),
        None => format!("message {}, byte {}", problem.line, problem.byte),
    }
}

fn others(files: u64) -> String {
    match files.saturating_sub(1) {
        0 => String::new(),
        1 => " nor in the other file".to_owned(),
        more => format!(" nor in the {more} other files"),
    }
}
