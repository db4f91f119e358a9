//! What an extraction read and wrote.

use std::path::PathBuf;

use loadgen_timeline::audit::{Audit, Figures, LineProblem};
use serde::{Deserialize, Serialize};

use crate::dataset::staging::StagedFile;

/// What an extraction read and wrote, for people and, as JSON, for programs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ExtractReport {
    /// `<YYYYMMDD_HHMMSS>` (UTC) in the name of every file.
    pub stamp: String,
    /// The output folder.
    pub output: PathBuf,
    /// The files of the dataset.
    pub files: Vec<WrittenFile>,
    /// The files of the input.
    pub input: InputReport,
    /// Everything that was counted; the audit rests on it.
    pub figures: Figures,
    /// What the audit found.
    pub audit: Audit,
    /// Rows by what they are labelled with; `unknown` first, then in the order of the timeline.
    pub labels: Vec<LabelCount>,
    /// Lines that could not be read, the first [`MAX_LINES_NAMED`] of them.
    pub skipped: Vec<LineProblem>,
    /// Last lines of files that were cut off in the middle: at most one a file.
    pub torn: Vec<LineProblem>,
    /// How long the extraction took, in seconds.
    pub seconds: f64,
}

/// So many lines at most are named in [`ExtractReport::skipped`]; the counts are of all.
pub const MAX_LINES_NAMED: usize = 1000;

impl ExtractReport {
    /// Whether every span, data point and log record that was read has become one row, or was left
    /// out on request. It always holds: a dataset of which it would not is refused with
    /// [`ExtractError::RowsMissing`](crate::ExtractError::RowsMissing).
    pub fn reconciles(&self) -> bool {
        let figures = &self.figures;
        [&figures.spans, &figures.points, &figures.logs]
            .iter()
            .all(|rows| rows.reconcile())
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

impl From<StagedFile> for WrittenFile {
    fn from(file: StagedFile) -> Self {
        Self {
            path: file.path,
            rows: file.rows,
            bytes: file.bytes,
        }
    }
}

/// What was read.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct InputReport {
    /// Files read.
    pub files: u64,
    /// Bytes read from them.
    pub bytes: u64,
    /// Lines in them, blank and bad ones included.
    pub lines: u64,
    /// Lines that could not be read, without torn last lines.
    pub skipped_lines: u64,
    /// Last lines that were cut off.
    pub torn_last_lines: u64,
    /// Parts of lines that could not be read, such as spans of a line that is read otherwise.
    #[serde(default)]
    pub unread_parts: u64,
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
