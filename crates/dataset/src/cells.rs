//! Columns of a batch by name, as the few kinds that are asked for.

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type, TimestampNanosecondType};
use arrow_array::{Array, RecordBatch, StringArray};

/// A column of text; none: there is no such column.
pub(crate) fn texts<'b>(batch: &'b RecordBatch, name: &str) -> Option<&'b StringArray> {
    batch.column_by_name(name)?.as_string_opt::<i32>()
}

/// A cell of text.
pub(crate) fn text(column: Option<&StringArray>, row: usize) -> Option<&str> {
    let column = column?;
    (!column.is_null(row)).then(|| column.value(row))
}

/// A cell of a column of integers or of times in nanoseconds.
pub(crate) fn int(batch: &RecordBatch, name: &str, row: usize) -> Option<i64> {
    let column = batch.column_by_name(name)?;
    if column.is_null(row) {
        return None;
    }
    if let Some(ints) = column.as_primitive_opt::<Int64Type>() {
        return Some(ints.value(row));
    }
    let times = column.as_primitive_opt::<TimestampNanosecondType>()?;
    Some(times.value(row))
}

/// A cell of a column of doubles.
pub(crate) fn double(batch: &RecordBatch, name: &str, row: usize) -> Option<f64> {
    let column = batch
        .column_by_name(name)?
        .as_primitive_opt::<Float64Type>()?;
    (!column.is_null(row)).then(|| column.value(row))
}
