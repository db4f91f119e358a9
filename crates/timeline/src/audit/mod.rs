//! What is known of a dataset: the figures that were counted on the way to it, and what an audit
//! made of them. Whoever reads `audit_<stamp>.json` needs this and nothing else; the checks are the
//! extractor's.

mod figures;
mod read;

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use figures::{
    ClockFigures, CountingPath, Effect, Figures, ForeignRows, Gap, IdLeak, IdOfWindow, LateSpans,
    Leak, LedgerFigures, OffPlan, Predictor, Rows, RunFigures, ServiceFigures, SpanNormals,
    TimeOffset, TimelineFigures, ToldBlocks, WideOperation, WindowFigures,
};
pub use read::{AuditError, audits, latest_audit, read_audit};

/// Version of the form of `audit_<stamp>.json`. Files of version 1 are read, too: what they do not
/// say has its default.
pub const AUDIT_SCHEMA_VERSION: u32 = 2;

/// How bad a finding is.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// Within the limit.
    Ok,
    /// Good to know.
    Info,
    /// The dataset can be used with care.
    Warning,
    /// The dataset can't be used.
    Error,
}

/// What to think of a dataset.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum DatasetVerdict {
    /// No check found anything.
    Usable,
    /// Some found a warning.
    UsableWithWarnings,
    /// One found an error.
    NotUsable,
}

/// One check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Check {
    /// Its name, which stays the same.
    pub id: String,
    /// How bad what it found is.
    pub level: Level,
    /// What was found.
    pub figure: String,
    /// From where on it is worth a word; empty: there is no limit.
    pub limit: String,
    /// What to do about it; empty: nothing.
    pub advice: String,
    /// By service, window or place.
    pub details: Vec<String>,
}

/// All checks of a dataset.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Audit {
    /// The worst of the checks.
    pub verdict: DatasetVerdict,
    /// The checks, always all of them, in the same order.
    pub checks: Vec<Check>,
}

impl From<Vec<Check>> for Audit {
    fn from(checks: Vec<Check>) -> Self {
        let worst = checks.iter().map(|check| check.level).max();
        Self {
            verdict: match worst {
                Some(Level::Error) => DatasetVerdict::NotUsable,
                Some(Level::Warning) => DatasetVerdict::UsableWithWarnings,
                _ => DatasetVerdict::Usable,
            },
            checks,
        }
    }
}

/// What stands in `audit_<stamp>.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AuditFile {
    /// [`AUDIT_SCHEMA_VERSION`].
    pub schema_version: u32,
    /// `<YYYYMMDD_HHMMSS>` in the name of every file of the dataset.
    pub stamp: String,
    /// Version of loadgen that made the dataset.
    pub loadgen_version: String,
    /// What was found.
    pub audit: Audit,
    /// What was counted.
    pub figures: Figures,
    /// Lines that could not be read, as far as they are named.
    pub skipped: Vec<LineProblem>,
    /// The other files of the dataset; empty in those of older versions.
    #[serde(default)]
    pub files: Vec<DatasetFile>,
}

/// A file of a dataset, as it was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DatasetFile {
    /// Its name.
    pub name: String,
    /// Rows in it, without the header.
    pub rows: u64,
    /// Its size in bytes.
    pub bytes: u64,
}

/// A line that could not be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
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

/// JSON Schema of `audit_<stamp>.json`.
pub fn audit_json_schema() -> serde_json::Value {
    schemars::schema_for!(AuditFile).to_value()
}
