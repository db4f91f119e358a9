//! Audits a dataset again, from its audit file and the files beside it.

use std::collections::BTreeMap;
use std::path::Path;

use loadgen_timeline::audit::{
    Audit, AuditError, AuditFile, Check, Level, latest_audit, read_audit,
};

use super::audit;

/// Checks the figures again by today's limits, and counts the rows of the files again.
///
/// # Errors
///
/// [`AuditError`]: no audit file, or one that can't be read.
pub fn audit_again(folder: &Path, stamp: Option<&str>) -> Result<AuditFile, AuditError> {
    let path = match stamp {
        Some(stamp) => folder.join(format!("audit_{stamp}.json")),
        None => latest_audit(folder)?,
    };
    let mut file = read_audit(&path)?;
    let mut checks = audit(&file.figures).checks;
    checks.push(files(folder, &file));
    file.audit = Audit::from(checks);
    Ok(file)
}

/// Compares the files on the disk with what was written, and rows with the figures.
fn files(folder: &Path, file: &AuditFile) -> Check {
    let AuditFile {
        stamp,
        figures,
        files,
        ..
    } = file;
    let sizes = files.iter().filter_map(|file| {
        let path = folder.join(&file.name);
        match path.metadata() {
            Ok(found) if found.len() == file.bytes => None,
            Ok(found) => Some(format!(
                "{}: {} bytes, there were {}",
                path.display(),
                found.len(),
                file.bytes
            )),
            Err(error) => Some(format!("{}: {error}", path.display())),
        }
    });
    let mut problems: Vec<String> = sizes.collect();
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
