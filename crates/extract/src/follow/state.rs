//! What continuous extraction remembers from one call to the next: a small JSON file beside the
//! datasets. It is written anew and renamed, so a kill leaves the old one or the new one.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use loadgen_timeline::audit::DatasetVerdict;
use serde::{Deserialize, Serialize};

use super::complete::{MetricSource, RunMarks};
use super::index::FileMark;
use super::marks::RowCounts;

/// The state's version.
pub(crate) const STATE_VERSION: u32 = 1;

/// Its name in the folder of the datasets.
pub(crate) const STATE_FILE: &str = "extraction-state.json";

/// What is remembered. Times are Unix nanoseconds.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct State {
    /// Of its form.
    pub version: u32,
    /// When it was written.
    pub written: DateTime<Utc>,
    /// Rows of all files that were ever read.
    pub totals: Totals,
    /// The runs, in the order in which they began.
    pub runs: Vec<RunState>,
    /// The files that are there, or were at the last look.
    pub files: Vec<FileMark>,
    /// Files that were there once.
    pub gone: Gone,
    /// Who sends metrics, by a hash of resource and scope.
    pub metric_sources: BTreeMap<String, MetricSource>,
}

/// Where all rows went.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    /// Rows read, each once.
    pub read: RowCounts,
    /// Rows of datasets, with those that were left out of them on request.
    pub of_datasets: RowCounts,
    /// Rows of runs that came after the run's dataset was made.
    pub late: RowCounts,
    /// All others: of no run, or of runs that have no dataset yet.
    pub rest: RowCounts,
}

/// Files that rotation has deleted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gone {
    /// How many.
    pub files: u64,
    /// What had been read of them.
    pub rows: RowCounts,
}

/// A run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunState {
    /// Its id.
    pub run_id: String,
    /// Name of its folder.
    pub folder: String,
    /// When it began.
    pub begin_ns: i64,
    /// When it ended; none: it goes on.
    pub end_ns: Option<i64>,
    /// Where it stands.
    #[serde(flatten)]
    pub standing: Standing,
    /// Files that had telemetry of it and were gone before it was extracted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lost: Vec<LostFile>,
    /// Rows of it that came after its dataset was made. They are in no dataset.
    #[serde(default)]
    pub late: RowCounts,
    /// What was read of it while it was waited for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub marks: Option<RunMarks>,
}

/// Where a run stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum Standing {
    /// It goes on, or something of it is still to come.
    Waiting {
        /// What.
        missing: Vec<String>,
    },
    /// It has a dataset.
    Extracted(Extracted),
    /// It is complete, and no dataset can be made. Each call tries again.
    Failed {
        /// Why.
        reason: String,
    },
}

/// A dataset that was made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Extracted {
    /// Name of its folder.
    pub dataset: String,
    /// When.
    pub at: DateTime<Utc>,
    /// What its audit found.
    pub verdict: DatasetVerdict,
    /// Its rows, with those that were left out on request.
    pub rows: RowCounts,
    /// Rows of the files below that are not the run's.
    pub others: RowCounts,
    /// The files that were read for it, by their names at that time.
    pub files: Vec<PathBuf>,
    /// What had not come when the wait was over, and what had been lost before.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<String>,
    /// Runs that went on at the same time.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub overlaps: Vec<String>,
}

/// A file that was gone before a run was extracted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LostFile {
    /// Its name when it was last seen.
    pub path: PathBuf,
    /// Rows of the run that had been seen in it.
    pub rows: RowCounts,
    /// It was still being written then: what else came into it, and into others before the oldest
    /// that is still there, nobody knows.
    pub was_open: bool,
}

impl RunState {
    /// Its dataset, if it has one.
    pub fn extracted(&self) -> Option<&Extracted> {
        match &self.standing {
            Standing::Extracted(extracted) => Some(extracted),
            _ => None,
        }
    }
}

impl State {
    /// Runs that have no dataset yet.
    pub fn pending(&self) -> usize {
        let runs = self.runs.iter();
        runs.filter(|run| run.extracted().is_none()).count()
    }

    /// Adds up where all rows went.
    pub(crate) fn add_up(&mut self) {
        let mut totals = Totals {
            read: self.gone.rows,
            ..Totals::default()
        };
        for file in &self.files {
            totals.read.add(file.rows);
        }
        for run in &self.runs {
            totals.late.add(run.late);
            if let Some(extracted) = run.extracted() {
                totals.of_datasets.add(extracted.rows);
            }
        }
        totals.rest = totals.read.less(totals.of_datasets).less(totals.late);
        self.totals = totals;
    }

    /// Reads the state of a folder of datasets; none: there is none yet.
    ///
    /// # Errors
    /// When it can't be read, or is no state of a version that is known.
    pub(crate) fn load(folder: &Path) -> io::Result<Option<Self>> {
        let text = match fs::read(folder.join(STATE_FILE)) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let state: Self = serde_json::from_slice(&text)?;
        if state.version != STATE_VERSION {
            let version = state.version;
            let message = format!("version {version}; this loadgen reads version {STATE_VERSION}");
            return Err(io::Error::new(io::ErrorKind::InvalidData, message));
        }
        Ok(Some(state))
    }

    /// Puts itself in the place of the state of before.
    pub(crate) fn save(&mut self, folder: &Path, at: DateTime<Utc>) -> io::Result<()> {
        self.version = STATE_VERSION;
        self.written = at;
        self.add_up();
        write_json(&folder.join(STATE_FILE), self)
    }
}

/// Writes a file that is whole or not there.
pub(crate) fn write_json(path: &Path, value: &impl Serialize) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut builder = tempfile::Builder::new();
    builder.prefix(".extraction-");
    // Others may read it, as any file that is made without more ado.
    #[cfg(unix)]
    let builder = builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let mut file = builder.tempfile_in(folder)?;
    let mut text = serde_json::to_vec_pretty(value)?;
    text.push(b'\n');
    file.write_all(&text)?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    sync_folder(folder)
}

/// What was renamed in a folder stays renamed.
pub(crate) fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}
