//! The target's own side of a run: the spans of its dataset, read column by column.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use arrow_array::Array;
use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use arrow_array::types::{Int32Type, Int64Type};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::LoadError;
use super::ledger::{Requests, TargetSpan};

/// OTLP's number of the kind "server".
const SERVER: i32 = 2;

const COLUMNS: [&str; 6] = [
    "trace_id",
    "span_id",
    "parent_span_id",
    "span_kind",
    "duration_ns",
    "scenario",
];

/// The files of an extraction.
pub(super) struct Found {
    pub(super) stamp: String,
    pub(super) traces: PathBuf,
    pub(super) audit: Option<PathBuf>,
}

/// The last extraction in a folder; none: there is none, or no folder.
pub(super) fn latest(folder: &Path) -> Option<Found> {
    let names = fs::read_dir(folder).ok()?.flatten();
    let stamp = names
        .filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            let stamp = name
                .strip_prefix("traces_labeled_")?
                .strip_suffix(".parquet")?;
            Some(stamp.to_owned())
        })
        .max()?;
    let audit = folder.join(format!("audit_{stamp}.json"));
    Some(Found {
        traces: folder.join(format!("traces_labeled_{stamp}.parquet")),
        audit: audit.is_file().then_some(audit),
        stamp,
    })
}

/// Gives the requests what the target measured of them.
pub(super) fn join(traces: &Path, requests: &mut Requests) -> Result<(), LoadError> {
    let malformed = |reason: String| LoadError::Malformed {
        path: traces.to_owned(),
        reason,
    };
    let file = File::open(traces).map_err(|source| LoadError::Read {
        path: traces.to_owned(),
        source,
    })?;
    let builder = ParquetRecordBatchReaderBuilder::try_new(file)
        .map_err(|error| malformed(error.to_string()))?;
    let mask = ProjectionMask::columns(builder.parquet_schema(), COLUMNS);
    let reader = builder
        .with_projection(mask)
        .build()
        .map_err(|error| malformed(error.to_string()))?;
    for batch in reader {
        let batch = batch.map_err(|error| malformed(error.to_string()))?;
        spans(&batch, requests)
            .ok_or_else(|| malformed("it has not the columns of a dataset".to_owned()))?;
    }
    Ok(())
}

/// None: a column is missing or of another type.
fn spans(batch: &RecordBatch, requests: &mut Requests) -> Option<()> {
    let text = |name| batch.column_by_name(name)?.as_string_opt::<i32>();
    let (traces, ids) = (text("trace_id")?, text("span_id")?);
    let (parents, scenarios) = (text("parent_span_id")?, text("scenario")?);
    let kinds = batch
        .column_by_name("span_kind")?
        .as_primitive_opt::<Int32Type>()?;
    let durations = batch
        .column_by_name("duration_ns")?
        .as_primitive_opt::<Int64Type>()?;
    for row in 0..batch.num_rows() {
        if traces.is_null(row) {
            continue;
        }
        let id = |column: &arrow_array::StringArray| {
            let text = column.is_valid(row).then(|| column.value(row))?;
            u64::from_str_radix(text, 16).ok()
        };
        requests.span(&TargetSpan {
            trace_id: traces.value(row),
            span_id: id(ids),
            parent_span_id: id(parents),
            server: kinds.is_valid(row) && kinds.value(row) == SERVER,
            duration_ns: durations.is_valid(row).then(|| durations.value(row)),
            scenario: scenarios.is_valid(row).then(|| scenarios.value(row)),
        });
    }
    Some(())
}
