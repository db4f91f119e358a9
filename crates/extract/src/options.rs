//! What an extraction is asked for.

use std::path::PathBuf;

use chrono::{DateTime, Utc};

use crate::stop::Stop;

/// The forms that tables come in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum TableFormats {
    /// Each table as CSV and as Parquet.
    #[default]
    Both,
    /// CSV alone.
    Csv,
    /// Parquet alone. The files of classes are CSV, so there are none.
    Parquet,
}

impl TableFormats {
    /// Whether tables come as CSV.
    pub(crate) fn csv(self) -> bool {
        self != TableFormats::Parquet
    }

    /// Whether tables come as Parquet.
    pub(crate) fn parquet(self) -> bool {
        self != TableFormats::Csv
    }
}

/// What to extract.
#[derive(Debug, Clone, Default)]
pub struct ExtractOptions {
    /// Files of any signals, also mixed, in any form that `docs/dataset-format.md` names; folders;
    /// patterns; `-` for standard input.
    pub inputs: Vec<PathBuf>,
    /// Files that hold traces; that none of them does is an error.
    pub traces: Vec<PathBuf>,
    /// Files that hold metrics; that none of them does is an error.
    pub metrics: Vec<PathBuf>,
    /// Files that hold logs; that none of them does is an error.
    pub logs: Vec<PathBuf>,
    /// The run's `timeline.jsonl`. Without one only headers can give a label, and the audit says
    /// that the dataset is not usable.
    pub timeline: Option<PathBuf>,
    /// The run's `ledger.arrows`; none: the one beside the timeline, if there is one.
    pub ledger: Option<PathBuf>,
    /// More timeline lines of faults, for those that were made by hand. None: `faults.jsonl` beside
    /// the timeline, if there is one.
    pub faults: Option<PathBuf>,
    /// Timelines of other runs whose telemetry may be in the same files, each with its ledger beside
    /// it: their traces are not this run's, whatever else is known of them.
    pub other_runs: Vec<PathBuf>,
    /// Folder for the dataset; made if it does not exist.
    pub output: PathBuf,
    /// Time in the names of the files; none: now.
    pub stamp: Option<DateTime<Utc>>,
    /// Look moments up by times that are corrected by the offset of each service's clock. Rows keep
    /// the times as they came.
    pub correct_skew: bool,
    /// What is added to each time of the telemetry, nanoseconds: where its clock was set to another
    /// zone. Rows have the sums.
    pub shift_ns: i64,
    /// Write only rows whose phase is `steady`.
    pub steady_only: bool,
    /// Keep rows that are not the run's, labelled `unknown`.
    pub include_foreign: bool,
    /// Rows of all phases and verdicts go to the files of classes.
    pub all_phases: bool,
    /// A line that can't be read is an error.
    pub strict: bool,
    /// Leave columns that give the label away out of the files of spans, and ids that do out of
    /// those of data points and log records.
    pub drop_leaks: bool,
    /// The forms that tables come in.
    pub formats: TableFormats,
    /// Leave out the tables that put a run together: services over time, traces by their shape, the
    /// graph of calls, metrics in a wide table, and with them the causal graphs.
    pub labels_only: bool,
    /// Ends the extraction early, with [`ExtractError::Stopped`](crate::ExtractError::Stopped).
    pub stop: Stop,
}
