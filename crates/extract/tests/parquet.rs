//! The Parquet file holds the rows of the CSV, typed.

use std::fs::File;
use std::path::{Path, PathBuf};

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int32Type, Int64Type, TimestampNanosecondType};
use arrow_array::{Array, RecordBatch};
use arrow_schema::{DataType, TimeUnit};
use chrono::{DateTime, SecondsFormat};
use loadgen_extract::{ExtractOptions, extract};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden")
        .join(name)
}

/// A cell as the CSV would have it, apart from the `'` in front of formulas.
fn cell(batch: &RecordBatch, column: usize, row: usize) -> String {
    let array = batch.column(column);
    if array.is_null(row) {
        return String::new();
    }
    match array.data_type() {
        DataType::Boolean => array.as_boolean().value(row).to_string(),
        DataType::Int32 => array.as_primitive::<Int32Type>().value(row).to_string(),
        DataType::Int64 => array.as_primitive::<Int64Type>().value(row).to_string(),
        DataType::Float64 => format!("{:?}", array.as_primitive::<Float64Type>().value(row)),
        DataType::Utf8 => array.as_string::<i32>().value(row).to_owned(),
        DataType::Timestamp(TimeUnit::Nanosecond, Some(zone)) if &**zone == "UTC" => {
            let ns = array.as_primitive::<TimestampNanosecondType>().value(row);
            DateTime::from_timestamp_nanos(ns).to_rfc3339_opts(SecondsFormat::Nanos, true)
        }
        other => panic!("a type that the dataset does not have: {other}"),
    }
}

#[test]
fn parquet_and_csv_have_the_same_cells() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let report = extract(&ExtractOptions {
        traces: vec![golden("traces-1.jsonl"), golden("traces-2.jsonl")],
        timeline: Some(golden("timeline.jsonl")),
        output: dir.path().to_path_buf(),
        ..ExtractOptions::default()
    })
    .expect("extracted");
    let of_kind = |end: &str| {
        let path = |f: &&loadgen_extract::WrittenFile| f.path.to_string_lossy().ends_with(end);
        report.files.iter().find(path).expect("written")
    };
    let parquet = of_kind(".parquet");
    let reader =
        ParquetRecordBatchReaderBuilder::try_new(File::open(&parquet.path).expect("there"))
            .expect("valid Parquet")
            .build()
            .expect("valid Parquet");
    let batches: Vec<RecordBatch> = reader.map(|batch| batch.expect("a batch")).collect();

    let labeled = &report.files[0];
    assert!(labeled.path.to_string_lossy().contains("traces_labeled_"));
    let mut csv = csv::Reader::from_path(&labeled.path).expect("there");
    let header = csv.headers().expect("a header").clone();
    let names = batches[0].schema();
    let names: Vec<&str> = names
        .fields()
        .iter()
        .map(|field| field.name().as_str())
        .collect();
    assert_eq!(header, names);

    let records: Vec<csv::StringRecord> = csv.records().map(|r| r.expect("a row")).collect();
    let rows: Vec<(&RecordBatch, usize)> = batches
        .iter()
        .flat_map(|b| (0..b.num_rows()).map(move |row| (b, row)))
        .collect();
    assert_eq!(rows.len(), records.len());
    assert_eq!(rows.len() as u64, parquet.rows);
    for ((batch, row), record) in rows.into_iter().zip(&records) {
        for (column, text) in record.iter().enumerate() {
            let text = text.strip_prefix('\'').unwrap_or(text);
            // The CSV writes milliseconds without an exponent.
            let text = match batch.column(column).data_type() {
                DataType::Float64 if !text.is_empty() => {
                    format!("{:?}", text.parse::<f64>().expect("a number"))
                }
                _ => text.to_owned(),
            };
            assert_eq!(
                cell(batch, column, row),
                text,
                "{}, row {row}",
                names[column]
            );
        }
    }
}
