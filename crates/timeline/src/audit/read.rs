//! Finds and reads the audit file of a dataset.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::{AUDIT_SCHEMA_VERSION, AuditFile};

/// Why there is nothing to say of a dataset.
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

/// The audit file with the last stamp in a folder.
///
/// # Errors
///
/// [`AuditError`]: there is none, or the folder can't be read.
pub fn latest_audit(folder: &Path) -> Result<PathBuf, AuditError> {
    let last = audits(folder)?.pop();
    last.ok_or_else(|| AuditError::NoAudit(folder.to_path_buf()))
}

/// The audit files in a folder, one for each extraction, by their stamps.
///
/// # Errors
///
/// [`AuditError::Read`]: the folder can't be read.
pub fn audits(folder: &Path) -> Result<Vec<PathBuf>, AuditError> {
    let entries = fs::read_dir(folder).map_err(|source| AuditError::Read {
        path: folder.to_path_buf(),
        source,
    })?;
    let names = entries.flatten().map(|entry| entry.path());
    let is_audit = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with("audit_") && name.ends_with(".json")
    };
    let mut found: Vec<PathBuf> = names.filter(is_audit).collect();
    found.sort();
    Ok(found)
}

/// Reads an audit file of this version or an older one.
///
/// # Errors
///
/// [`AuditError`]: it can't be read, is of a newer version, or is no audit file.
pub fn read_audit(path: &Path) -> Result<AuditFile, AuditError> {
    /// Told apart first: a newer form need not fit the types.
    #[derive(Deserialize)]
    struct Head {
        schema_version: u32,
    }
    let bytes = fs::read(path).map_err(|source| AuditError::Read {
        path: path.to_path_buf(),
        source,
    })?;
    let malformed = |reason: String| AuditError::Malformed {
        path: path.to_path_buf(),
        reason,
    };
    let wrong = |error: serde_json::Error| malformed(error.to_string());
    let head: Head = serde_json::from_slice(&bytes).map_err(wrong)?;
    if head.schema_version > AUDIT_SCHEMA_VERSION {
        return Err(malformed(format!(
            "it has schema version {}, and this loadgen reads up to {AUDIT_SCHEMA_VERSION}: use a \
             newer one",
            head.schema_version
        )));
    }
    serde_json::from_slice(&bytes).map_err(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<AuditFile, AuditError> {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("audit_20260101_000000.json");
        fs::write(&path, text).expect("written");
        assert_eq!(latest_audit(folder.path()).expect("found"), path);
        read_audit(&path)
    }

    #[test]
    fn a_file_of_version_1_is_read_and_what_it_lacks_has_its_default() {
        let file = read(
            r#"{"schema_version":1,"stamp":"20260101_000000","loadgen_version":"0.1.0",
            "audit":{"verdict":"usable","checks":[]},"skipped":[],
            "figures":{"run":null,"timeline":{"finished":true,"status":"completed","skipped_lines":0,
            "fault_failures":[],"without_fault":[]},"ledger":{"requests":7,"torn":false},
            "spans":{"read":5,"written":5,"filtered":0},"points":{"read":0,"written":0,"filtered":0},
            "logs":{"read":0,"written":0,"filtered":0},"skipped_lines":0,"torn_lines":0,"traces":2,
            "traces_cut":0,"duplicate_spans":0,"spans_by_source":{},"spans_by_phase":{},
            "spans_by_type":{"none":5},"windows":[{"scenario":"a","anomaly_type":"none","spans":5,
            "traces":2,"requests":7,"lost_traces":1,"recovered_ns":null}],"services":{},
            "expected_services":[],"clocks":[],"skew_corrected":false,"recovery_known":false,
            "leaks":[],"dropped_columns":[]}}"#,
        );
        let figures = file.expect("read").figures;
        assert_eq!(figures.ledger.expect("a ledger").requests, 7);
        assert_eq!(
            (figures.windows[0].lost_traces, &figures.windows[0].verdict),
            (1, &None)
        );
        assert_eq!(figures.spans.foreign, 0);
    }

    #[test]
    fn a_newer_file_and_one_that_is_none_are_refused_with_the_reason() {
        let newer = read(r#"{"schema_version":99,"all":"else"}"#).expect_err("newer");
        assert!(newer.to_string().contains("schema version 99"), "{newer}");
        let other = read(r#"{"a":1}"#).expect_err("another file");
        assert!(other.to_string().contains("schema_version"), "{other}");
        let none = latest_audit(tempfile::tempdir().expect("a folder").path());
        assert!(matches!(none, Err(AuditError::NoAudit(_))));
    }
}
