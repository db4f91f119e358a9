//! Reads `windows_`, `evidence_` and `audit_` of one extraction.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use loadgen_evidence::{EVIDENCE_SCHEMA_VERSION, Evidence, Reference, Thresholds, WindowEvidence};
use loadgen_timeline::audit::{
    DatasetVerdict, RunFigures, WindowFigures, latest_audit, read_audit,
};
use serde::{Deserialize, Serialize};

use crate::exit::{Exit, Failure};
use crate::folder::RunFolder;

/// A dataset, as far as it is shown.
#[derive(Debug, Serialize)]
pub(crate) struct Shown {
    /// The folder that its files are in.
    pub(crate) folder: PathBuf,
    /// `<YYYYMMDD_HHMMSS>` in the names of its files.
    pub(crate) stamp: String,
    /// What the audit said.
    pub(crate) verdict: DatasetVerdict,
    /// The run; none without a timeline.
    pub(crate) run: Option<RunFigures>,
    /// What windows are compared with.
    pub(crate) reference: Reference,
    /// The windows, in the order of opening.
    pub(crate) windows: Vec<ShownWindow>,
    /// Spans by anomaly type.
    pub(crate) spans_by_type: BTreeMap<String, u64>,
    /// Spans by phase.
    pub(crate) spans_by_phase: BTreeMap<String, u64>,
    /// Spans that are in no file of a class, by the reason.
    pub(crate) left_out: BTreeMap<String, u64>,
    /// What the evidence decided by.
    pub(crate) thresholds: Thresholds,
}

/// A window.
#[derive(Debug, Serialize)]
pub(crate) struct ShownWindow {
    /// Its number, from 0.
    pub(crate) number: usize,
    /// Its row in the table of windows; cells that are empty are left out.
    pub(crate) row: BTreeMap<String, String>,
    /// What was counted of it.
    pub(crate) figures: WindowFigures,
    /// What was compared.
    pub(crate) evidence: WindowEvidence,
}

/// The last extraction in a folder, or in `dataset` of a run's folder.
pub(crate) fn load(folder: &Path, stamp: Option<&str>) -> Result<Shown, Failure> {
    let bad = |error: String| Failure::new(Exit::BadInput, error);
    let inner = folder.join("dataset");
    let path = match (stamp, latest_audit(folder)) {
        (None, Ok(path)) => path,
        (None, Err(_)) if inner.is_dir() => latest_audit(&inner).map_err(|e| bad(e.to_string()))?,
        (None, Err(_)) if RunFolder::of(folder).timeline().exists() => {
            let folder = folder.display();
            return Err(bad(format!(
                "{folder} is a run without a dataset: `loadgen extract {folder}` makes it"
            )));
        }
        (None, Err(error)) => return Err(bad(error.to_string())),
        (Some(stamp), _) => {
            let name = format!("audit_{stamp}.json");
            let in_run = inner.join(&name);
            if in_run.exists() {
                in_run
            } else {
                folder.join(name)
            }
        }
    };
    let folder = path.parent().unwrap_or(folder).to_path_buf();
    let audit = read_audit(&path).map_err(|error| bad(error.to_string()))?;
    let evidence = evidence(&folder.join(format!("evidence_{}.json", audit.stamp)))?;
    let table = folder.join(format!("windows_{}.csv", audit.stamp));
    let rows = rows(&table)?;
    let figures = audit.figures;
    let lengths = (rows.len(), figures.windows.len(), evidence.windows.len());
    if lengths.0 != lengths.1 || lengths.0 != lengths.2 {
        return Err(bad(format!(
            "the files of {} in {} are not those of one extraction: the table has {} windows, the \
             audit {}, the evidence {}; extract again",
            audit.stamp,
            folder.display(),
            lengths.0,
            lengths.1,
            lengths.2
        )));
    }
    let windows = rows
        .into_iter()
        .zip(figures.windows)
        .zip(evidence.windows)
        .enumerate();
    let windows = windows.map(|(number, ((row, figures), evidence))| ShownWindow {
        number,
        row,
        figures,
        evidence,
    });
    Ok(Shown {
        windows: windows.collect(),
        stamp: audit.stamp,
        verdict: audit.audit.verdict,
        run: figures.run,
        reference: evidence.reference,
        spans_by_type: figures.spans_by_type,
        spans_by_phase: figures.spans_by_phase,
        left_out: figures.left_out,
        thresholds: evidence.thresholds,
        folder,
    })
}

fn evidence(path: &Path) -> Result<Evidence, Failure> {
    #[derive(Deserialize)]
    struct Head {
        schema_version: u32,
    }
    let name = path.display();
    let bad = |reason: String| Failure::new(Exit::BadInput, reason);
    let wrong = |error: serde_json::Error| {
        bad(format!(
            "{name} is not a file of evidence: {error}; extract again"
        ))
    };
    let bytes = fs::read(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => bad(format!(
            "there is no {name}: an older loadgen made this dataset, or somebody took the file away; \
             extract again"
        )),
        _ => bad(format!("can't read {name}: {error}")),
    })?;
    let head: Head = serde_json::from_slice(&bytes).map_err(wrong)?;
    if head.schema_version > EVIDENCE_SCHEMA_VERSION {
        return Err(bad(format!(
            "{name} has schema version {}, and this loadgen reads up to {EVIDENCE_SCHEMA_VERSION}: \
             use a newer one",
            head.schema_version
        )));
    }
    serde_json::from_slice(&bytes).map_err(wrong)
}

fn rows(path: &Path) -> Result<Vec<BTreeMap<String, String>>, Failure> {
    let bad = |error: csv::Error| {
        let message = format!(
            "can't read the table of windows {}: {error}",
            path.display()
        );
        Failure::new(Exit::BadInput, message)
    };
    let mut reader = csv::Reader::from_path(path).map_err(bad)?;
    let header = reader.headers().map_err(bad)?.clone();
    let row = |record: Result<csv::StringRecord, csv::Error>| {
        let record = record.map_err(bad)?;
        let cells = header
            .iter()
            .zip(record.iter())
            .filter(|(_, value)| !value.is_empty());
        // Taking one leading `'` off gives back what was there.
        let plain = |value: &str| value.strip_prefix('\'').unwrap_or(value).to_owned();
        Ok(cells
            .map(|(name, value)| (name.to_owned(), plain(value)))
            .collect())
    };
    reader.records().map(row).collect()
}
