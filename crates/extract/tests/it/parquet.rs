//! The Parquet file of each table holds the rows of its CSV, typed, in the form that the docs promise.

use std::fs::File;
use std::path::{Path, PathBuf};

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int32Type, Int64Type, TimestampNanosecondType};
use arrow_array::{Array, RecordBatch};
use arrow_schema::{DataType, TimeUnit};
use chrono::{DateTime, SecondsFormat};
use loadgen_extract::{ExtractOptions, ExtractReport, extract};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::basic::{Compression, Encoding};

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

const TABLES: [&str; 11] = [
    "traces_labeled",
    "metrics_labeled",
    "logs_labeled",
    "trace_labels",
    "windows",
    "windows_features_1s",
    "windows_features_5s",
    "trace_features",
    "graph_edges",
    "graph_nodes",
    "metrics_wide",
];

fn extracted(output: &Path) -> ExtractReport {
    extract(&ExtractOptions {
        inputs: [
            "traces-1.jsonl",
            "traces-2.jsonl",
            "metrics.jsonl",
            "logs.jsonl",
        ]
        .map(golden)
        .to_vec(),
        timeline: Some(golden("timeline.jsonl")),
        output: output.to_path_buf(),
        // Also the rows of which nothing is known: they have the most nulls.
        include_foreign: true,
        ..ExtractOptions::default()
    })
    .expect("extracted")
}

/// The file of a table, and its rows.
fn file<'r>(
    report: &'r ExtractReport,
    table: &str,
    form: &str,
) -> &'r loadgen_extract::WrittenFile {
    let is_it = |f: &&loadgen_extract::WrittenFile| {
        let name = f.path.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with(&format!("{table}_2")) && name.ends_with(form)
    };
    report.files.iter().find(is_it).expect("written")
}

fn reader(report: &ExtractReport, table: &str) -> ParquetRecordBatchReaderBuilder<File> {
    let path = &file(report, table, ".parquet").path;
    let opened = File::open(path).expect("there");
    ParquetRecordBatchReaderBuilder::try_new(opened).expect("valid Parquet")
}

fn is_list(kind: &DataType) -> bool {
    matches!(kind, DataType::List(_))
}

#[test]
fn parquet_and_csv_have_the_same_cells() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let report = extracted(dir.path());
    for table in TABLES {
        let reader = reader(&report, table).build().expect("valid Parquet");
        let batches: Vec<RecordBatch> = reader.map(|batch| batch.expect("a batch")).collect();
        let mut csv = csv::Reader::from_path(&file(&report, table, ".csv").path).expect("there");
        let header = csv.headers().expect("a header").clone();
        let schema = batches.first().expect("rows").schema();
        // CSV has all but the lists, in the same order.
        let flat: Vec<usize> = (0..schema.fields().len())
            .filter(|&column| !is_list(schema.field(column).data_type()))
            .collect();
        let names: Vec<&str> = flat
            .iter()
            .map(|&column| schema.field(column).name().as_str())
            .collect();
        assert_eq!(header, names, "{table}");

        let records: Vec<csv::StringRecord> = csv.records().map(|r| r.expect("a row")).collect();
        let rows: Vec<(&RecordBatch, usize)> = batches
            .iter()
            .flat_map(|b| (0..b.num_rows()).map(move |row| (b, row)))
            .collect();
        assert!(!rows.is_empty(), "{table}");
        assert_eq!(rows.len(), records.len(), "{table}");
        for form in [".csv", ".parquet"] {
            assert_eq!(
                rows.len() as u64,
                file(&report, table, form).rows,
                "{table}"
            );
        }
        for ((batch, row), record) in rows.into_iter().zip(&records) {
            for (&column, text) in flat.iter().zip(record.iter()) {
                let kind = batch.column(column).data_type();
                // A `'` marks text alone, and what is JSON never begins with one.
                let text = match kind {
                    DataType::Utf8 => text.strip_prefix('\'').unwrap_or(text).to_owned(),
                    // The CSV writes milliseconds without an exponent.
                    DataType::Float64 if !text.is_empty() => {
                        format!("{:?}", text.parse::<f64>().expect("a number"))
                    }
                    _ => text.to_owned(),
                };
                let name = schema.field(column).name();
                assert_eq!(cell(batch, column, row), text, "{table}: {name}, row {row}");
            }
        }
    }
}

#[test]
fn compounds_come_as_lists_too() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let report = extracted(dir.path());
    let reader = reader(&report, "metrics_labeled")
        .build()
        .expect("valid Parquet");
    let mut seen = std::collections::BTreeSet::new();
    for batch in reader {
        let batch = batch.expect("a batch");
        let text = |name: &str, row: usize| {
            let column = batch.column_by_name(name).expect("a column");
            column.as_string::<i32>().value(row).to_owned()
        };
        for row in 0..batch.num_rows() {
            let list = |name: &str| -> Vec<String> {
                let column = batch
                    .column_by_name(name)
                    .expect("a column")
                    .as_list::<i32>();
                let of = column.value(row);
                of.as_string::<i32>()
                    .iter()
                    .map(|text| text.expect("a text").to_owned())
                    .collect()
            };
            let kind = text("anomaly_type", row);
            let types = list("anomaly_types");
            let joined = types.join("+");
            let expected = if types.is_empty() { &kind } else { &joined };
            assert_eq!(&kind, expected);
            // Neither what is normal nor what is unknown has an anomaly.
            assert_eq!(types.is_empty(), ["none", "unknown"].contains(&&*kind));
            assert_eq!(list("anomaly_root_causes").len(), types.len());
            assert_eq!(list("root_cause_services").len(), types.len());
            seen.insert(types.len());
        }
    }
    assert!(seen.is_superset(&[0, 1].into()), "{seen:?}");
}

#[test]
fn every_table_is_compressed_has_statistics_and_no_dictionary_of_what_never_comes_twice() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let report = extracted(dir.path());
    let mut distinct = 0;
    for table in TABLES {
        let reader = reader(&report, table);
        let metadata = reader.metadata().clone();
        assert!(metadata.num_row_groups() > 0, "{table}");
        for group in metadata.row_groups() {
            for column in group.columns() {
                let name = column.column_path().string();
                let place = format!("{table}: {name}");
                assert!(
                    matches!(column.compression(), Compression::ZSTD(_)),
                    "{place}"
                );
                let statistics = column.statistics().unwrap_or_else(|| panic!("{place}"));
                assert!(statistics.null_count_opt().is_some(), "{place}");
                let is_distinct = name.ends_with("_id") && !name.starts_with("service")
                    || name == "timestamp"
                    || name.ends_with("_ns");
                if is_distinct {
                    distinct += 1;
                    assert!(column.dictionary_page_offset().is_none(), "{place}");
                    let mut encodings = column.encodings();
                    let dictionary = [Encoding::PLAIN_DICTIONARY, Encoding::RLE_DICTIONARY];
                    assert!(!encodings.any(|e| dictionary.contains(&e)), "{place}");
                }
            }
        }
        for field in reader.schema().fields() {
            let description = field.metadata().get("description");
            assert!(
                description.is_some_and(|text| !text.is_empty()),
                "{table}: {}",
                field.name()
            );
            let expected = match field.name().as_str() {
                "timestamp" => DataType::Timestamp(TimeUnit::Nanosecond, Some("UTC".into())),
                name if name.ends_with("_ns") => DataType::Int64,
                name if name.ends_with("_id") => DataType::Utf8,
                _ => continue,
            };
            assert_eq!(field.data_type(), &expected, "{table}: {}", field.name());
        }
        let column = |name: &str| reader.schema().field_with_name(name).ok().cloned();
        let is_of_windows = ["windows", "graph_edges", "graph_nodes", "metrics_wide"];
        assert_eq!(
            column("timestamp").is_some(),
            !is_of_windows.contains(&table)
        );
        // What always has a value says so.
        let label = column("anomaly_type").expect("a label");
        assert!(!label.is_nullable(), "{table}");
    }
    assert!(distinct > 20);
}
