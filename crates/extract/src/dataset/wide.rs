//! The wide table of metrics. Its columns but for the first and the labels are those of the run's
//! series, which no definition can name: they are made when the series are known.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::{Field, Schema, SchemaRef};

use super::buckets::{LABELS, shared};
use super::csv_row::CsvRow;
use super::rows::{Cells, Made};
use super::said::{Labelled, Said};
use super::table::{Column, Kind, NEVER, Table, Value};
use crate::options::TableFormats;

/// Every second of the run.
#[derive(Debug)]
pub(crate) struct MetricsWide;

/// What all rows have, whatever the series.
#[derive(Debug)]
pub(crate) struct WideRow<'a> {
    /// Unix time, in seconds.
    pub(crate) time_s: i64,
    pub(crate) said: Said<'a>,
}

impl Labelled for WideRow<'_> {
    fn said(&self) -> &Said<'_> {
        &self.said
    }

    fn service(&self) -> &str {
        ""
    }
}

impl Table for MetricsWide {
    type Row<'a> = WideRow<'a>;

    const NAME: &'static str = "metrics_wide";

    fn columns() -> Vec<Column<Self>> {
        let mut columns = vec![Column::new(
            "time",
            Kind::Int64,
            "begin of the second, Unix s",
            NEVER,
            |r: &WideRow<'_>| Value::Int(r.time_s),
        )];
        columns.extend(shared(&LABELS));
        columns
    }
}

/// A column of one or several series.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SeriesColumn {
    pub(crate) name: String,
    /// UCUM unit; empty: none was sent.
    pub(crate) unit: String,
    pub(crate) meaning: String,
}

/// When a series has no value.
pub(crate) const NO_POINT: &str = "no point says anything of the second";

/// The columns of one run: the time, its series, the labels.
pub(crate) struct WideColumns {
    fixed: Vec<Column<MetricsWide>>,
    series: Vec<SeriesColumn>,
    schema: SchemaRef,
    formats: TableFormats,
}

impl WideColumns {
    pub(crate) fn new(formats: TableFormats, series: Vec<SeriesColumn>) -> Self {
        let fixed = MetricsWide::columns();
        let of_series = series.iter().map(|column| {
            let description = ("description".to_owned(), column.meaning.clone());
            Field::new(&column.name, Kind::Double.data_type(), true)
                .with_metadata(HashMap::from([description]))
        });
        let mut fields: Vec<Field> = fixed.iter().map(Column::field).collect();
        let labels = fields.split_off(1);
        fields.extend(of_series);
        fields.extend(labels);
        Self {
            fixed,
            series,
            schema: Arc::new(Schema::new(fields)),
            formats,
        }
    }

    pub(crate) fn formats(&self) -> TableFormats {
        self.formats
    }

    pub(crate) fn series(&self) -> &[SeriesColumn] {
        &self.series
    }

    pub(crate) fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// The header of the CSV file.
    pub(crate) fn header(&self) -> Vec<u8> {
        let mut row = CsvRow::new();
        for field in self.schema.fields() {
            row.cell(Kind::Text, &Value::text(field.name()));
        }
        row.end();
        row.take()
    }
}

/// Rows that are being made.
pub(crate) struct WideRows<'c> {
    of: &'c WideColumns,
    csv: CsvRow,
    fixed: Vec<Cells>,
    series: Vec<Cells>,
    rows: u64,
}

impl<'c> WideRows<'c> {
    pub(crate) fn new(of: &'c WideColumns) -> Self {
        Self {
            csv: CsvRow::new(),
            fixed: of
                .fixed
                .iter()
                .map(|column| Cells::new(column.kind))
                .collect(),
            series: of.series.iter().map(|_| Cells::new(Kind::Double)).collect(),
            rows: 0,
            of,
        }
    }

    /// Adds a row; `values` are those of the series, in the order of their columns.
    pub(crate) fn push(&mut self, row: &WideRow<'_>, values: impl Iterator<Item = Option<f64>>) {
        let mut fixed = self.of.fixed.iter().zip(&mut self.fixed);
        let (is_csv, is_parquet) = (self.of.formats.csv(), self.of.formats.parquet());
        let put = |csv: &mut CsvRow, cells: &mut Cells, kind: Kind, value: Value<'_>| {
            if is_csv {
                csv.cell(kind, &value);
            }
            if is_parquet {
                cells.push(value);
            }
        };
        let cell = |csv: &mut CsvRow, (column, cells): (&Column<MetricsWide>, &mut Cells)| {
            put(csv, cells, column.kind, (column.value)(row));
        };
        if let Some(time) = fixed.next() {
            cell(&mut self.csv, time);
        }
        for (cells, value) in self.series.iter_mut().zip(values) {
            put(&mut self.csv, cells, Kind::Double, Value::opt_double(value));
        }
        for label in fixed {
            cell(&mut self.csv, label);
        }
        if is_csv {
            self.csv.end();
        }
        self.rows += 1;
    }

    pub(crate) fn len(&self) -> u64 {
        self.rows
    }

    /// What was made, leaving nothing.
    pub(crate) fn take(&mut self) -> io::Result<Made> {
        let mut arrays: Vec<ArrayRef> = self.fixed.iter_mut().map(Cells::finish).collect();
        let labels = arrays.split_off(1);
        arrays.extend(self.series.iter_mut().map(Cells::finish));
        arrays.extend(labels);
        let batch = || RecordBatch::try_new(self.of.schema.clone(), arrays);
        let batch = self.of.formats.parquet().then(batch).transpose();
        Ok(Made {
            csv: self.csv.take(),
            batch: batch.map_err(io::Error::other)?,
            rows: std::mem::take(&mut self.rows),
        })
    }
}
