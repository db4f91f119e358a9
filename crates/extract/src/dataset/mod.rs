//! Writes the dataset: rows to CSV and Parquet, under names that can't escape the folder, renamed
//! into place when they are whole.

pub(crate) mod csv_row;
pub(crate) mod file_name;
pub(crate) mod log_row;
pub(crate) mod metric_row;
pub(crate) mod span_columns;
pub(crate) mod span_row;
pub(crate) mod staging;
pub(crate) mod timestamp;
pub(crate) mod trace_files;
pub(crate) mod trace_table;
pub(crate) mod window_table;
