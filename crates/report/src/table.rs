//! Reads columns of the dataset's tables, batch by batch.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int32Type, Int64Type};
use arrow_array::{Array, ArrayRef, BooleanArray, PrimitiveArray, RecordBatch, StringArray};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReaderBuilder, RowSelection, RowSelector};
use parquet::errors::ParquetError;

/// Why a table can't be shown.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TableError {
    #[error("there is none")]
    Absent,
    #[error("can't read {}: {source}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("{} is not a table that this loadgen can read: {reason}", path.display())]
    Malformed { path: PathBuf, reason: String },
}

/// A table of a dataset.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Table<'p> {
    path: &'p Path,
}

impl<'p> Table<'p> {
    pub(crate) fn at(path: &'p Path) -> Self {
        Self { path }
    }

    /// Calls `each` with batches of those of the columns that the table has.
    pub(crate) fn read(
        self,
        columns: &[&str],
        each: impl FnMut(&Batch<'_>) -> Result<(), String>,
    ) -> Result<(), TableError> {
        self.read_rows(columns, None, each)
    }

    /// The same of single rows, whose numbers are in rising order.
    pub(crate) fn read_rows(
        self,
        columns: &[&str],
        rows: Option<&[usize]>,
        mut each: impl FnMut(&Batch<'_>) -> Result<(), String>,
    ) -> Result<(), TableError> {
        let malformed = |reason: String| TableError::Malformed {
            path: self.path.to_owned(),
            reason,
        };
        let parquet = |error: ParquetError| malformed(error.to_string());
        let file = File::open(self.path).map_err(|source| match source.kind() {
            io::ErrorKind::NotFound => TableError::Absent,
            _ => TableError::Read {
                path: self.path.to_owned(),
                source,
            },
        })?;
        let builder = ParquetRecordBatchReaderBuilder::try_new(file).map_err(parquet)?;
        let mask = ProjectionMask::columns(builder.parquet_schema(), columns.iter().copied());
        let mut builder = builder.with_projection(mask);
        if let Some(rows) = rows {
            builder = builder.with_row_selection(selection(rows));
        }
        for batch in builder.build().map_err(parquet)? {
            let batch = batch.map_err(|error| malformed(error.to_string()))?;
            each(&Batch { batch: &batch }).map_err(malformed)?;
        }
        Ok(())
    }
}

fn selection(rows: &[usize]) -> RowSelection {
    let mut at = 0;
    let mut selectors = Vec::with_capacity(2 * rows.len());
    for row in rows {
        if *row > at {
            selectors.push(RowSelector::skip(row - at));
        }
        selectors.push(RowSelector::select(1));
        at = row + 1;
    }
    RowSelection::from(selectors)
}

/// Some rows of a table.
pub(crate) struct Batch<'b> {
    batch: &'b RecordBatch,
}

impl<'b> Batch<'b> {
    pub(crate) fn rows(&self) -> usize {
        self.batch.num_rows()
    }

    /// A column of text that has to be there.
    pub(crate) fn text(&self, name: &str) -> Result<Text<'b>, String> {
        self.text_if_any(name)?.ok_or_else(|| missing(name))
    }

    /// A column of text; none: the table does not have it.
    pub(crate) fn text_if_any(&self, name: &str) -> Result<Option<Text<'b>>, String> {
        let Some(column) = self.batch.column_by_name(name) else {
            return Ok(None);
        };
        let text = column.as_string_opt::<i32>();
        text.map(|column| Some(Text { column }))
            .ok_or_else(|| other_type(name, column))
    }

    /// A column of numbers that has to be there.
    pub(crate) fn numbers(&self, name: &str) -> Result<Numbers<'b>, String> {
        self.numbers_if_any(name)?.ok_or_else(|| missing(name))
    }

    /// A column of numbers; none: the table does not have it.
    pub(crate) fn numbers_if_any(&self, name: &str) -> Result<Option<Numbers<'b>>, String> {
        let Some(column) = self.batch.column_by_name(name) else {
            return Ok(None);
        };
        if let Some(column) = column.as_primitive_opt::<Int64Type>() {
            return Ok(Some(Numbers::Long(column)));
        }
        if let Some(column) = column.as_primitive_opt::<Int32Type>() {
            return Ok(Some(Numbers::Int(column)));
        }
        if let Some(column) = column.as_primitive_opt::<Float64Type>() {
            return Ok(Some(Numbers::Double(column)));
        }
        Err(other_type(name, column))
    }

    /// A column of truth values; none: the table does not have it.
    pub(crate) fn flags_if_any(&self, name: &str) -> Result<Option<Flags<'b>>, String> {
        let Some(column) = self.batch.column_by_name(name) else {
            return Ok(None);
        };
        let flags = column.as_boolean_opt();
        flags
            .map(|column| Some(Flags { column }))
            .ok_or_else(|| other_type(name, column))
    }
}

fn missing(name: &str) -> String {
    format!("it has no column `{name}`")
}

fn other_type(name: &str, column: &ArrayRef) -> String {
    format!("its column `{name}` has the type {}", column.data_type())
}

/// A column of text.
#[derive(Clone, Copy)]
pub(crate) struct Text<'b> {
    column: &'b StringArray,
}

impl<'b> Text<'b> {
    pub(crate) fn get(&self, row: usize) -> Option<&'b str> {
        self.column.is_valid(row).then(|| self.column.value(row))
    }

    /// The same, with nothing where there is nothing.
    pub(crate) fn or_empty(&self, row: usize) -> &'b str {
        self.get(row).unwrap_or_default()
    }
}

/// A column of numbers.
#[derive(Clone, Copy)]
pub(crate) enum Numbers<'b> {
    Long(&'b PrimitiveArray<Int64Type>),
    Int(&'b PrimitiveArray<Int32Type>),
    Double(&'b PrimitiveArray<Float64Type>),
}

impl Numbers<'_> {
    /// A number that may have a fraction.
    pub(crate) fn double(&self, row: usize) -> Option<f64> {
        match self {
            Self::Double(column) => column.is_valid(row).then(|| column.value(row)),
            _ => self.long(row).map(|value| value as f64),
        }
    }

    /// A whole number; of one with a fraction what is before the point.
    pub(crate) fn long(&self, row: usize) -> Option<i64> {
        match self {
            Self::Long(column) => column.is_valid(row).then(|| column.value(row)),
            Self::Int(column) => column.is_valid(row).then(|| column.value(row).into()),
            Self::Double(column) => column.is_valid(row).then(|| column.value(row) as i64),
        }
    }

    /// A count: none and less than none are 0.
    pub(crate) fn count(&self, row: usize) -> u64 {
        u64::try_from(self.long(row).unwrap_or(0)).unwrap_or(0)
    }
}

/// A column of truth values.
#[derive(Clone, Copy)]
pub(crate) struct Flags<'b> {
    column: &'b BooleanArray,
}

impl Flags<'_> {
    pub(crate) fn get(&self, row: usize) -> Option<bool> {
        self.column.is_valid(row).then(|| self.column.value(row))
    }
}
