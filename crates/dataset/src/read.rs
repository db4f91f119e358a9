//! Tables of an extraction, read batch by batch.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};
use parquet::file::metadata::ParquetMetaData;

use crate::error::BuildError;
use crate::out::read_error;

/// Rows that are in memory at once.
pub(crate) const ROWS_AT_ONCE: usize = 8192;

/// Columns and row groups of a table.
pub(crate) fn metadata(path: &Path) -> Result<(SchemaRef, Arc<ParquetMetaData>), BuildError> {
    let builder = builder(path)?;
    Ok((builder.schema().clone(), builder.metadata().clone()))
}

/// The rows of a table.
pub(crate) fn batches(path: &Path) -> Result<ParquetRecordBatchReader, BuildError> {
    let rows = builder(path)?.with_batch_size(ROWS_AT_ONCE).build();
    rows.map_err(|error| malformed(path, error))
}

/// The same with some columns only; those that are not there are left out.
pub(crate) fn columns(path: &Path, names: &[&str]) -> Result<ParquetRecordBatchReader, BuildError> {
    let builder = builder(path)?;
    let mask = ProjectionMask::columns(builder.parquet_schema(), names.iter().copied());
    let builder = builder.with_projection(mask).with_batch_size(ROWS_AT_ONCE);
    builder.build().map_err(|error| malformed(path, error))
}

fn builder(path: &Path) -> Result<ParquetRecordBatchReaderBuilder<File>, BuildError> {
    let file = File::open(path).map_err(|source| read_error(path, source))?;
    ParquetRecordBatchReaderBuilder::try_new(file).map_err(|error| malformed(path, error))
}

/// A file is not what it should be.
pub(crate) fn malformed(path: &Path, reason: impl ToString) -> BuildError {
    BuildError::Malformed {
        path: path.to_path_buf(),
        reason: reason.to_string(),
    }
}

/// The next batch, with the file in the error.
pub(crate) fn next(
    reader: &mut ParquetRecordBatchReader,
    path: &Path,
) -> Result<Option<RecordBatch>, BuildError> {
    reader
        .next()
        .transpose()
        .map_err(|error| malformed(path, error))
}
