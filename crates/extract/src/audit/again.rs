//! Audits a dataset again, from its audit file and the files beside it.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::path::Path;

use arrow_array::StringArray;

use loadgen_timeline::audit::{
    Audit, AuditError, AuditFile, Check, Level, latest_audit, read_audit,
};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

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
        let of = |form: &str| format!("{name}_{stamp}.{form}");
        let is_written = |file: &String| files.iter().any(|written| written.name == *file);
        let file = Some(of("parquet")).filter(|file| is_written(file) && !is_written(&of("csv")));
        let path = folder.join(file.as_ref().unwrap_or(&of("csv")));
        if expected == 0 && !path.exists() {
            continue;
        }
        let counted = match file {
            Some(_) => count_parquet(&path),
            None => count(&path).map_err(io::Error::from),
        };
        match counted {
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

impl Counted {
    fn add(&mut self, kind: &str) {
        match self.by_type.get_mut(kind) {
            Some(count) => *count += 1,
            None => _ = self.by_type.insert(kind.to_owned(), 1),
        }
    }
}

/// The same of a table that comes as Parquet alone.
fn count_parquet(path: &Path) -> io::Result<Counted> {
    let builder = ParquetRecordBatchReaderBuilder::try_new(File::open(path)?)?;
    let columns = ProjectionMask::columns(builder.parquet_schema(), ["anomaly_type"]);
    let mut counted = Counted {
        rows: 0,
        by_type: BTreeMap::new(),
    };
    for batch in builder.with_projection(columns).build()? {
        let batch = batch.map_err(io::Error::other)?;
        counted.rows += batch.num_rows() as u64;
        let types = batch.columns().first();
        let types = types.and_then(|types| types.as_any().downcast_ref::<StringArray>());
        for kind in types.into_iter().flatten().flatten() {
            counted.add(kind);
        }
    }
    Ok(counted)
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
        counted.add(kind);
    }
    Ok(counted)
}
