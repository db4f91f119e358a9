//! How many rows have which label, and where labels come from.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Serialize;

use crate::known::{Gaps, Known};
use crate::sources::Sources;
use crate::table::{Table, TableError};

/// Rows by label.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Balance {
    /// By anomaly type, in the order of their names.
    pub types: BTreeMap<String, TypeRows>,
    /// Spans by phase.
    pub spans_by_phase: BTreeMap<String, u64>,
    /// Spans by what their moment is known from.
    pub spans_by_source: BTreeMap<String, u64>,
    /// Spans that are in no file of a class, by the reason.
    pub left_out: BTreeMap<String, u64>,
}

/// Rows of one anomaly type.
#[derive(Debug, Clone, Default, Serialize)]
pub struct TypeRows {
    /// Spans.
    pub spans: u64,
    /// Of these by phase; those without a phase are not in it.
    pub spans_by_phase: BTreeMap<String, u64>,
    /// Spans in its file of a class; none: there is no such file.
    pub class_file: Option<u64>,
    /// Traces.
    pub traces: u64,
    /// Data points of metrics.
    pub points: u64,
    /// Log records.
    pub logs: u64,
}

/// Counts the rows of a dataset.
pub(crate) fn read(sources: &Sources, known: &Known, gaps: &mut Gaps) -> Option<Balance> {
    sources.dataset.as_ref()?;
    let mut balance = Balance::default();
    if let Some(audit) = &known.audit {
        balance.spans_by_phase = audit.figures.spans_by_phase.clone();
        balance.spans_by_source = audit.figures.spans_by_source.clone();
        balance.left_out = audit.figures.left_out.clone();
    }
    let mut count = |table: &str, shows: &str, needed: bool| {
        let path = sources.file(table, "parquet")?;
        match counted(&path) {
            // There is no table of metrics, or of logs, where there were none.
            Err(TableError::Absent) if !needed => None,
            counted => gaps.note(table, shows, counted),
        }
    };
    let spans = count("traces_labeled", "spans by label", true);
    let traces = count("trace_labels", "traces by label", true);
    let points = count("metrics_labeled", "data points by label", false);
    let logs = count("logs_labeled", "log records by label", false);
    for ((kind, phase), rows) in spans.into_iter().flatten() {
        let of_type = balance.types.entry(kind).or_default();
        of_type.spans += rows;
        if !phase.is_empty() {
            *of_type.spans_by_phase.entry(phase).or_default() += rows;
        }
    }
    for ((kind, _), rows) in traces.into_iter().flatten() {
        balance.types.entry(kind).or_default().traces += rows;
    }
    for ((kind, _), rows) in points.into_iter().flatten() {
        balance.types.entry(kind).or_default().points += rows;
    }
    for ((kind, _), rows) in logs.into_iter().flatten() {
        balance.types.entry(kind).or_default().logs += rows;
    }
    for (kind, rows) in &mut balance.types {
        rows.class_file = class_file(known, kind);
    }
    Some(balance)
}

type Counts = BTreeMap<(String, String), u64>;

fn counted(path: &Path) -> Result<Counts, TableError> {
    let mut counts = Counts::new();
    Table::at(path).read(&["anomaly_type", "phase"], |batch| {
        let kinds = batch.text("anomaly_type")?;
        let phases = batch.text("phase")?;
        // Neighbours are mostly alike: rows of one trace.
        let mut last: Option<(&str, &str, u64)> = None;
        for row in 0..batch.rows() {
            let (kind, phase) = (kinds.or_empty(row), phases.or_empty(row));
            last = match last {
                Some((k, p, n)) if k == kind && p == phase => Some((k, p, n + 1)),
                Some((k, p, n)) => {
                    *counts.entry((k.to_owned(), p.to_owned())).or_default() += n;
                    Some((kind, phase, 1))
                }
                None => Some((kind, phase, 1)),
            };
        }
        if let Some((k, p, n)) = last {
            *counts.entry((k.to_owned(), p.to_owned())).or_default() += n;
        }
        Ok(())
    })?;
    Ok(counts)
}

/// Rows of the file of a class, as the audit lists it. Types whose names do not go into a file name as
/// they are have none here.
fn class_file(known: &Known, kind: &str) -> Option<u64> {
    let audit = known.audit.as_ref()?;
    let name = match kind {
        "none" => "normal",
        kind => kind,
    };
    let name = format!("traces_{name}_{}.csv", audit.stamp);
    let file = audit.files.iter().find(|file| file.name == name)?;
    Some(file.rows)
}
