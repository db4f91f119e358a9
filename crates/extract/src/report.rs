//! What an extraction read and wrote.

use std::path::PathBuf;

use serde::Serialize;

/// What an extraction read and wrote, for people and, as JSON, for programs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ExtractReport {
    /// `<YYYYMMDD_HHMMSS>` (UTC) in the name of every file.
    pub stamp: String,
    /// The output folder.
    pub output: PathBuf,
    /// The files of the dataset.
    pub files: Vec<WrittenFile>,
    /// Spans.
    pub traces: SignalReport,
    /// Data points of metrics.
    pub metrics: SignalReport,
    /// Log records.
    pub logs: SignalReport,
    /// Different trace ids among the spans that have a start time.
    pub distinct_traces: u64,
    /// Rows by what they are labelled with; `unknown` first, then in the order of the timeline.
    pub labels: Vec<LabelCount>,
    /// Spans that lie in no window, or in several that overlap and disagree.
    pub unknown_spans: u64,
    /// Of these, the spans that lie in several windows that disagree.
    pub ambiguous_spans: u64,
    /// Lines that could not be read, the first [`MAX_LINES_NAMED`] of them.
    pub skipped: Vec<LineProblem>,
    /// Last lines of files that were cut off in the middle: at most one a file.
    pub torn: Vec<LineProblem>,
    /// Lines of the timeline that could not be read.
    pub timeline_lines_skipped: u64,
    /// Whether the run's end is on the timeline. If not, it was killed or still goes on, and the
    /// window that was open ends at the last event.
    pub timeline_finished: bool,
    /// Faults that could not be injected or cleared, by the timeline: labels of their windows are
    /// not backed by a fault.
    pub fault_failures: Vec<String>,
    /// How long the extraction took, in seconds.
    pub seconds: f64,
}

/// So many lines at most are named in [`ExtractReport::skipped`]; the counts are of all.
pub const MAX_LINES_NAMED: usize = 1000;

impl ExtractReport {
    /// Whether every span, data point and log record that was read has become one row. It always
    /// holds: a dataset of which it would not is refused with
    /// [`ExtractError::RowsMissing`](crate::ExtractError::RowsMissing).
    pub fn reconciles(&self) -> bool {
        [&self.traces, &self.metrics, &self.logs]
            .iter()
            .all(|s| s.records_read == s.rows_written)
    }

    /// Lines that could not be read, over all signals and without torn last lines.
    pub fn skipped_lines(&self) -> u64 {
        self.traces.skipped_lines + self.metrics.skipped_lines + self.logs.skipped_lines
    }
}

/// A file of the dataset.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct WrittenFile {
    /// Its path.
    pub path: PathBuf,
    /// Rows in it, without the header.
    pub rows: u64,
    /// Its size in bytes.
    pub bytes: u64,
}

/// What was read and written of one signal.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct SignalReport {
    /// Files read.
    pub files: u64,
    /// Bytes read from them.
    pub bytes: u64,
    /// Lines in them, blank and bad ones included.
    pub lines: u64,
    /// Spans, data points or log records in the lines that could be read.
    pub records_read: u64,
    /// Rows in the file of all of them.
    pub rows_written: u64,
    /// Lines that could not be read, without torn last lines.
    pub skipped_lines: u64,
    /// Last lines that were cut off.
    pub torn_last_lines: u64,
}

/// Rows with one label.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LabelCount {
    /// The anomaly type.
    pub anomaly_type: String,
    /// Spans.
    pub spans: u64,
    /// Data points of metrics.
    pub data_points: u64,
    /// Log records.
    pub log_records: u64,
}

/// A line that could not be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LineProblem {
    /// The file.
    pub file: PathBuf,
    /// Number of the line, from 1.
    pub line: u64,
    /// Offset in the file of the byte at which reading failed.
    pub byte: u64,
    /// What is wrong.
    pub reason: String,
}
