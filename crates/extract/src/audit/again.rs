//! Audits a dataset again, from its audit file and the files beside it.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::{AUDIT_SCHEMA_VERSION, AuditFile, Check, Level, audit, of_checks};
use crate::figures::Figures;

/// Why a dataset can't be audited.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AuditError {
    /// There is no audit file in the folder.
    #[error("no audit_<stamp>.json in {}: give the folder that `loadgen extract` wrote to", .0.display())]
    NoAudit(PathBuf),
    /// A file can't be read.
    #[error("can't read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file is not what its name says.
    #[error("{} is not an audit file that this loadgen can read: {reason}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
}

/// Checks the figures again by today's limits, and counts the rows of the files again.
///
/// # Errors
///
/// [`AuditError`]: no audit file, or one that can't be read.
pub fn audit_again(folder: &Path, stamp: Option<&str>) -> Result<AuditFile, AuditError> {
    let path = match stamp {
        Some(stamp) => folder.join(format!("audit_{stamp}.json")),
        None => latest(folder)?,
    };
    let read = |source| AuditError::Read {
        path: path.clone(),
        source,
    };
    let malformed = |reason: String| AuditError::Malformed {
        path: path.clone(),
        reason,
    };
    let bytes = fs::read(&path).map_err(read)?;
    let mut file: AuditFile =
        serde_json::from_slice(&bytes).map_err(|error| malformed(error.to_string()))?;
    if file.schema_version > AUDIT_SCHEMA_VERSION {
        let version = file.schema_version;
        return Err(malformed(format!(
            "it has schema version {version}: use a newer loadgen"
        )));
    }
    let mut checks = audit(&file.figures).checks;
    checks.push(files(folder, &file.stamp, &file.figures));
    file.audit = of_checks(checks);
    Ok(file)
}

/// The audit file with the last stamp.
fn latest(folder: &Path) -> Result<PathBuf, AuditError> {
    let entries = fs::read_dir(folder).map_err(|source| AuditError::Read {
        path: folder.to_path_buf(),
        source,
    })?;
    let names = entries.flatten().map(|entry| entry.path());
    let is_audit = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with("audit_") && name.ends_with(".json")
    };
    let last = names.filter(is_audit).max();
    last.ok_or_else(|| AuditError::NoAudit(folder.to_path_buf()))
}

/// Compares the rows on the disk with the figures.
fn files(folder: &Path, stamp: &str, figures: &Figures) -> Check {
    let mut problems = Vec::new();
    let signals = [
        ("traces_labeled", figures.spans.written),
        ("metrics_labeled", figures.points.written),
        ("logs_labeled", figures.logs.written),
    ];
    let mut rows = 0;
    for (name, expected) in signals {
        let path = folder.join(format!("{name}_{stamp}.csv"));
        if expected == 0 && !path.exists() {
            continue;
        }
        match count(&path) {
            Ok(counted) => {
                rows += counted.rows;
                if counted.rows != expected {
                    problems.push(format!(
                        "{}: {} rows, there were {expected}",
                        path.display(),
                        counted.rows
                    ));
                }
                let filtered = figures.spans.filtered > 0;
                if name == "traces_labeled" && !filtered && counted.by_type != figures.spans_by_type
                {
                    problems.push(format!(
                        "{}: its labels are not those that were counted",
                        path.display()
                    ));
                }
            }
            Err(error) => problems.push(format!("{}: {error}", path.display())),
        }
    }
    let level = if problems.is_empty() {
        Level::Ok
    } else {
        Level::Error
    };
    Check {
        id: "files".to_owned(),
        level,
        figure: format!("{rows} rows on the disk, {} problems", problems.len()),
        limit: "as counted".to_owned(),
        advice: match level {
            Level::Ok => String::new(),
            _ => "The files are not what the extraction wrote: extract again.".to_owned(),
        },
        details: problems,
    }
}

struct Counted {
    rows: u64,
    by_type: BTreeMap<String, u64>,
}

fn count(path: &Path) -> Result<Counted, csv::Error> {
    let mut reader = csv::Reader::from_path(path)?;
    let column = reader
        .headers()?
        .iter()
        .position(|name| name == "anomaly_type");
    let mut counted = Counted {
        rows: 0,
        by_type: BTreeMap::new(),
    };
    let mut record = csv::StringRecord::new();
    while reader.read_record(&mut record)? {
        counted.rows += 1;
        let kind = column
            .and_then(|column| record.get(column))
            .unwrap_or_default();
        // Taking one leading `'` off gives back what was there.
        let kind = kind.strip_prefix('\'').unwrap_or(kind);
        match counted.by_type.get_mut(kind) {
            Some(count) => *count += 1,
            None => _ = counted.by_type.insert(kind.to_owned(), 1),
        }
    }
    Ok(counted)
}
